"""Builds the layers of both versions for both processors, as `make build` does, and compares them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from infra.build import dependencies
from infra.build.table import LIMIT_MEGABYTES, megabytes
from infra.build.wheels import MACHINES
from infra.children import ChildGuard
from infra.engine_version.bounded import Runner
from infra.engine_version.candidate import Checkout
from infra.engine_version.report import Line, failed, ok
from infra.errors import ToolError

_BUILD_SECONDS = 900.0
_WHATSMEOW = "go.mau.fi/whatsmeow"


class Layers:
    """The built layers of the two checkouts.

    Parameters
    ----------
    present, candidate
        The two checkouts.
    folder
        Gets the layers.
    log
        The file for what pip prints.
    guard
        Ends pip if this process is killed.
    """

    def __init__(self, present: Checkout, candidate: Checkout, folder: Path, log: Path, guard: ChildGuard) -> None:
        self._present, self._candidate, self._folder, self._log, self._guard = present, candidate, folder, log, guard

    def lines(self) -> Iterator[Line]:
        """Yield sizes for each processor, and what the layer contains."""
        built = None
        for architecture in MACHINES:
            check = f"engine layer, {architecture}"
            try:
                now = self._build(self._present, "engine", architecture)
                shared = self._build(self._candidate, "shared", architecture)
                then = self._build(self._candidate, "engine", architecture)
            except ToolError as error:
                yield failed(check, f"it cannot be built: {error}")
                continue
            built = now.parent, then.parent
            sizes = megabytes(then), megabytes(now), megabytes(then) + megabytes(shared)
            text = "{:.1f} MB (now {:.1f}); with the shared layer {:.1f}".format(*sizes)
            if sizes[2] > LIMIT_MEGABYTES:
                yield failed(check, f"{text} MB, above Lambda's limit of {LIMIT_MEGABYTES} MB")
            else:
                yield ok(check, f"{text} of Lambda's {LIMIT_MEGABYTES} MB")
        for check, compare in (("packages and licences", packages), ("Go modules and licences", modules)):
            yield compare(*built) if built else failed(check, "unknown, because no layer was built")

    def _build(self, checkout: Checkout, layer: str, architecture: str) -> Path:
        # The folders are named as in a build, because the reports of `infra.build` look for them.
        place = "now" if checkout is self._present else "then"
        target = self._folder / place / architecture / f"{layer.title()}Layer"
        shutil.rmtree(target, ignore_errors=True)
        step: list[str | Path] = ["layer", Path("layers") / layer, target, "--architecture", architecture]
        runner = Runner(checkout.root, self._log, self._guard)
        done = runner.run([checkout.python, "-m", "infra.build", *step], _BUILD_SECONDS)
        if done.status is None:
            raise ToolError(f"the build took longer than {_BUILD_SECONDS:.0f} s")
        if done.status:
            errors = [line for line in done.output.splitlines() if line.startswith("ERROR")]
            raise ToolError(errors[-1] if errors else done.last_line)
        return target


def packages(now: Path, then: Path) -> Line:
    """Compare the Python packages of two builds."""
    check = "packages and licences"
    try:
        before, after = (
            {one.name: f"{one.version} ({one.licence.partition(' (')[0]})" for one in dependencies.shipped(build)}
            for build in (now, then)
        )
    except LookupError as error:
        return failed(check, str(error.args[0]))
    # The candidate's build has the shared layer too.
    engine = {one.name for one in dependencies.shipped(then) if one.layer == "Engine"}
    changes = [
        f"{name} {before.get(name, 'new')} -> {after[name]}" if name in after else f"{name} is gone"
        for name in sorted({*before, *engine})
        if before.get(name) != after.get(name)
    ]
    return ok(check, "; ".join(changes) or "as before")


def modules(now: Path, then: Path) -> Line:
    """Compare the Go modules in the engine's library of two builds."""
    check = "Go modules and licences"
    before, after = (dict(dependencies.go_modules(build)) for build in (now, then))
    if unknown := sorted(after.keys() - dependencies.GO_LICENCES.keys()):
        return failed(check, f"look up the licence for infra/build/dependencies.py: {', '.join(unknown)}")
    if before == after:
        return ok(check, "as before")
    changed = sum(before[name] != after[name] for name in before.keys() & after.keys())
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    told = [f"{changed} of {len(before)} have other versions", f"whatsmeow {before[_WHATSMEOW]} -> {after[_WHATSMEOW]}"]
    told += [f"{word}: {', '.join(names)}" for word, names in (("gone", gone), ("new", new)) if names]
    return ok(check, "; ".join(told))
