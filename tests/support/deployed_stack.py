"""The stack as the operator's own commands deploy it, on an emulated AWS."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.template.intrinsics import load_yaml
from infra.template.reading import read_template
from infra.template.stack_definition import StackDefinition
from tests.support.emulated_aws import REGION, EmulatedAws
from tests.support.other_environments import tool
from tests.support.sandbox_client import SandboxClient
from tests.support.stack import ROOT, Answer, User, call


class DeployedStack:
    """The stack of samconfig.toml's environment ``dev``.

    Parameters
    ----------
    aws
        Where it is deployed.
    build
        The folder that `make build` has made.
    folder
        Where the test keeps its samconfig.toml.
    parameters
        What the operator fills in or changes in samconfig.toml.
    """

    def __init__(self, aws: EmulatedAws, build: Path, folder: Path, parameters: Mapping[str, str | None]) -> None:
        self._aws, self._build, self._folder = aws, build, folder
        self.parameters = dict(parameters)
        self._samconfig = (ROOT / "samconfig.toml").read_text()
        self.name = str(tomllib.loads(self._samconfig)["dev"]["deploy"]["parameters"]["stack_name"])

    def deploy(self, template: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `sam deploy --config-env dev`, by default with the built template."""
        config = self._folder / "samconfig.toml"
        config.write_text(filled_in(self._samconfig, self.parameters))
        built = template or self._build / "template.yaml"
        return self._sam("deploy", "--config-env", "dev", "--config-file", str(config), "--template-file", str(built))

    def delete(self) -> subprocess.CompletedProcess[str]:
        """Run `sam delete`."""
        return self._sam("delete", "--stack-name", self.name, "--region", REGION, "--no-prompts")

    def _sam(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self._aws.environment | {"SAM_CLI_TELEMETRY": "0"}
        command = [tool(".venv-sam", "python"), "-m", "samcli", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    @property
    def status(self) -> str:
        """The stack's status in CloudFormation."""
        return str(self._aws.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    @property
    def definition(self) -> StackDefinition:
        """What the template says with the stack's parameters, as the local system reads it."""
        given = tomllib.loads(filled_in(self._samconfig, self.parameters))["dev"]["deploy"]["parameters"]
        overrides = dict(one.split("=", 1) for one in given["parameter_overrides"])
        return read_template(ROOT / "template.yaml", {name: text.strip('"') for name, text in overrides.items()})

    @property
    def api(self) -> dict[str, Any]:
        """The HTTP API."""
        (api,) = self._aws.client("apigatewayv2").get_apis()["Items"]
        return dict(api)

    def routes(self) -> dict[str, tuple[str, str | None]]:
        """Return for each route the function that it invokes, and its authorizer's function."""
        client, api = self._aws.client("apigatewayv2"), self.api["ApiId"]
        targets = {
            f"integrations/{one['IntegrationId']}": _function(one["IntegrationUri"])
            for one in client.get_integrations(ApiId=api)["Items"]
        }
        authorizers = {
            one["AuthorizerId"]: _function(one["AuthorizerUri"]) for one in client.get_authorizers(ApiId=api)["Items"]
        }
        return {
            one["RouteKey"]: (targets[one["Target"]], authorizers.get(one.get("AuthorizerId")))
            for one in client.get_routes(ApiId=api)["Items"]
        }

    def logical_ids(self) -> dict[str, str]:
        """Return the logical id of each of the stack's resources by its physical id."""
        resources = self._aws.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["PhysicalResourceId"]: one["LogicalResourceId"] for one in resources}

    def environment(self, arn: str | None) -> dict[str, str]:
        """Return the variables of a function, or of the version behind its alias."""
        found = self._aws.client("lambda").get_function_configuration(FunctionName=arn)
        return dict(found["Environment"]["Variables"])

    def call(self, method: str, path: str, **headers: str) -> Answer:
        """Call the API at its own address."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        return call(method, f"{self._aws.url}{path}", headers=sent | {"Host": self._host})

    def lines(self) -> list[str]:
        """Return what the functions have logged."""
        events = self._aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
        return [one["message"] for one in events]

    @property
    def _host(self) -> str:
        return f"{self.api['ApiId']}.execute-api.127.0.0.1:{self._aws.port}"


class Visitor(User):
    """A signed-in user of the deployed stack."""

    def call(self, method: str, path: str, **headers: str) -> Answer:
        """Call the API as this user."""
        return self.stack.call(method, f"/api/whatsapp/{path}", Authorization=f"Bearer {self.token}", **headers)


def pair(user: Visitor, sandbox: SandboxClient, number: str) -> None:
    """Pair the user with the phone of this number, and disconnect them again."""
    clicked = user.connect()
    assert clicked.status == 202, [clicked.body, *user.stack.lines()]
    sandbox.scan(user.qr(), number)
    assert user.reaches("connected")["phoneNumber"] == number
    assert user.disconnect().json()["status"] == "disconnected"
    user.wait(120, "empty device list", lambda _: sandbox.devices(number) == [])


def filled_in(samconfig: str, parameters: Mapping[str, str | None]) -> str:
    """Return samconfig.toml with these values in the environment ``dev``. None takes the parameter's line out."""
    before, section, after = re.split(r"(?m)^(?=\[(?:dev|prod)\.deploy\.parameters\]$)", samconfig)
    for name, value in parameters.items():
        section = re.sub(rf"""(?m)^  ["']{name}=.*\n""", "", section)
        if value is not None:
            section = section.replace("parameter_overrides = [\n", f"parameter_overrides = [\n  '{name}={value}',\n")
    return before + section + after


def with_a_fault(built: Path, target: Path) -> None:
    """Write the built template with one more resource, which cannot be created and comes after the functions."""
    text = built.read_text()
    functions = [name for name, one in load_yaml(text)["Resources"].items() if name.endswith("Function")]
    fault = (
        "Resources:\n"
        "  Fault:\n"
        "    Type: AWS::Lambda::EventInvokeConfig\n"
        f"    DependsOn: [{', '.join(functions)}]\n"
        "    Properties: {FunctionName: no-such-function, Qualifier: $LATEST, MaximumRetryAttempts: 0}\n"
    )
    assert text.count("\nResources:\n") == 1
    target.write_text(text.replace("\nResources:\n", f"\n{fault}"))


def _function(uri: str) -> str:
    """Return the function's ARN, which may have a version or an alias, in an address of API Gateway."""
    (arn,) = re.findall(r"/functions/(.+)/invocations$", uri)
    return str(arn)
