"""The repositories on an empty database, and what tests arrange and compare there (the fixture ``world``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from whatsapp_pairing.cleanup import Sweeps
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Attempt, Phase, Wait
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.session.sessions import Sessions

from tests.support.adv_secret import Secret
from tests.support.logins import connect, login
from tests.support.stack import PATIENCE_SECONDS

JID = "5215550001:7@s.whatsapp.net"

TABLES = (
    "whatsapp_private.attempts",
    "whatsapp_private.devices",
    "whatsapp_private.sessions",
    "whatsapp_private.answers",
    "public.whatsapp_sessions",
    "whatsapp_engine.whatsmeow_device",
    "whatsapp_engine.whatsmeow_privacy_tokens",
    "whatsapp_engine.whatsmeow_lid_map",
)
WINDOW = 120.0
# A live attempt has lost its workflow when its deadline is this long ago (``overdue_before``).
OVERDUE_SECONDS = 30
LIMIT = 100  # of live attempts


class DeployedAttempts(Attempts):
    """Makes each call as the login role of the function that makes it on AWS.

    Functions of both roles call ``end``. Here it runs as ``whatsapp_worker``.
    """

    def __init__(self, api: Database, worker: Database) -> None:
        super().__init__(worker)
        self._as_api = Attempts(api)
        self.claim = self._as_api.claim
        self.disconnect = self._as_api.disconnect


class World:
    """The repositories on one database, and the tables behind them.

    Each repository logs in with the role that its functions have. ``url`` is the URL of the superuser.
    """

    def __init__(self, url: str, admin: psycopg.Connection[dict[str, Any]]) -> None:
        self.url = url
        self._admin = admin
        self.databases: list[Database] = []
        api, worker = self.new_database("whatsapp_api"), self.new_database("whatsapp_worker")
        self.attempts, self.sessions = DeployedAttempts(api, worker), Sessions(api)
        self.leases, self.devices, self.sweeps = Leases(worker), Devices(worker), Sweeps(worker)
        self.session_rows = SessionRows(worker)

    def services(self, workflow: Any, attempts: Attempts | None = None) -> Services:
        """What the use cases of a pairing need, with this workflow."""
        return Services(attempts or self.attempts, self.session_rows, workflow)

    def new_database(self, role: str) -> Database:
        """Another connection of this role. ``close`` closes it, too."""
        self.databases.append(Database(lambda: login(self.url, role)))
        return self.databases[-1]

    def close(self) -> None:
        """Close every connection but the administrator's."""
        for database in self.databases:
            database.close()

    def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run a statement as the superuser."""
        cursor = self._admin.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: object) -> Any:
        """Return the one value of the one row."""
        (row,) = self.sql(statement, *values)
        (value,) = row.values()
        return value

    def snapshot(self, *tables: str) -> dict[str, list[str]]:
        """Return every row of these tables (default: all) as text, to compare."""
        return {
            table: [row["row"] for row in self.sql(f"SELECT t::text AS row FROM {table} t ORDER BY 1")]
            for table in tables or TABLES
        }

    def user(self) -> UUID:
        """A new user."""
        return self.value("INSERT INTO auth.users DEFAULT VALUES RETURNING id")

    def row(self, user: UUID) -> dict[str, Any] | None:
        """The session row of the user, if there is one."""
        return next(iter(self.sql("SELECT * FROM public.whatsapp_sessions WHERE user_id = %s", user)), None)

    def attempt(self, attempt_id: UUID) -> dict[str, Any]:
        """The attempt's columns."""
        (row,) = self.sql("SELECT * FROM whatsapp_private.attempts WHERE id = %s", attempt_id)
        return row

    def device(self, secret: Secret) -> dict[str, Any] | None:
        """The binding of this device, if there is one."""
        found = self.sql("SELECT * FROM whatsapp_private.devices WHERE fingerprint = %s", secret.fingerprint)
        return next(iter(found), None)

    def bound(self, secret: Secret) -> dict[str, Any]:
        """The binding of this device, which must exist."""
        device = self.device(secret)
        assert device is not None
        return device

    def show_row(self, user: UUID) -> dict[str, Any] | None:
        """Write the session row as the session is now, and return it."""
        version = self.value("SELECT version FROM whatsapp_private.sessions WHERE user_id = %s", user)
        assert self.session_rows.write(user, version)
        return self.row(user)

    def claim(self, user: UUID | None = None, window: float = WINDOW) -> UUID:
        """Start an attempt and return its id."""
        attempt_id = uuid4()
        assert self.attempts.claim(user or self.user(), attempt_id, window, LIMIT).claimed
        return attempt_id

    def lease(self, attempt_id: UUID) -> UUID:
        """Become the attempt's linker and return the lease."""
        lease = uuid4()
        assert self.leases.take(attempt_id, lease) is not None
        return lease

    def show(self, attempt_id: UUID, lease: UUID, secret: Secret, seconds: float = 60) -> Attempt | None:
        """Show the first QR of a device."""
        return self.leases.show_qr(attempt_id, lease, secret.text(), seconds, secret.fingerprint)

    def fail(self, attempt_id: UUID, reason: Reason = Reason.QR_TIMEOUT) -> None:
        """End the attempt with this reason."""
        attempt = self.attempts.get(attempt_id)
        assert attempt is not None
        assert self.attempts.end(attempt, reason) is not None

    def link(self, user: UUID, secret: Secret, jid: str = JID) -> UUID:
        """Pair the user until ``connected``, and return the attempt's id."""
        attempt_id = self.claim(user)
        lease = self.lease(attempt_id)
        self.show(attempt_id, lease, secret)
        self.store_keys(secret, jid)
        assert self.leases.scanned(attempt_id, lease, jid)
        assert self.leases.connected(attempt_id, lease, jid)
        self.show_row(user)
        return attempt_id

    def last(self, user: UUID) -> Attempt | None:
        """The user's newest attempt, live or ended."""
        found = self.sql("SELECT id FROM whatsapp_private.attempts WHERE user_id = %s ORDER BY number DESC", user)
        return self.attempts.get(found[0]["id"]) if found else None

    def open_auth(self, attempt_id: UUID, token: str = "token-auth", seconds: float = WINDOW) -> None:
        """Let the workflow enter the wait for the scan."""
        self.attempts.open_phase(attempt_id, entered(Phase.AUTH, token), seconds)

    def store_keys(self, secret: Secret, jid: str) -> None:
        """Store what whatsmeow stores at a scan: the device, a key that refers to it, and its number."""
        number = jid.partition(":")[0]
        self.sql(
            "INSERT INTO whatsapp_engine.whatsmeow_device (jid, registration_id, noise_key, identity_key, "
            "signed_pre_key, signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, "
            "adv_account_sig_key, adv_device_sig) VALUES (%s, 1, %s, %s, %s, 1, %s, %s, '', %s, %s, %s)",
            jid, b"n" * 32, b"i" * 32, b"p" * 32, b"s" * 64, secret.bytes, b"a" * 64, b"k" * 32, b"d" * 64,
        )  # fmt: skip
        self.sql("INSERT INTO whatsapp_engine.whatsmeow_pre_keys VALUES (%s, 1, %s, false)", jid, b"k" * 32)
        self.sql(
            "INSERT INTO whatsapp_engine.whatsmeow_lid_map (lid, pn) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            f"lid{number}",
            number,
        )

    def drop_keys(self, jid: str) -> None:
        """Delete the device, as whatsmeow does when WhatsApp has logged it out."""
        self.sql("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", jid)

    def has_keys(self, secret: Secret) -> bool:
        """Whether whatsmeow has this device's keys."""
        found = self.value(
            "SELECT count(*) FROM whatsapp_engine.whatsmeow_device WHERE sha256(adv_key) = %s", secret.fingerprint
        )
        return bool(found)

    def age(self, seconds: float, attempt_id: UUID | None = None) -> None:
        """Move every time in the private tables into the past, for one attempt or for all, so that no test waits."""
        times = {
            "attempts": (
                "started_at deadline wait_entered_at lease_expires_at qr_shown_at qr_expires_at scanned_at ended_at"
            ),
            "devices": "lease_expires_at created_at scanned_at unlink_due_at",
        }
        for (table, columns), key in zip(times.items(), ("id", "attempt_id"), strict=True):
            changes = ", ".join(f"{column} = {column} - s" for column in columns.split())
            self.sql(
                f"UPDATE whatsapp_private.{table} SET {changes} FROM make_interval(secs => %s) s "
                f"WHERE {key} = coalesce(%s, {key})",
                seconds,
                attempt_id,
            )

    def age_rows(self, seconds: float) -> None:
        """Move ``updated_at`` of the session rows into the past, without the trigger that would set it to now."""
        self.sql("ALTER TABLE public.whatsapp_sessions DISABLE TRIGGER USER")
        self.sql("UPDATE public.whatsapp_sessions SET updated_at = updated_at - make_interval(secs => %s)", seconds)
        self.sql("ALTER TABLE public.whatsapp_sessions ENABLE TRIGGER USER")

    @contextmanager
    def holding(self, statement: str, *values: object) -> Iterator[None]:
        """Run a statement, and hold its locks until the block ends."""
        with psycopg.connect(self.url) as holder:
            holder.execute(statement.encode(), values or None)
            yield
            holder.rollback()

    def wait_for_a_blocked_backend(self) -> None:
        """Return when a transaction on this database waits for a lock."""
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        self.wait_until(lambda: self.value(blocked))

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < until, "the condition does not come true"
            time.sleep(0.02)

    def empty(self) -> None:
        """Delete all rows."""
        for table in TABLES:
            self.sql(f"DELETE FROM {table}")
        self.sql("DELETE FROM auth.users")


def entered(phase: Phase, token: str) -> Wait:
    """A wait that the workflow enters now."""
    return Wait(phase, token, datetime.now(UTC))


def open_world(url: str) -> Iterator[World]:
    """A world on this database, for a fixture. It is closed when the fixture ends."""
    with connect(url) as admin:
        world = World(url, admin)
        yield world
        world.close()
