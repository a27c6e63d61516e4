"""Reads from an ELF file its processor, and the libraries and the glibc that it needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MACHINES = {62: "x86_64", 183: "arm64"}

_DYNAMIC, _VERSION_NEEDS = 6, 0x6FFFFFFE
_DT_NEEDED = 1


@dataclass(frozen=True)
class Library:
    """A shared library."""

    machine: str
    needs: tuple[str, ...]
    versions: tuple[str, ...]

    @property
    def glibc(self) -> tuple[int, ...]:
        """The lowest glibc that has every symbol that the library uses."""
        wanted = [name.removeprefix("GLIBC_") for name in self.versions if name.startswith("GLIBC_2")]
        return max((tuple(map(int, version.split("."))) for version in wanted), default=(0,))


def is_elf(path: Path) -> bool:
    """Whether the file is an ELF file."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def read(path: Path) -> Library:
    """Read a 64-bit little-endian ELF file. Both of Lambda's processors run these."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01", f"{path} is not for a 64-bit little-endian machine"
    (machine,) = struct.unpack_from("<H", data, 18)
    sections = list(_sections(data))
    needs: list[str] = []
    versions: list[str] = []
    for kind, offset, size, link, count in sections:
        if kind not in (_DYNAMIC, _VERSION_NEEDS):
            continue
        names = sections[link][1]
        if kind == _DYNAMIC:
            tags = struct.iter_unpack("<QQ", data[offset : offset + size])
            needs += [_text(data, names + value) for tag, value in tags if tag == _DT_NEEDED]
        else:
            versions += [_text(data, names + name) for name in _version_names(data, offset, count)]
    return Library(MACHINES.get(machine, str(machine)), tuple(needs), tuple(versions))


def _sections(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Kind, offset, size, linked section and count of each section."""
    (table,) = struct.unpack_from("<Q", data, 40)
    entry_size, entries = struct.unpack_from("<HH", data, 58)
    for index in range(entries):
        _, kind, _, _, offset, size, link, count = struct.unpack_from("<IIQQQQII", data, table + index * entry_size)
        yield kind, offset, size, link, count


def _version_names(data: bytes, offset: int, files: int) -> Iterator[int]:
    """The offsets of the needed version names in the string table."""
    for _ in range(files):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, offset)
        entry = offset + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, entry)
            yield name
            entry += step
        offset += following


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
