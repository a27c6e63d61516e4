"""What must hold after every step of a story, and what must hold at its end, after cleanup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Result
from whatsapp_pairing.pairing.attempt import MAX_LINKERS, MOST_REFUSALS
from whatsapp_pairing.session.session import Session, Status

from tests.support.repositories import WINDOW
from tests.system.model.process import Process

if TYPE_CHECKING:
    from tests.system.model.modelled_system import ModelledSystem

Row = dict[str, Any]

_NOW = """
SELECT
  (SELECT coalesce(json_agg(a ORDER BY a.number), '[]') FROM (
    SELECT id, user_id, number, phase, verdict, outcome, legs, failures, notice, refusals, task_token, lease_id,
           ended_at IS NULL AS live,
           coalesce(lease_expires_at > now(), false) AS held, extract(epoch FROM deadline - now())::float8 AS remaining,
           extract(epoch FROM deadline - ended_at)::float8 AS left, reachable
    FROM whatsapp_private.attempts) a) AS attempts,
  (SELECT coalesce(json_agg(d), '[]') FROM (
    SELECT id, user_id, attempt_id, encode(fingerprint, 'hex') AS fingerprint, state, lease_id,
           coalesce(lease_expires_at > now(), false) AS held
    FROM whatsapp_private.devices) d) AS devices,
  (SELECT coalesce(json_agg(s), '[]') FROM (
    SELECT s.user_id, s.behind, s.version, s.shown_version, s.messages_sent,
           (SELECT to_json(r) FROM public.whatsapp_sessions r WHERE r.user_id = s.user_id) AS row
    FROM whatsapp_private.sessions s) s) AS sessions,
  (SELECT count(*) FROM whatsapp_private.answers) AS answers,
  (SELECT coalesce(json_agg(e), '[]') FROM (
    SELECT jid, encode(sha256(adv_key), 'hex') AS fingerprint FROM whatsapp_engine.whatsmeow_device) e) AS keys
"""

# Everything that a decision reads. The lease of the process itself is left out, because the process may release it at
# any time. Session rows are left out too, because no decision reads them.
_EVERYTHING = """
SELECT a::text AS row FROM whatsapp_private.attempts a
UNION ALL SELECT concat_ws('|', d.id, d.user_id, d.attempt_id, d.jid, d.state, d.scanned_at, d.unlink_due_at,
  CASE WHEN d.lease_id = %s THEN '(,)' ELSE row(d.lease_id, d.lease_expires_at)::text END)
