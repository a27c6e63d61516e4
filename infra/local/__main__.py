"""``python -m infra.local``: see `options` for what it takes."""

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
    # Imported here: libraries read the environment while they are imported, so it must be clean before.
    from infra.local.options import parse
    from infra.local.runner import run

    work = asyncio.create_task(run(parse(sys.argv[1:]), caller))
    loop = asyncio.get_running_loop()
    # A signal that is ignored at the start stays ignored: nohup does that to SIGHUP, a background job to SIGINT.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop() -> None:
        for number in heard:  # the second Ctrl-C must not interrupt the cleaning up
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
    """Run until told to end."""
    environment.restart_without_python_variables("infra.local")
    caller = environment.clean(os.environ)
    logging.basicConfig(level=logging.WARNING, format="local: %(message)s", stream=sys.stderr)
    logging.getLogger("infra.local").setLevel(logging.INFO)
    code = asyncio.run(_main(caller))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed, full, or never there
            stream.flush()
    # moto's interpreter leaves threads behind that wait for callbacks; there is nothing left to wait for.
    os._exit(code)


if __name__ == "__main__":
    main()
