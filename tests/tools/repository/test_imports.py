"""The rules about imports between the packages, and about what a cold start imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = ROOT / "layers" / "shared" / "whatsapp_pairing"
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))
SOURCES = sorted(
    path for folder in ("layers", "functions", "infra") for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)  # fmt: skip


def imported(path: Path) -> set[str]:
    """The modules that a file imports, also inside of functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def importers(package: str) -> set[str]:
    """Files of ours that import a package."""
    return {
        str(path.relative_to(ROOT)) for path in SOURCES if any(name.split(".")[0] == package for name in imported(path))
    }


def test_the_import_rules_find_files() -> None:
    assert len(SOURCES) > 40
    assert {"connect", "status", "linker"} <= set(FUNCTIONS)


def test_nothing_imports_from_functions() -> None:
    assert importers("functions") == set()
    assert importers("app") == set()


def test_the_layers_do_not_import_infra() -> None:
    assert not {path for path in importers("infra") if path.startswith(("layers/", "functions/"))}


def test_only_the_engines_child_imports_neonize() -> None:
    assert importers("neonize") == {"layers/engine/whatsapp_engine/child.py"}


def test_the_domain_does_not_import_its_engine() -> None:
    assert not {path for path in importers("whatsapp_engine") if path.startswith("layers/shared/")}


# Each package imports only from packages in the lines below it. Packages in one line do not import each other.
FLOORS = (
    ("cleanup", "payloads", "probe", "web"),
    ("session",),
    ("keeper", "pairing"),
    ("runtime",),
    ("core",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def test_every_package_of_the_domain_has_its_place() -> None:
    entries = {path.stem for path in DOMAIN.iterdir() if path.suffix != ".typed" and path.stem[0] != "_"}
    assert entries == set(FLOOR)


def test_the_packages_of_the_domain_import_downwards() -> None:
    upwards = {
        f"{path.relative_to(DOMAIN)} imports {name}"
        for path in DOMAIN.rglob("*.py")
        for name in imported(path)
        if name.startswith("whatsapp_pairing.")
        and (here := path.relative_to(DOMAIN).parts[0].removesuffix(".py")) != (there := name.split(".")[1])
        and not here.startswith("_")
        and FLOOR[there] <= FLOOR[here]
    }
    assert upwards == set()


def test_the_rules_of_an_attempt_import_no_input_or_output() -> None:
    ours = {name for name in imported(DOMAIN / "pairing" / "attempt.py") if name.startswith("whatsapp_pairing.")}
    assert {name.split(".")[1] for name in ours} == {"core"}


TOOL_FLOORS = (
    ("engine_version",),
    ("local",),
    ("release",),
    ("migrate", "build"),
    ("documents",),
    ("template", "postgres", "sandbox"),
    ("children", "errors"),
)
TOOL_FLOOR = {tool: number for number, tools in enumerate(TOOL_FLOORS) for tool in tools}


def test_the_tools_import_downwards() -> None:
    infra = ROOT / "infra"
    upwards = {
        f"{path.relative_to(infra)} imports {name}"
        for path in infra.rglob("*.py")
        for name in imported(path)
        if name.startswith("infra.")
        and (here := path.relative_to(infra).parts[0].removesuffix(".py")) != (there := name.split(".")[1])
        and there in TOOL_FLOOR
        and TOOL_FLOOR[there] <= TOOL_FLOOR[here]
    }
    assert upwards == set()


def fresh(code: str, engine: bool) -> str:
    """Run code in a new interpreter with the layers and without our environment. Return its output."""
    layers = ["shared", "engine"] if engine else ["shared"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": os.pathsep.join(str(ROOT / "layers" / layer) for layer in layers)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loading(name: str) -> str:
    folder = ROOT / "functions" / name  # Lambda imports from the function's folder
    run = f"sys.path.insert(0, {str(folder)!r}); module = runpy.run_path({str(folder / 'app.py')!r})"
    return f"import runpy, sys; {run}; assert callable(module['handler']); "


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_imports_with_its_layers_and_no_environment(name: str) -> None:
    engine = name in ("linker", "probe", "unlink")
    printed = fresh(loading(name) + "print(*sorted(sys.modules))", engine)
    assert "neonize" not in printed.split()


def test_status_loads_nothing_that_it_does_not_need() -> None:
    modules = set(fresh(loading("status") + "print(*sorted(sys.modules))", engine=False).split())
    heavy = {
        "boto3", "botocore.session", "botocore.client", "aws_xray_sdk", "pydantic", "qrcode", "PIL", "jwt", "requests",
        "cryptography", "aws_lambda_powertools.event_handler", "whatsapp_pairing.runtime.workflow",
        "whatsapp_pairing.payloads", "whatsapp_pairing.web.qr", "whatsapp_pairing.web.identity",
        "whatsapp_pairing.runtime.root_certificates", "whatsapp_pairing.runtime.tls_faults",
    }  # fmt: skip
    assert "whatsapp_pairing.session.sessions" in modules
    assert heavy & modules == set()


def test_the_authorizer_needs_neither_the_database_nor_boto3() -> None:
    modules = set(fresh(loading("authorizer") + "print(*sorted(sys.modules))", engine=False).split())
    assert {"boto3", "botocore.session", "psycopg", "pydantic", "qrcode"} & modules == set()


def test_the_engine_loads_its_own_libmagic_before_neonize() -> None:
    """Lambda has no libmagic, so neonize finds it only if pylibmagic was imported before."""
    modules = fresh("import sys, whatsapp_engine.child; print(*sys.modules)", engine=True).split()
    assert modules.index("pylibmagic") < modules.index("neonize")
