"""Lists everything that is shipped, with its version, its licence, the reason for it, and its size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

from infra.build.table import megabytes

ROOT = Path(__file__).resolve().parents[2]

# The engine's library names its Go modules without their licences. These are the licences of the modules' projects.
GO_LICENCES = {
    "filippo.io/edwards25519": "BSD-3-Clause",
    "github.com/beeper/argo-go": "MIT",
    "github.com/coder/websocket": "ISC",
    "github.com/elliotchance/orderedmap/v3": "MIT",
    "github.com/google/uuid": "BSD-3-Clause",
    "github.com/lib/pq": "MIT",
    "github.com/mattn/go-colorable": "MIT",
    "github.com/mattn/go-isatty": "MIT",
    "github.com/mattn/go-sqlite3": "MIT",
    "github.com/petermattis/goid": "Apache-2.0",
    "github.com/rs/zerolog": "MIT",
    "github.com/vektah/gqlparser/v2": "MIT",
    "go.mau.fi/libsignal": "GPL-3.0",
    "go.mau.fi/util": "MPL-2.0",
    "go.mau.fi/whatsmeow": "MPL-2.0",
    "golang.org/x/crypto": "BSD-3-Clause",
    "golang.org/x/exp": "BSD-3-Clause",
    "golang.org/x/net": "BSD-3-Clause",
    "golang.org/x/sync": "BSD-3-Clause",
    "golang.org/x/sys": "BSD-3-Clause",
    "golang.org/x/text": "BSD-3-Clause",
    "google.golang.org/protobuf": "BSD-3-Clause",
}

# The usual names of licences that packages write in other words, and the licences of packages that name none.
_PLAIN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "MIT License": "MIT",
}
_UNSAID = {"neonize": ["Apache-2.0 (its library: below)"], "pylibmagic": ["BSD-3-Clause"], "segno": ["BSD-3-Clause"]}

# Files and folders that a package puts into the layer under another name than its own. The names are normalised.
_OTHER_NAMES = {
    "beautifulsoup4": ("bs4",),
    "cffi": ("-cffi-backend",),
    "pillow": ("pil",),
    "protobuf": ("google",),
    "pyjwt": ("jwt",),
    "pylibmagic": ("share",),
    "pypng": ("png",),
    "python-magic": ("magic",),
}

_MODULE = re.compile(rb"dep\t([\x21-\x7e]+)\t(v[\x21-\x7e]+)")
_DIRECT = re.compile(r'^  "([a-z0-9-]+)[^"]*",\s*# (.+)$', re.MULTILINE)


@dataclass(frozen=True)
class Shipped:
    """One package of a layer. `megabytes` is its size after trimming."""

    layer: str
    name: str
    version: str
    licence: str
    reason: str
    megabytes: float


def show(build: Path) -> None:
    """Print the table of one build, as Markdown."""
    print("| package | version | licence | why | MB |\n|---|---|---|---|---|")
    for one in shipped(build):
        weight = f"{one.megabytes:.2f}"
        print(f"| {one.name} ({one.layer}) | {one.version} | {one.licence} | {one.reason} | {weight} |")
    print("\nLinked into neonize's library:\n\n| Go module | version | licence |\n|---|---|---|")
    for module, version in go_modules(build):
        print(f"| {module} | {version} | {GO_LICENCES[module]} |")


def shipped(build: Path) -> list[Shipped]:
    """Return the packages of both layers, the heaviest of each first."""
    return [
        one
        for layer in ("Shared", "Engine")
        for one in sorted(_of_layer(build / f"{layer}Layer" / "python", layer.lower()), key=lambda it: -it.megabytes)
    ]


def go_modules(build: Path) -> list[tuple[str, str]]:
    """Return name and version of each Go module in the engine's library, from the library's build information."""
    (library,) = (build / "EngineLayer" / "python" / "neonize").glob("neonize-linux-*.so")
    return sorted({(name.decode(), version.decode()) for name, version in _MODULE.findall(library.read_bytes())})


def _of_layer(packages: Path, layer: str) -> Iterator[Shipped]:
    reasons = _reasons(layer)
    installed = {_normal(it.name): it for it in map(PathDistribution, packages.glob("*.dist-info"))}
    for name, distribution in installed.items():
        wanted_by = sorted(other for other, it in installed.items() if name in _requirements(it))
        reason = reasons.get(name) or "for " + ", ".join(wanted_by)
        yield Shipped(layer, name, distribution.version, _licence(name, distribution), reason, _weight(packages, name))


def _reasons(layer: str) -> dict[str, str]:
    """Return the reason for each direct dependency, from the comments in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return dict(_DIRECT.findall(text.split(f"\n{layer} = [\n")[1].split("\n]\n")[0]))


def _requirements(distribution: Distribution) -> set[str]:
    """Return the normalised names of what a package needs, also for its extras, because we may use an extra."""
    return {_normal(re.split(r"[^\w.-]", wish, maxsplit=1)[0]) for wish in distribution.requires or []}


def _licence(name: str, distribution: Distribution) -> str:
    metadata = distribution.metadata
    said = [*metadata.get_all("License-Expression", []), *metadata.get_all("License", [])] or _UNSAID.get(name)
    if not said:
        raise LookupError(f"{name} does not say its licence: look it up")
    return _PLAIN.get(said[0], said[0])


def _weight(packages: Path, name: str) -> float:
    """Return the size of a package: its folder or module, its bytecode, its other files, and its metadata."""
    own = {name, *_OTHER_NAMES.get(name, ())}
    there = [*packages.iterdir(), *packages.glob("__pycache__/*")]
    found = [path for path in there if _normal(re.split(r"-\d|\.", path.name)[0]) in own]
    return sum(path.stat().st_size / 2**20 if path.is_file() else megabytes(path) for path in found)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
