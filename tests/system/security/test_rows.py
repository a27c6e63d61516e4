"""Row level security alone separates users. The statements here have no WHERE clause, as in a faulty handler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from psycopg.rows import dict_row

from tests.support.adv_secret import Secret
from tests.support.logins import act_as
from tests.support.repositories import World

ROWS = "public.whatsapp_sessions"


@pytest.fixture
def victim(world: World) -> UUID:
    """A user whose QR shows."""
    user, secret = world.user(), Secret("victim")
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.show_row(user)
    return user


@pytest.fixture
def attacker(world: World, victim: UUID) -> UUID:
    """A user with a session row."""
    user = world.user()
    world.claim(user)
    world.show_row(user)
    return user


@pytest.fixture
def connection(world: World) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection that acts as a user, as PostgREST's connections do."""
    with psycopg.connect(world.url, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


def claims_of(user: object) -> str:
    return json.dumps({"sub": str(user), "role": "authenticated"})


def test_the_victim_s_row_exists_and_shows_a_qr(world: World, victim: UUID, connection: psycopg.Connection) -> None:
    """The other tests would pass on an empty table."""
    act_as(connection, claims_of(victim))
    (row,) = connection.execute(f"SELECT * FROM {ROWS}")
    assert row["qr_code"]


def test_a_user_reads_only_the_own_row(world: World, attacker: UUID, connection: psycopg.Connection) -> None:
    act_as(connection, claims_of(attacker))
    assert [row["user_id"] for row in connection.execute(f"SELECT * FROM {ROWS}")] == [attacker]
    assert connection.execute(f"SELECT count(*) FROM {ROWS}").fetchone() == {"count": 1}
    assert connection.execute(f"SELECT FROM {ROWS} FOR UPDATE").rowcount == 1


def test_a_function_in_a_where_clause_sees_only_the_own_row(
    world: World, attacker: UUID, connection: psycopg.Connection
) -> None:
    """A cheap function that prints its arguments is a known attack on filters: the planner may call it first."""
    told: list[str] = []
    connection.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
    act_as(connection, claims_of(attacker))
    connection.execute(
        "CREATE FUNCTION pg_temp.tell(user_id uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
        " AS $$ BEGIN RAISE NOTICE '%', user_id; RETURN true; END $$"
    )
    connection.execute(f"SELECT FROM {ROWS} WHERE pg_temp.tell(user_id)")
    assert told == [str(attacker)]


def test_a_user_changes_and_deletes_only_the_own_row(
    world: World, victim: UUID, attacker: UUID, connection: psycopg.Connection
) -> None:
    before = world.row(victim)
    act_as(connection, claims_of(attacker))
    assert connection.execute(f"UPDATE {ROWS} SET qr_code = 'mine', session_status = 'connected'").rowcount == 1
    assert connection.execute(f"DELETE FROM {ROWS}").rowcount == 1
    connection.commit()
    assert world.row(victim) == before
    assert world.row(attacker) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {rows} SET user_id = '{victim}'",
        "INSERT INTO {rows} (user_id) VALUES ('{victim}')",
        "INSERT INTO {rows} (user_id) VALUES ('{stranger}')",
        "INSERT INTO {rows} (user_id) VALUES ('{victim}') ON CONFLICT (user_id) DO UPDATE SET qr_code = 'mine'",
        "INSERT INTO {rows} (user_id) VALUES ('{victim}') ON CONFLICT (user_id) DO UPDATE SET user_id = '{attacker}'",
        "MERGE INTO {rows} s USING (SELECT '{victim}'::uuid AS id) v ON s.user_id = v.id"
        " WHEN MATCHED THEN UPDATE SET qr_code = 'mine' WHEN NOT MATCHED THEN INSERT (user_id) VALUES (v.id)",
        "TRUNCATE {rows}",
        "ALTER TABLE {rows} DISABLE ROW LEVEL SECURITY",
        "DROP POLICY \"Users can view their own WhatsApp sessions\" ON {rows}",
        "CREATE TRIGGER mine BEFORE INSERT ON {rows} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
)  # fmt: skip
def test_a_user_cannot_write_a_row_of_another_user(
    world: World, victim: UUID, attacker: UUID, connection: psycopg.Connection, statement: str
) -> None:
    stranger = world.user()
    before = world.snapshot(ROWS)
    act_as(connection, claims_of(attacker))
    with pytest.raises(pg.InsufficientPrivilege):
        connection.execute(statement.format(rows=ROWS, victim=victim, attacker=attacker, stranger=stranger).encode())
    connection.rollback()
    assert world.snapshot(ROWS) == before


@pytest.mark.parametrize(
    "claims",
    [
        None,
        "",
        " ",
        "{}",
        "null",
        "[]",
        '"VICTIM"',
        '["VICTIM"]',
        '{"sub": null}',
        '{"sub": ""}',
        '{"sub": "nobody"}',
        '{"sub": ["VICTIM"]}',
        '{"sub": {"sub": "VICTIM"}}',
        '{"SUB": "VICTIM", "user_id": "VICTIM", "role": "service_role"}',
        '{"sub": "VICTIM\' or true"}',
        '{"sub": "VICTIM", "sub": "STRANGER"}',
        '{"sub": "STRANGER"}',
        '{"sub": "VICTIM"',
        "VICTIM",
        "%",
    ],
)
def test_claims_without_a_known_user_show_nothing(
    victim: UUID, connection: psycopg.Connection, claims: str | None
) -> None:
    connection.execute("SELECT set_config('role', 'authenticated', true)")
    if claims is not None:
        text = claims.replace("VICTIM", str(victim)).replace("STRANGER", str(uuid4()))
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (text,))
    for statement in (f"SELECT * FROM {ROWS}", f"UPDATE {ROWS} SET qr_code = NULL RETURNING *", f"DELETE FROM {ROWS}"):
        refused, found = None, 0
        try:
            with connection.transaction():
                found = connection.execute(statement.encode()).rowcount
        except pg.DataError as error:  # auth.uid() cannot read these claims
            refused = error
        assert found == 0
        assert "wa.me" not in str(refused)


def test_claims_end_with_their_transaction(victim: UUID, connection: psycopg.Connection) -> None:
    act_as(connection, claims_of(victim))
    assert connection.execute(f"SELECT FROM {ROWS}").rowcount == 1
    connection.commit()
    connection.execute("SET LOCAL ROLE authenticated")
    assert connection.execute(f"SELECT FROM {ROWS}").rowcount == 0


def test_anon_sees_nothing_with_any_claims(world: World, victim: UUID) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims_of(victim),))
        connection.execute("SET LOCAL ROLE anon")
        with pytest.raises(pg.InsufficientPrivilege) as refused:
            connection.execute(f"SELECT * FROM {ROWS}")
    assert "wa.me" not in str(refused.value)
