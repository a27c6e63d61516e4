"""Runs the sandbox: `python -m infra.sandbox --data-dir DIR`.

When it can be used it prints one line to standard output, `ready ` and a JSON object with `control`, `proxy`,
`ca` and `root`. It ends on SIGTERM and SIGINT and, with --exit-with-parent, when its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from infra.sandbox.app import running
from infra.sandbox.environment import UnsupportedPlatformError, require_linux
from infra.sandbox.store import StoreInUseError


def main() -> int:
    """Run until a signal ends the program, and return the exit code."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="sandbox: %(message)s", stream=sys.stderr)
    # The sandbox cuts connections on purpose, so the library must not report them.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    try:
        require_linux()
        asyncio.run(_run(arguments))
    except (UnsupportedPlatformError, StoreInUseError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="infra.sandbox", description="A simulated WhatsApp with a phone that scans.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder for certificates and accounts")
    parser.add_argument("--control-port", type=int, default=0, help="port of the HTTP control (default: a free one)")
    parser.add_argument("--proxy-port", type=int, default=0, help="port of the CONNECT proxy (default: a free one)")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    return parser


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.exit_with_parent:
        threading.Thread(target=_wait_for_parent, args=(loop, stop), daemon=True).start()
    async with running(arguments.data_dir, arguments.control_port, arguments.proxy_port) as ready:
        print("ready", json.dumps(ready.as_dict()), flush=True)
        await stop.wait()


def _wait_for_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait until the pipe closes. It closes when the parent ends, even if the parent is killed."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
