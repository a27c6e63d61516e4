"""``python -m infra.local``: see `options` for what it takes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from infra.local.errors import LocalError
from infra.local.options import parse
from infra.local.runner import run

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _main() -> int:
    work = asyncio.create_task(run(parse(sys.argv[1:])))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in SIGNALS:  # the second Ctrl-C must not interrupt the cleaning up
            loop.add_signal_handler(number, lambda: None)
        work.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        return 0
    except LocalError as error:
        print(f"infra.local: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> None:
    """Run until told to end."""
    logging.basicConfig(level=logging.WARNING, format="local: %(message)s", stream=sys.stderr)
    logging.getLogger("infra.local").setLevel(logging.INFO)
    code = asyncio.run(_main())
    sys.stdout.flush()
    sys.stderr.flush()
    # moto's interpreter leaves threads behind that wait for callbacks; there is nothing left to wait for.
    os._exit(code)


if __name__ == "__main__":
    main()
