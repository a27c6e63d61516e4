"""The resources of a template: their properties, their names here, and the values of references to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.template.errors import TemplateError
from infra.template.intrinsics import ACCOUNT, REGION, Resolver
from infra.template.parameters import check

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
HTTP_API = "AWS::Serverless::HttpApi"
STATE_MACHINE = "AWS::Serverless::StateMachine"
SCHEDULE = "AWS::Scheduler::Schedule"

# The type in CloudFormation itself. Such a state machine does not run here; template.yaml uses its revision id only.
PLAIN_STATE_MACHINE = "AWS::StepFunctions::StateMachine"

EVENTS = ("HttpApi", "ScheduleV2")


class Resources:
    """The resources of a template.

    A property is resolved when somebody asks for it. Nobody asks for policies, alarms and the like, so they may refer
    to anything.

    Parameters
    ----------
    document
        The template.
    root
        The folder to which the template's paths are relative.
    overrides
        Values of parameters. They beat all other values. Each must be a value that its parameter allows.
    supplied
        Further values. They beat the template's defaults and are not checked. A name that the template does
        not declare is ignored.
    """

    def __init__(
        self,
        document: dict[str, Any],
        root: Path,
        overrides: Mapping[str, Any],
        supplied: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.globals: dict[str, Any] = document.get("Globals") or {}
        self.parameters = _parameters(document.get("Parameters") or {}, overrides, supplied or {})
        self._resolver = Resolver(
            self.parameters,
            document.get("Mappings") or {},
            document.get("Conditions") or {},
            self._reference,
            self.attribute,
        )
        self._resources: dict[str, Any] = {
            logical_id: resource
            for logical_id, resource in document["Resources"].items()
            if "Condition" not in resource or self._resolver.holds(resource["Condition"], logical_id)
        }

    def ids(self, kind: str) -> list[str]:
        """Return the logical ids of this type, without resources whose condition is false."""
        return [logical_id for logical_id in self._resources if self.is_a(logical_id, kind)]

    def is_a(self, logical_id: str, kind: str) -> bool:
        """Whether the resource exists and is of this type."""
        return bool(self._resources.get(logical_id, {}).get("Type") == kind)

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties as they stand in the template."""
        return self._resources[logical_id].get("Properties") or {}

    def resolve(self, value: Any, where: str) -> Any:
        """Return `value` without intrinsic functions. A TemplateError begins with `where`."""
        return self._resolver.resolve(value, where)

    def events(self, logical_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield the name, type and resolved properties of each event of a function."""
        for name, event in (self.properties(logical_id).get("Events") or {}).items():
            where = f"{logical_id}.Events.{name}"
            kind = event.get("Type")
            if kind not in EVENTS:
                raise TemplateError(f"{where}: {kind} does not run here, only {' and '.join(EVENTS)} do")
            yield name, kind, self.resolve(event.get("Properties") or {}, where)

    def folder(self, uri: Any, where: str) -> Path:
        """Return the folder that a CodeUri or ContentUri names."""
        folder = (self.root / uri).resolve() if isinstance(uri, str) else None
        if folder is None or not folder.is_dir():
            raise TemplateError(f"{where}: there is no folder {uri}")
        return folder

    def name(self, logical_id: str) -> str:
        """Return the resource's own name, or its logical id if it has none."""
        kind = "FunctionName" if self.is_a(logical_id, FUNCTION) else "Name"
        given = self.properties(logical_id).get(kind)
        return str(self.resolve(given, f"{logical_id}.{kind}")) if given else logical_id

    def arn(self, logical_id: str) -> str:
        """Return the ARN of a function or state machine."""
        if self.is_a(logical_id, FUNCTION):
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name(logical_id)}"
        return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{self.name(logical_id)}"

    def attribute(self, logical_id: str, attribute: str) -> str | None:
        """Return the value of Fn::GetAtt, or None if it is not known here."""
        if self.is_a(logical_id, FUNCTION) or self.is_a(logical_id, STATE_MACHINE):
            if attribute == "Arn":
                return self.arn(logical_id)
            if attribute == "Name":
                return self.name(logical_id)
        if self.is_a(logical_id, PLAIN_STATE_MACHINE) and attribute == "StateMachineRevisionId":
            return "local"
        return None

    def alias(self, logical_id: str) -> str | None:
        """Return the name of the alias that SAM makes for a function, or None if it makes none."""
        shared = self.globals.get("Function") or {}
        given = self.properties(logical_id).get("AutoPublishAlias", shared.get("AutoPublishAlias"))
        return None if given is None else str(self.resolve(given, f"{logical_id}.AutoPublishAlias"))

    def _reference(self, logical_id: str) -> str | None:
        function, _, derived = logical_id.partition(".")
        if self.is_a(function, FUNCTION) and derived == "Alias":
            alias = self.alias(function)
            return None if alias is None else f"{self.arn(function)}:{alias}"
        if self.is_a(logical_id, FUNCTION):
            return self.name(logical_id)
        if self.is_a(logical_id, STATE_MACHINE):
            return self.arn(logical_id)
        return logical_id if logical_id in self._resources else None


def text(value: Any, where: str) -> str:
    """Return a scalar as a string, because CloudFormation passes strings only."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TemplateError(f"{where}: {value!r} is not a string")


def required(value: Any, where: str) -> str:
    """Return a string that must not be missing or empty."""
    if not isinstance(value, str) or not value:
        raise TemplateError(f"{where} is missing")
    return value


def _parameters(declared: dict[str, Any], overrides: Mapping[str, Any], supplied: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(overrides) - set(declared))
    if unknown:
        raise TemplateError(f"the template has no parameter named {', '.join(unknown)}")
    values = {}
    for name, declaration in declared.items():
        value = overrides.get(name, supplied.get(name, declaration.get("Default")))
        if value is None:
            raise TemplateError(f"parameter {name} has no default: give it with --parameter {name}=VALUE")
        listed = declaration.get("Type") == "CommaDelimitedList" or str(declaration.get("Type")).startswith("List<")
        if listed and isinstance(value, str):
            value = [item.strip() for item in value.split(",")] if value else []
        values[name] = value if isinstance(value, list) else text(value, f"parameter {name}")
        if name in overrides:
            check(name, declaration, values[name])
    return values
