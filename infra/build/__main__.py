"""``python -m infra.build``: the steps of a build, and the reports about its result."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from infra.build import audit
from infra.build.interpreter import ABSENT, find
from infra.build.steps import build_function, build_layer, build_runtime
from infra.build.wheels import MACHINES

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / ".aws-sam"


def main() -> None:
    """Build the artifacts, or report about them."""
    given = _parser().parse_args()
    if given.step == "layer":
        build_layer(given.source, given.artifacts, given.architecture)
    elif given.step == "function":
        build_function(given.source, given.artifacts)
    elif given.step == "runtime":
        build_runtime(ROOT, given.target, given.architecture)
    elif given.step == "audit":
        sys.exit(audit.show(ROOT, given.pip_audit))
    elif given.step == "samconfig":
        if given.file.exists():
            from infra.build.samconfig import ignored

            sys.exit("\n".join(ignored(given.file, given.template)) or 0)
    elif given.step == "python":
        python = find()
        if python is None:
            sys.exit(f"There is {ABSENT}.")
        print(python)
    elif given.step == "pin":
        # `pin` and the reports read the template, so they need packages that the other steps do not have.
        from infra.build.pin import pin

        pin(given.template, given.architecture)
    else:
        from infra.build import dependencies, table
        from infra.build.pin import architecture_of
        from infra.documents import figures

        build, here = given.build.resolve(), ROOT / "infra" / "build"
        if not (build / "template.yaml").exists():
            sys.exit(f"There is no build in {build}. Run `make build` first.")
        show, file = {
            "table": (table.show, here / "sizes.md"),
            "dependencies": (dependencies.show, here / "shipped.md"),
        }[given.step]
        figures.record(file, f"make {given.step}", architecture_of(build / "template.yaml"), lambda: show(build))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.build", description=main.__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    layer = steps.add_parser("layer", help="build one layer")
    function = steps.add_parser("function", help="build one function")
    for step in (layer, function):
        step.add_argument("source", type=Path)
        step.add_argument("artifacts", type=Path)
    runtime = steps.add_parser("runtime", help="install the packages of Lambda's image, to run the artifacts here")
    runtime.add_argument("--target", type=Path, default=OUTPUT / "runtime")
    steps.add_parser("python", help="print where Lambda's Python is on this machine; without one, exit with 1")
    samconfig = steps.add_parser("samconfig", help="refuse what `sam deploy` would ignore in samconfig.toml")
    samconfig.add_argument("file", type=Path)
    samconfig.add_argument("template", type=Path)
    vulnerabilities = steps.add_parser("audit", help="known vulnerabilities of everything that is locked")
    vulnerabilities.add_argument("--pip-audit", type=Path, default=ROOT / ".venv-security" / "bin" / "pip-audit")
    pin = steps.add_parser("pin", help="let a built template accept only the processor that was built for")
    pin.add_argument("template", type=Path)
    for step in (layer, runtime, pin):
        step.add_argument("--architecture", choices=MACHINES, default=_here())
    table = steps.add_parser("table", help="write sizes.md: sizes and import times of what was built")
    dependencies = steps.add_parser("dependencies", help="write shipped.md: versions, licences and weights")
    for step in (table, dependencies):
        step.add_argument("--build", type=Path, default=OUTPUT / "build")
    return parser


def _here() -> str:
    machine = platform.machine()
    return next((name for name, other in MACHINES.items() if other == machine), "arm64")


if __name__ == "__main__":
    main()
