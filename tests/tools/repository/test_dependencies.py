"""Dependencies are installed as wheels from locks with hashes, and `make audit` reports known vulnerabilities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.build.audit import UnreadableLockError, audit, show

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted([*ROOT.glob("requirements/*.txt"), *ROOT.glob("layers/*/requirements.txt")])
NPM_LOCKS = sorted(
    path for path in ROOT.glob("tests/**/package-lock.json") if "node_modules" not in path.relative_to(ROOT).parts
)
WHEELS_ONLY = re.compile(r"--only-binary[ =]:all:")
# The tool of `make lock` is neither shipped nor tested, so a pinned version is enough for it.
WITHOUT_HASHES = "uv==$(UV_VERSION)"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_has_exact_versions_with_hashes_and_names_no_host(lock: Path) -> None:
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+(\[[\w,-]+\])?==[\w.+!]+( ; [^;#]+?)?( +--hash=sha256:[0-9a-f]{64})+", line)
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("lock", NPM_LOCKS, ids=lambda path: path.parent.name)
def test_a_lock_of_npm_has_hashes_and_names_no_host(lock: Path) -> None:
    _, *packages = json.loads(lock.read_text())["packages"].values()
    assert packages
    for package in packages:
        assert package["integrity"].startswith("sha512-")
    assert "://" not in lock.read_text()
    wanted = json.loads(lock.with_name("package.json").read_text())["dependencies"]
    assert all(re.search(r"(^|@)\d+\.\d+\.\d+[\w.-]*$", version) for version in wanted.values())


def test_nothing_is_built_while_it_is_installed() -> None:
    """A wheel is only unpacked. A source distribution runs its own code when it is installed."""
    makers = [(ROOT / "Makefile").read_text(), (ROOT / "infra" / "venv.sh").read_text()]
    commands = [line for text in makers for line in text.replace("\\\n", " ").splitlines() if "pip install" in line]
    assert len(commands) == 2
    for line in commands:
        assert WHEELS_ONLY.search(line)
        assert "--require-hashes" in line or line.endswith(WITHOUT_HASHES)
    places = {path: path.read_text() for path in [*ROOT.glob("infra/**/*.*"), ROOT / ".ci" / "run", *workflows()]
              if path.suffix in ("", ".py", ".mk", ".sh", ".yml")}  # fmt: skip
    installs = {path.name: text for path, text in places.items() if re.search(r"\bpip\b.{0,40}\binstall\b", text, re.S)}
    assert sorted(installs) == ["venv.sh", "wheels.py"]
    assert WHEELS_ONLY.search(installs["wheels.py"])
    assert "--require-hashes" in installs["wheels.py"]


def workflows() -> list[Path]:
    return list((ROOT / ".github" / "workflows").glob("*.yml"))


FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": "x"}
GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [FLAW]}
LIVED_WITH = {"name": "ecdsa", "version": "1.0", "vulns": [FLAW | {"id": "GHSA-x", "aliases": ["CVE-2024-23342"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}


def reply(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_the_accepted_vulnerability_is_in_no_shipped_lock() -> None:
    assert [lock.name for lock in LOCKS if re.search("^ecdsa==", lock.read_text(), re.M)] == ["security.txt"]


def pip_audit(folder: Path, said: str, status: int = 0, collects: int = 0) -> Path:
    """A fake pip-audit with this answer, because the real answers change from day to day."""
    program = folder / "pip-audit"
    (folder / "said").write_text(said)
    program.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--dry-run*) echo "no such lock" >&2; exit {collects};; esac\n'
        f"cat '{folder / 'said'}'; echo 'the network is away' >&2; exit {status}\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one lock."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("good==1.0 --hash=sha256:0\n")
    return tmp_path


@pytest.mark.parametrize(
    ("said", "status", "returned", "words"),
    [
        (reply(GOOD), 0, 0, "1 packages audited, 0 findings\n"),
        (reply(GOOD, BAD), 1, 1, "bad 1.0: PYSEC-2026-1, fixed in 2.0\n"),
        (reply(BAD), 0, 1, "PYSEC-2026-1"),  # the output counts, whatever the exit status means
        (reply(LIVED_WITH), 1, 0, "1 packages audited, 0 findings\n"),
        (reply(LIVED_WITH, BAD), 1, 1, "2 packages audited, 1 findings\n"),
        (reply(BAD, UNKNOWN), 1, 1, "1 SKIPPED"),
        (reply(GOOD, UNKNOWN), 0, 0, "1 packages audited, 0 findings, 1 SKIPPED: its data does not know them\n"),
        (reply(UNKNOWN), 0, 0, "SKIPPED, pip-audit cannot get its data from here (its data knows none"),
        ("", 1, 0, "SKIPPED, pip-audit cannot get its data from here (the network is away)\n"),
        ("<html>", 0, 0, "SKIPPED"),
    ],
)
def test_an_audit_tells_a_finding_from_an_outage(
    tree: Path, capsys: pytest.CaptureFixture[str], said: str, status: int, returned: int, words: str
) -> None:
    assert show(tree, pip_audit(tree, said, status)) == returned
    written = capsys.readouterr().out
    assert words in written
    assert written.startswith("requirements/dev.txt: ")


def test_a_broken_lock_or_tool_does_not_count_as_an_outage(tree: Path) -> None:
    lock = tree / "requirements" / "dev.txt"
    with pytest.raises(UnreadableLockError, match="no such lock"):
        audit(lock, pip_audit(tree, reply(GOOD), collects=1))
    with pytest.raises(FileNotFoundError):
        audit(lock, tree / "missing")


def test_a_finding_among_outages_counts_as_a_finding(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "layers" / "shared").mkdir(parents=True)
    (tree / "layers" / "shared" / "requirements.txt").write_text("bad==1.0 --hash=sha256:0\n")
    program = pip_audit(tree, reply(BAD), 1)
    program.write_text(program.read_text().replace("cat ", 'case "$*" in *dev.txt*) exit 1;; esac; cat '))
    assert show(tree, program) == 1
    assert "requirements/dev.txt: SKIPPED" in capsys.readouterr().out
