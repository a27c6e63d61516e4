"""The roles of Supabase's API have the same rights to the session rows in each kind of project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from infra.migrate import MIGRATIONS, engine_tables, up, verify
from infra.migrate.catalog_facts import collect_facts
from infra.migrate.try_writes import try_writes
from infra.migrate.verification import compare
from tests.support.migrations import query
from tests.support.projects import PROJECTS, project

TABLE = "public.whatsapp_sessions"
GRANTS = "20250121000000_api_grants.sql"
ROLES = ("authenticated", "service_role")
WANTED = {"SELECT", "INSERT", "UPDATE", "DELETE"}
USER = "00000000-0000-0000-0000-000000000001"
WRITES = (
    f"insert into {TABLE} (user_id) values ('{USER}')",
    f"update {TABLE} set messages_sent = 2 where user_id = '{USER}'",
    f"select from {TABLE} where messages_sent = 2",
    f"delete from {TABLE}",
)


@pytest.fixture(params=PROJECTS)
def project_url(request: pytest.FixtureRequest, postgres: Any, standins_template: str) -> Iterator[str]:
    """A project with one user and no migration."""
    with project(postgres, standins_template, request.param) as url:
        query(url, f"insert into auth.users (id) values ('{USER}')")
        yield url


@pytest.fixture
def earlier_url(project_url: str, tmp_path: Path) -> str:
    """The same project with the tables of release 0.3.0."""
    for file in MIGRATIONS.glob("*.sql"):
        if file.name < GRANTS:
            shutil.copy(file, tmp_path)
    up(project_url, tmp_path)
    engine_tables.create_engine_tables(project_url)
    return project_url


def rights(url: str, role: str) -> set[str]:
    """Every right of a role to the table, and to each of its columns."""
    return {
        str(right)
        for (right,) in query(
            url,
            "select privilege_type from (select relacl as acl from pg_class where oid = '{0}'::regclass union all"
            " select attacl from pg_attribute where attrelid = '{0}'::regclass) as lists, aclexplode(acl)"
            " where grantee = {1}".format(TABLE, 0 if role == "PUBLIC" else f"'{role}'::regrole"),
        )
    }


def write(url: str, role: str, user: str = USER) -> list[int]:
    """Insert, change, read and delete the user's session row, and return how many rows each statement met."""
    with psycopg.connect(url) as connection:
        claims = f'{{"sub": "{user}", "role": "{role}"}}'
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        connection.execute(f"set local role {role}".encode())
        return [connection.execute(statement.encode()).rowcount for statement in WRITES]


def assert_exact(url: str) -> None:
    """Both roles have four rights, and nobody else of the API has any."""
    assert verify(url) == []
    assert {role: rights(url, role) for role in (*ROLES, "anon", "PUBLIC")} == {
        **dict.fromkeys(ROLES, WANTED),
        "anon": set(),
        "PUBLIC": set(),
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_writes_and_reads_in_each_project(project_url: str, role: str) -> None:
    up(project_url)
    assert_exact(project_url)
    assert write(project_url, role) == [1, 1, 1, 1]
    assert try_writes(project_url) == []


def test_an_upgrade_leads_to_the_same_rights(earlier_url: str) -> None:
    assert {finding.what for finding in verify(earlier_url)} >= {f"privileges of service_role on {TABLE}"}
    assert GRANTS.partition("_")[0] in up(earlier_url).applied
    assert_exact(earlier_url)
    for role in ROLES:
        assert write(earlier_url, role) == [1, 1, 1, 1]


def test_service_role_is_refused_before_the_upgrade(postgres: Any, standins_template: str, tmp_path: Path) -> None:
    """The stand-in of a new project shows the error that the migration is for."""
    for file in MIGRATIONS.glob("*.sql"):
        if file.name < GRANTS:
            shutil.copy(file, tmp_path)
    with project(postgres, standins_template, "new") as url:
        up(url, tmp_path)
        query(url, "grant usage on schema public to service_role")
        with pytest.raises(pg.InsufficientPrivilege):
            write(url, "service_role")


def test_rights_that_a_product_granted_are_taken_back(earlier_url: str) -> None:
    query(earlier_url, f"grant all on {TABLE} to anon, authenticated, service_role, public")
    query(earlier_url, f"grant update (qr_code), references (id) on {TABLE} to anon, service_role, public")
    up(earlier_url)
    assert_exact(earlier_url)


def test_a_right_that_a_role_has_passed_on_stays(earlier_url: str) -> None:
    query(
        earlier_url,
        f"grant usage on schema public to service_role; grant all on {TABLE} to service_role with grant option",
    )
    query(earlier_url, f"set role service_role; grant select on {TABLE} to whatsapp_engine")
    up(earlier_url)
    assert rights(earlier_url, "service_role") == WANTED
    assert rights(earlier_url, "whatsapp_engine") == {"SELECT"}


def test_a_user_of_a_new_project_writes_only_the_own_row(postgres: Any, standins_template: str) -> None:
    with project(postgres, standins_template, "new") as url:
        query(url, f"insert into auth.users (id) values ('{USER}')")
        up(url)
        query(url, WRITES[0])
        with psycopg.connect(url) as connection:
            connection.execute("set local role authenticated")
            assert [connection.execute(it.encode()).rowcount for it in WRITES[1:]] == [0, 0, 0]
        with pytest.raises(pg.InsufficientPrivilege, match="row-level security"):
            query(url, f"set role authenticated; {WRITES[0]}")


@pytest.mark.parametrize(
    "change",
    [
        f"revoke all on {TABLE} from service_role",
        f"revoke select, delete on {TABLE} from authenticated",
        f"grant truncate, trigger on {TABLE} to service_role",
        f"grant update (qr_code) on {TABLE} to anon",
        f"grant select on {TABLE} to public",
        f"revoke insert on {TABLE} from service_role; grant all on {TABLE} to authenticated",
        "revoke usage on schema public from public, service_role, whatsapp_functions",
    ],
)
def test_verify_names_the_statements_that_mend_a_right(migrated_url: str, change: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute(change.encode())
        findings = list(compare(collect_facts(connection)))
        assert findings
        for finding in findings:
            told = str(finding).split("as the owner of the ", 1)[1].partition(": ")[2]
            statements = told.rpartition(";")[0]
            connection.execute(statements.encode())
        assert list(compare(collect_facts(connection))) == []


def test_a_schema_of_another_owner_is_named(migrated_url: str) -> None:
    """The migration does not fail where its role may not grant USAGE. It says who has to."""
    statement = "DO $usage$" + (MIGRATIONS / GRANTS).read_text().partition("DO $usage$")[2]
    told: list[str] = []
    with psycopg.connect(migrated_url) as connection:
        connection.execute("revoke usage on schema public from public, service_role; set local role whatsapp_api")
        connection.add_notice_handler(lambda diag: told.append(f"{diag.message_primary} {diag.message_hint}"))
        connection.execute(statement.encode())
        connection.rollback()
    (line,) = told
    assert "service_role may not use the schema public" in line
    assert line.endswith("GRANT USAGE ON SCHEMA public TO service_role;")
