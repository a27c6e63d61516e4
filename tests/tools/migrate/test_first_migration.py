"""The migration of the owner's table has one result, whatever parts of the table a database already has."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import psycopg
import pytest
from psycopg import errors as pg

from infra.migrate.catalog_facts import collect_facts
from infra.migrate.files import read_migrations
from infra.migrate.run_file import execute

MIGRATION = read_migrations()[0].text
ALICE = "00000000-0000-0000-0000-000000000001"

# Locks that would block readers or writers of the table.
BLOCKING = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}

# The parts of production's table. Any of them may be missing before the migration.
TABLE = """
    CREATE TABLE public.whatsapp_sessions (
      id UUID DEFAULT gen_random_uuid() NOT NULL,
      user_id UUID NOT NULL,
      phone_number VARCHAR(20),
      session_status VARCHAR(20) DEFAULT 'disconnected' NOT NULL,
      qr_code TEXT,
      connected_at TIMESTAMPTZ,
      last_seen TIMESTAMPTZ,
      messages_sent INTEGER DEFAULT 0 NOT NULL,
      messages_received INTEGER DEFAULT 0 NOT NULL,
      created_at TIMESTAMPTZ DEFAULT NOW() NOT NULL,
      updated_at TIMESTAMPTZ DEFAULT NOW() NOT NULL
    )
"""

PARTS = {
    "primary key": "ALTER TABLE public.whatsapp_sessions ADD PRIMARY KEY (id)",
    "unique": "ALTER TABLE public.whatsapp_sessions ADD UNIQUE (user_id)",
    "foreign key": (
        "ALTER TABLE public.whatsapp_sessions ADD FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE"
    ),
    "check": """
        ALTER TABLE public.whatsapp_sessions ADD CONSTRAINT valid_session_status CHECK (
          session_status IN ('disconnected', 'connecting', 'waiting_qr', 'connected', 'error')
        )
    """,
    "index user_id": "CREATE INDEX idx_whatsapp_sessions_user_id ON public.whatsapp_sessions(user_id)",
    "index status": "CREATE INDEX idx_whatsapp_sessions_status ON public.whatsapp_sessions(session_status)",
    "index updated_at": ("CREATE INDEX idx_whatsapp_sessions_updated_at ON public.whatsapp_sessions(updated_at)"),
    "row level security": "ALTER TABLE public.whatsapp_sessions ENABLE ROW LEVEL SECURITY",
    "policy select": """
        CREATE POLICY "Users can view their own WhatsApp sessions" ON public.whatsapp_sessions
        FOR SELECT TO authenticated USING (auth.uid() = user_id)
    """,
    "policy insert": """
        CREATE POLICY "Users can insert their own WhatsApp sessions" ON public.whatsapp_sessions
        FOR INSERT TO authenticated WITH CHECK (auth.uid() = user_id)
    """,
    "policy update": """
        CREATE POLICY "Users can update their own WhatsApp sessions" ON public.whatsapp_sessions
        FOR UPDATE TO authenticated USING (auth.uid() = user_id) WITH CHECK (auth.uid() = user_id)
    """,
    "policy delete": """
        CREATE POLICY "Users can delete their own WhatsApp sessions" ON public.whatsapp_sessions
        FOR DELETE TO authenticated USING (auth.uid() = user_id)
    """,
    "function": """
        CREATE FUNCTION public.update_whatsapp_sessions_updated_at() RETURNS TRIGGER AS $$
        BEGIN
          NEW.updated_at = NOW();
          RETURN NEW;
        END;
        $$ LANGUAGE plpgsql
    """,
    "trigger": """
        CREATE TRIGGER trigger_update_whatsapp_sessions_updated_at BEFORE UPDATE ON public.whatsapp_sessions
        FOR EACH ROW EXECUTE FUNCTION public.update_whatsapp_sessions_updated_at()
    """,
}

# Statements that remove something of the table itself. They run before the parts are added.
LOSSES = {
    **{
        f"column {name}": f"ALTER TABLE public.whatsapp_sessions DROP COLUMN {name}"
        for name in (
            "phone_number",
            "qr_code",
            "connected_at",
            "last_seen",
            "messages_sent",
            "messages_received",
            "created_at",
        )
    },
    "default of session_status": "ALTER TABLE public.whatsapp_sessions ALTER session_status DROP DEFAULT",
    "default of updated_at": "ALTER TABLE public.whatsapp_sessions ALTER updated_at DROP DEFAULT",
    "not null of user_id": "ALTER TABLE public.whatsapp_sessions ALTER user_id DROP NOT NULL",
    "not null of updated_at": "ALTER TABLE public.whatsapp_sessions ALTER updated_at DROP NOT NULL",
}

ROWS = """
    INSERT INTO auth.users (id) VALUES
      ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
    INSERT INTO public.whatsapp_sessions (user_id, session_status, updated_at) VALUES
      ('00000000-0000-0000-0000-000000000001', 'connected', '2025-01-12'),
      ('00000000-0000-0000-0000-000000000002', 'error', '2025-01-13')
