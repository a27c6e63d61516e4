"""Postgres stops or is slow. Step Functions loses an execution, repeats or refuses."""

from __future__ import annotations

import time

from tests.system.faults.cases.people import CANCELLED
from tests.system.faults.cases.processes import STEPS
from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import HASTY, kill, until
from tests.system.faults.suite import case

GROUP = "store"


def _restarted(step: str) -> None:
    @case(GROUP, f"Postgres crashes and restarts {step}", runs=2)
    def _(pairing: DisturbedPairing) -> None:
        STEPS[step](pairing)
        with pairing.system.without_postgres():
            pass
        pairing.persist()

    @case(GROUP, f"every database connection is cut {step}", runs=2)
    def _(pairing: DisturbedPairing) -> None:
        STEPS[step](pairing)
        pairing.system.drop_connections()
        pairing.persist()


for _step in ("before the QR", "while the QR shows", "at the scan", "between login and connected"):
    _restarted(_step)


@case(GROUP, "Postgres is away for longer than a lease")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    with pairing.system.without_postgres():
        time.sleep(12)
    pairing.persist()


def _away_at_connected(seconds: int) -> None:
    @case(GROUP, f"Postgres is away for {seconds} s between login and connected")
    def _(pairing: DisturbedPairing) -> None:
        """The phone already lists the device, so the pairing must not be lost."""
        STEPS["between login and connected"](pairing)
        with pairing.system.without_postgres():
            time.sleep(seconds)
        pairing.persist()


for _seconds in (25, 70):
    _away_at_connected(_seconds)


@case(GROUP, "Postgres is down at the click")
def _(pairing: DisturbedPairing) -> None:
    with pairing.system.without_postgres():
        _refused_clearly(pairing)
    pairing.click()
    pairing.persist()


@case(GROUP, "Postgres refuses connections at the click")
def _(pairing: DisturbedPairing) -> None:
    with pairing.system.refusing_postgres():
        _refused_clearly(pairing)
    pairing.click()
    pairing.persist()


def _refused_clearly(pairing: DisturbedPairing) -> None:
    for answer in (pairing.user.connect(), pairing.user.call("GET", "status"), pairing.user.disconnect()):
        assert (answer.status, answer.json()["error"]) == (503, "unavailable")


@case(GROUP, "a warm connection dies between two clicks")
def _(pairing: DisturbedPairing) -> None:
    pairing.user.status()
    pairing.user.disconnect()
    pairing.system.drop_connections()
    pairing.click()
    pairing.system.drop_connections()
    assert pairing.user.call("GET", "status").status == 200
    pairing.persist()


