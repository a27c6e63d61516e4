"""A storm of random calls: threads call everything that touches a few users' rows at once.

Deadlocks and errors are counted where they happen: ``Database.run`` repeats a call that was the victim of a deadlock,
so its caller would not notice. Leases, pauses and windows are so short that each of them ends many times.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from whatsapp_pairing.database import Connection, Database, T
from whatsapp_pairing.errors import PairingError
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository import attempts, devices, leases, rows
from whatsapp_pairing.repository.sessions import Sessions
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.session import Attempt, Phase

from .world import LIMIT, Secret, World, login

THREADS = 8
USERS = 6
BATCH = 20

# By the kind of call. A row that somebody has locked is not written, and a user who is deleted in the same moment gets
# no attempt, no session and no row.
EXPECTED = {"write_row": {"55P03", "23503"}, "claim": {"23503"}, "sweep": {"23503"}, "edit_row": {"23503"}}

_AGE = (
    "UPDATE whatsapp_private.devices SET created_at = created_at - s, unlink_due_at = unlink_due_at - s "
    "FROM make_interval(mins => 5) s WHERE id = (SELECT id FROM whatsapp_private.devices ORDER BY random() LIMIT 1)",
    "UPDATE whatsapp_private.attempts SET ended_at = ended_at - s FROM make_interval(mins => 6) s "
    "WHERE id = (SELECT id FROM whatsapp_private.attempts WHERE ended_at IS NOT NULL ORDER BY random() LIMIT 1)",
    "UPDATE whatsapp_private.answers SET answered_at = answered_at - s FROM make_interval(mins => 6) s "
    "WHERE call_id = (SELECT call_id FROM whatsapp_private.answers ORDER BY random() LIMIT 1)",
    "UPDATE whatsapp_private.sessions SET show_due_at = now() "
    "WHERE user_id = (SELECT user_id FROM whatsapp_private.sessions WHERE behind ORDER BY random() LIMIT 1)",
)


def _sqlstate(error: PairingError) -> str:
    """What ``database`` says about a refusal: its class, its SQLSTATE, and names."""
    found = re.search(r"\b[0-9A-Z]{5}\b", str(error))
    return found[0] if found else str(error)


class Errors:
    """Which SQLSTATEs which calls have met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.met: Counter[tuple[str, str]] = Counter()

    def note(self, kind: str, what: str) -> None:
        """Note one error of a call."""
        with self._lock:
            self.met[kind, what] += 1


