"""``python -m infra.local``. `options` has its arguments."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping

from infra.errors import ToolError
from infra.local import environment

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _main(caller: Mapping[str, str]) -> int:
    # `main` has cleaned the environment before these imports, because libraries read it while they are imported.
    from infra.local.options import parse
    from infra.local.runner import run

    work = asyncio.create_task(run(parse(sys.argv[1:]), caller))
    loop = asyncio.get_running_loop()
    # Keep ignoring the signals that are ignored at the start. nohup ignores SIGHUP, and a shell ignores SIGINT for a
    # background job.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop() -> None:
        for number in heard:  # a second Ctrl-C must not interrupt the cleaning up
            loop.add_signal_handler(number, lambda: None)
        work.cancel()

    for number in heard:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        return 0
    except ToolError as error:
        print(f"infra.local: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> None:
    """Run until a signal ends the program."""
    environment.restart_without_python_variables("infra.local")
    caller = environment.clean(os.environ)
    logging.basicConfig(level=logging.WARNING, format="local: %(message)s", stream=sys.stderr)
    logging.getLogger("infra.local").setLevel(logging.INFO)
    code = asyncio.run(_main(caller))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # it is closed, its disk is full, or it was never open
            stream.flush()
    # moto's interpreter leaves threads that wait for callbacks. End without waiting for them.
    os._exit(code)


if __name__ == "__main__":
    main()
