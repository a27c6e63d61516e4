"""The recorded calls of each release are complete, and from 1.0 on they still exist."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from infra.migrate.release import this_release
from infra.release import kept
from infra.release.calls import API, BUNDLE, DATABASE, EVENTS, FILES, WORKFLOW, recorded

Calls = dict[str, str]


@pytest.fixture
def now(migrated_url: str) -> Calls:
    """The calls of the present code and database."""
    return recorded(migrated_url)


def test_every_kept_release_is_complete() -> None:
    versions = kept.kept()
    assert versions[-1] == this_release()
    for version in versions:
        assert {path.name for path in (kept.FOLDER / version).iterdir()} == set(FILES)
        calls = kept.read(version)
        database, events = json.loads(calls[DATABASE]), json.loads(calls[EVENTS])
        assert sum("whatsapp_private." in statement for statement in database) > 20
        assert all(set(one) == {"takes", "answers", "roles"} and one["roles"] for one in database.values())
        assert json.loads(calls[API])["paths"]
        fields: dict[str, set[str]] = {}
        for use in kept.uses(calls[WORKFLOW]):
            function, verb, field = use.split()
            if verb == "takes":
                fields.setdefault(function, set()).add(field)
        parsed = [set(events[event]["required"]) for event in ("OpenPhase", "SettlePhase")]
        assert sorted(fields.values(), key=sorted) == sorted(parsed, key=sorted)


def test_calls_of_compatible_releases_exist(now: Calls, migrated_url: str) -> None:
    gone = {version: kept.gone(kept.read(version), now, migrated_url) for version in kept.kept()}
    assert {version: lines for version, lines in gone.items() if kept.compatible(version) and lines} == {}


def test_no_version_of_a_kept_bundle_has_another_text(now: Calls) -> None:
    moved = {version: kept.moved(kept.read(version), now) for version in kept.kept()}
    assert {version: lines for version, lines in moved.items() if lines} == {}


def test_a_version_with_another_text_is_named(now: Calls) -> None:
    after = changed(now, BUNDLE, lambda versions: versions["whatsapp_take_v1"].update(checksum="other"))
    version = json.loads(now[BUNDLE])["whatsapp_take_v1"]["version"]
    assert kept.moved(now, after) == [f"{BUNDLE}: {version}"]


def test_releases_are_compatible_from_1_0_on() -> None:
    assert [kept.compatible(version) for version in ("0.2.0", "0.99.1", "1.0.0", "1.0.10", "2.0.0")] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_calls_are_recorded_the_same_each_time(now: Calls, migrated_url: str) -> None:
    assert recorded(migrated_url) == now
    assert kept.gone(now, now, migrated_url) == []


def statement(calls: Calls, function: str) -> str:
    """The statement that calls a database function."""
    (found,) = [one for one in json.loads(calls[DATABASE]) if f".{function}(" in one]
    return found


def changed(calls: Calls, file: str, change: Callable[[Any], object]) -> Calls:
    document = json.loads(calls[file])
    change(document)
    return calls | {file: json.dumps(document)}


def test_a_removed_function_is_named(now: Calls, migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("drop function whatsapp_private.take_v1")
    (line,) = kept.gone(now, recorded(migrated_url), migrated_url)
    assert line.startswith(f"{DATABASE}: {statement(now, 'take_v1')}: function whatsapp_private.take_v1(")
    assert line.endswith(" does not exist")


def test_a_removed_right_is_named(now: Calls, migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("revoke execute on function whatsapp_private.claim_v1 from whatsapp_api")
    (line,) = kept.gone(now, recorded(migrated_url), migrated_url)
    assert line == f"{DATABASE}: {statement(now, 'claim_v1')}: not any more for whatsapp_api"


def test_an_answer_with_one_more_column_is_named(now: Calls, migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("alter type whatsapp_private.attempt_state add attribute more text cascade")
    lines = kept.gone(now, recorded(migrated_url), migrated_url)
    assert f"{DATABASE}: {statement(now, 'take_v1')}: takes or answers other types" in lines


def test_a_lost_field_of_an_event_is_named(now: Calls, migrated_url: str) -> None:
    after = changed(now, EVENTS, lambda events: events["Unlink"]["properties"].pop("deviceId"))
    assert kept.gone(now, after, migrated_url) == [f"{EVENTS}: Unlink.deviceId"]


def test_a_new_required_field_is_named(now: Calls, migrated_url: str) -> None:
    def demand(events: Any) -> None:
        events["Link"]["properties"]["more"] = {"type": "string"}
        events["Link"]["required"].append("more")

    assert kept.gone(now, changed(now, EVENTS, demand), migrated_url) == [f"{EVENTS}: Link.more must be there now"]


def test_an_answer_that_the_workflow_has_lost_is_named(now: Calls, migrated_url: str) -> None:
    after = now | {WORKFLOW: now[WORKFLOW].replace('"pause.$"', '"rest.$"')}
    assert kept.gone(now, after, migrated_url) == [f"{WORKFLOW}: ${{SettlePhaseFunctionArn}} answers pause"]


def test_a_status_that_the_api_has_lost_is_named(now: Calls, migrated_url: str) -> None:
    path = "/api/whatsapp/connect"
    after = changed(now, API, lambda document: document["paths"][path]["post"]["responses"].pop("429"))
    lines = kept.gone(now, after, migrated_url)
    assert lines
    assert all(line.startswith(f"{API}: /paths/{path}/post/responses/429/") for line in lines)


def test_an_addition_to_the_api_is_no_loss(now: Calls, migrated_url: str) -> None:
    def add(document: Any) -> None:
        document["paths"]["/api/whatsapp/more"] = document["paths"]["/api/whatsapp/status"]
        document["components"]["schemas"]["Reason"]["enum"].insert(0, "more")

    assert kept.gone(now, changed(now, API, add), migrated_url) == []
