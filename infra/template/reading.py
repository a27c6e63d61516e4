"""Reads a SAM template into a `StackDefinition`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.template.errors import TemplateError
from infra.template.http import read_cors, read_limits, read_routes
from infra.template.intrinsics import PLACEHOLDER, load_yaml
from infra.template.nested import check_nested
from infra.template.resources import FUNCTION, LAYER, STATE_MACHINE, Resources, required, text
from infra.template.schedules import read_schedules
from infra.template.stack_definition import Function, Layer, StackDefinition, StateMachine

# Lambda's defaults for what a template leaves out.
DEFAULT_TIMEOUT = 3
DEFAULT_MEMORY_MB = 128
DEFAULT_RETRIES = 2
DEFAULT_MAX_EVENT_AGE = 21_600


def read_template(
    path: Path, overrides: Mapping[str, Any], supplied: Mapping[str, Any] | None = None
) -> StackDefinition:
    """Read the template at `path`.

    Parameters
    ----------
    path
        A SAM template; the paths in it are relative to its folder.
    overrides
        Values of parameters. They beat all other values. Each parameter must exist and must allow its value.
    supplied
        Further values. They beat the template's defaults and are not checked. A name that the template does not declare
        is ignored.

    Raises
    ------
    TemplateError
        The file is missing, or it uses something that cannot be resolved. The message names the resource.
    """
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(f"cannot read the template {path}: {error.strerror}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path}: a template has a mapping named Resources")
    return _read_stack(Resources(document, path.resolve().parent, overrides, supplied))


def _read_stack(resources: Resources) -> StackDefinition:
    check_nested(resources)
    functions = [_function(resources, logical_id) for logical_id in resources.ids(FUNCTION)]
    stack = StackDefinition(
        parameters=resources.parameters,
        functions={function.name: function for function in functions},
        routes=tuple(read_routes(resources)),
        cors=read_cors(resources),
        limits=read_limits(resources),
        state_machines=tuple(_state_machine(resources, name) for name in resources.ids(STATE_MACHINE)),
        schedules=tuple(read_schedules(resources)),
    )
    _check_authorizers(stack)
    return stack


def _check_authorizers(stack: StackDefinition) -> None:
    """Raise if an authorizer's function does not exist. Without this check, the first request would fail."""
    for authorizer in filter(None, (route.authorizer for route in stack.routes)):
        function = authorizer.function
        if function not in stack.functions:
            raise TemplateError(f"authorizer {authorizer.name}: {function} is not a function of this template")


def _function(resources: Resources, logical_id: str) -> Function:
    own = resources.properties(logical_id)
    shared = resources.globals.get("Function") or {}

    def value(name: str, default: Any = None) -> Any:
        found = resources.resolve(own.get(name, shared.get(name)), f"{logical_id}.{name}")
        return default if found is None else found

    asynchronous = value("EventInvokeConfig", {})
    reserved = value("ReservedConcurrentExecutions")
    return Function(
        logical_id=logical_id,
        name=resources.name(logical_id),
        arn=resources.arn(logical_id),
        code=resources.folder(value("CodeUri", "."), f"{logical_id}.CodeUri"),
        handler=required(value("Handler"), f"{logical_id}.Handler"),
        timeout=float(value("Timeout", DEFAULT_TIMEOUT)),
        memory_mb=int(value("MemorySize", DEFAULT_MEMORY_MB)),
        environment=_environment(resources, logical_id, shared, own),
        layers=tuple(_layers(resources, logical_id, shared, own)),
        retries=int(asynchronous.get("MaximumRetryAttempts", DEFAULT_RETRIES)),
        max_event_age=float(asynchronous.get("MaximumEventAgeInSeconds", DEFAULT_MAX_EVENT_AGE)),
        reserved_concurrency=None if reserved is None else int(reserved),
        alias=resources.alias(logical_id),
    )


def _environment(resources: Resources, logical_id: str, *parts: dict[str, Any]) -> dict[str, str]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= (part.get("Environment") or {}).get("Variables") or {}
    where = f"{logical_id}.Environment"
    resolved = {name: resources.resolve(raw, f"{where}.{name}") for name, raw in merged.items()}
    return {name: text(value, f"{where}.{name}") for name, value in resolved.items() if value is not None}


def _layers(resources: Resources, logical_id: str, *parts: dict[str, Any]) -> Iterator[Layer]:
    """Yield the layers of Globals, then those of the function, because SAM joins the two lists."""
    for part in parts:
        for name in resources.resolve(part.get("Layers") or [], f"{logical_id}.Layers"):
            if not resources.is_a(name, LAYER):
                raise TemplateError(f"{logical_id}.Layers: {name} is not a layer of this template")
            where = f"{name}.ContentUri"
            uri = resources.resolve(resources.properties(name).get("ContentUri"), where)
            yield Layer(name, resources.folder(uri, where))


def _state_machine(resources: Resources, logical_id: str) -> StateMachine:
    properties = resources.properties(logical_id)
    where = f"{logical_id}.DefinitionSubstitutions"
    substitutions = resources.resolve(properties.get("DefinitionSubstitutions") or {}, where)

    def replace(match: re.Match[str]) -> str:
        if match[2] not in substitutions:
            raise TemplateError(f"{where}: the definition uses ${{{match[2]}}}, which is not among them")
        return text(substitutions[match[2]], where)

    definition = PLACEHOLDER.sub(replace, _definition(resources, logical_id, properties))
    try:
        json.loads(definition)
    except ValueError as error:
        raise TemplateError(f"{logical_id}: not JSON after its substitutions: {error}") from error
    return StateMachine(logical_id, resources.name(logical_id), resources.arn(logical_id), definition)


def _definition(resources: Resources, logical_id: str, properties: dict[str, Any]) -> str:
    if "Definition" in properties:
        return json.dumps(properties["Definition"])
    path = resources.root / str(properties.get("DefinitionUri"))
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{logical_id}.DefinitionUri: cannot read {path}: {error.strerror}") from error
    return json.dumps(load_yaml(written)) if path.suffix in (".yaml", ".yml") else written
