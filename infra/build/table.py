"""Lists the sizes of the built artifacts, and the import times of their handlers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.build.interpreter import find, obstacle, runtime_beside
from infra.template.reading import read_template
from infra.template.stack_definition import ENGINE_LAYER, Function, StackDefinition

ROOT = Path(__file__).resolve().parents[2]

# Lambda's limit for a function with its layers, unzipped.
LIMIT_MEGABYTES = 250

# Each import runs in this many new processes. The fastest counts, because other programs have disturbed it least.
IMPORTS = 5

_PROGRAM = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def show(build: Path) -> None:
    """Print the table of one build, as Markdown."""
    source = _read(ROOT / "template.yaml")
    built = _read(build / "template.yaml")
    python = find()
    reason = obstacle(build, python)

    def imports(name: str, module: str) -> str:
        from_build = "-"
        if python is not None and reason is None:
            from_build = f"{_import_ms(built.functions[name], module, python, [runtime_beside(build)]):.0f}"
        return f"{from_build} | {_import_ms(source.functions[name], module, Path(sys.executable), []):.0f}"

    print("| unzipped MB | itself | with its layers | import ms, built | import ms, source |\n|---|---|---|---|---|")
    for layer in sorted({layer for one in built.functions.values() for layer in one.layers}, key=lambda it: it.content):
        print(f"| {layer.logical_id} | {megabytes(layer.content):.2f} | | | |")
    for name, function in built.functions.items():
        itself = megabytes(function.code)
        total = itself + sum(megabytes(layer.content) for layer in function.layers)
        print(f"| {function.logical_id} | {itself:.2f} | {total:.1f} | {imports(name, 'app')} |")
        if ENGINE_LAYER in [layer.logical_id for layer in function.layers]:
            print(f"| its child process, neonize | | | {imports(name, 'whatsapp_engine.child')} |")
    bytecode = "in" if _has_bytecode(build) else "missing from"
    print(f"\nLambda's limit is {LIMIT_MEGABYTES} MB in all. Bytecode is {bytecode} the artifacts.")
    print(f"The source was imported by Python {platform.python_version()}.")
    if reason:
        print(f"The build was not imported: {reason}", file=sys.stderr)


def megabytes(folder: Path) -> float:
    """Return the size of the files in a folder, in Lambda's megabytes of 2**20 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def _read(template: Path) -> StackDefinition:
    return read_template(template, {}, {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": "http://127.0.0.1"})


def _has_bytecode(build: Path) -> bool:
    return next(build.rglob("*.pyc"), None) is not None


def _import_ms(function: Function, module: str, python: Path, runtime: Sequence[Path]) -> float:
    path = [function.code, *(layer.python_path for layer in function.layers), *runtime]
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    times = []
    for _ in range(IMPORTS):
        answer = subprocess.run(
            [python, "-c", _PROGRAM.format(module)],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(float(answer.stdout))
    return min(times) * 1000
