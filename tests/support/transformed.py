"""template.yaml as CloudFormation gets it: after SAM's transform, with every parameter's value as AWS gives it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from infra.template.intrinsics import load_yaml
from tests.support.other_environments import tool
from tests.support.stack import ROOT

Template = dict[str, Any]

# The parameters without a default.
REQUIRED = {"SupabaseUrl": "https://abcd.supabase.co", "AllowedOrigins": "https://app.example.com"}

SAM_TRANSFORM = ROOT / "tests" / "support" / "sam_transform.py"


def transformed(parameters: Mapping[str, object] | None = None, template: Template | None = None) -> Template:
    """Return what SAM makes of the main template.

    AWS runs the transform with the values of all parameters. A parameter of a list type has a list as its value. SAM
    makes another template if it sees the parameters without their values.

    Parameters
    ----------
    parameters : Mapping, optional
        Values as an operator writes them. The others have their default, or a value from `REQUIRED`.
    template : dict, optional
        Another template than template.yaml, for a test that changes it. It stays as it is.
    """
    template = template or load_yaml((ROOT / "template.yaml").read_text())
    given = {**REQUIRED, **(parameters or {})}
    values = {name: _value(one, given.pop(name, one.get("Default"))) for name, one in template["Parameters"].items()}
    assert not given, f"template.yaml has no parameter {', '.join(given)}"
    done = subprocess.run(
        [tool(".venv-sam", "python"), SAM_TRANSFORM],
        input=json.dumps([template, values]) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict), answer
    return answer


def _value(parameter: Mapping[str, Any], written: object) -> object:
    if parameter["Type"].startswith(("CommaDelimitedList", "List<")):
        return [item.strip() for item in str(written).split(",")]
    return str(written)
