"""Each handler as Lambda calls it: recorded events, a real Postgres, moto for AWS."""

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
from tests.support.handlers import ROOT, Aws, Call, Context, load
from tests.support.logins import connect, login
from tests.support.repositories import World


@pytest.fixture(scope="session")
def admin(postgres: Any, migrated_template: str) -> Iterator[Any]:
    """The superuser's connection to a database with every table."""
    with postgres.database(migrated_template) as url, connect(url) as connection:
        yield connection


@pytest.fixture
def world(postgres: Any, admin: Any) -> Iterator[Any]:
    """An empty database and the repositories on it."""
    world = World(postgres.url(admin.info.dbname), admin)
    world.empty()
    yield world
    world.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An AWS account with the state machine; what goes to Lambda and by token to Step Functions is written down."""
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
    """What template.yaml gives the functions."""
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
    """The database role of each function, by the secret that template.yaml gives it."""
    needed = {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": ""}
    functions = read_template(ROOT / "template.yaml", {}, needed).functions.values()
    secrets = {one.short_name: one.environment.get("DATABASE_SECRET_NAME") for one in functions}
    return {name: f"whatsapp_{secret.rpartition('/')[2]}" for name, secret in secrets.items() if secret}


@pytest.fixture
def app(environment: pytest.MonkeyPatch, roles: dict[str, str]) -> Iterator[Callable[[str], ModuleType]]:
    """Load a function's module as a fresh instance would, with its own login; its connections end with the test."""
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
    """Call a function's handler as a fresh instance would."""
    return lambda name, happened: app({"qr": "status"}.get(name, name)).handler(happened, Context())


@pytest.fixture
def user(world: Any) -> UUID:
    """A user."""
    found: UUID = world.user()
    return found
