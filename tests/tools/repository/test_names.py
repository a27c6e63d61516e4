"""The names of tests are short, and no test module imports from another."""

from __future__ import annotations

import ast

from tests.support.checkout import listed
from tests.support.stack import ROOT

LONGEST_NAME = 60
MODULES = {
    name: ast.parse((ROOT / name).read_text("utf-8"))
    for name in listed()
    if name.startswith("tests/") and name.endswith(".py")
}


def test_no_test_name_is_longer_than_60_characters() -> None:
    names = [
        node.name
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 500
    assert [name for name in names if len(name) > LONGEST_NAME] == []


def test_no_module_of_the_tests_imports_from_a_test_module() -> None:
    found = {name: [one for one in imported(tree) if ".test_" in f".{one}"] for name, tree in MODULES.items()}
    assert {name: modules for name, modules in found.items() if modules} == {}


def imported(tree: ast.AST) -> list[str]:
    """What a module imports: each module and each imported name, with its package."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module or ''}.{alias.name}" for alias in node.names]
    return found
