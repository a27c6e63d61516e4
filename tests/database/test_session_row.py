"""The session row follows the session: the call that changes the session writes it, and otherwise cleanup does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.session_rows import SessionRows

from tests.support.adv_secret import Secret
from tests.support.logins import act_as
from tests.support.repositories import World

ROWS = "public.whatsapp_sessions"


def version(world: World, user: UUID) -> int:
    found: int = world.value("SELECT version FROM whatsapp_private.sessions WHERE user_id = %s", user)
    return found


def behind(world: World, user: UUID) -> bool:
    found: bool = world.value("SELECT behind FROM whatsapp_private.sessions WHERE user_id = %s", user)
    return found


@pytest.fixture
def user(world: World) -> UUID:
    """A user whose attempt has just started."""
    found = world.user()
    world.claim(found)
    return found


def test_a_change_leaves_the_row_behind_until_it_is_written(world: World, user: UUID) -> None:
    assert behind(world, user)
    assert world.row(user) is None
    assert world.session_rows.write(user, version(world, user))
    assert not behind(world, user)
    row = world.row(user)
    assert row
    assert row["session_status"] == "connecting"


def test_a_write_for_an_earlier_version_catches_up(world: World, user: UUID) -> None:
    """The session changes again before the call writes the row. The write shows that change, too."""
    earlier = version(world, user)
    world.attempts.disconnect(user)
    assert world.session_rows.write(user, earlier)
    assert not behind(world, user)


def test_session_rows_are_not_written_when_switched_off(world: World, user: UUID) -> None:
    assert SessionRows(world.databases[0], written=False).write(user, version(world, user))
    assert world.row(user) is None
    assert behind(world, user)


def test_a_disconnected_user_gets_no_row(world: World) -> None:
    user = world.user()
    assert world.session_rows.write(user, world.attempts.disconnect(user).version)
    assert world.row(user) is None


def test_the_product_s_counters_are_kept(world: World, user: UUID) -> None:
    world.show_row(user)
    world.sql(f"UPDATE {ROWS} SET messages_sent = 3, messages_received = 4, last_seen = '2030-01-01'")
    row = world.show_row(user)
    assert row
    assert (row["messages_sent"], row["messages_received"], row["last_seen"].year) == (3, 4, 2030)


@pytest.mark.parametrize("lock", [f"SELECT FROM {ROWS} FOR UPDATE", f"DELETE FROM {ROWS}"])
def test_a_locked_row_is_passed_over(world: World, user: UUID, lock: str) -> None:
    world.show_row(user)
    world.attempts.disconnect(user)
    with psycopg.connect(world.url) as holder:
        act_as(holder, f'{{"sub": "{user}", "role": "authenticated"}}')
        holder.execute(lock.encode())
        assert not world.session_rows.write(user, version(world, user))
        holder.rollback()
    assert behind(world, user)
    assert world.session_rows.write(user, version(world, user))


def test_a_row_that_its_owner_inserts_is_left_to_cleanup(world: World, user: UUID) -> None:
    with psycopg.connect(world.url) as holder:
        act_as(holder, f'{{"sub": "{user}", "role": "authenticated"}}')
        holder.execute(f"INSERT INTO {ROWS} (user_id, session_status) VALUES (%s, 'connected')".encode(), (user,))
        assert not world.session_rows.write(user, version(world, user))
        holder.commit()
    world.sql("UPDATE whatsapp_private.sessions SET show_due_at = now()")
    ((due),) = world.sweeps.rows_behind(10)
    assert world.session_rows.write(due.user_id, due.version)
    row = world.row(user)
    assert row
    assert row["session_status"] == "connecting"


def test_many_writers_at_once_leave_the_last_state(world: World) -> None:
    user = world.user()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    attempt = world.attempts.get(attempt_id)
    assert attempt
    writers = [SessionRows(world.new_database("whatsapp_worker")) for _ in range(6)]
    over = Event()

    def keep_writing(writer: SessionRows) -> None:
        while not over.is_set():
            writer.write(user, 0)

    with ThreadPoolExecutor(len(writers)) as pool:
        writing = [pool.submit(keep_writing, writer) for writer in writers]
        try:
            for number in range(1, 20):
                world.leases.show_qr(attempt_id, lease, f"qr {number}", 60, Secret("one").fingerprint)
            world.attempts.end(attempt, Reason.SCAN_TIMEOUT)
        finally:
            over.set()
        for one in writing:
            one.result()
    if behind(world, user):  # each writer may have passed over a row that another one was writing
        assert world.session_rows.write(user, version(world, user))
    row = world.row(user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("error", None)


def test_a_row_that_cannot_be_written_waits_longer_each_time(world: World, user: UUID) -> None:
    world.sql(f"ALTER TABLE {ROWS} ADD CONSTRAINT nothing CHECK (session_status = 'error') NOT VALID")
    try:
        waits = []
        for _ in range(4):
            world.sql("UPDATE whatsapp_private.sessions SET show_due_at = now() - interval '1 second'")
            ((due),) = world.sweeps.rows_behind(10)
            assert not world.session_rows.write(due.user_id, due.version)
            waits.append(
                world.value("SELECT extract(epoch FROM show_due_at - now())::float8 FROM whatsapp_private.sessions")
            )
            world.sql("UPDATE whatsapp_private.sessions SET changed_at = changed_at - interval '1 hour'")
        assert waits[0] == pytest.approx(300, abs=60)
        assert waits == sorted(waits)
        assert waits[-1] == pytest.approx(3 * 3600, abs=60)
    finally:
        world.sql(f"ALTER TABLE {ROWS} DROP CONSTRAINT nothing")


def test_a_trigger_of_the_product_finds_its_tables(world: World, user: UUID) -> None:
    world.sql("CREATE TABLE public.audit (status text); GRANT INSERT ON public.audit TO PUBLIC")
    world.sql(
        "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO audit VALUES (NEW.session_status); RETURN NULL; END'"
    )
    world.sql(f"CREATE TRIGGER note AFTER INSERT ON {ROWS} FOR EACH ROW EXECUTE FUNCTION public.note()")
    try:
        world.show_row(user)
        assert world.sql("SELECT * FROM public.audit") == [{"status": "connecting"}]
    finally:
        world.sql(f"DROP TRIGGER note ON {ROWS}; DROP FUNCTION public.note(); DROP TABLE public.audit")


def test_counters_of_the_session_row_are_taken_when_they_grow(world: World, user: UUID) -> None:
    stranger = world.user()
    world.show_row(user)
    world.sql(f"INSERT INTO {ROWS} (user_id, messages_sent, last_seen) VALUES (%s, 9, 'infinity')", stranger)
    world.sql(f"UPDATE {ROWS} SET messages_received = 4 WHERE user_id = %s", user)
    assert world.sweeps.take_counters(world.sweeps.counted_users(10)) == 2
    assert world.sweeps.take_counters(world.sweeps.counted_users(10)) == 0
    assert world.sessions.get(user).messages_received == 4
    session = world.sessions.get(stranger)
    assert (session.messages_sent, session.last_seen) == (9, None)
    world.sql(f"UPDATE {ROWS} SET messages_received = 1 WHERE user_id = %s", user)
    world.sweeps.take_counters(world.sweeps.counted_users(10))
    assert world.sessions.get(user).messages_received == 4


DROPPED = {
    "a trigger": (
        "CREATE FUNCTION public.drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        f"CREATE TRIGGER drop_it BEFORE UPDATE ON {ROWS} FOR EACH ROW EXECUTE FUNCTION public.drop_it()",
        f"DROP TRIGGER drop_it ON {ROWS}; DROP FUNCTION public.drop_it()",
    ),
    "a rule": (f"CREATE RULE drop_it AS ON UPDATE TO {ROWS} DO INSTEAD NOTHING", f"DROP RULE drop_it ON {ROWS}"),
    "a policy that hides the row": (
        f"CREATE POLICY drop_it ON {ROWS} AS RESTRICTIVE USING (false)",
        f"DROP POLICY drop_it ON {ROWS}",
    ),
}


@pytest.mark.direct  # PgBouncer's connections would keep the plan that the rule has changed
@pytest.mark.parametrize("dropped", DROPPED)
def test_a_write_dropped_by_a_trigger_leaves_the_row_behind(world: World, user: UUID, dropped: str) -> None:
    world.show_row(user)
    world.attempts.disconnect(user)
    make, remove = DROPPED[dropped]
    world.sql(make)
    try:
        assert not world.session_rows.write(user, version(world, user))
        assert behind(world, user)
    finally:
        world.sql(remove)
    for (
        database
    ) in world.databases:  # Postgres keeps the plan that the rule has changed, even after the rule is dropped
        database.close()
    assert world.session_rows.write(user, version(world, user))
    assert not behind(world, user)


def test_a_row_that_another_call_writes_is_no_failure(
    world: World, user: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(world.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('whatsapp-pairing row ' || %s::text, 0))", (user,))
        assert world.session_rows.write(user, version(world, user))
        other.rollback()
    assert "SessionRowBehind" not in capsys.readouterr().out
    assert behind(world, user)


@pytest.mark.parametrize("goes", ["with its engine", "with its linker"])
def test_a_qr_that_is_hidden_leaves_the_row_behind(world: World, goes: str) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.show_row(user)

    if goes == "with its engine":
        changed = world.leases.renew(attempt_id, lease, ended=secret.fingerprint)
    else:
        world.age(9)
        changed = world.leases.take(attempt_id, uuid4())

    assert changed
    assert behind(world, user)
    assert world.session_rows.write(user, changed.version)
    row = world.row(user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("connecting", None)
