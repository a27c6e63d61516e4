"""Removes from a layer what nobody needs there."""

from __future__ import annotations

import shutil
from pathlib import Path

# At run time, nothing reads type stubs, tests and the commands that packages install. RECORD goes too, because it would
# list removed files. Licences and the other metadata stay.
ANYWHERE = ("**/*.pyi", "*.dist-info/RECORD", "bin", "tests", "*/tests")

# Rules for single packages. A rule is used only if the layer has its package.
PACKAGES = {
    # A web page for API documents. The rest of event_handler stays, because the logger's encoder imports it.
    "aws_lambda_powertools": ("aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",),
    # cffi and pycparser compile bindings. cryptography needs only the compiled backend, which is outside these folders.
    "cffi": ("cffi",),
    "pycparser": ("pycparser",),
    # The places, the carriers and the time zones of phone numbers. neonize only parses and formats numbers.
    "phonenumbers": ("phonenumbers/geodata", "phonenumbers/carrierdata", "phonenumbers/tzdata"),
    # Wheels cannot hold links, so libmagic is there under three names. The loader asks for libmagic.so.1.
    "pylibmagic": (
        "pylibmagic/libmagic.la",
        "pylibmagic/libmagic.so",
        "pylibmagic/libmagic.so.*.*.*",
        "pylibmagic/pkgconfig",
    ),
    # Support for AVIF pictures and for drawing text. Pillow raises a clear error if somebody uses what is missing.
    "PIL": (
        "PIL/_avif.*",
        "PIL/_imagingft.*",
        "pillow.libs/libavif-*",
        "pillow.libs/libbrotli*",
        "pillow.libs/libfreetype-*",
        "pillow.libs/libharfbuzz-*",
        "pillow.libs/libpng16-*",
    ),
}


class NothingToTrimError(RuntimeError):
    """A rule does not match any more, because the package has changed. Review the rules of the package."""


def trim(packages: Path) -> None:
    """Remove from a folder of installed packages what the rules name.

    Raises
    ------
    NothingToTrimError
        A package is there, but a rule of it matches nothing.
    """
    for name, patterns in PACKAGES.items():
        if (packages / name).exists():
            for pattern in patterns:
                if not _remove(packages, pattern):
                    raise NothingToTrimError(f"{name}: there is no {pattern}")
    for pattern in ANYWHERE:
        _remove(packages, pattern)


def _remove(folder: Path, pattern: str) -> int:
    found = list(folder.glob(pattern))
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(found)
