"""Runs every suite of tests that uses the engine, with the candidate's engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from infra.engine_version.bounded import Runner
from infra.engine_version.candidate import Checkout
from infra.engine_version.report import Line, failed, ok

# A suite of a good version takes a few minutes on two slow cores.
SUITE_SECONDS = 2400.0
# With an engine that does not work, each test waits until its patience is over. A few failures are enough to see.
_FAILURES = 5


@dataclass(frozen=True)
class Suite:
    """Some folders and files of tests, which run in one process."""

    name: str
    paths: tuple[str, ...]


# tests/tools/engine_version/test_suites.py finds the files that use the engine, and fails if one is missing here.
SUITES = (
    Suite("the engine's process", (
        "tests/adapters/test_engine_process.py", "tests/adapters/test_tls_to_postgres.py",
        "tests/pure/test_engine_store.py", "tests/pure/test_refusals.py", "tests/pure/test_tls.py",
    )),
    Suite("the simulated WhatsApp", ("tests/tools/sandbox",)),
    Suite("the engine alone", ("tests/system/engine",)),
    Suite("whole pairings", ("tests/system/pairing", "tests/system/browser/test_pairing_flow.py")),
    Suite("the API's contract", ("tests/system/contract",)),
    Suite("migrations", ("tests/tools/migrate", "tests/tools/repository/test_releases.py")),
    Suite("the use cases on whatsmeow's tables", ("tests/database",)),
    Suite("the functions on whatsmeow's tables", ("tests/handlers",)),
    Suite("rights and secrets", ("tests/system/security",)),
    Suite("random orders", ("tests/system/model",)),
    Suite("the local system", ("tests/tools/local",)),
)  # fmt: skip


@dataclass(frozen=True)
class _Result:
    good: bool
    passed: int
    skipped: int
    wrong: list[ElementTree.Element]
    reasons: str


def run(candidate: Checkout, runner: Runner) -> Iterator[Line]:
    """Run each suite, and yield its result."""
    for number, suite in enumerate(SUITES):
        yield _run(suite, candidate, runner, f"suite-{number}.xml")


def _run(suite: Suite, candidate: Checkout, runner: Runner, name: str) -> Line:
    report, check = runner.log.with_name(name), f"suite, {suite.name}"
    first = _pytest(candidate, runner, report, f"--maxfail={_FAILURES}", *suite.paths)
    if isinstance(first, str):
        return failed(check, first)
    counts = f"{first.passed} passed" + (f", {first.skipped} skipped" if first.skipped else "")
    if first.good:
        return ok(check, counts)
    stopped = "; stopped there" if len(first.wrong) >= _FAILURES else ""
    told = f"{len(first.wrong)} failed, {counts}{stopped}: {first.reasons}"
    if not first.wrong or stopped:
        return failed(check, told)
    # A busy machine may have been too slow for a test. So try the failed tests once more, and report both results.
    second = _pytest(candidate, runner, report, "--last-failed", "--last-failed-no-failures=none", *suite.paths)
    if isinstance(second, str) or not second.good or second.passed < len(first.wrong):
        return failed(check, told)
    return ok(check, f"{counts}; alone, these passed too: {first.reasons}")


def _pytest(candidate: Checkout, runner: Runner, report: Path, *arguments: str) -> _Result | str:
    """Return the result, or why there is none."""
    report.unlink(missing_ok=True)
    options = ["-q", f"--junit-xml={report}", *arguments]
    done = runner.run([candidate.python, "-m", "pytest", *options], SUITE_SECONDS)
    if done.status is None:
        return f"not ready after {SUITE_SECONDS:.0f} s"
    if not report.is_file():
        return done.last_line
    cases = list(ElementTree.parse(report).iter("testcase"))
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    reasons = "; ".join(map(_told, wrong[:2])) or done.last_line
    good = done.status == 0 and bool(cases) and not wrong
    return _Result(good, len(cases) - len(wrong) - skipped, skipped, wrong, reasons)


def _told(case: ElementTree.Element) -> str:
    """Return the name of a test that has failed, and the first words of the reason."""
    problem = next(found for kind in ("failure", "error") if (found := case.find(kind)) is not None)
    # A test that finds an exception in the log of a child quotes it. It says more than the assertion.
    text = f"{problem.get('message', '')}\n{problem.text or ''}"
    causes = re.findall(r"^(?:E +)?((?:[A-Za-z_.]+Error|NeonizeError): .+)$", text, re.MULTILINE)
    reason = " ".join((causes[-1] if causes else problem.get("message", "")).split())
    return f"{case.get('name')} ({reason[:160]})"
