"""Lets pairings end in every way in a running system, several at the same time."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from whatsapp_pairing.pairing.attempt import MOST_REFUSALS

from tests.support.secret_search import Secrets
from tests.support.stack import PATIENCE_SECONDS, Answer, RunningSystem, User, call

WITNESS = Path(__file__).with_name("witness.sql")


class Endings:
    """One system, its users, and every secret that they and the system have made."""

    def __init__(self, stack: RunningSystem, database_url: str) -> None:
        self.stack = stack
        self.secrets = Secrets()
        self.refusals: list[Answer] = []
        self.given_up: list[dict[str, Any]] = []
        self._database_url = database_url
        self._sandbox = stack.sandbox
        self._numbers = map(str, itertools.count(34677100001))
        with psycopg.connect(database_url) as connection:
            connection.execute(WITNESS.read_bytes())

    def drive(self) -> None:
        """Let every ending happen, and wait until nothing runs any more."""
        self._refused_requests()
        with_knobs = self._with_knobs
        with_knobs("client_outdated", connectFailure=405)
        self._sandbox.set_knobs(silent="handshake")
        silent = self._click()
        self._until("a socket that waits", lambda: self._sandbox.state()["sockets"])
        self._sandbox.reset_knobs()
        silent.let_window_end("reachable")
        idle, _ = self._shown()
        idle.let_window_end("phase = 'auth'")
        deleted, _ = self._shown()
        self._sql("DELETE FROM auth.users WHERE id = %s", deleted.id)

        cancelled, _ = self._shown()
        assert cancelled.disconnect().status == 200
        self._over(cancelled, "cancelled")
        self._sandbox.set_knobs(tamper="hmac")
        refused = self._click()
        refused.scan_each(self._number(), MOST_REFUSALS + 1)
        self._over(refused, "pairing_rejected")
        self._sandbox.reset_knobs()
        asked, qr = self._shown()
        self._sandbox.set_knobs(renewSecret=True)
        asked.scan(qr, self._number())
        self._sandbox.reset_knobs()
        asked.let_window_end("notice = 'scan_again' AND phase = 'auth'")
        self._over(asked, "scan_not_repeated")
        with_knobs("passkey_required", scan=True, passkey=True)
        with_knobs("account_banned", scan=True, loginFailure=402)
        self._linker_failed()
        self._unlinked_from_phone()
        self._over(silent, "qr_timeout")
        self._over(idle, "scan_timeout")
        self._connected_and_hard_to_unlink()
        self._until("the end of all work", self._idle)

    def outcomes(self) -> set[str]:
        """The outcomes of the attempts, from the database."""
        return {outcome for (outcome,) in self._sql("SELECT outcome FROM whatsapp_private.attempts")}

    def learn(self) -> None:
        """Add the secrets in the database."""
        seen = self._sql("SELECT DISTINCT source, name, value FROM witness.seen")
        # QRs come first, because a QR contains its device's adv secret. The entry of the engine's table for that secret
        # comes later and replaces the entry of the QR.
        for source, name, value in sorted(seen, key=lambda row: row[1] != "qr_code"):
            if name == "qr_code":
                self.secrets.add_qr(value)
            elif name in ("task_token", "phone_number", "jid", "our_jid", "lid", "pn"):
                self.secrets.add(name.replace("_", " "), value)
            elif value.startswith("\\x") and len(set(value)) > 8:  # every log contains zeros
                self.secrets.add_bytes(f"{source}.{name}", bytes.fromhex(value[2:]))

    # The endings

    def _with_knobs(self, reason: str, scan: bool = False, **knobs: object) -> None:
        if scan:
            user, qr = self._shown()
            self._sandbox.set_knobs(**knobs)
            user.scan(qr, self._number())
        else:
            self._sandbox.set_knobs(**knobs)
            user = self._click()
        self._over(user, reason)
        self._sandbox.reset_knobs()

    def _linker_failed(self) -> None:
        self._sandbox.set_knobs(loginDelaySeconds=60)
        user, qr = self._shown()
        assert user.scan(qr, self._number()).status == 200
        user.wait(PATIENCE_SECONDS, "scan", lambda status: status["status"] == "waiting_qr" and status["qr"] is None)
        user.let_window_end("phase = 'auth'")
        self._over(user, "linker_failed")
        self._sandbox.reset_knobs()

    def _unlinked_from_phone(self) -> None:
        # The device of the case before is still being logged out. Wait, so that it is not taken for this one.
        self._until("offline devices", lambda: not self._online())
        self._sandbox.set_knobs(syncDelaySeconds=60)
        user, qr = self._shown()
        number = self._number()
        assert user.scan(qr, number).status == 200
        self._until("a device that is online", self._online)
        self._sandbox.unlink(number)
        self._over(user, "unlinked_from_phone")
        self._sandbox.reset_knobs()

    def _connected_and_hard_to_unlink(self) -> None:
        user, qr = self._shown()
        number = self._number()
        assert user.scan(qr, number).status == 200
        user.reaches("connected")
        ((device,),) = self._sql("SELECT id::text FROM whatsapp_private.devices WHERE user_id = %s", user.id)
        self._sandbox.set_knobs(refuse=True)
        away = self._click()
        assert user.disconnect().status == 200
        away.let_window_end("NOT reachable")
        self._over(away, "whatsapp_unreachable")
        said = self.stack.data_dir / "stderr"
        self._until("unlink that is given up", lambda: "given up after 3 failed attempts" in said.read_text())
        # What Lambda keeps of an event after its last retry: the event and the function's answer.
        event = json.dumps({"deviceId": device}).encode()
        answer = self.stack.aws("lambda").invoke(FunctionName="UnlinkFunction", Payload=event)
        assert answer["FunctionError"]
        self.given_up.append(json.loads(answer["Payload"].read()) | {"event": event.decode()})
        self._sandbox.reset_knobs()
        assert len(self.stack.devices(number)) == 1
        self._sql("UPDATE whatsapp_private.devices SET unlink_due_at = now() WHERE id = %s", device)
        assert self.stack.invoke("CleanupFunction")["unlinks_started"]
        self._until("an empty list of devices", lambda: not self.stack.devices(number))

    def _refused_requests(self) -> None:
        api = f"{self.stack.url}/api/whatsapp"
        user = self._user()
        signed = {"Authorization": f"Bearer {user.token}"}
        forged = {"Authorization": f"Bearer {user.token[:-8]}AAAAAAAA"}
        for status, method, path, headers, body in (
            (401, "GET", "status", forged, None),
            (401, "POST", "connect", {"Authorization": f"Basic {user.token}"}, None),
            (401, "GET", "status", {}, None),
            (404, "GET", "qr", signed, None),
            (413, "POST", "connect", signed, {"token": user.token * 2}),
            (404, "GET", f"nothing?token={user.token}", signed, None),
        ):
            answer = call(method, f"{api}/{path}", body, headers)
            assert answer.status == status, (path, answer.status)
            self.refusals.append(answer)
        user.connect()
        user.disconnect()
        self.refusals.append(user.connect())
        assert self.refusals[-1].status == 429

    # People

    def _user(self) -> User:
        user = self.stack.user()
        self.secrets.add_jwt(user.token)
        return user

    def _click(self) -> User:
        user = self._user()
        assert user.connect().status == 202
        return user

    def _shown(self) -> tuple[User, str]:
        user = self._click()
        qr = user.qr(PATIENCE_SECONDS)
        assert user.call("GET", "qr").status == 200
        return user, qr

    def _number(self) -> str:
        number = next(self._numbers)
        self.secrets.add("phone number", number)
        return number

    def _over(self, user: User, reason: str) -> None:
        over = user.wait(PATIENCE_SECONDS, reason, lambda status: status["status"] in ("error", "disconnected"))
        assert over["error"]["code"] == reason, over["error"]["code"]

    # The running system

    def _online(self) -> bool:
        return any(one["state"] == "online" for one in self._sandbox.state()["sockets"])

    def _idle(self) -> bool:
        busy = [one for one in call("GET", f"{self.stack.url}/dev/functions").json() if one["busySince"]]
        states = self.stack.aws("stepfunctions")
        (machine,) = states.list_state_machines()["stateMachines"]
        arn = machine["stateMachineArn"]
        return not busy and not states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]

    def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def _until(self, what: str, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"
            time.sleep(0.1)
