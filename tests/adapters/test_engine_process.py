"""One engine in one child process: how the parent reads its events, how it ends, and how a start can fail.

The child process here has the real lifeline of the engine, and a short script instead of neonize.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import whatsapp_engine
from whatsapp_engine import process as process_module
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed, Died, Reached, Synced
from whatsapp_pairing.core.errors import MisconfiguredError, SecretUnavailable

# Events take milliseconds on an idle machine. A busy machine may need this long.
PATIENCE = 60.0

_CHILD = """
import os, signal, sys, time
from pathlib import Path
from whatsapp_engine.lifeline import Lifeline

out, task = int(sys.argv[1]), Lifeline().task()

def say(event):
    os.write(out, b'{"event": "%s"}\\n' % event.encode())

"""

# This program starts an engine and prints its process id.
_PARENT = """
import sys, time
from whatsapp_engine.process import ProcessEngine

run = ProcessEngine().pair(time.monotonic() + float(sys.argv[1]))
print(run.pid, flush=True)
time.sleep(3600)
"""


def later() -> float:
    """A moment that no test reaches."""
    return time.monotonic() + 3600


def until(holds: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether a process has ended. A stopped parent has not collected its exit status yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the next engines run this program as their child process."""
    package = tmp_path / "whatsapp_engine"
    package.mkdir()
    (package / "__init__.py").write_text(f"__path__.append({str(Path(whatsapp_engine.__file__).parent)!r})")
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda program: (package / "child.py").write_text(_CHILD + textwrap.dedent(program)) and None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The parent's clock. ``ahead`` is the time for which the parent was busy or frozen."""
    clock = SimpleNamespace(ahead=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.ahead
    monkeypatch.setattr(process_module, "time", clock)
    return clock


# ── a busy parent ──


def test_a_busy_parent_reads_before_it_declares_silence(
    plays: Callable[[str], None], clock: SimpleNamespace, tmp_path: Path
) -> None:
    heard, spoken = tmp_path / "heard", tmp_path / "spoken"
    plays(f"""
        say('reached')
        while not Path({str(heard)!r}).exists(): time.sleep(0.01)
        say('synced')
        Path({str(spoken)!r}).touch()
        time.sleep(3600)
    """)
    with ProcessEngine().pair(later()) as run:
        assert run.next_event(PATIENCE) == Reached()
        heard.touch()
        until(spoken.exists)
        clock.ahead += 3600
        assert run.next_event(0) == Synced()
        assert run.next_event(0) is None


def test_a_child_that_falls_silent_counts_as_dead(plays: Callable[[str], None], clock: SimpleNamespace) -> None:
    plays("say('reached'); time.sleep(3600)")
    with ProcessEngine().pair(later()) as run:
        assert run.next_event(PATIENCE) == Reached()
        clock.ahead += 3600
        assert run.next_event(0) == Died("silent")


# ── starts that fail ──


def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


def no_process_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawn", refuse)
    monkeypatch.setattr(subprocess, "_fork_exec", refuse)


def gone_before_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.wait()

    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(process_module.subprocess, "Popen", Gone)


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        (no_program, "it could not be started: ENOENT"),
        (no_process_left, "it could not be started: EAGAIN"),
        (gone_before_its_task, "exit status 1"),
    ],
    ids=["no program", "no process left", "gone before its task"],
)
def test_failed_starts_are_reported_and_leave_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[pytest.MonkeyPatch], None], why: str
) -> None:
    gc.collect()  # so that no object of an earlier test closes its descriptor meanwhile
    before = sorted(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        fails(patched)
        for _ in range(20):
            with ProcessEngine().pair(later()) as run:
                assert run.next_event(PATIENCE) == Died(why)
                run.live_until(later())
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("error", [MisconfiguredError("The secret x is wrong."), SecretUnavailable()], ids=repr)
def test_an_engine_without_a_url_reports_its_store(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def url() -> str:
        raise error

    engine, moment = ProcessEngine(url), later()
    for run in (engine.pair(moment), engine.resume("1:1@x", moment), engine.log_out("1:1@x", moment)):
        with run:
            event = run.next_event(PATIENCE)
        assert isinstance(event, DatabaseFailed)
        assert event.passes is isinstance(error, SecretUnavailable)
    assert caplog.text.count("the engine's database refuses it") == 3


# ── the end of an engine's time ──


@pytest.mark.parametrize(
    "hangs", ["time.sleep(3600)", "while True: pass", "import ctypes; ctypes.PyDLL(None).sleep(3600)"], ids=str
)
def test_an_engine_ends_by_itself_while_its_parent_is_stopped(plays: Callable[[str], None], hangs: str) -> None:
    plays(hangs)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", _PARENT, "2"], env=environment, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout
            child = int(parent.stdout.readline())
            parent.send_signal(signal.SIGSTOP)
            until(lambda: ended(child))
            assert psutil.Process(parent.pid).status() == psutil.STATUS_STOPPED
        finally:
            parent.kill()


def test_a_paused_engine_ends_as_soon_as_it_resumes(plays: Callable[[str], None]) -> None:
    plays("say('reached'); time.sleep(3600)")
    with ProcessEngine().pair(later()) as run:
        assert run.next_event(PATIENCE) == Reached()
        child = run.pid  # type: ignore[attr-defined]
        os.kill(child, signal.SIGSTOP)
        until(lambda: psutil.Process(child).status() == psutil.STATUS_STOPPED)
        run.live_until(time.monotonic() - 1)
        os.kill(child, signal.SIGCONT)
        assert run.next_event(PATIENCE) == Died("its time was over")


def test_an_engine_lives_until_its_parent_s_last_limit(plays: Callable[[str], None]) -> None:
    plays("say('reached'); time.sleep(3600)")
    with ProcessEngine().pair(later()) as run:
        assert run.next_event(PATIENCE) == Reached()
        run.live_until(later())
        assert run.next_event(0.1) is None
        run.live_until(time.monotonic())
        assert run.next_event(PATIENCE) == Died("its time was over")
        run.live_until(later())
        assert run.next_event(PATIENCE) == Died("its time was over")


@pytest.mark.parametrize(("last", "status"), [(3600.0, 7), (-1.0, -signal.SIGALRM)], ids=["renewed", "over"])
def test_an_engine_that_reads_late_obeys_the_last_limit(last: float, status: int) -> None:
    """The engine loads for seconds. Its parent may have renewed the lease in this time."""
    program = "from whatsapp_engine.lifeline import Lifeline; import os, time; Lifeline().task(); "
    program += "time.sleep(3600)" if status < 0 else "os._exit(7)"
    now = time.monotonic()
    reader, writer = os.pipe()
    for line in ({"task": "pair", "until": now - 5}, {"until": now + last}):
        os.write(writer, json.dumps(line).encode() + b"\n")
    try:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.run([sys.executable, "-c", program], check=False, stdin=reader, env=environment)
        assert child.returncode == status
    finally:
        os.close(reader)
        os.close(writer)
