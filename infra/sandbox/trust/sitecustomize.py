"""Loaded by every Python that has this directory on its PYTHONPATH: makes the engine trust the sandbox.

It costs next to nothing where neonize is never imported: a finder that looks at the module's name. Only when
neonize has just loaded its native library does `whatsapp_sandbox_trust` come in and replace the trust root.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # the typing module itself would be the most expensive import here
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARY_MODULE = "neonize._binder"


class _Loader:
    """Runs the real loader, then has the trust root replaced."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        import whatsapp_sandbox_trust  # type: ignore[import-not-found, unused-ignore]

        whatsapp_sandbox_trust.replace_root()


class _Finder:
    """Hands neonize's library module to `_Loader` and stays out of everything else."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG003
        if name != _LIBRARY_MODULE:
            return None
        spec = _find(name, path)
        if spec is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def _find(name: str, path: Any) -> Any:
    """Return what the other finders find."""
    for finder in sys.meta_path:
        spec = None if finder is _Finder else finder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            return spec
    return None


def _run_the_other_sitecustomize() -> None:
    """Python runs the first sitecustomize only; run the one that ours hides."""
    spec = _find("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE])
    if spec is not None:
        # In a module of its own: its names must not overwrite ours.
        spec.loader.exec_module(type(sys)("sitecustomize"))


sys.meta_path.insert(0, _Finder)
_run_the_other_sitecustomize()
