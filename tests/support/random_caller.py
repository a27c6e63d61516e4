"""One of the threads that call at random. It calls any repository, and it acts as a user, a phone or an engine."""

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

from tests.support.adv_secret import Secret
from tests.support.counted_errors import CountingDatabase, Errors
from tests.support.logins import login
from tests.support.repositories import LIMIT, entered
from tests.support.whatsmeow_tables import SAVE, keys

BATCH = 20

_KNOW_TOKEN = (
    "INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, 'contact', 'token', 1) ON CONFLICT DO NOTHING"
)
_KNOW_NUMBER = "INSERT INTO whatsapp_engine.whatsmeow_lid_map (lid, pn) VALUES (%s, %s) ON CONFLICT DO NOTHING"

# The calls that end a pairing are chosen less often than the others. Otherwise hardly any pairing would connect.
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


class Known:
    """A user, and what the threads know of the user's newest attempt. Another thread may have changed it meanwhile."""

    def __init__(self, user: UUID) -> None:
        self.user = user
        self.attempt_id = self.lease = uuid4()
        self.secret = Secret()
        self.jid = ""


class Caller:
    """One thread that calls at random, with connections of its own."""

    def __init__(self, pairs: list[Known], chance: random.Random, url: str, errors: Errors) -> None:
        self._pairs, self._chance, self._errors = pairs, chance, errors
        self._api, self._worker = (
            CountingDatabase(login(url, f"whatsapp_{need}"), errors) for need in ("api", "worker")
        )
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

    def __enter__(self) -> Caller:
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
            pass  # CountingDatabase has noted an error of Postgres; a busy device or a deleted user is an answer
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

    def do_claim(self, pair: Known) -> None:
        attempt_id, window = uuid4(), self._chance.choice((-60.0, 60.0, 60.0, 60.0))
        claim = self.api_attempts.claim(pair.user, attempt_id, window, LIMIT)
        if claim.claimed:
            pair.attempt_id, pair.secret, pair.jid = attempt_id, Secret(), ""
        self.session_rows.write(pair.user, claim.version)

    def do_open_phase(self, pair: Known) -> None:
        wait = entered(self._chance.choice((Phase.QR, Phase.AUTH)), str(uuid4()))
        self.attempts.open_phase(pair.attempt_id, wait, 60)

    def do_end(self, pair: Known) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        ended = self.attempts.end(attempt, self._chance.choice(list(Reason))) if attempt else None
        if attempt and ended:
            self.session_rows.write(attempt.user_id, ended.version)

    def do_disconnect(self, pair: Known) -> None:
        self.session_rows.write(pair.user, self.api_attempts.disconnect(pair.user).version)

    def do_status(self, pair: Known) -> None:
        self.sessions.get(pair.user)

    # ── the linker ──

    def do_take(self, pair: Known) -> None:
        lease = uuid4()
        if self.leases.take(pair.attempt_id, lease):
            pair.lease = lease

    def do_renew(self, pair: Known) -> None:
        ended = pair.secret.fingerprint if self._chance.random() < 0.1 else None
        self.leases.renew(pair.attempt_id, pair.lease, self._chance.random() < 0.9, ended)

    def do_show_qr(self, pair: Known) -> None:
        secret = pair.secret if self._chance.random() < 0.7 else Secret()
        notice = self._chance.choice((None, Notice.SCAN_AGAIN))
        shown = self.leases.show_qr(pair.attempt_id, pair.lease, secret.text(), 60, secret.fingerprint, notice)
        if shown:
            pair.secret = secret
        self._show(shown)

    def do_scan(self, pair: Known) -> None:
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

    def do_save(self, pair: Known) -> None:
        """An engine saves its device again. The device may have lost its keys, or another device may have its JID."""
        if pair.jid:
            self._engine.execute(SAVE, keys(pair.secret, pair.jid, "Ana"))

    def do_log_out(self, pair: Known) -> None:
        """WhatsApp does not know a device any more, so whatsmeow deletes the keys by the JID."""
        self._engine.execute("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", (pair.jid,))

    def do_scanned(self, pair: Known) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        jid = attempt.stored_jid if attempt else None
        self._show(self.leases.scanned(pair.attempt_id, pair.lease, jid or pair.jid))

    def do_connected(self, pair: Known) -> None:
        done = self.leases.connected(pair.attempt_id, pair.lease, pair.jid)
        self._show(done.attempt if done else None)

    def do_refuse(self, pair: Known) -> None:
        attempt = self.attempts.get(pair.attempt_id)
        refusals, jid = attempt.refusals if attempt else 0, self._chance.choice((None, pair.jid))
        self._show(self.leases.refuse(pair.attempt_id, pair.lease, refusals, jid))

    def do_release(self, pair: Known) -> None:
        self.leases.release(pair.attempt_id, pair.lease, self._chance.choice((None, None, Reason.PAIRING_REJECTED)))

    def do_let_go(self, pair: Known) -> None:
        self.leases.let_go(pair.attempt_id, pair.lease)

    def do_pair(self, pair: Known) -> None:
        """Pair from the claim to the login. The other threads may interrupt at each step."""
        for step in (self.do_claim, self.do_take, self.do_show_qr, self.do_scan, self.do_connected):
            step(pair)

    # ── unlink and cleanup ──

    def do_unlink(self, _: Known) -> None:
        found = self._sql("SELECT id FROM whatsapp_private.devices WHERE state = 'unlinking' ORDER BY random() LIMIT 1")
        device_id, lease = found[0]["id"] if found else uuid4(), uuid4()
        if taken := self.devices.take(device_id, lease):
            self.devices.renew(device_id, lease)
            if taken.jid and self._chance.random() < 0.5:
                self._sql("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", taken.jid)
            (self.devices.forget if self._chance.random() < 0.7 else self.devices.give_back)(device_id, lease)

    def do_sweep(self, _: Known) -> None:
        sweeps = self.sweeps
        self._chance.choice((
            sweeps.clear_tokens, sweeps.delete_answers, sweeps.give_up_orphans, sweeps.give_up_strays,
            sweeps.give_up_unexplained, sweeps.forget_never_scanned, sweeps.start_unlinks, sweeps.forget_contacts,
            lambda limit: sweeps.delete_attempts(limit, 1),
            lambda limit: sweeps.take_counters(sweeps.counted_users(limit)),
            lambda limit: sweeps.mark_wrong_rows(sweeps.users_with_wrong_rows(limit)),
        ))(BATCH)  # fmt: skip

    def do_sweep_overdue(self, _: Known) -> None:
        for attempt_id in self.sweeps.overdue_attempts(BATCH):
            if (attempt := self.attempts.get(attempt_id)) and (ended := self.attempts.end(attempt, Reason.QR_TIMEOUT)):
                self.session_rows.write(attempt.user_id, ended.version)

    def do_sweep_rows(self, _: Known) -> None:
        for behind in self.sweeps.rows_behind(BATCH):
            self.session_rows.write(behind.user_id, behind.version)

    def do_age(self, _: Known) -> None:
        self._sql(self._chance.choice(_AGE))

    # ── the owner of the session row ──

    def do_edit_row(self, pair: Known) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute(
                "INSERT INTO public.whatsapp_sessions AS r (user_id, session_status, messages_sent) "
                "VALUES (%s, %s, %s) ON CONFLICT (user_id) DO UPDATE SET "
                "session_status = excluded.session_status, messages_sent = r.messages_sent + 1",
                (user, self._chance.choice(("connected", "connecting", "error")), self._chance.randrange(9)),
            )  # fmt: skip

    def do_delete_row(self, pair: Known) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute("DELETE FROM public.whatsapp_sessions WHERE user_id = %s", (user,))

    def do_lock_row(self, pair: Known) -> None:
        with self._as_owner(user := pair.user):
            self._admin.execute("SELECT FROM public.whatsapp_sessions WHERE user_id = %s FOR UPDATE", (user,))
            time.sleep(self._chance.uniform(0, 0.05))

    def do_delete_user(self, pair: Known) -> None:
        """Delete the user, as the product does. Another user signs up."""
        self._sql("DELETE FROM auth.users WHERE id = %s", pair.user)
        pair.user = self._sql("INSERT INTO auth.users DEFAULT VALUES RETURNING id")[0]["id"]

    @contextlib.contextmanager
    def _as_owner(self, user: UUID) -> Iterator[None]:
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        with self._admin.transaction(force_rollback=self._chance.random() < 0.2):
            self._admin.execute("SELECT set_config('role', 'authenticated', true)")
            self._admin.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
            yield
