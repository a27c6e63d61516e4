"""CloudFormation's small language: YAML short tags, `Ref`, `Fn::…` and conditions.

`load_yaml` reads ``!Sub x`` as ``{"Fn::Sub": "x"}``. `Resolver.resolve` replaces every such mapping by its value. Only
the properties that somebody asks for are resolved, so a template may use functions that the resolver does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from infra.template.errors import TemplateError

REGION = "us-east-1"
ACCOUNT = "123456789012"
STACK = "local"

PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/local",
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}

PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
"""Matches ``${Name}`` of Fn::Sub, and also ``${!Name}``, which stands for the text ``${Name}``."""

# AWS::NoValue resolves to this object. The key or list item that holds it is removed.
_NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """SafeLoader that knows CloudFormation's tags."""


def _construct_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_tag)


def load_yaml(text: str) -> Any:
    """Parse YAML (or JSON) with CloudFormation's short tags.

    Raises
    ------
    TemplateError
        The text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"not YAML: {error}") from error


class Resolver:
    """Replaces references and functions by their values.

    Parameters
    ----------
    parameters
        Every template parameter with its value.
    mappings, conditions
        The template's sections of these names.
    reference, attribute
        Return the value of ``Ref`` and of ``Fn::GetAtt`` of a resource; None if the resource or attribute is unknown.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        mappings: Mapping[str, Any],
        conditions: Mapping[str, Any],
        reference: Callable[[str], str | None],
        attribute: Callable[[str, str], str | None],
    ) -> None:
        self._values = {**PSEUDO_PARAMETERS, **parameters}
        self._mappings = mappings
        self._conditions = conditions
        self._reference = reference
        self._attribute = attribute

    def resolve(self, value: Any, where: str) -> Any:
        """Return `value` with every intrinsic function in it replaced.

        Raises
        ------
        TemplateError
            `value` uses something unknown. The message begins with `where`.
        """
        result = self._resolve(value, where)
        return None if result is _NO_VALUE else result

    def holds(self, condition: str, where: str) -> bool:
        """Whether the template's condition of that name is true."""
        if condition not in self._conditions:
            raise TemplateError(f"{where}: no condition is named {condition}")
        return bool(self._resolve(self._conditions[condition], f"condition {condition}"))

    def _resolve(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            items = (self._resolve(item, where) for item in value)
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                return self._ref(argument, where)
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument, where)
            if isinstance(name, str) and name.startswith("Fn::"):
                return self._call(name, argument, where)
        entries = ((key, self._resolve(item, where)) for key, item in value.items())
        return {key: item for key, item in entries if item is not _NO_VALUE}

    def _call(self, name: str, argument: Any, where: str) -> Any:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f"{where}: the local system does not know {name}")
        try:
            return function(self, argument, where)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise TemplateError(f"{where}: {name} is not written as CloudFormation wants it ({error!r})") from error

    def _ref(self, name: str, where: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._values:
            return self._values[name]
        value = self._reference(name)
        if value is None:
            raise TemplateError(f"{where}: !Ref {name} names no parameter and no resource that runs here")
        return value

    def _get_att(self, argument: Any, where: str) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        value = self._attribute(name, attribute)
        if value is None:
            raise TemplateError(f"{where}: !GetAtt {name}.{attribute} is not known to the local system")
        return value

    def _sub(self, argument: Any, where: str) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        values = {name: self._resolve(value, where) for name, value in extra.items()}

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in values:
                return str(values[name])
            # In Fn::Sub as in Ref, SAM writes a function's alias as ${Function.Alias}.
            if "." in name and not name.endswith(".Alias"):
                return str(self._get_att(name, where))
            return str(self._ref(name, where))

        return PLACEHOLDER.sub(replace, text)

    def _join(self, argument: Any, where: str) -> str:
        separator, items = argument
        return str(separator).join(str(item) for item in self._resolve(items, where))

    def _select(self, argument: Any, where: str) -> Any:
        index, items = self._resolve(argument, where)
        return items[int(index)]

    def _split(self, argument: Any, where: str) -> list[str]:
        separator, text = self._resolve(argument, where)
        return list(text.split(separator))

    def _find_in_map(self, argument: Any, where: str) -> Any:
        name, top, second = self._resolve(argument, where)
        return self._mappings[name][top][second]

    def _if(self, argument: Any, where: str) -> Any:
        condition, then, otherwise = argument
        return self._resolve(then if self.holds(condition, where) else otherwise, where)

    def _equals(self, argument: Any, where: str) -> bool:
        left, right = self._resolve(argument, where)
        return str(left) == str(right)

    def _not(self, argument: Any, where: str) -> bool:
        (condition,) = argument
        return not self._resolve(condition, where)

    def _and(self, argument: Any, where: str) -> bool:
        return all(self._resolve(condition, where) for condition in argument)

    def _or(self, argument: Any, where: str) -> bool:
        return any(self._resolve(condition, where) for condition in argument)


_FUNCTIONS: dict[str, Callable[[Resolver, Any, str], Any]] = {
    "Fn::And": Resolver._and,
    "Fn::Equals": Resolver._equals,
    "Fn::FindInMap": Resolver._find_in_map,
    "Fn::GetAtt": Resolver._get_att,
    "Fn::If": Resolver._if,
    "Fn::Join": Resolver._join,
    "Fn::Not": Resolver._not,
    "Fn::Or": Resolver._or,
    "Fn::Select": Resolver._select,
    "Fn::Split": Resolver._split,
    "Fn::Sub": Resolver._sub,
}
