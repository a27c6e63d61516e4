"""Answers and logs name an error by its class and its code. They never have the values that Postgres or AWS quote."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from whatsapp_pairing.core.engine import Online, Qr, Reached, Scanned, Synced
from whatsapp_pairing.core.errors import DatabaseRefused, PairingError, WorkflowUnavailable
from whatsapp_pairing.keeper.devices import Taken
from whatsapp_pairing.runtime.database import Connection, Database
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import Workflow
from whatsapp_pairing.session.session import Session, Status
from whatsapp_pairing.web import http

from tests.support.adv_secret import Secret
from tests.support.handlers import Context, event, request
from tests.support.played_engine import Played

MARKER = "https://wa.me/settings/linked_devices#2@never-to-be-written"
Written = Callable[[], str]
App = Callable[[str], ModuleType]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Written:
    """Returns everything that our code and the libraries have logged or printed so far."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + "".join(capsys.readouterr()) + repr([record.__dict__ for record in caplog.records])


# ── Postgres ──

CHECKED = "CREATE TEMP TABLE t (v text, CONSTRAINT short CHECK (length(v) < 9))"
UNIQUE = "CREATE TEMP TABLE t (v text, CONSTRAINT once UNIQUE (v))"
REFERRING = (
    "CREATE TEMP TABLE known (v text PRIMARY KEY); CREATE TEMP TABLE t (v text CONSTRAINT to_known REFERENCES known)"
)
COMPLETE = "CREATE TEMP TABLE t (v text, w text NOT NULL)"
INSERT = "INSERT INTO t VALUES (%(v)s)"
REFUSED = {
    "a check": ([CHECKED, INSERT], "CheckViolation 23514, table t, constraint short"),
    "a unique key": ([UNIQUE, INSERT, INSERT], "UniqueViolation 23505, table t, constraint once"),
    "a foreign key": ([*REFERRING.split("; "), INSERT], "ForeignKeyViolation 23503, table t, constraint to_known"),
    "a missing value": ([COMPLETE, INSERT], "NotNullViolation 23502, table t, column w"),
    "a value of another type": (["SELECT %(v)s::uuid"], "InvalidTextRepresentation 22P02"),
}


def failing(statements: list[str], value: str = MARKER) -> Callable[[Connection], None]:
    """A call of the database whose last statement fails."""

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement, {"v": value} if "%(v)s" in statement else None)
        connection.execute("SELECT 1").fetchone()

    return work