class Honest(Database):
    """A database that notes each error before the repository hides, repeats or translates it."""

    kind = ""

    def __init__(self, url: str, errors: Errors) -> None:
        super().__init__(lambda: url)
        self._errors = errors

    def _run(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        def noting(connection: Connection) -> T:
            try:
                return work(connection)
            except psycopg.Error as error:
                self._errors.note(self.kind, error.sqlstate or repr(error))
                raise

        return super()._run(noting, patience)

    def run_text(self, *arguments: Any) -> Any:
        try:
            return super().run_text(*arguments)
        except PairingError as error:
            self._errors.note("write_row", _sqlstate(error))
            raise


class Pair:
    """What the threads know of one user's newest attempt; whoever reads it may be late."""

    def __init__(self, user: UUID) -> None:
        self.user = user
        self.attempt_id = self.lease = uuid4()
        self.secret = Secret()
        self.jid = ""


class Storm:
    """Random calls on one database.

    Parameters
    ----------
    seed : int
        Of the choices. The order in which the threads come is the machine's.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._seed = world, seed
        self.errors = Errors()
        self.calls: Counter[str] = Counter()
        self.pairs = [Pair(world.user()) for _ in range(USERS)]
        self.numbers = count(1)

    def blow(self, calls: int, seconds: float) -> None:
        """Make so many calls, or as many as the time allows."""
        until = time.monotonic() + seconds
        with (
            mock.patch.object(attempts, "PAUSES", (0,)),
            mock.patch.object(attempts, "MOST_PER_HOUR", 1_000_000),
            mock.patch.object(leases, "LEASE_SECONDS", 0.1),
            mock.patch.object(devices, "LEASE_SECONDS", 0.1),
            mock.patch.object(rows, "count"),
            mock.patch.object(rows, "logger"),
            ThreadPoolExecutor(THREADS) as threads,
        ):
            chances = [random.Random(f"{self._seed} {number}") for number in range(THREADS)]
            for made in threads.map(lambda chance: self._work(chance, calls // THREADS, until), chances):
                self.calls += made

    def unexpected(self) -> dict[tuple[str, str], int]:
        """Return the errors that no call may meet, and how often each was met."""
        return {
            (kind, what): often for (kind, what), often in self.errors.met.items() if what not in EXPECTED.get(kind, ())
        }

    def _work(self, chance: random.Random, calls: int, until: float) -> Counter[str]:
        made: Counter[str] = Counter()
        with Gust(self, chance, self._world.url) as gust:
            while made.total() < calls and time.monotonic() < until:
                made[gust.call()] += 1
        return made


class Gust:
    """One thread of the storm, with connections of its own."""

    def __init__(self, storm: Storm, chance: random.Random, url: str) -> None:
        self._storm, self._chance = storm, chance
        self._api = Honest(login(url, "whatsapp_api"), storm.errors)
        self._worker = Honest(login(url, "whatsapp_worker"), storm.errors)
        self._admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.attempts, self.api_attempts = attempts.Attempts(self._worker), attempts.Attempts(self._api)
        self.leases, self.devices = leases.Leases(self._worker), devices.Devices(self._worker)
        self.sessions, self.sweeps = Sessions(self._api), Sweeps(self._worker)
        self.rows = rows.Rows(self._worker)
        self.kinds = [name.removeprefix("do_") for name in dir(self) if name.startswith("do_")]
        # The calls of a pairing come more often than those that end it, or none would get far.
        self._weights = [1 if name in ("disconnect", "delete_user", "end") else 4 for name in self.kinds]

    def __enter__(self) -> Gust:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()
        self._worker.close()
        self._admin.close()

    def call(self) -> str:
        """Make one random call and return its kind."""
        (kind,) = self._chance.choices(self.kinds, self._weights)
        self._api.kind = self._worker.kind = kind
        try:
            getattr(self, f"do_{kind}")(self._chance.choice(self._storm.pairs))
        except PairingError:
            pass  # what Postgres said is noted; a busy device and a deleted user are answers
        except psycopg.Error as error:
            self._storm.errors.note(kind, error.sqlstate or repr(error))
        return kind

    def _sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        cursor = self._admin.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _show(self, attempt: Attempt | None) -> None:
        if attempt:
            self.rows.write(attempt.user_id, attempt.version)

    # ── the API and the workflow ──

    def do_claim(self, pair: Pair) -> None:
        attempt_id, window = uuid4(), self._chance.choice((-60.0, 0.2, 60.0, 60.0))
        claim = self.api_attempts.claim(pair.user, attempt_id, window, LIMIT)
        if claim.claimed:
            pair.attempt_id, pair.secret, pair.jid = attempt_id, Secret(), ""
        self.rows.write(pair.user, claim.version)

    def do_open_phase(self, pair: Pair) -> None:
        self.attempts.open_phase(pair.attempt_id, self._chance.choice((Phase.QR, Phase.AUTH)), str(uuid4()), 60)

    def do_end(self, pair: Pair) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        ended = self.attempts.end(attempt, self._chance.choice(list(Reason))) if attempt else None
        if attempt and ended:
            self.rows.write(attempt.user_id, ended.version)

    def do_disconnect(self, pair: Pair) -> None:
        self.rows.write(pair.user, self.api_attempts.disconnect(pair.user).version)

    def do_status(self, pair: Pair) -> None:
        self.sessions.get(pair.user)

    # ── the linker ──

    def do_take(self, pair: Pair) -> None:
        lease = uuid4()
        if self.leases.take(pair.attempt_id, lease):
            pair.lease = lease

    def do_renew(self, pair: Pair) -> None:
        self.leases.renew(pair.attempt_id, pair.lease, self._chance.random() < 0.9, self._chance.random() < 0.9)

    def do_show_qr(self, pair: Pair) -> None:
        secret = pair.secret if self._chance.random() < 0.7 else Secret()
        shown = self.leases.show_qr(pair.attempt_id, pair.lease, secret.text(), 60, secret.fingerprint)
        if shown:
            pair.secret = secret
        self._show(shown)

    def do_scan(self, pair: Pair) -> None:
        secret, number = pair.secret, next(self._storm.numbers)
        jid = f"52155{number % 50:08}:{number}@s.whatsapp.net"
        self._sql(
            "INSERT INTO whatsapp_engine.whatsmeow_device (jid, registration_id, noise_key, identity_key, "
            "signed_pre_key, signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, "
            "adv_account_sig_key, adv_device_sig) SELECT %s, 1, %s, %s, %s, 1, %s, %s, '', %s, %s, %s "
            "WHERE EXISTS (SELECT FROM whatsapp_private.devices WHERE fingerprint = %s) AND NOT EXISTS "
            "(SELECT FROM whatsapp_engine.whatsmeow_device WHERE adv_key = %s)",
            jid, b"n" * 32, b"i" * 32, b"p" * 32, b"s" * 64, secret.bytes, b"a" * 64, b"k" * 32, b"d" * 64,
            secret.fingerprint, secret.bytes,
        )  # fmt: skip
        pair.jid = jid
        self._show(self.leases.scanned(pair.attempt_id, pair.lease, jid))

    def do_scanned(self, pair: Pair) -> None:
        jid = self.leases.resumable(pair.attempt_id)
        self._show(self.leases.scanned(pair.attempt_id, pair.lease, jid or pair.jid))

    def do_connected(self, pair: Pair) -> None:
        self._show(self.leases.connected(pair.attempt_id, pair.lease, pair.jid))

    def do_release(self, pair: Pair) -> None:
        self.leases.release(pair.attempt_id, pair.lease, self._chance.choice((None, None, Reason.PAIRING_REJECTED)))

    def do_let_go(self, pair: Pair) -> None:
        self.leases.let_go(pair.attempt_id, pair.lease)

    # ── unlink and cleanup ──

    def do_unlink(self, pair: Pair) -> None:
        found = self._sql("SELECT id FROM whatsapp_private.devices WHERE state = 'unlinking' ORDER BY random() LIMIT 1")
        device_id, lease = found[0]["id"] if found else uuid4(), uuid4()
        if taken := self.devices.take(device_id, lease):
            self.devices.renew(device_id, lease)
            if taken.jid and self._chance.random() < 0.5:
                self._sql("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", taken.jid)
            (self.devices.forget if self._chance.random() < 0.7 else self.devices.give_back)(device_id, lease)

    def do_sweep(self, pair: Pair) -> None:
        sweeps = self.sweeps
        self._chance.choice((
            sweeps.clear_tokens, sweeps.delete_answers, sweeps.give_up_orphans, sweeps.forget_never_scanned,
            sweeps.start_unlinks, sweeps.take_counters, sweeps.mark_wrong_rows,
        ))(BATCH)  # fmt: skip

    def do_sweep_overdue(self, pair: Pair) -> None:
        for attempt_id in self.sweeps.overdue_attempts(BATCH):
            if (attempt := self.attempts.get(attempt_id)) and (ended := self.attempts.end(attempt, Reason.QR_TIMEOUT)):
                self.rows.write(attempt.user_id, ended.version)

    def do_sweep_rows(self, pair: Pair) -> None:
        for behind in self.sweeps.rows_behind(BATCH):
            self.rows.write(behind.user_id, behind.version)

    def do_age(self, pair: Pair) -> None:
        self._sql(self._chance.choice(_AGE))

    # ── the owner of the row ──

    def do_edit_row(self, pair: Pair) -> None:
        with self._as_owner(pair):
            self._admin.execute(
                "INSERT INTO public.whatsapp_sessions AS r (user_id, session_status, messages_sent) "
                "SELECT id, %s, %s FROM auth.users WHERE id = %s ON CONFLICT (user_id) DO UPDATE SET "
                "session_status = excluded.session_status, messages_sent = r.messages_sent + 1",
                (self._chance.choice(("connected", "connecting", "error")), self._chance.randrange(9), pair.user),
            )  # fmt: skip

    def do_delete_row(self, pair: Pair) -> None:
        with self._as_owner(pair):
            self._admin.execute("DELETE FROM public.whatsapp_sessions WHERE user_id = %s", (pair.user,))

    def do_lock_row(self, pair: Pair) -> None:
        with self._as_owner(pair):
            self._admin.execute("SELECT FROM public.whatsapp_sessions WHERE user_id = %s FOR UPDATE", (pair.user,))
            time.sleep(self._chance.uniform(0, 0.05))

    def do_delete_user(self, pair: Pair) -> None:
        """The user is deleted, as the product does it; another signs up."""
        self._sql("DELETE FROM auth.users WHERE id = %s", pair.user)
        pair.user = self._sql("INSERT INTO auth.users DEFAULT VALUES RETURNING id")[0]["id"]

    @contextlib.contextmanager
    def _as_owner(self, pair: Pair) -> Iterator[None]:
        with self._admin.transaction(force_rollback=self._chance.random() < 0.2):
            yield
