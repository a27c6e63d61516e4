"""The artifact table: what was built weighs so much, and its handlers import in so long."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.build.interpreter import find, obstacle, runtime_beside
from infra.template.reading import read_template
from infra.template.stack import ENGINE_LAYER, Function, Stack

ROOT = Path(__file__).resolve().parents[2]

# Lambda's limit for a function with its layers, unzipped.
LIMIT_MEGABYTES = 250

# A process each; the fastest is the one that nobody disturbed.
IMPORTS = 5

_PROGRAM = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def show(build: Path) -> None:
    """Print the table of one build."""
    source = _read(ROOT / "template.yaml")
    built = _read(build / "template.yaml")
    python = find()
    reason = obstacle(build, python)

    def show_imports(name: str, sizes: str, module: str) -> None:
        from_build = "-"
        if python is not None and reason is None:
            from_build = f"{_import_ms(built.functions[name], module, python, [runtime_beside(build)]):.0f}"
        from_source = f"{_import_ms(source.functions[name], module, Path(sys.executable), []):.0f}"
        print(f"{sizes}{from_build:>18}{from_source:>18}")

    print(f"{'unzipped MB':<24}{'itself':>8}{'+ layers':>10}{'import ms, built':>18}{'from source':>18}")
    for layer in sorted({layer for one in built.functions.values() for layer in one.layers}, key=lambda it: it.content):
        print(f"{layer.logical_id:<24}{megabytes(layer.content):>8.2f}")
    for name, function in built.functions.items():
        itself = megabytes(function.code)
        total = itself + sum(megabytes(layer.content) for layer in function.layers)
        show_imports(name, f"{function.logical_id:<24}{itself:>8.2f}{total:>10.1f}", "app")
        if ENGINE_LAYER in [layer.logical_id for layer in function.layers]:
            show_imports(name, f"{'  its child: neonize':<42}", "whatsapp_engine.child")
    bytecode = "in" if _has_bytecode(build) else "missing from"
    print(f"Lambda's limit is {LIMIT_MEGABYTES} MB in all. Bytecode is {bytecode} the artifacts.")
    print(f"Built: {reason or python}. Source: Python {platform.python_version()}.")


def megabytes(folder: Path) -> float:
    """What the files in a folder weigh, in Lambda's megabytes of 2**20 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def _read(template: Path) -> Stack:
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
