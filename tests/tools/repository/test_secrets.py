"""template.yaml gives each function the name of its own role's secret, and the right to read only that one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.template.intrinsics import load_yaml

ROOT = Path(__file__).resolve().parents[3]
NEEDS = {
    "AuthorizerFunction": set(),
    "PageFunction": set(),
    "ProbeFunction": set(),
    **{key: {"api"} for key in ["ConnectFunction", "StatusFunction", "DisconnectFunction"]},
    **{key: {"worker"} for key in ["OpenPhaseFunction", "SettlePhaseFunction", "CleanupFunction"]},
    **{key: {"worker", "engine"} for key in ["LinkerFunction", "UnlinkFunction"]},
}


def functions() -> dict[str, Any]:
    document: Any = load_yaml((ROOT / "template.yaml").read_text())
    resources = document["Resources"].items()
    return {name: one["Properties"] for name, one in resources if one["Type"] == "AWS::Serverless::Function"}


@pytest.mark.parametrize("name", NEEDS)
def test_a_function_reads_the_secrets_of_its_roles_only(name: str) -> None:
    properties = functions()[name]
    told = re.findall(r"\$\{DatabaseSecretName\}/(\w+)", json.dumps(properties.get("Environment", {})))
    allowed = re.findall(r"\$\{DatabaseSecretName\}(.*?)\?", json.dumps(properties.get("Policies", [])))
    assert set(told) == NEEDS[name]
    assert {f"/{need}-" for need in NEEDS[name]} == set(allowed)


def test_no_other_function_has_a_database_secret() -> None:
    for name, properties in functions().items():
        assert name in NEEDS or "DatabaseSecretName" not in json.dumps(properties), f"name the roles of {name} above"
