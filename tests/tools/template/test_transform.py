"""The template after SAM's transform: routes, authorizer, CORS, and no reference that names nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from infra.template.reading import read_template
from infra.template.stack_definition import StackDefinition
from tests.support.references import unresolved
from tests.support.stack import ROOT
from tests.support.transformed import REQUIRED, transformed
from tests.tools.template.conftest import Expand, Template
from tests.tools.template.grants import shape

ORIGINS = "https://app.example.com, http://localhost:5173"


@cache
def deployed(*parameters: tuple[str, str]) -> Template:
    """The transformed template. No test of this file changes it."""
    return transformed(dict(parameters))


@pytest.fixture
def body() -> dict[str, Any]:
    """The OpenAPI document of the HTTP API, from which API Gateway makes routes, authorizers and CORS."""
    found: dict[str, Any] = deployed(("AllowedOrigins", ORIGINS))["Resources"]["HttpApi"]["Properties"]["Body"]
    return found


@pytest.fixture
def written() -> StackDefinition:
    """The template as the local system reads it."""
    return read_template(ROOT / "template.yaml", REQUIRED | {"AllowedOrigins": ORIGINS})


def behind(uri: object, template: Template) -> str:
    """The function that an address of API Gateway invokes through its alias."""
    (name,) = re.findall(r"/functions/\$\{(\w+?)(?:Aliaslive|:live)\}/invocations$", shape(uri))
    alias = template["Resources"][f"{name}Aliaslive"]["Properties"]
    assert alias["FunctionName"] == {"Ref": name}
    return str(name)


def operations(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations of an OpenAPI document by their routes."""
    return {f"{method.upper()} {path}": one for path, all_of in body["paths"].items() for method, one in all_of.items()}


def test_sam_makes_each_route_with_its_function(body: dict[str, Any], written: StackDefinition) -> None:
    integrations = {key: one["x-amazon-apigateway-integration"] for key, one in operations(body).items()}
    found = {key: behind(one["uri"], deployed()) for key, one in integrations.items()}
    names = {function.name: function.logical_id for function in written.functions.values()}
    assert found == {route.key: names[route.function] for route in written.routes}
    kinds = {(one["type"], one["httpMethod"], one["payloadFormatVersion"]) for one in integrations.values()}
    assert kinds == {("aws_proxy", "POST", "2.0")}


def test_each_route_under_api_asks_the_authorizer(body: dict[str, Any]) -> None:
    asked = {key: one.get("security") for key, one in operations(body).items()}
    assert {key for key in asked if " /api/" in key} == {key for key, one in asked.items() if one is not None}
    assert [one for one in asked.values() if one not in (None, [{"SupabaseToken": []}])] == []
    (scheme,) = body["components"]["securitySchemes"].values()
    authorizer = dict(scheme["x-amazon-apigateway-authorizer"])
    assert behind(authorizer.pop("authorizerUri"), deployed()) == "AuthorizerFunction"
    assert authorizer == {
        "type": "request",
        "authorizerPayloadFormatVersion": "2.0",
        "enableSimpleResponses": True,
        "authorizerResultTtlInSeconds": 0,
        "identitySource": [],
    }


def test_cors_is_complete(body: dict[str, Any], written: StackDefinition) -> None:
    cors = written.cors
    assert cors is not None
    assert body["x-amazon-apigateway-cors"] == {
        "allowOrigins": ORIGINS.split(", "),
        "allowMethods": list(cors.methods),
        "allowHeaders": list(cors.headers),
        "exposeHeaders": list(cors.exposed),
        "maxAge": cors.max_age,
    }
    assert "if-none-match" in cors.headers


def test_sam_drops_most_of_cors_without_the_value(template: Template, expand: Expand) -> None:
    """This is why the tests above give values: without one, SAM takes the parameter for the whole configuration."""
    body = expand(template)["Resources"]["HttpApi"]["Properties"]["Body"]
    assert body["x-amazon-apigateway-cors"] == {"Ref": "AllowedOrigins"}


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"Tracing": "Active", "ProbeEnabled": "true", "LinkerConcurrency": "9"}, id="switched on"),
        pytest.param(
            {
                "LegacyJwtSecretName": "legacy/jwt",
                "LogKmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/x",
                "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
            },
            id="filled in",
        ),
    ],
)
def test_every_reference_names_something(parameters: dict[str, str]) -> None:
    assert unresolved(deployed(*parameters.items())) == []


def test_the_workflow_gets_each_of_its_substitutions() -> None:
    given = deployed()["Resources"]["PairingStateMachine"]["Properties"]["DefinitionSubstitutions"]
    definition = (ROOT / "infra" / "stack" / "pairing.asl.json").read_text()
    assert set(given) == set(re.findall(r"\$\{(\w+)\}", definition))


def misplace(name: str, value: object) -> Callable[[Template], None]:
    """Return a change: this resource gets a value in its description."""
    return lambda template: template["Resources"][name]["Properties"].update(Description=value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (misplace("StatusFunction", {"Ref": "Gone"}), "Ref Gone names nothing"),
        (misplace("StatusFunction", {"Fn::GetAtt": ["Gone", "Arn"]}), "Fn::GetAtt Gone names nothing"),
        (misplace("StatusFunction", {"Fn::GetAtt": ["Tracing", "Arn"]}), "Fn::GetAtt Tracing names nothing"),
        (misplace("StatusFunction", {"Fn::Sub": "a ${Gone} b"}), "Fn::Sub Gone names nothing"),
        (misplace("StatusFunction", {"Fn::Sub": ["${Gone.Arn} ${Own}", {"Own": "x"}]}), "Fn::Sub Gone names nothing"),
        (misplace("StatusFunction", "a ${HttpApi} b"), "${HttpApi} is no part of an Fn::Sub"),
        (misplace("StatusFunction", {"Fn::If": ["Gone", 1, {"Ref": "HttpApi"}]}), "Fn::If Gone names nothing"),
        (lambda template: template["Resources"]["HttpApi"].update(DependsOn="Gone"), "DependsOn Gone names nothing"),
        (lambda template: template["Resources"]["HttpApi"].update(Condition="Gone"), "Condition Gone names nothing"),
        (lambda template: template["Outputs"]["ApiUrl"].update(Value={"Ref": "Gone"}), "Ref Gone names nothing"),
    ],
)  # fmt: skip
def test_a_reference_to_nothing_is_noticed(change: Callable[[Template], None], complaint: str) -> None:
    template = json.loads(json.dumps(deployed()))
    change(template)
    (said,) = unresolved(template)
    assert said.endswith(complaint)
