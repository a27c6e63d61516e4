"""A password that has changed: each instance is refused once, and never tries a refused password at each request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from botocore.client import BaseClient
from whatsapp_pairing.core.errors import DatabaseUnavailable, LoginRefused
from whatsapp_pairing.runtime import database as database_module
from whatsapp_pairing.runtime import login as module
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.settings import settings

from tests.support import pgbouncer
from tests.support.asked_passwords import AskedRole, UrlSecret, asking
from tests.support.handlers import App, Context, body, refused, request
from tests.support.logins import backend
from tests.support.stack import PATIENCE_SECONDS

OLD, NEW, WRONG = "0ld-s3cret", "n3w-s3cret", "wr0ng-s3cret"


@pytest.fixture
def role(postgres: Any, world: Any) -> Iterator[AskedRole]:
    """The role of the API, which must give the old password."""
    with asking(postgres, world.url, "whatsapp_api") as role:
        role.set_password(OLD)
        yield role


@pytest.fixture
def secret(role: AskedRole, environment: pytest.MonkeyPatch) -> UrlSecret:
    """The secret with the role's URL. The functions read it."""
    secret = UrlSecret(role.url(OLD))
    environment.delenv("DATABASE_URL")
    environment.setenv("DATABASE_SECRET_NAME", secret.name)
    settings.cache_clear()
    return secret


