"""No failure of a check is hidden: not an exception, not a test that failed, not a row that an upgrade lost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.children import ChildGuard
from infra.engine_version import first_qr, suites
from infra.engine_version.bounded import Runner
from infra.engine_version.candidate import ROOT, Checkout
from infra.engine_version.layers import modules
from infra.engine_version.report import Line, Report, failed, ok
from infra.engine_version.stored_rows import Table, differences, missing_tables
from infra.engine_version.suites import Suite
from infra.errors import ToolError


def test_a_check_that_breaks_is_a_failure_and_the_next_one_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks() -> Iterator[Line]:
        yield ok("first", "fine")
        raise ToolError("the disk is full")

    report = Report(tmp_path / "problems.log")
    report.run("one", breaks)
    report.run("two", lambda: [])
    report.run("three", lambda: [failed("third", "no"), ok("fourth", "yes")])
    assert report.failures == 3
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "ok      first: fine"
    assert told[1].startswith("FAILED  one: ToolError: the disk is full (")
    assert told[2:] == ["FAILED  two: it checked nothing", "FAILED  third: no", "ok      fourth: yes"]
    assert "in breaks" in (tmp_path / "problems.log").read_text()


@pytest.fixture
def run_suite(tmp_path: Path) -> Iterator[object]:
    """Run a suite of one file in a folder of its own."""
    guard = ChildGuard()

    def run(text: str) -> str:
        (tmp_path / "test_it.py").write_text(text)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        checkout = Checkout(tmp_path, "9.9.9", Path(sys.executable))
        (line,) = suites.run(checkout, Runner(tmp_path, tmp_path / "log", guard))
        return str(line)

    yield run
    guard.close()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def test_a(): pass\ndef test_b(): pass", "ok      suite, it: 2 passed"),
        (
            "import pytest as p\ndef test_a(): p.skip('')\ndef test_b(): pass",
            "ok      suite, it: 1 passed, 1 skipped",
        ),
        (
            "def test_a(): pass\ndef test_b(): assert 1 == 2",
            "FAILED  suite, it: 1 failed, 1 passed: test_b (assert",
        ),
        (
            "def test_a(): NewClient(new=1)",
            "FAILED  suite, it: 1 failed, 0 passed: test_a (NameError: name",
        ),
        ("import nowhere", "FAILED  suite, it: 1 failed, 0 passed: test_it (ModuleNotFoundError: No module named"),
        ("", "FAILED  suite, it: 0 failed, 0 passed: "),
        ("import os\ndef test_a(): os._exit(3)", "FAILED  suite, it: "),
        ("import pytest\n@pytest.fixture\ndef f():\n yield\n raise OSError('x')\ndef test_a(f): pass", "FAILED  suite"),
    ],
)
def test_the_result_of_a_suite_is_printed_on_one_line(
    text: str, told: str, run_suite: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "SUITES", (Suite("it", ("test_it.py",)),))
    assert callable(run_suite)
    assert run_suite(text).startswith(told)


def test_a_suite_that_hangs_is_ended(run_suite: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "SUITES", (Suite("it", ("test_it.py",)),))
    monkeypatch.setattr(suites, "SUITE_SECONDS", 5.0)
    assert callable(run_suite)
    line = run_suite("import time\ndef test_a(): time.sleep(600)")
    assert line == "FAILED  suite, it: not ready after 5 s"


# ── rows ──

DEVICE = Table(("jid", "key"), (("1", "a"), ("2", "b")))


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (DEVICE, []),
        (Table(("jid", "key", "new"), (("2", "b", ""), ("1", "a", ""), ("3", "c", ""))), []),
        (None, ["t is gone with 2 rows"]),
        (Table(("jid",), (("1",), ("2",))), ["t has lost key"]),
        (Table(("jid", "key"), (("1", "a"),)), ["t: 1 of 2 rows are gone or changed"]),
        (Table(("jid", "key"), (("1", "a"), ("2", None))), ["t: 1 of 2 rows are gone or changed"]),
    ],
)
def test_a_lost_row_is_named(after: Table | None, told: list[str]) -> None:
    assert [*differences({"t": DEVICE}, {"t": after} if after else {})] == told


def test_a_table_that_our_sql_needs_must_be_there(migrated_url: str) -> None:
    from tests.support.migrations import query

    assert missing_tables(migrated_url) == []
    query(migrated_url, "drop table whatsapp_engine.whatsmeow_lid_map cascade")
    assert missing_tables(migrated_url) == ["our SQL needs whatsmeow_lid_map"]


# ── licences ──


def test_a_go_module_without_a_known_licence_fails(tmp_path: Path) -> None:
    def build(name: str, *found: bytes) -> Path:
        library = tmp_path / name / "EngineLayer" / "python" / "neonize" / "neonize-linux-amd64.so"
        library.parent.mkdir(parents=True)
        library.write_bytes(b"".join(b"dep\t" + one + b"\th1:x\n" for one in found))
        return tmp_path / name

    now = build("now", b"go.mau.fi/whatsmeow\tv1", b"github.com/lib/pq\tv1")
    then = build("then", b"go.mau.fi/whatsmeow\tv2", b"github.com/google/uuid\tv1")
    strange = build("strange", b"go.mau.fi/whatsmeow\tv2", b"example.com/strange\tv1")
    assert modules(now, now).reason == "as before"
    assert modules(now, then).reason == (
        "1 of 2 have other versions; whatsmeow v1 -> v2; gone: github.com/lib/pq; new: github.com/google/uuid"
    )
    assert not modules(now, strange).holds
    assert "example.com/strange" in modules(now, strange).reason


# ── the child alone ──


@pytest.mark.parametrize(
    ("ours", "other", "told"),
    [
        ("", "", "ok      child.py alone gets a QR code: from the simulated WhatsApp"),
        ("new_device=", "fresh_device=", "unexpected keyword argument 'fresh_device'"),
        ("            client.connect(", "            os._exit(3 or ", "its last event is none; its last words are: "),
    ],
)
def test_the_last_words_of_a_child_are_shown(ours: str, other: str, told: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "layers", tmp_path / "layers")
    child = tmp_path / "layers" / "engine" / "whatsapp_engine" / "child.py"
    assert ours in child.read_text()
    child.write_text(child.read_text().replace(ours, other, 1))
    guard = ChildGuard()
    (line,) = first_qr.lines(Checkout(tmp_path, "9.9.9", Path(sys.executable)), tmp_path / "log", guard)
    guard.close()
    assert told in str(line)
    assert line.holds == (not ours)


def test_a_test_that_passes_alone_is_named(run_suite: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(suites, "SUITES", (Suite("it", ("test_it.py",)),))
    mark = tmp_path / "mark"
    text = f"import pathlib\ndef test_a():\n mark = pathlib.Path({str(mark)!r})\n was = mark.exists()\n mark.touch()\n"
    assert callable(run_suite)
    line = run_suite(f"{text} assert was, 'busy'\ndef test_b(): pass")
    assert line == "ok      suite, it: 1 passed; alone, these passed too: test_a (AssertionError: busy)"
