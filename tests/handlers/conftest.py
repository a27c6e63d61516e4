"""Each handler, called as Lambda calls it, with recorded events, a real Postgres, and moto for AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from whatsapp_pairing.pairing.services import services_on
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.settings import settings

from infra.template.reading import read_template
from tests.support.databases import admin, way, world
from tests.support.handlers import ROOT, Aws, Call, Context, load
from tests.support.logins import login

__all__ = ["admin", "way", "world"]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An AWS account with a state machine. Calls to Lambda are recorded."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws(config={"lambda": {"use_docker": False}}):
        states = boto3.client("stepfunctions")
        definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Succeed"}}}
        role = "arn:aws:iam::123456789012:role/pairing"
        made = states.create_state_machine(name="pairing", definition=json.dumps(definition), roleArn=role)
        aws = Aws(made["stateMachineArn"])

        def invoke(self: object, function_name: str, _: object, body: bytes, headers: Any, response: Any) -> bytes:
            aws.invocations.append((function_name, headers["X-Amz-Invocation-Type"], json.loads(body)))
            return b""

        monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
        yield aws


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, world: Any, aws: Aws) -> Iterator[pytest.MonkeyPatch]:
    """The environment variables that template.yaml gives to the functions."""
    values = {
        "DATABASE_URL": world.url,
        "ENGINE_DATABASE_URL": login(world.url, "whatsapp_engine"),
        "STATE_MACHINE_ARN": aws.state_machine,
        "LINKER_FUNCTION": "linker",
        "UNLINK_FUNCTION": "unlink",
        "QR_TIMEOUT_SECONDS": "120",
        "MAX_LIVE_PAIRINGS": "100",
        "AUTH_TIMEOUT_SECONDS": "90",
        "ATTEMPT_RETENTION_DAYS": "90",
        "POWERTOOLS_SERVICE_NAME": "whatsapp-pairing",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


@pytest.fixture(scope="session")
def roles() -> dict[str, str]:
    """The database role of each function, from the name of its secret in template.yaml."""
    needed = {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": ""}
    functions = read_template(ROOT / "template.yaml", {}, needed).functions.values()
    secrets = {one.short_name: one.environment.get("DATABASE_SECRET_NAME") for one in functions}
    return {name: f"whatsapp_{secret.rpartition('/')[2]}" for name, secret in secrets.items() if secret}


@pytest.fixture
def app(environment: pytest.MonkeyPatch, roles: dict[str, str]) -> Iterator[Callable[[str], ModuleType]]:
    """Load a function's module as a new instance does, with the function's login. Its connections end with the test."""
    opened: list[Database] = []

    def fresh(name: str) -> ModuleType:
        module = load(ROOT / "functions" / name / "app.py", f"tests_functions_{name}")

        @cache
        def database() -> Database:
            opened.append(Database(lambda: login(settings().database_url, roles[name])))
            return opened[-1]

        if hasattr(module, "database"):
            environment.setattr(module, "database", database)
        if hasattr(module, "services"):
            environment.setattr(module, "services", cache(lambda: services_on(database())))
        return module

    yield fresh
    for connection in opened:
        connection.close()


@pytest.fixture
def call(app: Callable[[str], ModuleType]) -> Call:
    """Call a function's handler as in a new instance."""
    return lambda name, happened: app({"qr": "status"}.get(name, name)).handler(happened, Context())


@pytest.fixture
def user(world: Any) -> UUID:
    """A new user."""
    found: UUID = world.user()
    return found
