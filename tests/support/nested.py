"""template.yaml and its nested template as if they were one, since the alarms watch resources of the main template."""

from __future__ import annotations

from typing import Any

from infra.template.intrinsics import PLACEHOLDER, load_yaml
from tests.support.stack import ROOT

Template = dict[str, Any]

ALARMS = ROOT / "infra" / "stack" / "alarms.yaml"


def joined(alarms: str | None = None) -> Template:
    """Return template.yaml with the alarms and the dashboard among its own resources.

    A parameter of the nested template becomes the value that template.yaml gives it.

    Parameters
    ----------
    alarms : str, optional
        Another text of the nested template.
    """
    main: Template = load_yaml((ROOT / "template.yaml").read_text())
    nested: Template = load_yaml(alarms or ALARMS.read_text())
    values = main["Resources"]["Alarms"]["Properties"]["Parameters"] | {
        # A nested stack has a name of its own.
        "AWS::StackName": {"Ref": "Alarms.AWS::StackName"}
    }
    for part in ("Resources", "Conditions"):
        for name, one in nested[part].items():
            inside = _with_values(one, values)
            assert main[part].setdefault(name, inside) == inside, f"{name} means something else in the nested template"
    return main


def reference(value: Any) -> str:
    """Return a value as ``Fn::Sub`` would write it."""
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    return "${" + (argument if function == "Ref" else ".".join(argument)) + "}"


def _with_values(value: Any, values: dict[str, Any]) -> Any:
    match value:
        case {"Ref": name}:
            return values.get(name, value)
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": _substituted(text, values)}
        case {"Fn::Sub": [text, own]}:
            return {"Fn::Sub": [_substituted(text, values), _with_values(own, values)]}
        case dict():
            return {name: _with_values(one, values) for name, one in value.items()}
        case list():
            return [_with_values(one, values) for one in value]
    return value


def _substituted(text: str, values: dict[str, Any]) -> str:
    return PLACEHOLDER.sub(lambda found: reference(values[found[2]]) if found[2] in values else found[0], text)
