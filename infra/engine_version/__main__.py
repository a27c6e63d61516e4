"""The command line: `python -m infra.engine_version VERSION`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from infra.children import ChildGuard
from infra.engine_version import candidate as candidates
from infra.engine_version import first_qr, suites
from infra.engine_version.bounded import Runner
from infra.engine_version.candidate import Checkout
from infra.engine_version.layers import Layers
from infra.engine_version.report import Line, Report, failed, ok
from infra.engine_version.upgrade import Upgrade
from infra.errors import ToolError

_IMPORT = "import pylibmagic, time; began = time.perf_counter(); import whatsapp_engine.child; " \
    "print(f'in {time.perf_counter() - began:.2f} s')"  # fmt: skip
_IMPORT_SECONDS = 120.0
_GROUPS = ("import", "API", "QR code", "snapshot", "upgrade", "layers", "suites")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try one version; return 0 if every check holds, 1 if one has failed, and 2 if there is nothing to try."""
    parser = argparse.ArgumentParser(prog="python -m infra.engine_version", description="Tries a version of neonize.")
    parser.add_argument("version", help="as PyPI writes it")
    parser.add_argument("--only", action="append", choices=_GROUPS, help="run these checks only; may be repeated")
    given = parser.parse_args(arguments)
    guard = ChildGuard()
    try:
        folder = candidates.folder_of(given.version)
        candidates.require_published(given.version)
        return _try(given.version, folder, given.only or _GROUPS, guard)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. Nothing outside of .engine/ has changed.", file=sys.stderr)
        return 130
    finally:
        guard.close()


def _try(version: str, folder: Path, wanted: Iterable[str], guard: ChildGuard) -> int:
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    runner = Runner(folder / "checkout", logs / "commands.log", guard)
    print(f"Making a copy with neonize {version} in {folder} (about 2 minutes) ...", flush=True)
    candidate, present = candidates.make(version, runner), candidates.present()
    report = Report(logs / "problems.log")
    report.run("locks", lambda: candidates.changed_packages(candidate))
    groups: dict[str, Callable[[], Iterable[Line]]] = {
        "import": lambda: _import(candidate, runner),
        "API": lambda: _interface(candidate, runner),
        "QR code": lambda: first_qr.lines(candidate, logs / "child.log", guard),
        "snapshot": lambda: candidates.snapshot(candidate, runner),
        "upgrade": Upgrade(present, candidate, logs / "upgrade.log", guard).lines,
        "layers": Layers(present, candidate, folder / "layers", logs / "layers.log", guard).lines,
        "suites": lambda: suites.run(candidate, Runner(candidate.root, logs / "suites.log", guard)),
    }
    for name in _GROUPS:
        if name in wanted:
            report.run(name, groups[name])
    left_out = [name for name in _GROUPS if name not in wanted]
    print(f"neonize {version}: {len(report.lines) - report.failures} ok, {report.failures} FAILED; logs in {logs}")
    if left_out:
        print(f"Not tried: {', '.join(left_out)}")
    return 1 if report.failures else 0


def _import(candidate: Checkout, runner: Runner) -> Iterator[Line]:
    done = runner.run([candidate.python, "-c", _IMPORT], _IMPORT_SECONDS, _paths(candidate))
    yield (ok if done.status == 0 else failed)("import of child.py", done.last_line)


def _interface(candidate: Checkout, runner: Runner) -> Iterator[Line]:
    module = "infra.engine_version.interface"
    done = runner.run([candidate.python, "-m", module], _IMPORT_SECONDS, _paths(candidate))
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith('{"holds"')]
    yield from (Line(**line) for line in lines)
    if done.status != 0:
        yield failed("API", done.last_line)


def _paths(candidate: Checkout) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(str(candidate.root / "layers" / name) for name in ("engine", "shared"))}


if __name__ == "__main__":
    sys.exit(main())
