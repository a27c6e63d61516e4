"""The engine trusts the sandbox, and no other process is changed for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.sandbox import UnsupportedPlatformError, engine_environment
from infra.sandbox.environment import TRUST_DIRECTORY
from infra.sandbox.process import SandboxProcess

ROOT = "5a" * 32
IMPORT_ENGINE = "import pylibmagic, neonize; print('alive')"


def path_with(root: str) -> str:
    """The PYTHONPATH that names a root."""
    return os.pathsep.join([str(TRUST_DIRECTORY), str(TRUST_DIRECTORY / "roots" / root)])


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path_with(ROOT), **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize("root", ["", "no hex", ROOT[:-1], ROOT + "5a"])
def test_the_engine_dies_without_a_proper_root(root: str) -> None:
    done = python(IMPORT_ENGINE, PYTHONPATH=path_with(root))
    assert (done.returncode, done.stdout) == (70, "")
    assert "PYTHONPATH must name the sandbox's trust root" in done.stderr


def test_the_root_is_replaced_once_and_only_in_memory() -> None:
    code = (
        "import pylibmagic, neonize, whatsapp_sandbox_trust as t;"
        f"print(len(t._find(bytes.fromhex('{ROOT}'))), len(t._find(t._WHATSAPP_ROOT)), flush=True);"
        "t.replace_root()"
    )
    done = python(code)
    assert done.stdout == "1 0\n"
    assert done.returncode == 70
    assert "found 0 times" in done.stderr


def test_other_processes_import_nothing_of_the_sandbox() -> None:
    code = "import sys; print(*(name in sys.modules for name in ('whatsapp_sandbox_trust', 'typing', 're')))"
    done = python(code)
    assert done.stdout == "False False False\n"


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.other = __name__; _Finder = _HERE = None")
    path = os.pathsep.join([str(TRUST_DIRECTORY), str(tmp_path)])
    assert python("import sys; print(sys.other)", PYTHONPATH=path).stdout == "sitecustomize\n"
    assert python(IMPORT_ENGINE, PYTHONPATH=path).returncode == 70


def test_the_environment_sends_everything_through_the_proxy() -> None:
    environment = engine_environment("http://127.0.0.1:1", Path("/ca.pem"), ROOT)
    assert environment == {
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "NO_PROXY": "",
        "no_proxy": "",
        "SSL_CERT_FILE": "/ca.pem",
        "PYTHONPATH": path_with(ROOT),
    }
    with pytest.raises(ValueError, match="64 hex digits"):
        engine_environment("http://127.0.0.1:1", Path("/ca.pem"), "5a")


def test_the_sandbox_refuses_other_systems_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UnsupportedPlatformError, match="--live"):
        engine_environment("http://127.0.0.1:1", Path("/ca.pem"), ROOT)


def test_the_environment_is_cheap_to_import() -> None:
    code = "import sys, infra.sandbox; print(sorted({'neonize', 'pydantic', 'asyncio'} & set(sys.modules)))"
    assert python(code, PYTHONPATH=str(Path(__file__).parents[3])).stdout == "[]\n"


def test_the_sandbox_ends_with_its_parent(tmp_path: Path) -> None:
    process = SandboxProcess.start(tmp_path)
    assert process._process.stdin
    process._process.stdin.close()
    assert process._process.wait(5) == 0
    process.stop()


def test_a_second_sandbox_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    process = SandboxProcess.start(tmp_path)
    with pytest.raises(RuntimeError, match="did not start"):
        SandboxProcess.start(tmp_path)
    assert process.stop() == 0
