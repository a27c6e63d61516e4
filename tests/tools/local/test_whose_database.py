"""Which database the local system uses, and what it may do there."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import psycopg

from infra.local.runner import DELETING
from infra.template.intrinsics import load_yaml
from tests.support.stack import ROOT, RunningSystem, call
from tests.tools.local.started_runner import PLAIN, fixture, started

EVERYTHING_OF = """
    select json_build_object(
      'tables', (select json_agg(schemaname || '.' || tablename order by 1) from pg_tables
                 where schemaname not in ('pg_catalog', 'information_schema')),
      'users', (select count(*) from auth.users),
      'privileges', (select json_agg(defaclacl::text order by oid) from pg_default_acl))
"""


def contents(database_url: str) -> Any:
    """The content of a database, for comparison."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(EVERYTHING_OF).fetchone()


def test_a_database_of_production_is_refused_untouched(migrated_url: str, tmp_path: Path) -> None:
    before = contents(migrated_url)
    with started(tmp_path / "data", PLAIN, "--database-url", migrated_url) as start:
        assert start.url is None
        assert "already holds whatsapp_sessions that no local system has made" in start.said

    assert contents(migrated_url) == before


def test_the_owners_table_alone_is_refused_too(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table public.whatsapp_sessions (id int)")
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), "--database-url", database_url) as start:
        assert start.url is None
        assert "so nothing was changed there" in start.said


def test_a_database_of_another_sandbox_is_refused(database_url: str, tmp_path: Path) -> None:
    with started(tmp_path / "one", PLAIN, "--database-url", database_url) as start:
        assert start.url is not None, start.said
    with started(tmp_path / "two", PLAIN, "--database-url", database_url) as start:
        assert start.url is None
        assert "belongs to a local system with another WhatsApp" in start.said
    with started(tmp_path / "one", PLAIN, "--database-url", database_url) as start:
        assert start.url is not None, start.said


def test_an_embedded_database_of_a_deleted_sandbox_is_refused(tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN) as start:
        assert start.url is not None, start.said
    shutil.rmtree(tmp_path / "data" / "sandbox")
    with started(tmp_path / "data", PLAIN) as start:
        assert start.url is None
        assert "was filled with another WhatsApp" in start.said


def test_a_database_that_cannot_be_prepared_is_not_marked(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("comment on schema auth is null; drop function auth.uid() cascade")
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), "--database-url", database_url) as start:
        assert start.url is None
        assert "this is not a Supabase database" in start.said
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select to_regclass('whatsapp_local.mark')").fetchone() == (None,)


def test_the_password_of_a_database_is_never_printed(tmp_path: Path) -> None:
    url = "postgresql://me:topsecret@127.0.0.1:1/app?password=topsecret"
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), "--database-url", url) as start:
        assert start.url is None
        assert "the database is on 127.0.0.1/app" in start.said
        assert "topsecret" not in start.said


def test_the_template_has_every_function_that_deletes() -> None:
    template = load_yaml((ROOT / "template.yaml").read_text())
    assert set(template["Resources"]) >= DELETING


def test_the_local_system_deletes_nothing_in_a_given_database(database_url: str, tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    with said.open("w") as stderr:
        stack = RunningSystem(tmp_path / "data", "--database-url", database_url, stderr=stderr, may_delete=False)
    try:
        user = stack.user()
        user.connect()
        user.scan(user.qr(60), "34600000077")
        user.reaches("connected", 60)

        answer = user.disconnect()

        assert answer.status == 503
        assert answer.json() == {
            "success": False,
            "error": "may_not_delete",
            "message": "This database is not the local system's own, so the local system deletes nothing in it. "
            "Start it with --may-delete to allow that.",
        }
        assert user.status()["status"] == "connected"
        assert len(stack.devices("34600000077")) == 1
        assert not stack.instances("cleanup")
        assert not stack.instances("unlink")
    finally:
        assert stack.stop() == 0
    words = said.read_text()
    assert "do not run on this database: CleanupFunction, DisconnectFunction, UnlinkFunction" in words
    assert "an event for cleanup was dropped" in words

    stack = RunningSystem(tmp_path / "data", "--database-url", database_url)
    try:
        user = stack.user(user.id)
        assert user.disconnect().status == 200
        user.wait(60, "end of the device", lambda _: not stack.devices("34600000077"))
    finally:
        assert stack.stop() == 0


def test_another_machine_needs_the_password_for_dev_paths(tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    with said.open("w") as stderr:
        arguments = (*fixture(tmp_path), "--host", "0.0.0.0")
        stack = RunningSystem(tmp_path / "data", *arguments, stderr=stderr)
    try:
        (line,) = [line for line in said.read_text().splitlines() if "asks for this password" in line]
        password = line.split()[-1]

        def basic(text: str) -> dict[str, str]:
            return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

        refused = call("POST", f"{stack.url}/dev/token")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="local system"')
        for wrong in (
            {"Authorization": "Basic ?"},
            {"Authorization": f"Bearer {password}"},
            basic(password),
            basic(":x"),
        ):
            assert call("POST", f"{stack.url}/dev/token", headers=wrong).status == 401
            assert call("GET", f"{stack.url}/dev/config", headers=wrong).status == 401
        assert call("POST", f"{stack.url}/dev/token", headers=basic(f"me:{password}")).status == 200
        assert json.loads(call("GET", f"{stack.url}/auth/v1/.well-known/jwks.json").body)["keys"]
        assert call("POST", f"{stack.url}/probe", {"do": "sleep", "seconds": 0}).status == 200
    finally:
        assert stack.stop() == 0
