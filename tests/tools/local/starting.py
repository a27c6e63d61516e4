"""Starts the local system in an environment of the test's own, and hears what it says."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.stack import PATIENCE_SECONDS, ROOT, call
from tests.tools.local.running import TEMPLATE, eventually

PLAIN = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
COMMAND = (sys.executable, "-m", "infra.local", "--port", "0")


@dataclass(frozen=True)
class Start:
    """How one start went.

    Attributes
    ----------
    url
        Of the ready line; None when the runner ended instead.
    said
        Its standard error until then, where `url` is None.
    """

    url: str | None
    said: str
    pid: int


@contextmanager
def started(
    data_dir: Path,
    environment: dict[str, str],
    *arguments: str,
    shell: str = ":",
) -> Iterator[Start]:
    """Start it, and end it with the block. `shell` is what the shell does ahead of it."""
    errors = data_dir.with_name(f"{data_dir.name}.stderr")
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            ["/bin/sh", "-c", f'{shell}; exec "$@"', "sh", *COMMAND, "--data-dir", str(data_dir), *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout
        try:
            readable, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
            line = process.stdout.readline() if readable else ""
            url = line.split()[1] if line.startswith("ready ") else None
            if readable and url is None:
                process.wait(PATIENCE_SECONDS)
            yield Start(url, errors.read_text(errors="replace"), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            finally:
                process.kill()


def fixture(tmp_path: Path) -> tuple[str, ...]:
    """Arguments that run the small template, without a sandbox."""
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    return (
        *("--whatsapp", "live", "--template", str(TEMPLATE)),
        *("--parameter", f"StateDir={state}", "--parameter", "AllowedOrigins=https://app.example.com"),
    )


def click_connect(url: str) -> dict[str, str]:
    """Click "Connect WhatsApp" as a new user, and return the user's headers."""
    token = call("POST", f"{url}/dev/token").json()["accessToken"]
    user = {"Authorization": f"Bearer {token}"}
    assert call("POST", f"{url}/api/whatsapp/connect", headers=user).status == 202
    return user


def shows_a_qr(url: str) -> str:
    """Click, and return the QR that comes."""
    user = click_connect(url)
    return eventually(lambda: str(call("GET", f"{url}/api/whatsapp/status", headers=user).json().get("qr") or ""), "QR")
