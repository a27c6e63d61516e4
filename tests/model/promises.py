"""What must hold after every step, whatever the steps were; and at the end, when cleanup has had its turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.session import CONNECTED, MAX_LEGS

from tests.integration.world import WINDOW

from .process import Process

if TYPE_CHECKING:
    from .system import System

Row = dict[str, Any]

_NOW = """
SELECT
  (SELECT coalesce(json_agg(a ORDER BY a.number), '[]') FROM (
    SELECT id, user_id, number, phase, verdict, outcome, legs, failures, task_token, lease_id, ended_at IS NULL AS live,
           coalesce(lease_expires_at > now(), false) AS held, extract(epoch FROM deadline - now())::float8 AS remaining,
           extract(epoch FROM deadline - ended_at)::float8 AS left, reachable
    FROM whatsapp_private.attempts) a) AS attempts,
  (SELECT coalesce(json_agg(d), '[]') FROM (
    SELECT id, user_id, attempt_id, encode(fingerprint, 'hex') AS fingerprint, state, lease_id,
           coalesce(lease_expires_at > now(), false) AS held
    FROM whatsapp_private.devices) d) AS devices,
  (SELECT coalesce(json_agg(s), '[]') FROM (
    SELECT user_id, session_status, qr_code FROM public.whatsapp_sessions) s) AS rows,
  (SELECT coalesce(json_agg(e), '[]') FROM (
    SELECT jid, encode(sha256(adv_key), 'hex') AS fingerprint FROM whatsapp_engine.whatsmeow_device) e) AS keys
"""

# Everything, but for the leases that whoever looks may let go of.
_EVERYTHING = """
SELECT a::text AS row FROM whatsapp_private.attempts a
UNION ALL SELECT concat_ws('|', d.id, d.user_id, d.attempt_id, d.jid, d.state, d.updated_at,
  CASE WHEN d.lease_id = %s THEN '(,)' ELSE row(d.lease_id, d.lease_expires_at)::text END)
  FROM whatsapp_private.devices d
