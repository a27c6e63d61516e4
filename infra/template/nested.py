"""Nested templates. The local system skips one in which nothing runs, and refuses any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.template.errors import TemplateError
from infra.template.intrinsics import load_yaml
from infra.template.resources import Resources

# The property of each type of nested stack that names its template.
NESTED = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}

# The local system reads functions, layers, APIs, state machines and schedules in the main template only. Without this
# rule, those of a nested template would be missing here, and nothing would say so.
RUNNING = (
    "AWS::Serverless::", "AWS::Lambda::", "AWS::ApiGateway", "AWS::StepFunctions::", "AWS::Scheduler::",
    "AWS::Events::", "AWS::CloudFormation::Stack",
)  # fmt: skip


def check_nested(resources: Resources) -> None:
    """Make sure that no resource of a nested template has to run.

    Raises
    ------
    TemplateError
        A nested template holds something that runs, or cannot be read from a local file.
    """
    for kind, location in NESTED.items():
        for logical_id in resources.ids(kind):
            where = f"{logical_id}.{location}"
            path = resources.resolve(resources.properties(logical_id).get(location), where)
            for name, type_ in _types(resources.root, path, where):
                if type_.startswith(RUNNING):
                    raise TemplateError(f"{where}: {path}: {name} is nested, and no {type_} runs there")


def _types(root: Path, path: Any, where: str) -> list[tuple[str, str]]:
    """Return the name and the type of each resource of a nested template."""
    if not isinstance(path, str) or not (root / path).is_file():
        raise TemplateError(f"{where}: there is no file {path}")
    try:
        found = load_yaml((root / path).read_text(encoding="utf-8"))["Resources"]
        return [(name, str(resource["Type"])) for name, resource in found.items()]
    except (TemplateError, AttributeError, KeyError, TypeError) as error:
        raise TemplateError(f"{where}: {path} is no template: {error!r}") from error
