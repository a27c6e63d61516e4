"""Makes the engine trust the sandbox. Every Python that has this directory on its PYTHONPATH loads this module.

It adds a finder that only compares the names of imported modules, so it is cheap where neonize is never imported. After
neonize has loaded its native library, `whatsapp_sandbox_trust` is imported and replaces the trust root.
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
    """Runs the real loader, then replaces the trust root."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        import whatsapp_sandbox_trust  # type: ignore[import-not-found, unused-ignore]

        whatsapp_sandbox_trust.replace_root()


class _Finder:
    """Gives `_Loader` to the module that loads neonize's library. It finds no other module."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG003
        if name != _LIBRARY_MODULE:
            return None
        spec = _find(name, path)
        if spec is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def _find(name: str, path: Any) -> Any:
    """Return the first result of the other finders."""
    for finder in sys.meta_path:
        spec = None if finder is _Finder else finder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            return spec
    return None


def _run_the_other_sitecustomize() -> None:
    """Run the sitecustomize that ours hides, because Python runs only the first one."""
    spec = _find("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE])
    if spec is not None:
        # Run it in a module of its own, so that its names do not overwrite ours.
        spec.loader.exec_module(type(sys)("sitecustomize"))


sys.meta_path.insert(0, _Finder)
_run_the_other_sitecustomize()