@case(GROUP, "statements wait for 3 s while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    with pairing.system.slow_postgres():
        time.sleep(3)
    pairing.persist()


@case(GROUP, "statements wait for 12 s while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    with pairing.system.slow_postgres():
        time.sleep(12)
    pairing.persist()


@case(GROUP, "Postgres is frozen for 6 s while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    with pairing.system.frozen_postgres():
        time.sleep(6)
    pairing.persist()


@case(GROUP, "Postgres is frozen for 15 s while the QR shows", "connected", CANCELLED)
def _(pairing: DisturbedPairing) -> None:
    """Postgres takes the calls and does not answer. The functions answer 503 before their Timeout.

    When Postgres goes on, it runs these calls, though their callers have given up. So the disconnect may end the
    pairing, and the click may start an attempt without a workflow. The next click starts the workflow.
    """
    STEPS["while the QR shows"](pairing)
    with pairing.system.frozen_postgres():
        time.sleep(1)
        _refused_clearly(pairing)
    until("a click that helps", lambda: pairing.user.connect().status in (200, 202), every=0.5)
    pairing.persist()


@case(GROUP, "StartExecution fails after the claim")
def _(pairing: DisturbedPairing) -> None:
    system = pairing.system
    machine = system.workflow
    system.step_functions.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
    try:
        answer = pairing.user.connect()
        assert (answer.status, answer.json()["error"]) == (503, "unavailable")
    finally:
        system.step_functions.create_state_machine(
            name=machine["name"], definition=machine["definition"], roleArn=machine["roleArn"]
        )
    assert pairing.user.status()["error"]["code"] == "internal"
    until("a click after the pause", lambda: pairing.user.connect().status == 202, 15, every=0.5)
    pairing.persist()


@case(GROUP, "a token is answered twice and late", runs=2)
def _(pairing: DisturbedPairing) -> None:
    system = pairing.system
    pairing.click()
    first = until("the first wait", lambda: (pairing.attempt or {}).get("task_token"), every=0.001)
    pairing.qr()
    until("the second wait", lambda: (pairing.attempt or {}).get("task_token") != first)
    for _ in range(2):
        _answer(pairing, first)
    pairing.persist()
    _answer(pairing, first)
    assert system.running_executions() == [] or pairing.end() == "connected"


def _answer(pairing: DisturbedPairing, token: str) -> None:
    states = pairing.system.step_functions
    try:
        states.send_task_success(taskToken=token, output="{}")
    except (states.exceptions.TaskTimedOut, states.exceptions.InvalidToken, states.exceptions.TaskDoesNotExist):
        return


@case(GROUP, "somebody else answers the wait for the scan")
def _(pairing: DisturbedPairing) -> None:
    """The workflow ends as connected. The attempt goes on without it, and cleanup would end it."""
    STEPS["while the QR shows"](pairing)
    until("the second wait", lambda: (pairing.attempt or {}).get("phase") == "auth")
    _answer(pairing, (pairing.attempt or {})["task_token"])
    pairing.persist()


@case(GROUP, "the execution is stopped while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    (execution,) = pairing.system.running_executions()
    pairing.system.step_functions.stop_execution(executionArn=execution["executionArn"])
    pairing.persist()


@case(GROUP, "the execution is stopped before the linker's verdict")
def _(pairing: DisturbedPairing) -> None:
    """Only the status and the next click read the verdict of the linker."""
    STEPS["while the QR shows"](pairing)
    (execution,) = pairing.system.running_executions()
    pairing.system.step_functions.stop_execution(executionArn=execution["executionArn"])
    pairing.system.sandbox.set_knobs(loginFailure=405)
    pairing.scan(pairing.seen[-1])
    assert pairing.user.reaches("error", 30)["error"]["code"] == "client_outdated"
    pairing.system.sandbox.set_knobs(loginFailure=None)
    until("a click after the pause", lambda: pairing.user.connect().status == 202, 15, every=0.5)
    # The click may not start the unlink of the scanned device. Cleanup starts it minutes later, so make it due now.
    pairing.system.query("UPDATE whatsapp_private.devices SET unlink_due_at = now() WHERE state = 'unlinking'")
    pairing.system.clean()
    pairing.persist()


@case(GROUP, "a wait is failed by a stranger while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    STEPS["while the QR shows"](pairing)
    until("the second wait", lambda: (pairing.attempt or {}).get("phase") == "auth")
    pairing.system.step_functions.send_task_failure(taskToken=(pairing.attempt or {})["task_token"], error="Boom")
    pairing.persist()


@case(GROUP, "execution and linker die while the QR shows", "error: scan_timeout", kind=HASTY)
def _(pairing: DisturbedPairing) -> None:
    """Only cleanup can end the attempt, 30 s after the window."""
    pairing.click()
    pairing.qr()
    until("the second wait", lambda: (pairing.attempt or {}).get("phase") == "auth")
    (execution,) = pairing.system.running_executions()
    pairing.system.step_functions.stop_execution(executionArn=execution["executionArn"])
    kill(pairing.system.linker())
    until("cleanup's turn", lambda: pairing.system.clean()["attempts_ended"], every=1)
