"""The classes of what a template describes, after all its references have been resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The layer with neonize. Only functions with this layer run an engine.
ENGINE_LAYER = "EngineLayer"


@dataclass(frozen=True)
class Layer:
    """A layer, with the folder of its files."""

    logical_id: str
    content: Path

    @property
    def python_path(self) -> Path:
        """The folder for the Python path: ``python`` of a built layer, else the layer's folder itself."""
        built = self.content / "python"
        return built if built.is_dir() else self.content


@dataclass(frozen=True)
class Function:
    """A Lambda function with the limits that the runner enforces."""

    logical_id: str
    name: str
    arn: str
    code: Path
    handler: str
    timeout: float
    memory_mb: int
    environment: Mapping[str, str]
    layers: tuple[Layer, ...]
    retries: int
    max_event_age: float
    reserved_concurrency: int | None
    alias: str | None = None

    @property
    def short_name(self) -> str:
        """The name for people (logs, /dev/functions), e.g. ``open_phase`` for ``OpenPhaseFunction``."""
        return re.sub(r"(?<=.)(?=[A-Z])", "_", self.logical_id.removesuffix("Function")).lower()


@dataclass(frozen=True)
class Authorizer:
    """A Lambda authorizer with payload 2.0 and simple responses."""

    name: str
    function: str
    headers: tuple[str, ...]
    ttl: float


@dataclass(frozen=True)
class Route:
    """A method and path of the HTTP API, and the function behind it."""

    method: str
    path: str
    function: str
    authorizer: Authorizer | None

    @property
    def key(self) -> str:
        """The route's key as API Gateway writes it, e.g. ``GET /pets/{id}``."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Cors:
    """The HTTP API's CORS configuration."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True)
class Limit:
    """How many requests a route takes: `rate` a second, after `burst` at the same moment."""

    rate: float
    burst: int


@dataclass(frozen=True)
class Limits:
    """The limit of each route, and other ones for single routes by their keys. None means no limit."""

    default: Limit | None = None
    routes: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True)
class StateMachine:
    """A Step Functions state machine; `definition` is its ASL with the substitutions done."""

    logical_id: str
    name: str
    arn: str
    definition: str


@dataclass(frozen=True)
class Schedule:
    """Invokes a function again and again, at a fixed interval."""

    name: str
    function: str
    seconds: int
    payload: Any


@dataclass(frozen=True)
class StackDefinition:
    """Everything of a template that runs here."""

    parameters: Mapping[str, Any]
    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    cors: Cors | None
    limits: Limits
    state_machines: tuple[StateMachine, ...]
    schedules: tuple[Schedule, ...]


def function_name(reference: str) -> str:
    """Return the name in a function's name, ARN or partial ARN, without a qualifier.

    >>> function_name("arn:aws:lambda:us-east-1:123456789012:function:Hello:live")
    'Hello'
    """
    return _name_and_qualifier(reference)[0]


def qualifier(reference: str) -> str:
    """Return the version or alias in a function's name, ARN or partial ARN; ``$LATEST`` if it names none.

    >>> qualifier("arn:aws:lambda:us-east-1:123456789012:function:Hello:live")
    'live'
    """
    return (*_name_and_qualifier(reference), "$LATEST")[1]


def _name_and_qualifier(reference: str) -> list[str]:
    parts = reference.split(":")
    return parts[parts.index("function") + 1 :] if "function" in parts else parts
