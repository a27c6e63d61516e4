"""Replaces WhatsApp's Noise trust root in the memory of the engine's process.

Only the sandbox may load this into a process. `replace_root` succeeds, or it ends the process. Otherwise an engine that
is meant for the sandbox could reach the real WhatsApp.
"""

import os
import re
import sys
from typing import NoReturn

# An entry of PYTHONPATH below this folder names the root. The folder does not exist. The engine's parent passes
# PYTHONPATH on, and no variable that it does not know.
ROOTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "roots")
EXIT_CODE = 70  # EX_SOFTWARE
_LIBRARY = re.compile(r"/neonize-[^/]*\.so$")
_WHATSAPP_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


def replace_root() -> None:
    """Put the root that PYTHONPATH names in the place of WhatsApp's, or end the process."""
    text = next((name for folder, name in map(os.path.split, sys.path) if folder == ROOTS), "")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        _die(f"PYTHONPATH must name the sandbox's trust root, as {ROOTS}/ and 64 hex digits")
    try:
        addresses = _find(_WHATSAPP_ROOT)
        if len(addresses) != 1:
            _die(f"WhatsApp's trust root was found {len(addresses)} times in neonize's memory, not once")
        _write(addresses[0], bytes.fromhex(text))
    except OSError as error:
        _die(f"the engine's memory cannot be changed: {error}")


def _find(needle: bytes) -> list[int]:
    found = []
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for start, end in _writable_mappings():
            memory.seek(start)
            data = memory.read(end - start)
            found += [start + match.start() for match in re.finditer(re.escape(needle), data)]
    return found


def _writable_mappings() -> list[tuple[int, int]]:
    """Return the address ranges of the library's writable data."""
    mappings = []
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            # address permissions offset device inode path
            fields = line.rstrip("\n").split(maxsplit=5)
            if len(fields) == 6 and fields[1].startswith("rw") and _LIBRARY.search(fields[5]):
                start, _, end = fields[0].partition("-")
                mappings.append((int(start, 16), int(end, 16)))
    return mappings


def _write(address: int, data: bytes) -> None:
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(data)
        memory.seek(address)
        if memory.read(len(data)) != data:
            _die("the engine's memory did not keep the sandbox's trust root")


def _die(reason: str) -> NoReturn:
    # End the process and raise no exception: a library could catch it, or it could end one thread only.
    sys.stderr.write(f"whatsapp sandbox: {reason}. Refusing to run, so as not to reach the real WhatsApp.\n")
    sys.stderr.flush()
    os._exit(EXIT_CODE)
