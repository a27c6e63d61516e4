"""Each parameter switches on the resources and rights that it should, and no others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.template import resources as local
from tests.support.stack import ROOT
from tests.support.transformed import REQUIRED
from tests.tools.template.conftest import Expand, Template

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
ACM = "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b"
WITH_DATABASE = {
    f"{name}Function"
    for name in ("Connect", "Status", "Disconnect", "OpenPhase", "SettlePhase", "Linker", "Unlink", "Cleanup")
}
ENGINES = {"LinkerFunction", "UnlinkFunction", "ProbeFunction"}


def policies(template: Template, **parameters: str) -> dict[str, list[Any]]:
    """Return the policies of each function with these parameters, without those whose condition is false."""
    resources = local.Resources(template, ROOT, REQUIRED | parameters)
    return {
        name: resources.resolve(resources.properties(name)["Policies"], name)
        for name in resources.ids("AWS::Serverless::Function")
    }


def with_words(found: dict[str, list[Any]], words: str) -> set[str]:
    """Return the functions with a policy that has these words."""
    return {name for name, of_function in found.items() if words in str(of_function)}


# ── the key of the secrets ──


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, set()),
        ({"SecretsKmsKeyArn": KEY}, WITH_DATABASE),
        ({"SecretsKmsKeyArn": KEY, "LegacyJwtSecretName": "jwt"}, WITH_DATABASE | {"AuthorizerFunction"}),
        ({"SecretsKmsKeyArn": KEY, "WhatsAppProxy": "proxy"}, WITH_DATABASE | {"ProbeFunction"}),
        ({"LegacyJwtSecretName": "jwt", "WhatsAppProxy": "proxy"}, set()),
    ],
)  # fmt: skip
def test_only_functions_that_read_a_secret_may_decrypt(
    template: Template, parameters: dict[str, str], expected: set[str]
) -> None:
    found = policies(template, **parameters)
    assert with_words(found, "kms:Decrypt") == expected
    assert with_words(found, "kms:ViaService") == expected


# ── the proxy ──


@pytest.mark.parametrize(("name", "expected"), [("", set()), ("team/proxy", ENGINES)])
def test_only_engines_read_the_proxys_secret(template: Template, name: str, expected: set[str]) -> None:
    assert with_words(policies(template, WhatsAppProxy=name), "secret:team/proxy-??????") == expected
    resources = local.Resources(template, ROOT, REQUIRED | {"WhatsAppProxy": name})
    for engine in ENGINES:
        variables = resources.properties(engine)["Environment"]["Variables"]
        assert resources.resolve(variables["WHATSAPP_PROXY_SECRET_NAME"], engine) == name


# ── the domain ──


def broken_rules(template: Template, **parameters: str) -> set[str]:
    """Return the rules that a deployment with these parameters breaks."""
    resources = local.Resources(template, ROOT, REQUIRED | parameters)
    return {
        name
        for name, rule in template["Rules"].items()
        if resources.resolve(rule.get("RuleCondition", True), name)
        and not all(resources.resolve(one["Assert"], name) for one in rule["Assertions"])
    }


@pytest.mark.parametrize(
    ("parameters", "broken"),
    [
        ({}, set()),
        ({"DomainName": "pair.example.com", "CertificateArn": ACM}, set()),
        ({"DomainName": "pair.example.com"}, {"DomainNeedsItsCertificate"}),
        ({"CertificateArn": ACM}, {"DomainNeedsItsCertificate"}),
        ({"DisableExecuteApiEndpoint": "true"}, {"OneAddressStays"}),
        (
            {"DomainName": "pair.example.com", "CertificateArn": ACM, "DisableExecuteApiEndpoint": "true"},
            set(),
        ),
    ],
)  # fmt: skip
def test_a_domain_needs_a_certificate(template: Template, parameters: dict[str, str], broken: set[str]) -> None:
    assert broken_rules(template, **parameters) == broken


def test_rules_refer_to_parameters_only(template: Template) -> None:
    """CloudFormation checks rules before it knows any resource or condition."""
    names = set(re.findall(r"'Ref': '(\w+)'", str(template["Rules"])))
    assert names <= set(template["Parameters"])
    assert "'Condition':" not in str(template["Rules"])
    assert "Fn::If" not in str(template["Rules"])


def test_the_domain_leads_to_the_api(template: Template, expand: Expand) -> None:
    cloudformation = expand(template)
    resources, outputs = cloudformation["Resources"], cloudformation["Outputs"]
    assert resources["ApiDomainMapping"]["Properties"] == {
        "ApiId": {"Ref": "HttpApi"},
        "DomainName": {"Ref": "ApiDomain"},
        "Stage": {"Ref": "HttpApiApiGatewayDefaultStage"},
    }
    (configuration,) = resources["ApiDomain"]["Properties"]["DomainNameConfigurations"]
    assert configuration["SecurityPolicy"] == "TLS_1_2"
    assert {one["Condition"] for one in (resources["ApiDomain"], resources["ApiDomainMapping"])} == {"HasDomain"}
    assert outputs["DomainTarget"]["Value"] == {"Fn::GetAtt": ["ApiDomain", "RegionalDomainName"]}


@pytest.mark.parametrize(
    ("domain", "url"),
    [("", "https://HttpApi.execute-api.us-east-1.amazonaws.com"), ("pair.example.com", "https://pair.example.com")],
)
def test_the_output_names_the_address_that_people_open(template: Template, domain: str, url: str) -> None:
    resources = local.Resources(template, ROOT, REQUIRED | {"DomainName": domain})
    assert resources.resolve(template["Outputs"]["ApiUrl"]["Value"], "ApiUrl") == url


def test_aws_s_own_address_answers_unless_switched_off(template: Template, expand: Expand) -> None:
    body = expand(template)["Resources"]["HttpApi"]["Properties"]["Body"]
    (endpoint,) = [one["x-amazon-apigateway-endpoint-configuration"] for one in body["servers"]]
    assert endpoint == {"disableExecuteApiEndpoint": {"Fn::If": ["OnlyOwnDomain", True, False]}}


@pytest.mark.parametrize(
    "value", ["Pair.example.com", "https://pair.example.com", "pair", "pair.example.com/", "*.a.b"]
)
def test_no_domain_is_refused_by_the_template(template: Template, value: str) -> None:
    assert not re.fullmatch(template["Parameters"]["DomainName"]["AllowedPattern"], value)


# ── names ──


def test_each_stack_has_layers_of_its_own(template: Template, expand: Expand) -> None:
    names = [
        one["Properties"]["LayerName"]
        for one in expand(template)["Resources"].values()
        if one["Type"] == "AWS::Lambda::LayerVersion"
    ]
    assert sorted(name["Fn::Sub"] for name in names) == ["${AWS::StackName}-engine", "${AWS::StackName}-shared"]


# ── limits ──


def test_the_limits_fit_the_pages_that_may_be_open(template: Template) -> None:
    """Each pairing has two pages that ask every 400 ms; 200 other pages ask every 15 s."""
    defaults = {name: one.get("Default") for name, one in template["Parameters"].items()}
    assert defaults["ApiRate"] >= defaults["MaxLivePairings"] * 2 / 0.4 + 200 / 15
    files = len(list((ROOT / "functions" / "page" / "static").iterdir()))
    assert defaults["ApiBurst"] >= 5 * (files + 2)
    assert defaults["ConnectBurst"] >= defaults["MaxLivePairings"]
