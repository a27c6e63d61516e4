"""Reads from the source of `child.py` what it needs of neonize. So nobody must keep a list up to date."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


@dataclass
class Needs:
    """What a module needs of neonize.

    Attributes
    ----------
    imports
        Pairs of module and name.
    attributes
        Pairs of an imported name and its attribute, as ``("gocode", "GetAllDevices")``.
    calls
        Pairs of an imported name and the call: the number of positional arguments, and the keywords. A call of
        ``super().__init__`` counts as a call of the class.
    members
        Names that our classes use of their base, without defining them.
    overrides
        Pairs of a private method of the base that our class replaces, and the number of its parameters.
    fields
        Fields of neonize's messages. Go writes them with a capital letter.
    """

    imports: set[tuple[str, str]] = field(default_factory=set)
    attributes: set[tuple[str, str]] = field(default_factory=set)
    calls: set[tuple[str, int, tuple[str, ...]]] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    overrides: set[tuple[str, int]] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def needs(source: str) -> Needs:
    """Return what the module with this source needs of neonize."""
    reader = _Reader()
    reader.visit(ast.parse(source))
    return reader.found()


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self._needs = Needs()
        self._neonizes: dict[str, str] = {}  # name in the module -> name at neonize
        self._others: set[str] = set()  # names of other modules
        self._own: set[str] = set()  # what our classes define
        self._used: set[str] = set()
        self._base = ""

    def found(self) -> Needs:
        self._needs.members = self._used - self._own
        return self._needs

    def visit_Import(self, node: ast.Import) -> None:
        self._others |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            if module.partition(".")[0] == "neonize":
                self._neonizes[alias.asname or alias.name] = alias.name
                self._needs.imports.add((module, alias.name))
            else:
                self._others.add(alias.asname or alias.name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        base = next((it.id for it in node.bases if isinstance(it, ast.Name)), "")
        self._base = self._neonizes.get(base, "")
        for method in node.body:
            if isinstance(method, ast.FunctionDef):
                self._own.add(method.name)
                if self._base and method.name.startswith(f"_{self._base}__"):
                    self._needs.overrides.add((method.name, len(method.args.args)))
        self.generic_visit(node)
        self._base = ""

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name):
            owner = node.value.id
            if owner in self._neonizes:
                self._needs.attributes.add((self._neonizes[owner], node.attr))
                return
            if owner in ("self", "client"):
                (self._own if isinstance(node.ctx, ast.Store) else self._used).add(node.attr)
                return
            if owner in self._others:
                return
        if node.attr[0].isupper():
            self._needs.fields.add(node.attr)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = ast.unparse(node.func)
        name = self._base if called == "super().__init__" else self._neonizes.get(called, "")
        if name:
            keywords = tuple(sorted(it.arg for it in node.keywords if it.arg))
            self._needs.calls.add((name, len(node.args), keywords))
