"""What one thread of the storm does: any call of the repositories, and what users and phones may do beside them."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from whatsapp_pairing.cleanup import Sweeps
from whatsapp_pairing.core.errors import PairingError
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.session.sessions import Sessions

from tests.support.storm_errors import Errors, Honest
from tests.support.whatsmeow_tables import SAVE, keys
from tests.support.world import LIMIT, Secret, entered, login

BATCH = 20

_KNOW_TOKEN = (
    "INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, 'contact', 'token', 1) ON CONFLICT DO NOTHING"
)
_KNOW_NUMBER = "INSERT INTO whatsapp_engine.whatsmeow_lid_map (lid, pn) VALUES (%s, %s) ON CONFLICT DO NOTHING"

# The calls that end a pairing come more seldom than those that lead to it, or none would get far.
_WEIGHTS = {"delete_user": 1, "end": 1, "sweep_overdue": 1, "refuse": 1, "log_out": 1, "disconnect": 3, "pair": 8}

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


class Pair:
    """What the threads know of one user's newest attempt; whoever reads it may be late."""

    def __init__(self, user: UUID) -> None:
        self.user = user
        self.attempt_id = self.lease = uuid4()
        self.secret = Secret()
        self.jid = ""


class Gust:
    """One thread of the storm, with connections of its own."""

    def __init__(self, pairs: list[Pair], chance: random.Random, url: str, errors: Errors) -> None:
        self._pairs, self._chance, self._errors = pairs, chance, errors
        self._api, self._worker = (Honest(login(url, f"whatsapp_{need}"), errors) for need in ("api", "worker"))
        self._admin = psycopg.connect(url, prepare_threshold=None, autocommit=True, row_factory=dict_row)
        self._engine = psycopg.connect(
            login(url, "whatsapp_engine"), prepare_threshold=None, autocommit=True, row_factory=dict_row
        )
        self.attempts, self.api_attempts = Attempts(self._worker), Attempts(self._api)
        self.leases, self.devices = Leases(self._worker), Devices(self._worker)
        self.sessions, self.sweeps = Sessions(self._api), Sweeps(self._worker)
        self.session_rows = SessionRows(self._worker)
        self.changed: Counter[str] = Counter()
        self.kinds = [name.removeprefix("do_") for name in dir(self) if name.startswith("do_")]
        self._weights = [_WEIGHTS.get(kind, 4) for kind in self.kinds]

    def __enter__(self) -> Gust:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()
        self._worker.close()
        self._admin.close()
        self._engine.close()

    def call(self) -> str:
        """Make one random call and return its kind."""
        (kind,) = self._chance.choices(self.kinds, self._weights)
        self._api.kind = self._worker.kind = kind
        try:
            getattr(self, f"do_{kind}")(self._chance.choice(self._pairs))
        except PairingError:
            pass  # what Postgres said is noted; a busy device and a deleted user are answers
        except psycopg.Error as error:
            self._errors.note(kind, error.sqlstate or repr(error))
        return kind

    def _sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        cursor = self._admin.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _show(self, attempt: Attempt | None) -> None:
        if attempt:
            self.changed[self._worker.kind] += 1
            self.session_rows.write(attempt.user_id, attempt.version)

    # ── the API and the workflow ──

    def do_claim(self, pair: Pair) -> None:
        attempt_id, window = uuid4(), self._chance.choice((-60.0, 60.0, 60.0, 60.0))
        claim = self.api_attempts.claim(pair.user, attempt_id, window, LIMIT)
        if claim.claimed:
            pair.attempt_id, pair.secret, pair.jid = attempt_id, Secret(), ""
        self.session_rows.write(pair.user, claim.version)

    def do_open_phase(self, pair: Pair) -> None:
        wait = entered(self._chance.choice((Phase.QR, Phase.AUTH)), str(uuid4()))
        self.attempts.open_phase(pair.attempt_id, wait, 60)

    def do_end(self, pair: Pair) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        ended = self.attempts.end(attempt, self._chance.choice(list(Reason))) if attempt else None
        if attempt and ended:
            self.session_rows.write(attempt.user_id, ended.version)

    def do_disconnect(self, pair: Pair) -> None:
        self.session_rows.write(pair.user, self.api_attempts.disconnect(pair.user).version)

    def do_status(self, pair: Pair) -> None:
        self.sessions.get(pair.user)

    # ── the linker ──

    def do_take(self, pair: Pair) -> None:
        lease = uuid4()
        if self.leases.take(pair.attempt_id, lease):
            pair.lease = lease

    def do_renew(self, pair: Pair) -> None:
        ended = pair.secret.fingerprint if self._chance.random() < 0.1 else None
        self.leases.renew(pair.attempt_id, pair.lease, self._chance.random() < 0.9, ended)

    def do_show_qr(self, pair: Pair) -> None:
        secret = pair.secret if self._chance.random() < 0.7 else Secret()
        notice = self._chance.choice((None, Notice.SCAN_AGAIN))
        shown = self.leases.show_qr(pair.attempt_id, pair.lease, secret.text(), 60, secret.fingerprint, notice)
        if shown:
            pair.secret = secret
        self._show(shown)

    def do_scan(self, pair: Pair) -> None:
        """A phone links a device, under a JID that another device may have."""
        secret, number = pair.secret, self._chance.randrange(3)
        jid = f"52155{number:08}:{self._chance.randrange(1, 4)}@s.whatsapp.net"
        if not self._sql("SELECT FROM whatsapp_private.devices WHERE fingerprint = %s", secret.fingerprint):
            return
        self._engine.execute(SAVE, keys(secret, jid))
        self._engine.execute(_KNOW_TOKEN, (jid,))
        self._engine.execute(_KNOW_NUMBER, (f"lid{number}", f"52155{number:08}"))
        pair.jid = jid
        self._show(self.leases.scanned(pair.attempt_id, pair.lease, jid))

    def do_save(self, pair: Pair) -> None:
        """An engine saves its device again, which may have lost its keys or its JID."""
        if pair.jid:
            self._engine.execute(SAVE, keys(pair.secret, pair.jid, "Ana"))

    def do_log_out(self, pair: Pair) -> None:
        """WhatsApp does not know a device any more: whatsmeow deletes it by the JID."""
        self._engine.execute("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", (pair.jid,))

    def do_scanned(self, pair: Pair) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        jid = attempt.stored_jid if attempt else None
        self._show(self.leases.scanned(pair.attempt_id, pair.lease, jid or pair.jid))

    def do_connected(self, pair: Pair) -> None:
        done = self.leases.connected(pair.attempt_id, pair.lease, pair.jid)
        self._show(done.attempt if done else None)

    def do_refuse(self, pair: Pair) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        refusals, jid = attempt.refusals if attempt else 0, self._chance.choice((None, pair.jid))
        self._show(self.leases.refuse(pair.attempt_id, pair.lease, refusals, jid))

    def do_release(self, pair: Pair) -> None:
        self.leases.release(pair.attempt_id, pair.lease, self._chance.choice((None, None, Reason.PAIRING_REJECTED)))

    def do_let_go(self, pair: Pair) -> None:
        self.leases.let_go(pair.attempt_id, pair.lease)

    def do_pair(self, pair: Pair) -> None:
        """All of it in a row, as far as the other threads let it come."""
        for step in (self.do_claim, self.do_take, self.do_show_qr, self.do_scan, self.do_connected):
            step(pair)

    # ── unlink and cleanup ──

    def do_unlink(self, _: Pair) -> None:
        found = self._sql("SELECT id FROM whatsapp_private.devices WHERE state = 'unlinking' ORDER BY random() LIMIT 1")
        device_id, lease = found[0]["id"] if found else uuid4(), uuid4()
        if taken := self.devices.take(device_id, lease):
            self.devices.renew(device_id, lease)
            if taken.jid and self._chance.random() < 0.5:
                self._sql("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", taken.jid)
            (self.devices.forget if self._chance.random() < 0.7 else self.devices.give_back)(device_id, lease)

    def do_sweep(self, _: Pair) -> None:
        sweeps = self.sweeps
        self._chance.choice((
            sweeps.clear_tokens, sweeps.delete_answers, sweeps.give_up_orphans, sweeps.give_up_strays,
            sweeps.give_up_unexplained, sweeps.forget_never_scanned, sweeps.start_unlinks, sweeps.forget_contacts,
            lambda limit: sweeps.delete_attempts(limit, 1),
            lambda limit: sweeps.take_counters(sweeps.counted_users(limit)),
            lambda limit: sweeps.mark_wrong_rows(sweeps.users_with_wrong_rows(limit)),
        ))(BATCH)  # fmt: skip

    def do_sweep_overdue(self, _: Pair) -> None:
        for attempt_id in self.sweeps.overdue_attempts(BATCH):
            if (attempt := self.attempts.get(attempt_id)) and (ended := self.attempts.end(attempt, Reason.QR_TIMEOUT)):
                self.session_rows.write(attempt.user_id, ended.version)

    def do_sweep_rows(self, _: Pair) -> None:
        for behind in self.sweeps.rows_behind(BATCH):
            self.session_rows.write(behind.user_id, behind.version)

    def do_age(self, _: Pair) -> None:
        self._sql(self._chance.choice(_AGE))

    # ── the owner of the row ──

    def do_edit_row(self, pair: Pair) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute(
                "INSERT INTO public.whatsapp_sessions AS r (user_id, session_status, messages_sent) "
                "VALUES (%s, %s, %s) ON CONFLICT (user_id) DO UPDATE SET "
                "session_status = excluded.session_status, messages_sent = r.messages_sent + 1",
                (user, self._chance.choice(("connected", "connecting", "error")), self._chance.randrange(9)),
            )  # fmt: skip

    def do_delete_row(self, pair: Pair) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute("DELETE FROM public.whatsapp_sessions WHERE user_id = %s", (user,))

    def do_lock_row(self, pair: Pair) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute("SELECT FROM public.whatsapp_sessions WHERE user_id = %s FOR UPDATE", (user,))
            time.sleep(self._chance.uniform(0, 0.05))

    def do_delete_user(self, pair: Pair) -> None:
        """The user is deleted, as the product does it; another signs up."""
        self._sql("DELETE FROM auth.users WHERE id = %s", pair.user)
        pair.user = self._sql("INSERT INTO auth.users DEFAULT VALUES RETURNING id")[0]["id"]

    @contextlib.contextmanager
    def _as_owner(self, user: UUID) -> Iterator[None]:
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        with self._admin.transaction(force_rollback=self._chance.random() < 0.2):
            self._admin.execute("SELECT set_config('role', 'authenticated', true)")
            self._admin.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
            yield
