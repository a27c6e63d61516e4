"""AWS, Postgres or Secrets Manager accepts a call and never answers. Each handler answers before its Timeout."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.errors import DatabaseUnavailable, SecretUnavailable, WorkflowUnavailable
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime import secrets as module
from whatsapp_pairing.runtime.settings import settings

from infra.template.reading import read_template
from tests.support.adv_secret import Secret
from tests.support.handlers import ROOT, Aws, Call, Context, body, event, refused, request
from tests.support.repositories import JID

App = Callable[[str], ModuleType]


class Until(Context):
    """The context of an invocation with this many seconds."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        """Return the time that is left, as Lambda does."""
        return int((self._ends_at - time.monotonic()) * 1000)


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time limit of each call, in the order of the calls."""
    given: list[float] = []

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            if timeout is not None:
                given.append(timeout)
            super().join(timeout)

    monkeypatch.setattr(limits, "Thread", Thread)
    return given


@pytest.fixture
def hanging_aws(environment: pytest.MonkeyPatch, silent: str) -> None:
    """Step Functions and Lambda hang."""
    for name in ("SFN", "LAMBDA"):
        environment.setenv(f"AWS_ENDPOINT_URL_{name}", f"http://{silent}")


def linked(world: Any, user: UUID) -> None:
    """Link the user's phone."""
    world.link(user, Secret(), JID)


@pytest.mark.usefixtures("hanging_aws")
@pytest.mark.parametrize("pairs", [True, False], ids=["pairing", "linked"])
def test_a_disconnect_succeeds_while_aws_hangs(
    app: App, world: Any, user: UUID, waits: list[float], pairs: bool
) -> None:
    if pairs:
        secret, attempt_id = Secret(), world.claim(user)
        world.open_auth(attempt_id)
        world.show(attempt_id, world.lease(attempt_id), secret)
        world.store_keys(secret, JID)
    else:
        linked(world, user)
    answer = app("disconnect").handler(request("disconnect", user), Until(3))
    assert body(answer) == {"success": True, "status": "disconnected"}
    assert world.sessions.get(user).status == "disconnected"
    # All calls together have two seconds. Each call gets the time that the calls before it have left.
    assert len(waits) >= 2
    assert max(waits) <= 2
    assert waits == sorted(waits, reverse=True)


@pytest.mark.usefixtures("hanging_aws")
def test_cleanup_starts_the_unlinks_that_a_disconnect_missed(
    app: App, world: Any, user: UUID, aws: Aws, environment: pytest.MonkeyPatch
) -> None:
    linked(world, user)
    app("disconnect").handler(request("disconnect", user), Until(2))
    environment.delenv("AWS_ENDPOINT_URL_LAMBDA")
    world.age(241)
    assert app("cleanup").handler(event("cleanup"), Context())["unlinks_started"] == 1
    assert len(aws.invocations) == 1


@pytest.mark.usefixtures("hanging_aws")
def test_a_disconnect_answers_within_its_functions_timeout(app: App, world: Any, user: UUID) -> None:
    """SendTaskFailure hangs, and so do the unlinks of several devices."""
    attempt_id = world.claim(user)
    world.open_auth(attempt_id)
    lease = world.lease(attempt_id)
    for number in range(3):
        world.show(attempt_id, lease, secret := Secret())
        world.store_keys(secret, f"521555000{number}:7@s.whatsapp.net")
    template = read_template(ROOT / "template.yaml", {}, {"SupabaseUrl": "http://x.test", "AllowedOrigins": ""})
    invocation = Until(template.functions["DisconnectFunction"].timeout)
    answer = app("disconnect").handler(request("disconnect", user), invocation)
    assert body(answer)["status"] == "disconnected"
    assert invocation.get_remaining_time_in_millis() > 0


@pytest.mark.usefixtures("hanging_aws")
def test_a_connect_says_that_it_could_not_start(app: App, world: Any, user: UUID, waits: list[float]) -> None:
    refused(app("connect").handler(request("connect", user), Until(3)), 503, "unavailable")
    assert max(waits) <= 2


