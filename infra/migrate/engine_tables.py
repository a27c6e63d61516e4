"""Has whatsmeow create and upgrade its own tables, and grants the engine's login the rights on them.

whatsmeow makes its tables when an engine first opens the database. So `up` starts an engine for this. Otherwise the
first linkers would make the tables, several at once, and fail.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import psycopg
from whatsapp_engine.environment import engine_environment
from whatsapp_pairing.runtime.database_url import NO_SESSION, is_transaction_pooler

from infra import LAYERS
from infra.migrate.connection import connected, limit_waits, readable
from infra.migrate.engine_schema import require_engine_schema
from infra.migrate.errors import EngineTablesFailed, NotReachable
from infra.migrate.one_at_a_time import LOCK_SECONDS, take_turn

_ENGINE_SECONDS = 60

# Make whatsmeow's version table as whatsmeow does, and give it a replica identity before whatsmeow writes to it. The
# table has no key, so without an identity Postgres refuses each change to it while a publication is FOR ALL TABLES.
VERSION = """
DO $$
BEGIN
  IF to_regclass('whatsapp_engine.whatsmeow_version') IS NULL THEN
    CREATE TABLE whatsapp_engine.whatsmeow_version (version INTEGER, compat INTEGER);
  END IF;
  IF (SELECT relreplident FROM pg_class WHERE oid = 'whatsapp_engine.whatsmeow_version'::REGCLASS) <> 'f' THEN
    ALTER TABLE whatsapp_engine.whatsmeow_version REPLICA IDENTITY FULL;
  END IF;
END $$
"""

# Our functions find a device's keys by the fingerprint, and the other devices of a number by the number. Look for each
# index first: CREATE INDEX IF NOT EXISTS locks out writers even when the index exists.
INDEX = """
DO $$
BEGIN
  IF to_regclass('whatsapp_engine.whatsmeow_device_by_fingerprint') IS NULL THEN
    CREATE INDEX whatsmeow_device_by_fingerprint ON whatsapp_engine.whatsmeow_device (sha256(adv_key));
  END IF;
  IF to_regclass('whatsapp_engine.whatsmeow_device_by_number') IS NULL THEN
    CREATE INDEX whatsmeow_device_by_number ON whatsapp_engine.whatsmeow_device (substring(jid FROM '^[0-9]+'));
  END IF;
END $$
"""

# The engine's login may read and write all tables of whatsmeow, but not its version. So no engine of a newer release
# upgrades the tables; only this step does. Revoke the rest: a product's default privileges may have opened the tables.
GRANT = """
REVOKE ALL ON ALL TABLES IN SCHEMA whatsapp_engine FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA whatsapp_engine TO whatsapp_engine;
REVOKE INSERT, UPDATE, DELETE ON whatsapp_engine.whatsmeow_version FROM whatsapp_engine
"""

# Find the tables for which the engine may have waited. Another session holds a stronger lock on such a table than
# readers and writers take, or it holds a lock for which somebody waits.
_HELD = """
SELECT DISTINCT l.relation::regclass::text
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND l.pid <> pg_backend_pid()
  AND c.relkind = 'r' AND c.relnamespace = to_regnamespace('whatsapp_engine')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
       OR EXISTS (SELECT FROM pg_locks w WHERE w.relation = l.relation AND w.database = l.database AND NOT w.granted))
ORDER BY 1
"""

# What a person can do about an error of Postgres, by its SQLSTATE. After any other error, a second run may help.
_WAITED = ("55P03", "57014", "40P01")
_TODO = {
    "25006": "give the URL of a database that may be written",
    "28000": "correct the URL's user",
    "28P01": "correct the URL's password",
    "3F000": "give the URL of the role that owns our schemas",
    "42501": "give the URL of the role that owns our schemas and their tables",
    "42809": "rename the object that has the table's name, and run it again",
    "42P07": "give the URL of the role that owns the table; if whatsmeow did not make it, rename it and run it again",
    "55000": "give the table a REPLICA IDENTITY, or end the publication FOR ALL TABLES; then run it again",
}


def require_session(url: str) -> None:
    """Raise `NotReachable` if the URL leads to a pooler behind which the engine cannot work."""
    if is_transaction_pooler(url):
        raise NotReachable(NO_SESSION)


def create_engine_tables(database_url: str) -> None:
    """Bring whatsmeow's tables in the schema `whatsapp_engine` to the engine's version. It may be repeated.

    If two processes call this at once, the second waits for the first. Otherwise whatsmeow's upgrade would fail.

    Raises
    ------
    MigrateError
        The database cannot be reached, the engine's connection has another search_path, or the engine could not make
        its tables.
    """
    url = readable(database_url)
    require_session(url)
    with connected(url) as connection:
        require_engine_schema(url)
        try:
            with connection.transaction():
                take_turn(connection)
                connection.execute(VERSION)
            with connection.transaction():
                take_turn(connection)
                # The engine works on a connection of its own, and this transaction is idle meanwhile.
                limit_waits(connection, lock=LOCK_SECONDS, statement=_ENGINE_SECONDS, idle=_ENGINE_SECONDS + 10)
                try:
                    run_engine(url, connection.info.password)
                except EngineTablesFailed as problem:
                    raise EngineTablesFailed(f"{problem}{_advice(connection, str(problem))}") from None
                connection.execute(INDEX)
                connection.execute(GRANT)
        except psycopg.Error as problem:
            text = problem.diag.message_primary or str(problem).strip()
            state = f" (SQLSTATE {problem.sqlstate})" if problem.sqlstate else ""
            what = ".".join(filter(None, ("whatsapp_engine", problem.diag.table_name)))
            raise EngineTablesFailed(f"{what}: {text}{state}{_todo(problem.sqlstate or '')}") from problem


def _advice(connection: psycopg.Connection, told: str) -> str:
    """Return what the message adds to the engine's text: the tables that another session has locked, and what to do."""
    state = re.search(r"SQLSTATE (\w{5})", told)
    if state and state[1] not in _WAITED:
        return _todo(state[1])
    held = [name for (name,) in connection.execute(_HELD)]
    if held:
        return f"; another session holds a lock on {', '.join(held)}{_todo('')}"
    return _todo("") if state else ""


def _todo(state: str) -> str:
    return f"; {_TODO.get(state, 'run it again')}"


def run_engine(database_url: str, password: str) -> None:
    """Have the engine create or upgrade its tables.

    Raises
    ------
    EngineTablesFailed
        The engine has failed. The message does not hold `password`.
    """
    path = [*(str(LAYERS / name) for name in ("engine", "shared")), os.getenv("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "whatsapp_engine.tables"],
            input=database_url,  # not an argument, because each user of the machine can read those
            env=engine_environment(path),
            text=True,
            capture_output=True,
            check=False,
            timeout=_ENGINE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise EngineTablesFailed(f"the engine did not create its tables in {_ENGINE_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        if password:
            last = last.replace(password, "***")
        raise EngineTablesFailed(f"the engine could not create its tables: {last}")
