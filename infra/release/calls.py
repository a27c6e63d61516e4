"""The calls between parts that may be of two releases at the same time.

An operator migrates the database first, and deploys the functions afterwards. Lambda replaces one function after the
other. An execution keeps the definition with which it started. A browser keeps its page. Until all of them are of the
new release, the old parts call the new ones. So a release records what its parts call:

- ``database.json``: each statement, with the types that Postgres gives its parameters and columns, and the roles that
  may send it. The answers in JSON (``end_v1``, ``disconnect_v1``) are recorded as JSON only.
- ``pairing.asl.json``: the workflow's definition, as the template has it.
- ``execution.json``: the input with which connect starts an execution.
- ``events.json``: the fields of each event that a function parses.
- ``api.json``: the contract of the API, without the texts that only people read.
- ``bundle.json``: the version of each text in a bundle, which the migration tool of a product has recorded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from pydantic import BaseModel
from whatsapp_pairing import payloads
from whatsapp_pairing.runtime.workflow import execution_input

from infra.migrate.bundle import VERSIONS
from infra.release.statements import describe, sent

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = ROOT / "infra/stack/pairing.asl.json"
CONTRACT = ROOT / "infra/stack/openapi.yaml"

DATABASE, WORKFLOW, EVENTS, API = "database.json", "pairing.asl.json", "events.json", "api.json"
BUNDLE, EXECUTION = "bundle.json", "execution.json"
FILES = (API, BUNDLE, DATABASE, EVENTS, EXECUTION, WORKFLOW)

_WORDS = {"description", "summary", "example", "examples", "title", "servers", "tags", "license"}


def recorded(url: str) -> dict[str, str]:
    """Return the text of each file of this release's calls. The URL is that of a migrated database's owner."""
    return {
        API: _json(_without_words(yaml.safe_load(CONTRACT.read_text("utf-8")))),
        BUNDLE: VERSIONS.read_text("utf-8"),
        DATABASE: _json(describe(url, sent())),
        EVENTS: _json(events()),
        EXECUTION: _json(execution_input(UUID(int=0))),
        WORKFLOW: DEFINITION.read_text("utf-8"),
    }


def events() -> dict[str, Any]:
    """Return the schema of each event that our functions parse: types of the fields, and which ones must be there."""
    kinds = {
        name: kind
        for name, kind in vars(payloads).items()
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__ == payloads.__name__
    }
    return {
        name: _without_words(kind.model_json_schema(by_alias=True))
        for name, kind in kinds.items()
        if not name.startswith("_")
    }


def _without_words(value: Any) -> Any:
    """Return a document without what only people read. A name of a property may be such a word, so it stays."""
    if isinstance(value, list):
        return [_without_words(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in _WORDS}
    return {
        name: dict(zip(inner, map(_without_words, inner.values()), strict=True))
        if name == "properties"
        else _without_words(inner)
        for name, inner in kept.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
