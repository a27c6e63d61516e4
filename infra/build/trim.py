"""What a layer can do without."""

from __future__ import annotations

import shutil
from pathlib import Path

# Nothing at run time reads type stubs, tests and the commands that some packages install; RECORD lists files that
# are gone. Licences and the rest of the metadata stay.
ANYWHERE = ("**/*.pyi", "*.dist-info/RECORD", "bin", "tests", "*/tests")

# By package, since a layer's packages come and go.
PACKAGES = {
    # A web page for API documents. The rest of that framework stays: the logger's encoder reaches into it.
    "aws_lambda_powertools": ("aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",),
    # What compiles bindings; cryptography wants their compiled backend only, which lies outside these folders.
    "cffi": ("cffi",),
    "pycparser": ("pycparser",),
    # Where a number is from, whose it is and which time it is there: neonize parses and formats numbers.
    "phonenumbers": ("phonenumbers/geodata", "phonenumbers/carrierdata", "phonenumbers/tzdata"),
    # libmagic under three names, as wheels cannot hold links; the loader asks for libmagic.so.1.
    "pylibmagic": (
        "pylibmagic/libmagic.la",
        "pylibmagic/libmagic.so",
        "pylibmagic/libmagic.so.*.*.*",
        "pylibmagic/pkgconfig",
    ),
    # AVIF pictures and drawing text. Pillow says plainly when somebody asks for what is missing.
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
    """A rule does not match any more: the package has changed, so its rules must be looked at again."""


def trim(packages: Path) -> None:
    """Remove from a folder of installed packages what nobody needs.

    Raises
    ------
    NothingToTrimError
        A package is there, but not what its rule removes.
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