FROM whatsapp_private.devices d
UNION ALL SELECT concat_ws('|', s.user_id, s.qr_code, s.version, s.ended_reason, s.last_seen)
FROM whatsapp_private.sessions s
UNION ALL SELECT e.jid FROM whatsapp_engine.whatsmeow_device e
ORDER BY 1
"""

# The statement runs a little later than this query. If a lease ends in between, the statement may take it.
_HELD = "coalesce(lease_expires_at > now() + interval '0.3 seconds', false)"

# A device goes through these states in this order.
_STATES = ("offered", "linking", "linked", "unlinking")
_TIMEOUTS = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED)
_OUTCOMES = {Result.CONNECTED, *Reason}
_PAIRING = {Status.CONNECTING, Status.WAITING_QR}
_FINAL = (
    "user_id", "number", "phase", "verdict", "outcome", "failures", "legs", "lease_id", "notice", "refusals",
)  # fmt: skip


class Promises:
    """Compares the system after each step with the step before.

    Attributes
    ----------
    texts : dict
        Every QR that an engine has reported, and the process of that engine.
    seen : set of str
        Every QR that a session has shown after a step.
    edited : dict
        When users last edited their session rows, by the model's clock. The product has not written these rows since.
    """

    def __init__(self, system: ModelledSystem) -> None:
        self._system = system
        self._before: dict[str, dict[str, Row]] = {"attempts": {}, "devices": {}}
        self.texts: dict[str, Process] = {}
        self.seen: set[str] = set()
        self.edited: dict[UUID, float] = {}
        self._edited_too_long_ago: set[UUID] = set()

    def now(self) -> dict[str, list[Row]]:
        """Return the present rows."""
        return self._system.world.sql(_NOW)[0]

    # ── around a statement ──

    @contextmanager
    def statement(self, process: Process) -> Iterator[None]:
        """Check that a process writes only what it still may."""
        if self._may_write(process):
            yield
            return
        before = self._everything(process)
        yield
        assert self._everything(process) == before, f"{process} has written what is not its own any more"

    def _may_write(self, process: Process) -> bool:
        """Whether the attempt of this process is live, and the lease that it needs is its own or free."""
        if process.attempt_id:
            found = self._system.world.sql(
                f"SELECT lease_id, {_HELD} AS held FROM whatsapp_private.attempts WHERE id = %s AND ended_at IS NULL",
                process.attempt_id,
            )
        elif process.device_id:
            found = self._system.world.sql(
                f"SELECT lease_id, {_HELD} AS held FROM whatsapp_private.devices WHERE id = %s AND state = 'unlinking'",
                process.device_id,
            )
        else:
            return True
        if not found or process.lease is None:
            return bool(found)
        return bool(found[0]["lease_id"] == process.lease or (not process.has_lease and not found[0]["held"]))

    def _everything(self, process: Process) -> list[str]:
        return [row["row"] for row in self._system.world.sql(_EVERYTHING, process.lease)]

    def opens(self, process: Process, jid: str) -> None:
        """Check that the process holds the lease of these keys, and that no other engine has them open.

        WhatsApp may have given the JID to another device since the process found its keys. Then its own keys are gone,
        and the engine may log in with the newer ones: that changes nothing.
        """
        own = self._system.world.sql(
            "SELECT d.fingerprint FROM whatsapp_private.devices d JOIN whatsapp_engine.whatsmeow_device e "
            "ON sha256(e.adv_key) = d.fingerprint WHERE d.lease_id = %s AND e.jid = %s",
            process.lease, jid,
        )  # fmt: skip
        if not own:
            gone = self._system.world.sql(
                "SELECT FROM whatsapp_private.devices d WHERE d.lease_id = %s AND d.jid = %s", process.lease, jid
            )
            assert gone, f"{process} opens {jid} without its lease"
            return
        others = [run for run in self._system.runs if run.fingerprint == own[0]["fingerprint"] and run.lives]
        assert not others, f"{process} opens {jid} beside {others}"

    # ── after a step ──

    def check(self) -> None:
        """Check every promise that must hold after each step."""
        now = self.now()
        attempts = {row["id"]: row for row in now["attempts"]}
        devices = {row["id"]: row for row in now["devices"]}
        for user in self._system.users:
            self._check_user(user, [row for row in now["attempts"] if row["user_id"] == str(user)])
        for attempt in attempts.values():
            self._check_attempt(attempt, self._before["attempts"].get(attempt["id"]))
        for device in devices.values():
            self._check_device(device, self._before["devices"].get(device["id"]), attempts.get(device["attempt_id"]))
        self._check_keys(now, devices)
        for row in now["sessions"]:
            self._check_session(row, now)
        self._before = {"attempts": attempts, "devices": devices}

    def _check_user(self, user: UUID, attempts: list[Row]) -> None:
        assert [row["number"] for row in attempts] == list(range(1, len(attempts) + 1)), "numbers have a gap"
        assert not any(row["live"] for row in attempts[:-1]), f"{user} has a live attempt before the last"

    def _check_attempt(self, now: Row, before: Row | None) -> None:
        name = f"attempt {now['id']}"
        # `stand_still` takes back the real time of a call. On a busy machine it takes back a little too much.
        assert now["remaining"] <= WINDOW + 10, f"{name} has a window of {now['remaining']} s"
        if not now["live"]:
            assert now["outcome"] in _OUTCOMES, f"{name} ended as {now['outcome']}"
            assert not now["held"], f"{name} is over and has a linker"
        assert not (now["verdict"] and now["held"]), f"{name} is decided and has a linker"
        assert now["refusals"] <= MOST_REFUSALS, f"{name} was given {now['refusals']} more QRs"
        if before is None:
            return
        assert now["legs"] >= before["legs"]
        assert now["refusals"] >= before["refusals"]
        if not before["live"]:
            changed = [column for column in _FINAL if now[column] != before[column]]
            assert not changed, f"{name} was over, and yet {changed} changed"
        elif not now["live"]:
            self._check_end(now, name)

    def _check_end(self, now: Row, name: str) -> None:
        outcome, verdict = now["outcome"], now["verdict"]
        if verdict:
            late_scan = Reason.LINKER_FAILED if verdict in _TIMEOUTS else verdict
            expected = (verdict, late_scan, Reason.CANCELLED)
            assert outcome in expected, f"{name} ended as {outcome}, its linker found {verdict}"
        elif outcome in _TIMEOUTS:
            assert now["left"] <= 0, f"{name} ended as {outcome}, {now['left']} s too early"
        elif outcome == Reason.LINKER_FAILED:
            assert now["left"] <= 0 or now["legs"] >= MAX_LINKERS, f"{name} gave up {now['left']} s too early"

    def _check_device(self, now: Row, before: Row | None, attempt: Row | None) -> None:
        name = f"device {now['id']}"
        if before:
            assert _STATES.index(now["state"]) >= _STATES.index(before["state"]), f"{name} came back to {now['state']}"
            assert now["attempt_id"] == before["attempt_id"]
            assert now["user_id"] in (before["user_id"], None)
        if attempt is None:
            return  # its user was deleted
        if now["state"] in ("offered", "linking"):
            assert attempt["live"], f"{name} belongs to an attempt that is over"
        if now["state"] == "linked":
            assert attempt["outcome"] == Result.CONNECTED, f"{name} is linked, its attempt is not"

    def _check_keys(self, now: dict[str, list[Row]], devices: dict[str, Row]) -> None:
        bound = {device["fingerprint"] for device in devices.values()}
        for key in now["keys"]:
            assert key["fingerprint"] in bound, f"the keys of {key['jid']} belong to nobody"
        stored = {(key["jid"], key["fingerprint"]) for key in now["keys"]}
        for jid, fingerprint in self._system.linked.items():
            assert (jid, fingerprint.hex()) in stored, f"a phone lists {jid}, and nobody has the keys to remove it"

    def _check_session(self, now: Row, all_rows: dict[str, list[Row]]) -> None:
        user = UUID(now["user_id"])
        session = self._system.sessions.get(user)
        assert now["shown_version"] <= now["version"], f"the row of {user} shows what has not been yet"
        live = [attempt for attempt in all_rows["attempts"] if attempt["user_id"] == str(user) and attempt["live"]]
        linked = [d for d in all_rows["devices"] if d["user_id"] == str(user) and d["state"] == "linked"]
        assert (session.status is Status.CONNECTED) == bool(linked and not live), f"{user} is {session.status}"
        assert session.notice is None or live, f"{user} is asked for a scan, and nobody pairs"
        if session.qr:
            self.seen.add(session.qr)
            assert live, "a QR is in sight that no attempt has shown"
            assert live[0]["held"], "a QR is in sight whose linker is gone"
            shower = self.texts.get(session.qr)
            assert shower is None or str(shower.lease) == live[0]["lease_id"], "the QR of an earlier linker is back"
        if not now["behind"] and user not in self.edited:
            only_time = bool(live) and live[0]["verdict"] is None
            self._check_row(now["row"], session, only_time, f"{user}, attempts {live}")

    def _check_row(self, row: Row | None, session: Session, only_time: bool, name: str) -> None:
        """Check that a row which is not behind equals the session, except for what time alone changes.

        Time alone ends a QR. With ``only_time``, it also makes a live attempt overdue.
        """
        if row is None:
            assert session.status is Status.DISCONNECTED, f"{name} has no row and is {session.status}"
            return
        shown = {session.status, *([Status.WAITING_QR] if session.status is Status.CONNECTING else [])}
        if only_time and session.status is Status.ERROR:
            shown |= _PAIRING
        assert row["session_status"] in shown, f"the row of {name} says {row['session_status']}, not {session.status}"
        assert session.qr is None or row["qr_code"] == session.qr, f"the row of {name} has another QR"
        assert row["qr_code"] is None or row["session_status"] in _PAIRING, f"the row of {name} keeps a QR"
        assert row["phone_number"] == session.phone_number
        assert (row["connected_at"] is None) == (session.connected_at is None)

    # ── at the end ──

    def forget_old_edits(self) -> None:
        """Forget edits that cleanup will not look at, because they are more than an hour old."""
        self._edited_too_long_ago = {user for user, at in self.edited.items() if self._system.now - at > 3500}

    def check_end(self) -> None:
        """Check that cleanup has left nothing behind."""
        now = self.now()
        users = {str(user) for user in self._system.users}
        assert not now["answers"], "answers are kept"
        for attempt in now["attempts"]:
            assert not attempt["live"], f"attempt {attempt['id']} never ends"
            assert not attempt["task_token"], f"attempt {attempt['id']} keeps its token"
        for device in now["devices"]:
            assert not device["held"], f"somebody holds device {device['id']}"
            assert device["state"] == "linked", f"device {device['id']} stays {device['state']}"
            assert device["user_id"] in users, f"device {device['id']} has no owner"
        for row in now["sessions"]:
            session = self._system.sessions.get(UUID(row["user_id"]))
            assert not row["behind"], f"the row of {row['user_id']} stays behind"
            assert session.status not in _PAIRING
            said = row["row"]["session_status"] if row["row"] else Status.DISCONNECTED
            assert said not in _PAIRING, f"a row stays {said}"
            if UUID(row["user_id"]) not in self._edited_too_long_ago:
                # A session row that its user has edited may show less than the session has, but not more.
                assert said != Status.CONNECTED or session.status == said, "a row says connected, no device is linked"
                assert row["messages_sent"] >= (row["row"] or row)["messages_sent"], "a count of the product is lost"
        assert {key["fingerprint"] for key in now["keys"]} <= {device["fingerprint"] for device in now["devices"]}
