"""Which role may call which database function, and what a caller cannot make a function do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors as pg

from infra.migrate.checked_objects import LOGINS
from tests.support.adv_secret import Secret
from tests.support.logins import connect, login
from tests.support.repositories import World
from tests.system.security.catalog import FUNCTIONS

# The callers of each function. A function without callers is called by other functions only.
API, WORKER = {"whatsapp_api"}, {"whatsapp_worker"}
CALLERS = {
    "attempt_v1": API | WORKER,
    "claim_v1": API,
    "connected_v1": WORKER,
    "disconnect_v1": API,
    "end_v1": API | WORKER,
    "count_contacts_v1": WORKER,
    "forget_contacts_v1": WORKER,
    "forget_number_v1": set(),
    "forget_v1": WORKER,
    "give_up_refused_v1": set(),
    "give_up_unexplained_v1": WORKER,
    "give_up_v1": set(),
    "given_up_with_keys_v1": set(),
    "holds_lease_v1": set(),
    "keep_keys_apart_v1": set(),
    "let_go_v1": WORKER,
    "left_over": set(),
    "live_attempts": set(),
    "lock_attempt_v1": set(),
    "lock_user_v1": set(),
    "newest_device_v1": set(),
    "note_change_v1": set(),
    "note_shown_v1": API | WORKER,
    "open_phase_v1": WORKER,
    "overdue_before": WORKER,
    "refuse_v1": WORKER,
    "release_v1": WORKER,
    "renew_v1": WORKER,
    "scanned_v1": WORKER,
    "session_v1": API,
    "show_qr_v1": WORKER,
    "show_session_v1": API | WORKER,
    "start_unlinks_v1": WORKER,
    "stored_jid": WORKER,
    "take_device_v1": WORKER,
    "take_v1": WORKER,
    "unexplained_keys_v1": WORKER,
    "unlink_pause_v1": WORKER,
    "user_of_attempt": set(),
    "hold_user": set(),
    "has_row": set(),
}


@contextmanager
def as_role(world: World, role: str) -> Iterator[psycopg.Connection]:
    """A connection with the login of this role."""
    with psycopg.connect(login(world.url, role), autocommit=True) as connection:
        yield connection


def test_each_function_has_the_callers_that_the_table_lists(world: World) -> None:
    """A new function fails here until the table names its callers."""
    found: dict[str, set[str]] = {}
    for row in world.sql(
        "SELECT p.proname, r.role, has_function_privilege(r.role, p.oid, 'EXECUTE') AS may"
        " FROM pg_proc p, unnest(%s::text[]) AS r (role) WHERE p.pronamespace = 'whatsapp_private'::regnamespace",
        [*LOGINS, "anon", "authenticated", "service_role"],
    ):
        found.setdefault(row["proname"], set()).update({row["role"]} if row["may"] else ())
    assert found == CALLERS


@pytest.mark.parametrize("role", LOGINS)
def test_postgres_refuses_every_other_function(world: World, role: str) -> None:
    with as_role(world, role) as connection:
        for call in (row["call"] for row in world.sql(FUNCTIONS)):
            if role not in CALLERS[called(call)]:
                with pytest.raises(pg.InsufficientPrivilege):
                    connection.execute(f"select {call}".encode())


@pytest.mark.parametrize("role", LOGINS)
def test_no_login_changes_a_function(world: World, role: str) -> None:
    functions = world.sql(
        "SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS text FROM pg_proc p"
        " WHERE p.pronamespace = 'whatsapp_private'::regnamespace"
    )
    with as_role(world, role) as connection:
        for function in functions:
            for statement in (
                function["text"],
                f"alter function {function['name']} set search_path = public",
                f"alter function {function['name']} security invoker",
                f"alter function {function['name']} owner to {role}",
                f"alter function {function['name']} rename to mine",
                f"drop function {function['name']}",
            ):
                with pytest.raises(pg.InsufficientPrivilege):
                    connection.execute(statement.encode())


# Objects that a login may create in pg_temp to catch the names that a function uses. The sequence counts, even in a
# transaction that fails.
WITNESS = """
CREATE TEMP SEQUENCE ran;
GRANT ALL ON SEQUENCE pg_temp.ran TO public;
CREATE FUNCTION pg_temp.witness() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> session_user THEN
    PERFORM nextval('pg_temp.ran');
  END IF;
  RETURN true;
END $$;
"""
TYPES = """
CREATE DOMAIN pg_temp.{0} AS pg_catalog.{0} CHECK (pg_temp.witness());
"""
CALLED = """
CREATE FUNCTION pg_temp.{0} RETURNS {1} LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.witness(); RETURN NULL; END $$;
"""
IN_THE_WAY = {
    "types": "".join(
        TYPES.format(name)
        for name in ("bool", "bytea", "float8", "int4", "int8", "interval", "jsonb", "text", "timestamptz", "uuid")
    ),
    "functions": "".join(
        CALLED.format(signature, result)
        for signature, result in (
            ("set_config(text, text, bool)", "text"),
            ("clock_timestamp()", "timestamptz"),
            ("make_interval(float8)", "interval"),
            ("hashtextextended(text, int8)", "int8"),
        )
    )
    + "SET search_path = pg_temp, pg_catalog",
    "tables": """