@pytest.mark.parametrize(("statements", "said"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_of_postgres_is_logged_by_its_names(
    world: Any, written: Written, statements: list[str], said: str
) -> None:
    database = world.new_database("postgres")
    answer = http.answers_errors(lambda _event, _context: database.run(failing(statements)))({}, None)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (500, "internal")
    assert said.split(",", maxsplit=1)[0] not in answer["body"]
    log = written()
    assert said in log
    for text in (log, answer["body"]):
        assert "never-to-be-written" not in text


def test_a_refusal_of_the_driver_is_logged_by_its_name(world: Any, written: Written) -> None:
    with pytest.raises(DatabaseRefused, match=r"^DataError$"):
        world.new_database("postgres").run(failing(["SELECT %(v)s"], MARKER + "\0"))
    assert "never-to-be-written" not in written()


def test_a_server_that_gives_up_is_logged_by_its_names(world: Any, written: Written) -> None:
    raised = "DO $$ BEGIN RAISE 'never-to-be-written' USING ERRCODE = 'deadlock_detected'; END $$"
    answer = http.answers_errors(lambda _event, _context: world.new_database("postgres").run(failing([raised])))(
        {}, None
    )
    assert answer["statusCode"] == 503
    log = written()
    assert "DeadlockDetected 40P01" in log
    assert "never-to-be-written" not in log


# ── the session row, to which the product may add constraints ──


@pytest.fixture
def no_qr(world: Any) -> Iterator[str]:
    """A constraint on the session rows that every QR violates."""
    world.sql("ALTER TABLE public.whatsapp_sessions ADD CONSTRAINT no_qr CHECK (qr_code IS NULL)")
    yield "CheckViolation 23514, table whatsapp_sessions, constraint no_qr"
    world.sql("ALTER TABLE public.whatsapp_sessions DROP CONSTRAINT no_qr")


def test_a_row_that_refuses_a_qr_is_logged_without_the_qr(
    app: App, world: Any, environment: pytest.MonkeyPatch, no_qr: str, written: Written
) -> None:
    attempt_id, secret, linker = world.claim(), Secret(), app("linker")
    jid = "34600111222:1@s.whatsapp.net"
    steps = [
        Reached(),
        Qr(secret.text(), 60),
        lambda: world.store_keys(secret, jid),
        Scanned(jid),
        Synced(),
        Online(jid),
    ]
    environment.setattr(linker, "ProcessEngine", Played(*steps))

    assert linker.handler(event("linker") | {"attemptId": str(attempt_id)}, Context()) == {"outcome": "connected"}

    log = written()
    assert no_qr in log
    assert "SessionRowBehind" in log
    assert "linked_devices" not in log


def test_a_click_goes_on_when_the_row_is_refused(app: App, world: Any, user: Any, written: Written) -> None:
    world.sql(
        "ALTER TABLE public.whatsapp_sessions ADD COLUMN note text DEFAULT 'never-to-be-written' CHECK (note = '')"
    )
    try:
        answer = app("connect").handler(request("connect", user), Context())
    finally:
        world.sql("ALTER TABLE public.whatsapp_sessions DROP COLUMN note")
    log = written()
    assert answer["statusCode"] == 202
    assert "CheckViolation 23514, table whatsapp_sessions" in log
    assert "never-to-be-written" not in log + answer["body"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pass@never-to-be-written@127.0.0.1:1/db",
        "postgresql://me:pass/never-to-be-written@127.0.0.1:1/db",
        "postgresql://me:never-to-be-written%@127.0.0.1:1/db",
        "postgresql://me:never-to-be-written@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=never-to-be-written",
        "host=127.0.0.1 port=1 password=never-to-be-written@",
        "never-to-be-written",
    ],
)
def test_no_url_is_quoted(written: Written, url: str) -> None:
    with pytest.raises(PairingError) as refused:
        Database(lambda: url).run(lambda connection: connection.execute("SELECT 1"))
    assert "to-be-written" not in "".join(traceback.format_exception(refused.value)) + written()


def test_a_password_with_escaped_signs_is_well_formed(world: Any) -> None:
    database = Database(lambda: world.url.replace("postgres@", "postgres:a%40b%2Fc?d#e@"))
    try:
        assert database.run(lambda connection: connection.execute("SELECT 1 AS one").fetchone()) == {"one": 1}
    finally:
        database.close()


# ── AWS ──

TOKEN = "never-to-be-written" * 5


def aws_errors() -> list[Exception]:
    """Errors in which Step Functions and botocore quote their input."""
    quoted = {"Code": "ValidationException", "Message": f"Value '{TOKEN}' at 'taskToken' failed to satisfy constraint"}
    return [
        ClientError({"Error": quoted}, "SendTaskHeartbeat"),
        ParamValidationError(report=f"Invalid type for parameter taskToken, value: {TOKEN}"),
    ]


@pytest.mark.parametrize("error", aws_errors(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "call",
    [
        lambda workflow: workflow.heartbeat(TOKEN),
        lambda workflow: workflow.fail(TOKEN),
        lambda workflow: workflow.start("id"),
        lambda workflow: workflow.call_linker("id"),
    ],
    ids=["heartbeat", "fail", "start", "invoke"],
)
def test_an_error_text_of_aws_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, written: Written, call: Callable[[Workflow], object], error: Exception
) -> None:
    class Refusing:
        def __getattr__(self, _: str) -> Callable[..., None]:
            def refuse(**_: object) -> None:
                raise error

            return refuse

    workflow = Workflow(Settings({"STATE_MACHINE_ARN": "arn", "LINKER_FUNCTION": "linker"}))
    for client in ("_states", "_functions"):
        monkeypatch.setitem(workflow.__dict__, client, Refusing())
    with pytest.raises(WorkflowUnavailable) as refused:
        call(workflow)
    told = "".join(traceback.format_exception(refused.value))
    assert "to-be-written" not in told
    assert type(error).__name__ in told
    answer = http.answers_errors(lambda _event, _context: call(workflow))({}, None)
    assert answer["statusCode"] == 503
    log = written()
    assert type(error).__name__ in log
    assert "to-be-written" not in log + answer["body"]


def test_a_token_of_the_wrong_type_is_not_quoted_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(WorkflowUnavailable, match="send_task_heartbeat: ParamValidationError") as refused:
        Workflow(Settings({})).heartbeat([TOKEN])  # type: ignore[arg-type]
    assert "to-be-written" not in "".join(traceback.format_exception(refused.value))


# ── the repr of our objects, which may get into a message ──


@pytest.mark.parametrize(
    "one",
    [
        Qr(MARKER, 20),
        Scanned("34600111222:1@s.whatsapp.net"),
        Online("34600111222:1@s.whatsapp.net"),
        Taken("34600111222:1@s.whatsapp.net"),
        Session(Status.CONNECTED, datetime.now(UTC), qr=MARKER, phone_number="34600111222"),
        Settings({"DATABASE_URL": "postgresql://me:34600111222@host/db"}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_repr_shows_neither_number_nor_qr(one: object) -> None:
    assert type(one).__name__ in repr(one)
    assert not any(secret in repr(one) for secret in ("34600111222", "linked_devices"))
