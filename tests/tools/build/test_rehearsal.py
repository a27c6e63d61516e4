"""The operator's own commands: `sam deploy`, a pairing, an update, a failed update, `sam delete`.

They run against an AWS without Docker (infra/rehearsal). infra/README.md says what this cannot show. They share one
stack, which the last test deletes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from infra.build.interpreter import ABSENT, find
from infra.migrate import up
from infra.sandbox.process import SandboxProcess
from tests.support.deployed_stack import DeployedStack, Visitor, pair, with_a_fault
from tests.support.emulated_aws import EmulatedAws, emulating
from tests.support.jwks import Project, served
from tests.support.logins import login
from tests.support.postgres import Postgres
from tests.support.sandbox_client import SandboxClient
from tests.tools.build.conftest import HERE, Build, make

PYTHON = find()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason=ABSENT),
]

ORIGINS = "http://localhost:5173"
ISSUER = "https://abcd.supabase.co/auth/v1"
CONNECT = "POST /api/whatsapp/connect"
PAGE = "/home/settings/whatsapp"


@pytest.fixture(scope="module")
def whatsapp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The simulated WhatsApp."""
    running = SandboxProcess.start(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def sandbox(whatsapp: SandboxProcess) -> SandboxClient:
    """Its phones."""
    return SandboxClient(whatsapp.ready["control"])


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A Supabase project that publishes its keys."""
    with served(Project()) as project:
        yield project


@pytest.fixture(scope="module")
def aws(whatsapp: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    """An empty AWS account, whose functions reach the simulated WhatsApp."""
    make("rehearsal-tools", f"TARGET_PYTHON={PYTHON}")
    with emulating(tmp_path_factory.mktemp("aws"), whatsapp.engine_environment()) as aws:
        yield aws


@pytest.fixture(scope="module")
def database(postgres: Postgres, standins_template: str) -> str:
    """The name of a migrated database, which the owner's command has made."""
    name = postgres.create(standins_template)
    up(postgres.url(name))
    return name


@pytest.fixture(scope="module")
def secrets(aws: EmulatedAws, postgres: Postgres, database: str) -> list[str]:
    """The names of the three secrets, with the URLs of the three roles."""
    client = aws.client("secretsmanager")
    names = [f"whatsapp-pairing-dev/database/{need}" for need in ("api", "worker", "engine")]
    for name in names:
        role = f"whatsapp_{name.rpartition('/')[2]}"
        client.create_secret(Name=name, SecretString=json.dumps({"url": login(postgres.url(database), role)}))
    return names


@pytest.fixture
def user(stack: DeployedStack, postgres: Postgres, database: str, project: Project) -> Visitor:
    """A new user of the product."""
    user_id = str(uuid4())
    with postgres.connect(database) as connection:
        connection.execute("INSERT INTO auth.users (id) VALUES (%s)", [user_id])
    return Visitor(stack, user_id, project.token(sub=user_id))


@pytest.fixture(scope="module")
def stack(
    aws: EmulatedAws, built: Build, project: Project, secrets: list[str], tmp_path_factory: pytest.TempPathFactory
) -> DeployedStack:
    """The deployed stack."""
    del secrets  # requested only because the functions read them
    parameters = {"SupabaseUrl": project.url, "AllowedOrigins": ORIGINS, "Architecture": HERE}
    stack = DeployedStack(aws, built(HERE), tmp_path_factory.mktemp("samconfig"), parameters)
    done = stack.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    return stack


def test_the_first_deployment_completes(stack: DeployedStack, aws: EmulatedAws) -> None:
    assert stack.status == "CREATE_COMPLETE"
    resources = aws.client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
    assert {one["ResourceStatus"] for one in resources} == {"CREATE_COMPLETE"}


def test_routes_and_cors_are_those_of_the_template(stack: DeployedStack) -> None:
    logical_ids = stack.logical_ids()

    def named(arn: str | None) -> str | None:
        return arn and logical_ids[arn.split(":function:")[1].split(":")[0]]

    written = stack.definition
    ids = {function.name: function.logical_id for function in written.functions.values()}
    assert {key: (named(function), named(authorizer)) for key, (function, authorizer) in stack.routes().items()} == {
        route.key: (ids[route.function], ids[route.authorizer.function] if route.authorizer else None)
        for route in written.routes
    }
    assert written.cors is not None
    assert stack.api["CorsConfiguration"] == {
        "AllowOrigins": [ORIGINS],
        "AllowMethods": list(written.cors.methods),
        "AllowHeaders": list(written.cors.headers),
        "ExposeHeaders": list(written.cors.exposed),
        "MaxAge": written.cors.max_age,
    }


def test_the_api_answers_strangers_as_documented(stack: DeployedStack) -> None:
    assert b"<html" in stack.call("GET", PAGE).body
    assert stack.call("GET", "/api/whatsapp/status").status == 401
    asked = stack.call("OPTIONS", "/api/whatsapp/connect", Origin=ORIGINS, Access_Control_Request_Method="POST")
    assert asked.headers["access-control-allow-origin"] == ORIGINS
    assert "if-none-match" in asked.headers["access-control-allow-headers"]


def test_a_person_pairs(user: Visitor, sandbox: SandboxClient) -> None:
    pair(user, sandbox, "34600000401")


@pytest.fixture(scope="module")
def updated(stack: DeployedStack) -> DeployedStack:
    """The same stack, after a deployment with new values of some parameters."""
    stack.parameters |= {"MaxLivePairings": "8", "LegacyJwtSecretName": "legacy/jwt", "AcceptedIssuers": ISSUER}
    done = stack.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    return stack


def test_an_update_reaches_the_functions(updated: DeployedStack, user: Visitor) -> None:
    assert updated.status == "UPDATE_COMPLETE"
    connect, authorizer = map(updated.environment, updated.routes()[CONNECT])
    assert connect["MAX_LIVE_PAIRINGS"] == "8"
    assert (authorizer["LEGACY_JWT_SECRET_NAME"], authorizer["ACCEPTED_ISSUERS"]) == ("legacy/jwt", ISSUER)
    assert user.status()["status"] == "disconnected"


def test_only_an_empty_value_empties_a_parameter(updated: DeployedStack) -> None:
    updated.parameters |= {"LegacyJwtSecretName": '""', "AcceptedIssuers": None}
    done = updated.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    _, authorizer = map(updated.environment, updated.routes()[CONNECT])
    assert authorizer["LEGACY_JWT_SECRET_NAME"] == ""
    assert authorizer["ACCEPTED_ISSUERS"] == ISSUER  # as before, because samconfig.toml no longer names the parameter


def test_a_failed_update_is_rolled_back(
    stack: DeployedStack, built: Build, user: Visitor, sandbox: SandboxClient
) -> None:
    before = [*map(stack.environment, stack.routes()[CONNECT])]
    # sam reads the artifacts beside the template.
    template = built(HERE) / "template-with-a-fault.yaml"
    with_a_fault(built(HERE) / "template.yaml", template)
    stack.parameters["MaxLivePairings"] = "9"
    try:
        done = stack.deploy(template)
    finally:
        template.unlink()
    assert done.returncode == 1
    assert re.search(r"_FAILED +AWS::Lambda::Event\S* +Fault ", done.stdout), done.stdout
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert [*map(stack.environment, stack.routes()[CONNECT])] == before
    pair(user, sandbox, "34600000402")


def test_sam_delete_leaves_the_secrets_only(stack: DeployedStack, aws: EmulatedAws, secrets: list[str]) -> None:
    before = resources(aws)
    assert [kind for kind, found in before.items() if not found] == []
    done = stack.delete()
    assert done.returncode == 0, done.stdout + done.stderr
    assert resources(aws) == {kind: [] for kind in before}
    assert {one["Name"] for one in aws.client("secretsmanager").list_secrets()["SecretList"]} == set(secrets)


def resources(aws: EmulatedAws) -> dict[str, list[object]]:
    """Return what the account has of each kind that the stack makes."""
    return {
        "functions": aws.client("lambda").list_functions()["Functions"],
        "layers": aws.client("lambda").list_layers()["Layers"],
        "state machines": aws.client("stepfunctions").list_state_machines()["stateMachines"],
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
        "log groups": aws.client("logs").describe_log_groups()["logGroups"],
        "APIs": aws.client("apigatewayv2").get_apis()["Items"],
        "alarms": aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": aws.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "schedules": aws.client("scheduler").list_schedules()["Schedules"],
        "roles": aws.client("iam").list_roles()["Roles"],
    }