UNION ALL SELECT s::text FROM public.whatsapp_sessions s
UNION ALL SELECT e.jid FROM whatsapp_engine.whatsmeow_device e
ORDER BY 1
"""

# What becomes of a device, in this order.
_STATES = ("offered", "linking", "linked", "unlinking")
_TIMEOUTS = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT)
_OUTCOMES = {CONNECTED, *Reason}
_FINAL = ("user_id", "number", "phase", "verdict", "outcome", "failures", "legs", "lease_id")


class Promises:
    """Looks at the system after each step and compares it with the step before.

    Attributes
    ----------
    texts : dict
        Every QR that an engine has given, and the process of that engine.
    seen : set of str
        Every text that stood in a row after a step.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._before: dict[str, dict[str, Row]] = {"attempts": {}, "devices": {}}
        self.texts: dict[str, Process] = {}
        self.seen: set[str] = set()

    def now(self) -> dict[str, list[Row]]:
        """Return the present rows."""
        return self._system.world.sql(_NOW)[0]

    # ── around a statement ──

    @contextmanager
    def statement(self, process: Process) -> Iterator[None]:
        """Hold a process to what it may still write."""
        if self._may_write(process):
            yield
            return
        before = self._everything(process)
        yield
        assert self._everything(process) == before, f"{process} has written what is not its own any more"

    def _may_write(self, process: Process) -> bool:
        """Whether the attempt of this process lives, and the lease that it needs is its own or nobody's."""
        if process.attempt_id:
            found = self._system.world.sql(
                "SELECT lease_id, coalesce(lease_expires_at > now(), false) AS held FROM whatsapp_private.attempts "
                "WHERE id = %s AND ended_at IS NULL",
                process.attempt_id,
            )
        elif process.device_id:
            found = self._system.world.sql(
                "SELECT lease_id, coalesce(lease_expires_at > now(), false) AS held FROM whatsapp_private.devices "
                "WHERE id = %s AND state = 'unlinking'",
                process.device_id,
            )
        else:
            return True
        if not found or process.lease is None:
            return bool(found)
        if not process.has_lease:
            return not found[0]["held"]
        return bool(found[0]["lease_id"] == process.lease)

    def _everything(self, process: Process) -> list[str]:
        return [row["row"] for row in self._system.world.sql(_EVERYTHING, process.lease)]

    def opens(self, process: Process, jid: str) -> None:
        """An engine opens these keys: they must be in the hands of its process, and in no other engine."""
        (device,) = self._system.world.sql(
            "SELECT d.lease_id FROM whatsapp_private.devices d JOIN whatsapp_engine.whatsmeow_device e "
            "ON sha256(e.adv_key) = d.fingerprint WHERE e.jid = %s",
            jid,
        )
        assert device["lease_id"] == process.lease, f"{process} opens {jid} without its lease"

    # ── after a step ──

    def check(self) -> None:
        """Hold the system to every promise that does not need the end to be seen."""
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
        self._check_rows(now["rows"], now["attempts"])
        self._before = {"attempts": attempts, "devices": devices}

    def _check_user(self, user: UUID, attempts: list[Row]) -> None:
        assert [row["number"] for row in attempts] == list(range(1, len(attempts) + 1)), "numbers have a gap"
        assert not any(row["live"] for row in attempts[:-1]), f"{user} has a live attempt before the last"

    def _check_attempt(self, now: Row, before: Row | None) -> None:
        name = f"attempt {now['id']}"
        assert now["remaining"] <= WINDOW + 1, f"{name} has a window of {now['remaining']} s"
        if not now["live"]:
            assert now["outcome"] in _OUTCOMES, f"{name} ended as {now['outcome']}"
            assert not now["held"], f"{name} is over and has a linker"
        assert not (now["verdict"] and now["held"]), f"{name} is decided and has a linker"
        if before is None:
            return
        assert now["legs"] >= before["legs"]
        if not before["live"]:
            changed = [column for column in _FINAL if now[column] != before[column]]
            assert not changed, f"{name} was over, and yet {changed} changed"
        elif not now["live"]:
            self._check_end(now, name)

    def _check_end(self, now: Row, name: str) -> None:
        outcome, verdict = now["outcome"], now["verdict"]
        if verdict:
            assert outcome in (verdict, Reason.CANCELLED), f"{name} ended as {outcome}, its linker found {verdict}"
        elif outcome in _TIMEOUTS:
            assert now["left"] <= 0, f"{name} ended as {outcome}, {now['left']} s too early"
        elif outcome == Reason.LINKER_FAILED:
            assert now["left"] <= 0 or now["legs"] >= MAX_LEGS, f"{name} gave up {now['left']} s too early"

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
            assert attempt["outcome"] == CONNECTED, f"{name} is linked, its attempt is not"

    def _check_keys(self, now: dict[str, list[Row]], devices: dict[str, Row]) -> None:
        bound = {device["fingerprint"] for device in devices.values()}
        for key in now["keys"]:
            assert key["fingerprint"] in bound, f"the keys of {key['jid']} belong to nobody"
        jids = {key["jid"] for key in now["keys"]}
        for jid in self._system.linked:
            assert jid in jids, f"a phone lists {jid}, and nobody has the keys to remove it"

    def _check_rows(self, rows: list[Row], attempts: list[Row]) -> None:
        self.seen.update(row["qr_code"] for row in rows if row["qr_code"])
        for row in rows:
            live = [attempt for attempt in attempts if attempt["user_id"] == row["user_id"] and attempt["live"]]
            assert live or row["qr_code"] not in self.texts, "a QR stays in the row, its attempt is over"
            if row["session_status"] != "waiting_qr":
                continue
            session = self._system.sessions.get(UUID(row["user_id"]))
            if session.qr:
                assert live, "a QR is in sight that no attempt has shown"
                assert live[0]["held"], "a QR is in sight whose linker is gone"
                shower = self.texts.get(session.qr)
                assert shower is None or str(shower.lease) == live[0]["lease_id"], "the QR of an earlier linker is back"

    # ── at the end ──

    def check_end(self) -> None:
        """Hold the system to what cleanup leaves behind: nothing."""
        now = self.now()
        users = {str(user) for user in self._system.users}
        for attempt in now["attempts"]:
            assert not attempt["live"], f"attempt {attempt['id']} never ends"
        for device in now["devices"]:
            assert not device["held"], f"somebody holds device {device['id']}"
            assert device["state"] == "linked", f"device {device['id']} stays {device['state']}"
            assert device["user_id"] in users, f"device {device['id']} has no owner"
        for row in now["rows"]:
            assert row["session_status"] not in ("connecting", "waiting_qr"), f"a row stays {row['session_status']}"
        assert set(self._system.linked) <= {key["jid"] for key in now["keys"]}
        assert {key["fingerprint"] for key in now["keys"]} <= {device["fingerprint"] for device in now["devices"]}