@pytest.fixture
def reads(secret: UrlSecret, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that were read from Secrets Manager, in order."""
    read: list[str] = []
    call = BaseClient._make_api_call

    def counted(self: Any, operation: str, arguments: Any) -> Any:
        if operation == "GetSecretValue":
            read.append(arguments["SecretId"])
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    return read


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock by which instances remember a refusal. It stands still until a test moves it."""
    clock = SimpleNamespace(now=1000.0)
    init = module.Login.__init__
    monkeypatch.setattr(module.Login, "__init__", lambda self, read: init(self, read, lambda: clock.now))
    return clock


@pytest.fixture
def ask(app: App, user: UUID) -> Callable[[], Any]:
    """Ask one instance of the function `status` for the user's session."""
    status = app("status")
    return lambda: status.handler(request("status", user), Context())


@pytest.fixture
def user(world: Any) -> UUID:
    """A user who pairs nothing."""
    found: UUID = world.user()
    return found


def test_a_changed_password_is_refused_once_and_then_used(
    role: AskedRole, secret: UrlSecret, reads: list[str], ask: Callable[[], Any]
) -> None:
    assert body(ask())["status"] == "disconnected"
    role.set_password(NEW)
    secret.put(role.url(NEW))
    for _ in range(10):
        assert body(ask())["status"] == "disconnected"
    assert role.refusals == 1
    assert reads == [secret.name] * 2


def test_a_refused_password_is_tried_once_in_ten_requests(
    role: AskedRole, secret: UrlSecret, reads: list[str], clock: SimpleNamespace, ask: Callable[[], Any],
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    role.set_password(NEW)
    for _ in range(10):
        refused(ask(), 503, "unavailable")
    assert role.refusals == 1
    assert reads == [secret.name] * 2
    logged = caplog.text + "".join(capsys.readouterr())
    assert "LoginRefused: Postgres or its pooler refuses the login: correct the user or the password" in logged
    assert OLD not in logged

    secret.put(role.url(NEW))
    refused(ask(), 503, "unavailable")
    clock.now += module.LOOK_SECONDS
    assert body(ask())["status"] == "disconnected"
    assert role.refusals == 1
    assert reads == [secret.name] * 3


@pytest.mark.usefixtures("secret")
def test_a_role_that_was_mended_is_used_after_minutes(
    role: AskedRole, reads: list[str], clock: SimpleNamespace, ask: Callable[[], Any]
) -> None:
    role.set_password(NEW)
    minutes = 21
    for _ in range(minutes * 6):
        refused(ask(), 503, "unavailable")
        clock.now += 10
    assert role.refusals <= 1 + minutes * 60 / module.AGAIN_SECONDS
    assert role.refusals > 2
    assert len(reads) <= 2 + minutes * 60 / module.LOOK_SECONDS
    role.set_password(OLD)
    clock.now += module.AGAIN_SECONDS
    before = role.refusals
    assert body(ask())["status"] == "disconnected"
    assert role.refusals == before


@pytest.mark.usefixtures("secret")
def test_a_full_server_is_not_taken_for_a_refused_login(
    role: AskedRole, world: Any, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_PATIENCE_SECONDS", 1.0)
    database = Database(lambda: settings().database_url)
    role.set_password(NEW)
    with pytest.raises(LoginRefused):
        database.run(backend)
    role.set_password(OLD)
    clock.now += module.AGAIN_SECONDS
    with psycopg.connect(world.url, autocommit=True) as connection:
        limit = world.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'whatsapp_api'")
        connection.execute("ALTER ROLE whatsapp_api CONNECTION LIMIT 0")
        try:
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable, match="TooManyConnections") as full:
                    database.run(backend)
                assert not isinstance(full.value, LoginRefused)
        finally:
            connection.execute(f"ALTER ROLE whatsapp_api CONNECTION LIMIT {limit}".encode())
    assert database.run(backend)
    assert role.refusals == 1
    database.close()


def test_a_second_wrong_password_is_tried_once_too(
    role: AskedRole, secret: UrlSecret, clock: SimpleNamespace, ask: Callable[[], Any]
) -> None:
    assert body(ask())["status"] == "disconnected"
    role.set_password(NEW)
    secret.put(role.url(WRONG))
    for _ in range(10):
        refused(ask(), 503, "unavailable")
    assert role.refusals == 2
    secret.put(role.url(NEW))
    clock.now += module.LOOK_SECONDS
    assert body(ask())["status"] == "disconnected"
    assert role.refusals == 2


@pytest.mark.usefixtures("reads")
def test_a_silent_secrets_manager_leaves_the_login_refused(
    role: AskedRole, ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert body(ask())["status"] == "disconnected"
    role.set_password(NEW)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(BaseClient, "_make_api_call", fail)
    for _ in range(10):
        refused(ask(), 503, "unavailable")
    assert role.refusals == 1


@pytest.mark.parametrize("changed", [True, False], ids=["changed", "unchanged"])
def test_parallel_instances_are_refused_once_each(role: AskedRole, secret: UrlSecret, changed: bool) -> None:
    instances = [Database(lambda: settings().database_url) for _ in range(4)]
    for instance in instances:
        instance.run(backend)
    role.set_password(NEW)
    if changed:
        secret.put(role.url(NEW))
    together = Barrier(len(instances))

    def use(instance: Database) -> int:
        together.wait(PATIENCE_SECONDS)
        answers = 0
        for _ in range(10):
            try:
                answers += instance.run(backend) > 0
            except LoginRefused:
                continue
        return answers

    with ThreadPoolExecutor(len(instances)) as pool:
        assert list(pool.map(use, instances)) == [10 if changed else 0] * len(instances)
    assert role.refusals <= len(instances)
    for instance in instances:
        instance.close()


@pytest.mark.direct
@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_a_pgbouncer_that_refuses_is_asked_once(
    postgres: Any, role: AskedRole, secret: UrlSecret, clock: SimpleNamespace, auth_type: str
) -> None:
    pgbouncer.require()
    with pgbouncer.pooling(postgres.port, auth_type=auth_type, log_pooler_errors=1) as pooler:
        pooler.set_password(role.name, OLD)
        secret.put(role.url(WRONG, pooler.port))
        database = Database(lambda: settings().database_url)
        for _ in range(10):
            with pytest.raises(LoginRefused):
                database.run(backend)
        assert pooler.refusals == 1
        secret.put(role.url(OLD, pooler.port))
        clock.now += module.LOOK_SECONDS
        assert database.run(backend)
        assert pooler.refusals == 1
        database.close()


@pytest.mark.direct
def test_a_refusal_behind_pgbouncer_is_known_too(
    postgres: Any, role: AskedRole, secret: UrlSecret, clock: SimpleNamespace
) -> None:
    """PgBouncer trusts its client. Postgres refuses PgBouncer, which says so at the first statement."""
    pgbouncer.require()
    with pgbouncer.pooling(postgres.port) as pooler:
        pooler.set_password(role.name, WRONG)
        secret.put(role.url(OLD, pooler.port))
        database = Database(lambda: settings().database_url)
        for _ in range(10):
            with pytest.raises(LoginRefused):
                database.run(backend)
        assert role.refusals == 1
        pooler.set_password(role.name, OLD)
        clock.now += module.AGAIN_SECONDS
        # PgBouncer itself waits for a second after a refusal.
        for _ in range(int(PATIENCE_SECONDS)):
            try:
                assert database.run(backend)
                break
            except LoginRefused:
                clock.now += module.AGAIN_SECONDS
        assert database.run(backend)
        database.close()


def test_a_refused_login_is_a_database_that_is_away() -> None:
    """So linker and unlink keep their leases meanwhile, and cleanup goes on later."""
    assert issubclass(LoginRefused, DatabaseUnavailable)
    assert "28P01" not in LoginRefused().message
    assert psycopg.errors.InvalidPassword.sqlstate == "28P01"
