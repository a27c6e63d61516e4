"""The template of a disturbed system: the same functions behind the AWS proxy, with other limits or another clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.template.intrinsics import load_yaml
from tests.support.stack import ROOT

LAYER = Path(__file__).with_name("layer")
# The properties in which a resource names files of the repository.
PATHS = ("CodeUri", "ContentUri", "DefinitionUri", "TemplateURL")


def write_template(path: Path, aws_url: str, clock_seconds: float, linker: Mapping[str, object]) -> Path:
    """Write a copy of template.yaml.

    Parameters
    ----------
    aws_url : str
        The URL of Step Functions and Lambda for the functions.
    clock_seconds : float
        How far the functions' clock is ahead.
    linker : mapping
        Properties of the linker to set, such as ``Timeout`` or ``MemorySize``.
    """
    template = load_yaml((ROOT / "template.yaml").read_text())
    resources: dict[str, dict[str, Any]] = template["Resources"]
    for resource in resources.values():
        for name in PATHS:
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = str(ROOT / resource["Properties"][name])
    resources["LinkerFunction"]["Properties"] |= linker
    resources["FaultLayer"] = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": str(LAYER)}}
    functions = template["Globals"]["Function"]
    functions["Layers"].append({"Ref": "FaultLayer"})
    functions["Environment"]["Variables"] |= {
        "AWS_ENDPOINT_URL_SFN": aws_url,
        "AWS_ENDPOINT_URL_LAMBDA": aws_url,
        "FAULT_CLOCK_SECONDS": str(clock_seconds),
    }
    path.write_text(json.dumps(template))
    return path
