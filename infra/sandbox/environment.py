"""The environment in which an unmodified engine finds the sandbox instead of the real WhatsApp."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

TRUST_DIRECTORY = Path(__file__).parent / "trust"


class UnsupportedPlatformError(RuntimeError):
    """The engine's trust root can be replaced on Linux only."""


def require_linux() -> None:
    """Raise a clear error on any other system than Linux.

    Raises
    ------
    UnsupportedPlatformError
        This is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise UnsupportedPlatformError(
            "The simulated WhatsApp works on Linux only: it changes the engine's trust root in memory. "
            "Use Linux (in a container, add --host 0.0.0.0 and publish the port), or the real WhatsApp with --live."
        )


def engine_environment(proxy_url: str, ca_file: Path, root_hex: str) -> dict[str, str]:
    """Return the variables for a process that will spawn the engine.

    Go reads them once, when the process starts. So set them before that. PYTHONPATH holds the trust directory and names
    the root, and the caller adds its own folders. NO_PROXY is empty in both spellings, because an inherited value could
    lead the engine past the proxy.

    Parameters
    ----------
    proxy_url
        The sandbox's CONNECT proxy, as its ready line gives it.
    ca_file
        The certificate authority that signed the sandbox's TLS certificate.
    root_hex
        The sandbox's Noise trust root: 64 hex digits.

    Raises
    ------
    UnsupportedPlatformError
        This is not Linux.
    ValueError
        `root_hex` is not 64 hex digits.
    """
    require_linux()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", root_hex):
        raise ValueError("the trust root must be 64 hex digits")
    return {
        "HTTPS_PROXY": proxy_url,
        "https_proxy": proxy_url,
        "NO_PROXY": "",
        "no_proxy": "",
        "SSL_CERT_FILE": str(ca_file),
        "PYTHONPATH": os.pathsep.join([str(TRUST_DIRECTORY), str(TRUST_DIRECTORY / "roots" / root_hex)]),
    }
