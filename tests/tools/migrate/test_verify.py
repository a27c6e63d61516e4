"""`verify` names exactly the one thing that was removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from infra.migrate import verify
from infra.migrate.catalog_facts import collect_facts
from infra.migrate.expected import Expected, expected
from infra.migrate.verification import compare
from tests.tools.migrate.verify_private_cases import PRIVATE_CASES, ROLE_CASES
from tests.tools.migrate.verify_table_cases import TABLE, TABLE_CASES

CASES = [*TABLE_CASES, *PRIVATE_CASES]


@pytest.fixture(scope="module")
def shared_url(postgres: Any, migrated_template: str) -> Iterator[str]:
    """A migrated database on which nothing is ever committed."""
    with postgres.database(migrated_template) as url:
        yield url


@pytest.fixture
def connection(shared_url: str) -> Iterator[psycopg.Connection]:
    """A connection whose changes are rolled back."""
    with psycopg.connect(shared_url) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize(("change", "lines"), CASES, ids=[change[:70] for change, _ in CASES])
def test_verify_names_exactly_what_was_removed(connection: psycopg.Connection, change: str, lines: list[str]) -> None:
    connection.execute(change.encode())
    findings = list(compare(collect_facts(connection)))
    assert [f"{finding.kind}: {finding.what}" for finding in findings] == lines
    for finding, line in zip(findings, lines, strict=True):
        assert str(finding).startswith(line)
        assert finding.kind == "missing" or finding.found != finding.wanted


@pytest.mark.parametrize(("change", "lines"), ROLE_CASES, ids=[change for change, _ in ROLE_CASES])
def test_verify_names_exactly_what_a_role_lost_or_gained(
    connection: psycopg.Connection, change: str, lines: list[str]
) -> None:
    connection.execute(change.encode())
    findings = list(compare(collect_facts(connection)))
    found = [f"{finding.kind}: {finding.what}" for finding in findings]
    # A removed role loses its grants too, so `verify` names them as well.
    assert [line for line in found if "privileges of " not in line] == lines


def test_verify_finds_a_committed_change(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(f"alter table {TABLE} disable row level security".encode())
    assert [finding.what for finding in verify(migrated_url)] == [f"row level security of {TABLE}"]


COVERED = {line.split(": ", 1)[1] for _, lines in CASES + ROLE_CASES for line in lines}
OTHERS = [fact for fact in expected() if fact.name not in COVERED]


def taken_away(fact: Expected) -> str:  # noqa: PLR0911  one return for each kind
    """Return the statement that removes what a fact describes."""
    kind, _, rest = fact.name.partition(" ")
    object_ = rest.split(" of ")[-1]
    if kind == "column":
        table, _, name = rest.rpartition(".")
        return f"alter table {table} drop column {name} cascade"
    if kind == "index":
        schema = re.findall(r" ON (.+?)[.]", fact.value)[0]
        return f"drop index {schema}.{rest}"
    if kind == "table":
        return f"drop table {rest} cascade"
    if kind == "row":
        return f"alter table {object_} disable row level security"
    if kind == "body":
        function = fact.name.removeprefix("body of function ")
        return f"update pg_proc set prosrc = prosrc || ' ' where oid = '{function}'::regprocedure"
    if kind == "policy":
        return f"drop {fact.name}"
    if kind == "privileges":
        role, _, place = rest.removeprefix("of ").partition(" on ")
        return f"revoke all on {place} from {role}"
    assert kind in ("primary", "unique", "foreign", "check"), f"{fact.name} needs a case above"
    return f"""
        do $$ declare it record; begin
          for it in
            select conname from pg_constraint
            where conrelid = '{object_}'::regclass and pg_get_constraintdef(oid) = $d${fact.value}$d$
          loop
            execute format('alter table {object_} drop constraint %I cascade', it.conname);
          end loop;
        end $$"""


@pytest.mark.parametrize("fact", OTHERS, ids=[fact.name[:70] for fact in OTHERS])
def test_verify_names_every_other_loss(connection: psycopg.Connection, fact: Expected) -> None:
    connection.execute(taken_away(fact).encode())
    assert fact.name in {finding.what for finding in compare(collect_facts(connection))}


def test_verify_finds_no_fault_in_a_complete_database(migrated_url: str) -> None:
    assert verify(migrated_url) == []


# A dump holds each check, index, default and policy as Postgres prints it. These statements make all of them anew.
RESTORE = """
    with ours as (
      select array['public', 'whatsapp_private', 'whatsapp_engine', 'whatsapp_migrations'] as names
    ), tables as (
      select c.oid, c.relkind from pg_class c, ours where relnamespace::regnamespace::text = any(names)
    )
    select format('alter table %s drop constraint %I, add constraint %2$I %s', conrelid::regclass, conname,
                  pg_get_constraintdef(c.oid))
    from pg_constraint c join tables t on t.oid = conrelid where contype = 'c'
    union all
    select format('drop index %s; %s', indexrelid::regclass, pg_get_indexdef(indexrelid))
    from pg_index x join tables t on t.oid = indrelid
    where t.relkind = 'r' and not exists (select from pg_constraint where conindid = indexrelid)
    union all
    select format('alter table %s alter %I set default %s', adrelid::regclass, attname, pg_get_expr(adbin, adrelid))
    from pg_attrdef d join pg_attribute a on attrelid = adrelid and attnum = adnum join tables t on t.oid = adrelid
    where attgenerated = ''
    union all
    select format('drop policy %I on %I.%I; create policy %1$I on %2$I.%3$I as %s for %s to %s', policyname, schemaname,
                  tablename, permissive, cmd, array_to_string(roles, ', '))
      || coalesce(' using (' || qual || ')', '') || coalesce(' with check (' || with_check || ')', '')
    from pg_policies, ours where schemaname = any(names)
"""


def test_verify_finds_no_fault_in_a_restored_database(connection: psycopg.Connection) -> None:
    connection.execute("set local search_path = ''")
    statements = [str(statement) for (statement,) in connection.execute(RESTORE)]
    assert {statement.split()[1] for statement in statements} == {"table", "index", "policy"}
    for statement in statements:
        connection.execute(statement.encode())
    assert list(compare(collect_facts(connection))) == []


def test_an_inherited_right_counts(connection: psycopg.Connection) -> None:
    since_16 = connection.info.server_version >= 160000
    inherits = "to anon with inherit true" if since_16 else "to anon; alter role anon inherit"
    change = f"create role door; grant delete on {TABLE} to door; grant door {inherits}"
    connection.execute(change.encode())
    assert collect_facts(connection)[f"privileges of anon on {TABLE}"] == "delete"


def test_verify_does_not_depend_on_the_caller_s_settings(migrated_url: str) -> None:
    assert verify(f"{migrated_url}?options=-csearch_path%3Dauth%2Cpublic") == []


def test_verify_changes_nothing_and_needs_no_right(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(
            "alter database {} set default_transaction_read_only = on".format(migrated_url.rpartition("/")[2]).encode()
        )
    assert verify(migrated_url) == []
