"""Function instances: reuse, concurrency, limits, and functions that crash or hang."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import pytest

from tests.support.stack import call
from tests.tools.local.fixture_runner import FixtureRunner, eventually

ERROR = (500, {"message": "Internal Server Error"})


def test_a_warm_instance_is_used_again(runner: FixtureRunner) -> None:
    before = {runner.get("/probe").json()["pid"]}

    def comes_again() -> bool:
        # An instance is free when it has asked for its next event, a little after its answer.
        pid = runner.get("/probe").json()["pid"]
        seen_before = pid in before
        before.add(pid)
        return seen_before

    eventually(comes_again, "call on an instance that has served before")


def test_each_simultaneous_call_gets_its_own_instance(runner: FixtureRunner) -> None:
    before = len(runner.notes("holding"))
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(runner.ask, "/probe", do="hold", name="all-three") for _ in range(3)]
        eventually(lambda: len(runner.notes("holding")) == before + 3, "three that are busy at once")
        runner.let_go("all-three")
        pids = {one.result().json()["pid"] for one in calls}

    assert len(pids) == 3


def test_a_call_above_the_reserved_concurrency_is_refused(runner: FixtureRunner) -> None:
    before = len(runner.notes("holding"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(runner.ask, "/single", do="hold", name="single")
        eventually(lambda: len(runner.notes("holding")) == before + 1, "first call")
        second = runner.ask("/single", do="answer", answer="no")
        runner.let_go("single")

    assert (first.result().status, second.status) == (200, 503)


def test_a_function_is_killed_at_its_timeout_with_all_it_started(runner: FixtureRunner) -> None:
    answer = runner.ask("/hasty", do="linger")

    assert (answer.status, answer.json()) == ERROR
    assert "Task timed out after 3.00 seconds" in _log(runner, "hasty")
    started = [int(pid) for line in runner.notes("lingering") for pid in line.split()]
    eventually(lambda: not any(_alive(pid) for pid in started), "end of the lingering processes")
    assert runner.ask("/hasty", do="answer", answer="fine").body == b"fine"


def test_a_crash_is_an_error_and_the_next_call_works(runner: FixtureRunner) -> None:
    answer = runner.ask("/hasty", do="crash")

    assert (answer.status, answer.json()) == ERROR
    assert "Runtime exited with error: exit status 3" in _log(runner, "hasty")
    assert runner.ask("/hasty", do="answer", answer="fine").body == b"fine"


def test_an_exception_is_an_error_and_keeps_the_instance(runner: FixtureRunner) -> None:
    runner.get("/probe")
    before = {one["pid"] for one in _instances(runner)}

    assert runner.ask("/probe", do="raise").status == 500
    assert "ValueError: as asked" in _log(runner, "probe")
    assert before <= {one["pid"] for one in _instances(runner)}


def test_a_function_above_its_memory_limit_is_killed(runner: FixtureRunner) -> None:
    answer = runner.ask("/small", do="memory", megabytes=300)

    assert (answer.status, answer.json()) == ERROR
    assert "Runtime exited with error: signal: killed" in _log(runner, "small")


def test_a_function_that_cannot_be_loaded_is_an_error_each_time(runner: FixtureRunner) -> None:
    answers = [runner.ask("/broken") for _ in range(2)]

    assert [(one.status, one.json()) for one in answers] == [ERROR, ERROR]
    assert "No module named 'no_such_module_anywhere'" in _log(runner, "broken")


def test_an_asynchronous_call_is_retried_as_the_template_says(runner: FixtureRunner) -> None:
    assert runner.ask("/probe", do="later", event={"name": "once", "failures": 1}).json() == 202
    assert runner.ask("/probe", do="later", event={"name": "always", "failures": 99}).json() == 202
    assert runner.ask("/probe", do="later", event={"name": "never", "failures": 0}).json() == 202

    eventually(lambda: len(runner.notes("once")) == 2 and len(runner.notes("always")) == 2, "second attempts")
    assert len(set(runner.notes("once"))) == 1  # a retry keeps its request id
    assert len(runner.notes("never")) == 1


def test_a_schedule_invokes_its_function(runner: FixtureRunner) -> None:
    (first, *_) = eventually(lambda: runner.notes("clock"), "scheduled call")

    assert '"source": "aws.scheduler"' in first


def test_the_secret_holds_the_database_for_the_role_of_its_name(runner: FixtureRunner) -> None:
    secret = runner.ask("/probe", do="secret").json()

    with psycopg.connect(secret["url"]) as connection:
        assert connection.execute("select current_user").fetchone() == ("whatsapp_api",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from whatsapp_private.attempts")


def test_the_instances_of_functions_are_listed(runner: FixtureRunner) -> None:
    with ThreadPoolExecutor(1) as pool:
        call_ = pool.submit(runner.ask, "/probe", do="hold", name="listed")
        busy = eventually(lambda: [one for one in _instances(runner) if one["busySince"]], "busy instance")
        runner.let_go("listed")
        pid = call_.result().json()["pid"]

    assert (busy[0]["name"], busy[0]["pid"]) == ("probe", pid)
    eventually(lambda: not any(one["busySince"] for one in _instances(runner)), "idle instances")


def _instances(runner: FixtureRunner) -> list[dict[str, object]]:
    found: list[dict[str, object]] = call("GET", f"{runner.url}/dev/functions").json()
    return found


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _log(runner: FixtureRunner, name: str) -> str:
    return (runner.data_dir / "logs" / f"{name}.log").read_text()
