"""The command `verify --try-writes`: it pairs the oldest user as the three logins, and rolls everything back.

`verify` alone reads definitions. Only a trial shows whether a trigger of the product rejects a row or takes too long.
While the trial runs, it holds locks on this user and on the user's rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar, cast
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from whatsapp_pairing.core.errors import PairingError
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Phase, Wait
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.runtime.database import Connection, Database, about
from whatsapp_pairing.session.sessions import Sessions

from infra.migrate.checked_objects import ENGINE_TABLE
from infra.migrate.connection import connected, readable, require_supabase
from infra.migrate.verification import Finding

T = TypeVar("T")
API, WORKER, ENGINE = "whatsapp_api", "whatsapp_worker", "whatsapp_engine"
_SECONDS = 60.0

_OLDEST = "select id from auth.users order by created_at nulls last, id limit 1"
# The trial needs a user without devices, attempts and a session row. So it first deletes what the user has, as the
# owner of the tables. The rollback brings it back.
_MAKE_ROOM = (
    "select whatsapp_private.lock_user_v1(%s)",
    "delete from whatsapp_private.devices where user_id = %s",
    "delete from whatsapp_private.attempts where user_id = %s",
    "delete from public.whatsapp_sessions where user_id = %s",
)
_STORE_KEYS = f"""
    insert into {ENGINE_TABLE} (
      jid, registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id, signed_pre_key_sig, adv_key,
      adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig
    ) values (%s, 1, %s, %s, %s, 1, %s, %s, '', %s, %s, %s)
"""


class _AsRole:
    """Takes the place of a `Database`. Each call runs as the role, and all calls share one transaction."""

    def __init__(self, connection: psycopg.Connection, role: str) -> None:
        self._connection, self._role = connection, role

    def run(self, work: Callable[[Connection], T]) -> T:
        self._connection.execute(f"set local role {self._role}".encode())
        try:
            return work(cast(Connection, self._connection))
        finally:
            if self._connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
                self._connection.execute("reset role")


def try_writes(database_url: str) -> list[Finding]:
    """Pair, disconnect and unlink the oldest user as the three roles, write the session row, and roll everything back.

    Returns
    -------
    list[Finding]
        The first step that failed, with its SQLSTATE; empty when every step works.

    Raises
    ------
    MigrateError
        The database cannot be reached or is no Supabase database.
    """
    with connected(readable(database_url)) as connection:
        require_supabase(connection)
        connection.row_factory = dict_row  # type: ignore[assignment]
        with connection.transaction(force_rollback=True):
            for step, work in _steps(connection):
                try:
                    with connection.transaction():
                        work()
                except psycopg.Error as error:
                    return [Finding("refused", step, about(error))]
                except PairingError as error:
                    return [Finding("refused", step, str(error))]
    return []


def _steps(connection: psycopg.Connection) -> Iterator[tuple[str, Callable[[], object]]]:
    api, worker, engine = (cast(Database, _AsRole(connection, role)) for role in (API, WORKER, ENGINE))
    attempts, leases = Attempts(api), Leases(worker)
    attempt_id, lease, secret, jid = uuid4(), uuid4(), hashlib.sha256(uuid4().bytes).digest(), f"0:{uuid4()}@try"
    fingerprint, wait = hashlib.sha256(secret).digest(), Wait(Phase.QR, "trial", datetime.now(UTC))
    found = connection.execute(_OLDEST).fetchone()
    if found is None:
        yield "a trial: there is no user yet", lambda: _there(None)
        return
    user = cast(dict[str, UUID], found)["id"]

    def show(role: Database) -> Callable[[], object]:
        def write() -> None:
            connection.execute("set local statement_timeout = '1s'")
            role.run(lambda it: it.execute("select whatsapp_private.show_session_v1(%s)", (user,)))
            role.run(lambda it: it.execute("set constraints all immediate"))

        return write

    def keys(it: Connection) -> object:
        key, signature = secret, secret + secret
        values = (jid, key, key, key, signature, secret, signature, key, signature)
        return it.execute(_STORE_KEYS.encode(), values)

    yield "a trial by this login", lambda: _become(connection)
    yield "room for a trial", lambda: [connection.execute(it.encode(), (user,)) for it in _MAKE_ROOM]
    yield f"{API}: connect", lambda: _there(attempts.claim(user, attempt_id, _SECONDS, 2**31 - 1).claimed)
    yield f"{API}: the session row", show(api)
    yield f"{WORKER}: open_phase", lambda: _there(Attempts(worker).open_phase(attempt_id, wait, _SECONDS))
    yield f"{WORKER}: the linker's lease", lambda: _there(leases.take(attempt_id, lease))
    yield f"{WORKER}: a QR", lambda: _there(leases.show_qr(attempt_id, lease, "trial", _SECONDS, fingerprint))
    yield f"{WORKER}: the session row with a QR", show(worker)
    yield f"{ENGINE}: a device's keys", lambda: engine.run(keys)
    yield f"{WORKER}: a scan", lambda: _there(leases.scanned(attempt_id, lease, jid))
    yield f"{WORKER}: connected", lambda: _there(leases.connected(attempt_id, lease, jid))
    yield f"{WORKER}: the session row of a connected user", show(worker)
    yield f"{API}: status", lambda: _there(Sessions(api).get(user))
    devices: list[UUID] = []
    yield f"{API}: disconnect", lambda: devices.extend(attempts.disconnect(user).devices)
    yield f"{API}: the session row after a disconnect", show(api)
    unlinking = Devices(worker)

    def unlink() -> None:
        for device in devices:
            _there(unlinking.take(device, lease))
            unlinking.forget(device, lease)

    yield f"{WORKER}: unlink", unlink


def _become(connection: psycopg.Connection) -> None:
    """Let this transaction use `set role`. A login that is no superuser first grants the three roles to itself."""
    connection.execute("set local lock_timeout = '3s'")
    connection.execute("set local statement_timeout = '4s'")
    row = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if not cast(dict[str, bool], row)["rolsuper"]:
        connection.execute(f"grant {API}, {WORKER}, {ENGINE} to current_user".encode())


def _there(found: object) -> None:
    if not found:
        raise PairingError(detail="the call gave no answer")