"""

THINGS = [*PARTS, *LOSSES]
SUBSETS = {
    "nothing but the table": set(LOSSES),
    "everything": set(PARTS),
    **{f"only {name}": {name, "function"} if name == "trigger" else {name} for name in PARTS},
    **{f"all but {name}": set(PARTS) - ({name, "trigger"} if name == "function" else {name}) for name in PARTS},
    **{f"lost {name}": {*PARTS, name} for name in LOSSES},
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """One transaction in a database with the stand-ins. Each case rolls back to its beginning."""
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


def prepare(connection: psycopg.Connection, things: Iterable[str]) -> None:
    """Make the table with two rows, and with the parts and losses in `things`."""
    wanted = set(things)
    steps = [TABLE, *(LOSSES[name] for name in LOSSES if name in wanted)]
    steps += [ROWS, *(PARTS[name] for name in PARTS if name in wanted)]
    for step in steps:
        connection.execute(step.encode())


def migrate(connection: psycopg.Connection) -> None:
    execute(connection, MIGRATION)


def facts_of_a_fresh_table(connection: psycopg.Connection) -> dict[str, str]:
    migrate(connection)
    facts = collect_facts(connection)
    connection.rollback()
    return facts


def rows(connection: psycopg.Connection) -> list[dict[str, object]]:
    found = connection.execute("select to_jsonb(s) from public.whatsapp_sessions s order by user_id").fetchall()
    return [row for (row,) in found]


def storage(connection: psycopg.Connection) -> object:
    found = connection.execute("select pg_relation_filenode('public.whatsapp_sessions')").fetchone()
    return found and found[0]


def check(connection: psycopg.Connection, things: Iterable[str], wanted: dict[str, str]) -> None:
    """Migrate a table with `things`, and check that it equals a fresh one. Its rows and their storage must stay."""
    prepare(connection, things)
    before, place = rows(connection), storage(connection)
    migrate(connection)
    after = rows(connection)
    assert [{name: row[name] for name in old} for row, old in zip(after, before, strict=True)] == before
    assert storage(connection) == place
    assert collect_facts(connection) == wanted
    connection.rollback()


@pytest.mark.parametrize("name", SUBSETS)
def test_the_migration_accepts_any_existing_part(connection: psycopg.Connection, name: str) -> None:
    check(connection, SUBSETS[name], facts_of_a_fresh_table(connection))


def test_the_migration_accepts_any_mixture_of_parts(connection: psycopg.Connection) -> None:
    wanted = facts_of_a_fresh_table(connection)
    chance = random.Random(20250111)
    for _ in range(150):
        things = {thing for thing in THINGS if chance.random() < 0.5}
        if "function" not in things:
            things.discard("trigger")
        check(connection, things, wanted)


def test_the_migration_applied_twice_changes_nothing(connection: psycopg.Connection) -> None:
    migrate(connection)
    facts = collect_facts(connection)
    migrate(connection)
    assert collect_facts(connection) == facts


def test_the_migration_does_not_lock_a_complete_database(connection: psycopg.Connection) -> None:
    prepare(connection, PARTS)
    connection.commit()
    migrate(connection)
    taken = connection.execute(
        "select mode from pg_locks where pid = pg_backend_pid()"
        " and relation in ('public.whatsapp_sessions'::regclass, 'auth.users'::regclass)"
    )
    assert not BLOCKING & {mode for (mode,) in taken}


@pytest.mark.parametrize(
    "wrong",
    [
        """CREATE POLICY "Users can view their own WhatsApp sessions" ON public.whatsapp_sessions
           USING (true)""",
        """CREATE POLICY "Users can update their own WhatsApp sessions" ON public.whatsapp_sessions
           FOR UPDATE TO authenticated USING (auth.uid() = user_id) WITH CHECK (true)""",
        """CREATE POLICY "Users can delete their own WhatsApp sessions" ON public.whatsapp_sessions
           FOR DELETE TO public USING (auth.uid() = user_id)""",
        """CREATE POLICY "Users can insert their own WhatsApp sessions" ON public.whatsapp_sessions
           AS RESTRICTIVE FOR INSERT TO authenticated WITH CHECK (auth.uid() = user_id)""",
        "ALTER TABLE public.whatsapp_sessions ADD FOREIGN KEY (user_id) REFERENCES auth.users(id)",
        "GRANT ALL ON public.whatsapp_sessions TO PUBLIC",
        "GRANT SELECT (qr_code) ON public.whatsapp_sessions TO anon",
        """CREATE FUNCTION public.update_whatsapp_sessions_updated_at() RETURNS TRIGGER LANGUAGE plpgsql
           SECURITY DEFINER AS 'begin return null; end'""",
        """CREATE FUNCTION public.other() RETURNS TRIGGER LANGUAGE plpgsql AS 'begin return null; end';
           CREATE TRIGGER trigger_update_whatsapp_sessions_updated_at AFTER INSERT ON public.whatsapp_sessions
           FOR EACH STATEMENT EXECUTE FUNCTION public.other()""",
    ],
)
def test_the_migration_repairs_objects_without_data(connection: psycopg.Connection, wrong: str) -> None:
    wanted = facts_of_a_fresh_table(connection)
    prepare(connection, ())
    connection.execute(wrong.encode())
    migrate(connection)
    assert collect_facts(connection) == wanted


@pytest.mark.parametrize(
    ("rule", "statement", "problem"),
    [
        (
            "unique",
            f"INSERT INTO public.whatsapp_sessions (user_id) VALUES ('{ALICE}')",
            pg.UniqueViolation,
        ),
        ("check", "UPDATE public.whatsapp_sessions SET session_status = 'pairing'", pg.CheckViolation),
        ("foreign key", "DELETE FROM auth.users", pg.ForeignKeyViolation),
        (
            "not null",
            (
                "ALTER TABLE public.whatsapp_sessions ALTER user_id DROP NOT NULL;"
                "UPDATE public.whatsapp_sessions SET user_id = null"
            ),
            pg.NotNullViolation,
        ),
    ],
)
def test_rows_that_break_a_rule_stop_the_migration(
    connection: psycopg.Connection, rule: str, statement: str, problem: type[pg.Error]
) -> None:
    prepare(connection, set(PARTS) - {rule})
    connection.execute(statement.encode())
    with pytest.raises(problem):
        migrate(connection)
