"""The variables that the local system and its children keep of the caller's environment.

A shell in which somebody works with AWS or a cloud Postgres has variables that redirect or break the local system:
``DATABASE_URL``, ``PG*``, ``AWS_*``, ``*_proxy``, ``PYTHON*``, locales. `clean` removes everything that is not listed
here, before any library reads it. tests/support/environment.py adds the tests' own names. The Makefile cleans the
environment of every command before Python starts.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, MutableMapping

KEPT = {
    "PATH",
    "HOME",
    "TMPDIR",
    # Some Pythons need it to find their own library.
    "LD_LIBRARY_PATH",
    # The Python that runs built artifacts (infra/build/interpreter.py).
    "TARGET_PYTHON",
}

# The engine (Go) reads these variables. It gets them with `--live` only, because the sandbox has its own proxy and CA.
FOR_THE_REAL_WHATSAPP = {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

LOOPBACK = "127.0.0.1,::1,localhost"

# boto3 also reads files in the home folder, which may name a profile, a proxy or an endpoint.
_ALWAYS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def clean(environ: MutableMapping[str, str], also: Iterable[str] = ()) -> dict[str, str]:
    """Remove from `environ` what is not listed here, and return the environment as it was.

    Parameters
    ----------
    environ
        `os.environ`; it is changed in place, so that every child inherits the result.
    also
        Further names to keep.
    """
    found = dict(environ)
    kept = KEPT | set(also)
    for name in found:
        if name not in kept:
            del environ[name]
    environ.update(_ALWAYS)
    return found


def restart_without_python_variables(module: str) -> None:
    """Start this program again when variables such as PYTHONWARNINGS have changed how Python itself works.

    Python reads them before any of our code runs. The process keeps its id and the signals that it ignores.
    """
    if any(name.startswith("PYTHON") for name in os.environ):
        without = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with contextlib.suppress(OSError):  # this user cannot start the interpreter, so go on in this process
            os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], without)


def for_the_real_whatsapp(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy and CA variables of the caller's environment, for a process with the engine.

    Calls to loopback never go through the proxy, because the same process calls Step Functions on this machine.
    """
    passed = {name: value for name, value in caller.items() if name in FOR_THE_REAL_WHATSAPP and value}
    excluded = passed.get("no_proxy") or passed.get("NO_PROXY")
    bypass = f"{excluded},{LOOPBACK}" if excluded else LOOPBACK
    return passed | {"NO_PROXY": bypass, "no_proxy": bypass}