CREATE TEMP TABLE devices (user_id uuid);
CREATE TEMP TABLE attempts (user_id uuid);
CREATE TEMP TABLE sessions (user_id uuid);
SET search_path = pg_temp, whatsapp_private
""",
}
# Postgres prefers the operator or function whose types fit best, whatever the order of the schemas.
IN_PUBLIC = """
CREATE FUNCTION public.mine(text, uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.witness(); RETURN NULL; END $$;
CREATE OPERATOR public.|| (FUNCTION = public.mine, LEFTARG = text, RIGHTARG = uuid);
CREATE FUNCTION public.hashtextextended(text, int4) RETURNS int8 LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.witness(); RETURN 1; END $$;
CREATE FUNCTION public.mine(varchar, text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_temp.witness(); RETURN false; END $$;
CREATE OPERATOR public.= (FUNCTION = public.mine, LEFTARG = varchar, RIGHTARG = text);
"""


def runs_as_the_owner(world: World, role: str, in_the_way: str) -> bool:
    """Whether any function runs an object of its caller."""
    user = world.user()
    real = f"whatsapp_private.attempt_v1('{world.claim(user)}')", f"whatsapp_private.show_session_v1('{user}')"
    with as_role(world, role) as connection:
        connection.execute(WITNESS)
        connection.execute(in_the_way.encode())
        for call in [*real, *real, *(row["call"] for row in world.sql(FUNCTIONS))]:
            if role in CALLERS[called(call)]:
                with contextlib.suppress(psycopg.Error):  # a function may refuse NULL
                    connection.execute(f"select {call}".encode())
        (ran,) = connection.execute("select is_called from pg_temp.ran").fetchone() or (None,)
        for call in real:
            connection.execute(f"select {call}".encode())
    return bool(ran)


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize("role", ["whatsapp_api", "whatsapp_worker"])
def test_no_function_runs_what_its_caller_created(world: World, role: str, kind: str) -> None:
    """A domain named text in pg_temp could replace the type text in a function, and its check would run."""
    assert not runs_as_the_owner(world, role, IN_THE_WAY[kind])


@pytest.mark.parametrize("role", ["whatsapp_api", "whatsapp_worker"])
def test_no_function_runs_foreign_objects_in_public(migrated_url: str, role: str) -> None:
    """In a database that was created by Postgres 14, every role may create objects in the schema public."""
    with connect(migrated_url) as admin:
        world = World(migrated_url, admin)
        try:
            world.sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
            assert not runs_as_the_owner(world, role, IN_PUBLIC)
        finally:
            world.close()


def called(call: str) -> str:
    """The function's name in a call from the catalog."""
    return call.partition(".")[2].partition("(")[0]


# A function with a forgotten WHERE clause, in the functions' schema and with their owner.
MISTAKES = """
CREATE FUNCTION whatsapp_private.mistaken(p_user UUID, OUT seen BIGINT, OUT changed BIGINT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  lines BIGINT;
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::text, true);
  SELECT count(*) INTO seen FROM {table};
  UPDATE {table} SET {change};
  GET DIAGNOSTICS changed = ROW_COUNT;
END $$;
ALTER FUNCTION whatsapp_private.mistaken(UUID) OWNER TO whatsapp_functions;
GRANT EXECUTE ON FUNCTION whatsapp_private.mistaken(UUID) TO whatsapp_api;
"""
CHANGES = {
    "whatsapp_private.attempts": "failures = 7",
    "whatsapp_private.devices": "unlink_starts = 7",
    "whatsapp_private.sessions": "ended_reason = 'mistaken'",
    "public.whatsapp_sessions": "phone_number = '1'",
}


@pytest.mark.parametrize("table", CHANGES)
def test_a_mistaken_function_reaches_one_user(world: World, table: str) -> None:
    user, other = world.user(), world.user()
    for number, one in enumerate((user, other)):
        world.link(one, Secret(str(number)), f"521555000{number}:1@s.whatsapp.net")
    others = world.sql(f"SELECT * FROM {table} WHERE user_id = %s", other)
    world.sql(MISTAKES.format(table=table, change=CHANGES[table]))
    try:
        with as_role(world, "whatsapp_api") as connection:
            connection.execute("select set_config('whatsapp.user_id', 'all', false)")
            query = "select * from whatsapp_private.mistaken(%s)"
            assert connection.execute(query, (user,)).fetchone() == (1, 1)
            assert connection.execute(query, (None,)).fetchone() == (0, 0)
    finally:
        world.sql("DROP FUNCTION whatsapp_private.mistaken")
    assert world.sql(f"SELECT * FROM {table} WHERE user_id = %s", other) == others


@pytest.mark.parametrize("role", LOGINS)
def test_a_login_gains_nothing_by_naming_a_user(world: World, role: str) -> None:
    """Every login may set ``whatsapp.user_id`` to any text. The policies that read it do not apply to the logins."""
    user = world.user()
    world.link(user, Secret())
    answers = []
    for named in ("", "all", str(user)):
        with as_role(world, role) as connection:
            connection.execute("select set_config('whatsapp.user_id', %s, false)", (named,))
            answers.append([answer_of(connection, f"select count(*) from {table}") for table in CHANGES])
            answers[-1] += [answer_of(connection, f"update {table} set {change}") for table, change in CHANGES.items()]
    assert answers[0] == answers[1] == answers[2]
    assert set(answers[0][4:]) == {"InsufficientPrivilege"}


def answer_of(connection: psycopg.Connection, statement: str) -> object:
    """The rows of a statement, or the name of its error."""
    try:
        return connection.execute(statement.encode()).fetchone()
    except psycopg.Error as error:
        return type(error).__name__
