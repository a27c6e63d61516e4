"""Chooses the variables of the engine's process by name, and hides those of its parent.

The engine's native code parses what strangers send. So its process must not hold AWS's credentials (``AWS_*``), the
address of Lambda's runtime API, or anything else that ``ALLOWED`` does not name.
"""

import ctypes
import os
import sys
from collections.abc import Iterable

_PROXIES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")

_PR_SET_DUMPABLE = 4  # of prctl(2)

ALLOWED = (
    # Python and its libraries. On Lambda, LD_LIBRARY_PATH leads to libpython. ctypes finds libraries by programs such
    # as ldconfig, which it looks for in PATH.
    "PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
    # Where the engine writes temporary files, and how it reads texts and times.
    "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE",
    # How Go checks certificates, and reaches WhatsApp. The simulated WhatsApp sets these on a developer's machine.
    "SSL_CERT_FILE", "SSL_CERT_DIR", *_PROXIES,
    # How long Go's driver waits for Postgres. No other variable of Postgres may change what the URL says.
    "PGCONNECT_TIMEOUT",
)  # fmt: skip
"""The names of the variables that are passed on. PYTHONPATH is not among them: the caller sets it."""


def engine_environment(path: Iterable[str], own_proxy: bool = False) -> dict[str, str]:
    """Return the environment of an engine's process.

    Parameters
    ----------
    path : iterable of str
        The folders in which Python looks for modules.
    own_proxy : bool
        Whether the engine is given a proxy of its own. The proxy variables are then left out. Otherwise Go would reach
        that proxy through the proxy that they name.
    """
    left_out = _PROXIES if own_proxy else ()
    kept = {name: os.environ[name] for name in ALLOWED if name in os.environ and name not in left_out}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def hide_this_process() -> None:
    """Close this process's variables, memory and open files to other processes of the same user.

    Linux offers them in ``/proc``. The engine's process runs as the same user as its parent, which holds AWS's
    credentials. Linux closes them to everybody but root when a process is not dumpable. A program that this process
    starts is dumpable again.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