@pytest.mark.usefixtures("hanging_aws")
def test_a_task_of_the_workflow_fails_in_time_when_aws_hangs(app: App, world: Any, user: UUID) -> None:
    opening = event("open_phase") | {"attemptId": str(world.claim(user))}
    with pytest.raises(WorkflowUnavailable, match="OutOfTime"):
        app("open_phase").handler(opening, Until(2))


@pytest.mark.usefixtures("hanging_aws")
def test_an_attempt_ends_while_aws_hangs(app: App, world: Any, user: UUID) -> None:
    attempt_id, secret = world.claim(user), Secret()
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.store_keys(secret, JID)
    world.age(1000)
    settling = event("settle_phase") | {"attemptId": str(attempt_id)}
    assert app("settle_phase").handler(settling, Until(2))["next"] == world.attempt(attempt_id)["outcome"]


@pytest.mark.parametrize("name", ["connect", "status", "qr", "disconnect"])
def test_a_postgres_that_hangs_is_unavailable(
    call: Call, app: App, environment: pytest.MonkeyPatch, silent: str, name: str
) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://me@{silent}/db")
    settings.cache_clear()
    handler = app({"qr": "status"}.get(name, name)).handler
    refused(handler(request(name, uuid4()), Until(1.5)), 503, "unavailable")


@pytest.mark.parametrize("name", ["connect", "status", "disconnect"])
def test_a_postgres_that_freezes_is_unavailable(app: App, world: Any, user: UUID, name: str) -> None:
    """The instance is warm, and its connection is open."""
    module = app(name)
    assert module.handler(request(name, user), Context())["statusCode"] < 300
    frozen = [row["pid"] for row in world.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'whatsapp_api'")]
    assert frozen
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        refused(module.handler(request(name, user), Until(1.5)), 503, "unavailable")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name", ["open_phase", "settle_phase"])
def test_a_workflow_s_task_fails_in_time_when_postgres_hangs(
    app: App, environment: pytest.MonkeyPatch, silent: str, name: str
) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://me@{silent}/db")
    settings.cache_clear()
    with pytest.raises(DatabaseUnavailable):
        app(name).handler(event(name), Until(1.5))


# ── Secrets Manager ──


@pytest.fixture
def silent_secrets(environment: pytest.MonkeyPatch, silent: str) -> Iterator[str]:
    """The name of a secret whose Secrets Manager hangs."""
    name = f"pairing/{uuid4()}/api"
    environment.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://{silent}")
    environment.delenv("DATABASE_URL")
    environment.setenv("DATABASE_SECRET_NAME", name)
    settings.cache_clear()
    module._secrets.cache_clear()
    yield name
    module._secrets.cache_clear()


def test_a_secrets_manager_that_hangs_is_named(
    app: App, silent_secrets: str, world: Any, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    status, user = app("status"), world.user()
    refused(status.handler(request("status", user), Until(1.5)), 503, "unavailable")
    assert f"SecretUnavailable: Secrets Manager did not answer in time for the secret {silent_secrets}" in caplog.text
    assert "Postgres" not in caplog.text
    # The next call fetches the secret.
    environment.delenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")
    module._secrets.cache_clear()
    module._secrets().client.create_secret(Name=silent_secrets, SecretString=f'{{"url": "{world.url}"}}')
    assert body(status.handler(request("status", user), Context()))["status"] == "disconnected"


def test_functions_without_a_limit_give_up_a_hanging_secret(silent_secrets: str) -> None:
    with pytest.raises(SecretUnavailable, match=f"the secret {silent_secrets}: ReadTimeoutError"):
        _ = settings().database_url


@pytest.mark.usefixtures("environment")
def test_fetching_a_secret_ends_before_every_timeout() -> None:
    module._secrets.cache_clear()
    config = module._secrets().client.meta.config
    tries = config.retries["total_max_attempts"]
    longest = tries * (config.connect_timeout + config.read_timeout) + tries - 1  # plus the pauses of botocore
    functions = read_template(ROOT / "template.yaml", {}, {"SupabaseUrl": "http://x.test", "AllowedOrigins": ""})
    assert longest < min(one.timeout for one in functions.functions.values())
    module._secrets.cache_clear()
