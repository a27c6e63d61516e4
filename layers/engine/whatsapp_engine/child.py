"""The child's program: it runs one neonize client, and writes the client's events as lines to a pipe.

usage: python -m whatsapp_engine.child FD        (FD: the write end of the pipe; the task comes on standard input)

This is the only module that imports neonize. One process runs one client for one task, and ends with it, because of
what neonize does. ``connect()`` of an unpaired client never returns, and its threads keep the process from exiting.
Some calls at the wrong moment abort the process. Two clients in one process disturb each other. See "Engine facts" in
ARCHITECTURE.md.
"""

import ctypes
import os
import resource
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pylibmagic  # noqa: F401  it carries the libmagic that neonize loads when it is imported, so it comes first
from neonize import client as neonize_client
from neonize.client import NewClient, func_callback_bytes2, gocode, log_whatsmeow
from neonize.events import (
    ClientOutdatedEv,
    ConnectedEv,
    ConnectFailureEv,
    LoggedOutEv,
    OfflineSyncCompletedEv,
    PairStatusEv,
    StreamReplacedEv,
    TemporaryBanEv,
)
from neonize.exc import NeonizeError
from neonize.proto.Neonize_pb2 import JID, ConnectFailureReason, LogEntry, PairStatus
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps
from neonize.utils import Jid2String, build_jid
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.tls_faults import tls_fault

from whatsapp_engine import protocol
from whatsapp_engine.lifeline import Lifeline
from whatsapp_engine.proxy import proxy_fault
from whatsapp_engine.store import StoreFault, logged_fault, store_fault

# whatsmeow shows the first of six QRs for a minute and each of the others for 20 seconds.
_FIRST_QR_SECONDS, _NEXT_QR_SECONDS = 60.0, 20.0

# When the database fails for a moment, the child tries again for this long, after pauses that double. The time is
# shorter than the linker's limit of 30 s until WhatsApp answers. Otherwise the linker would report that WhatsApp is
# silent.
_RETRY_SECONDS = 15.0
_PAUSE_SECONDS = 0.5

# When the database accepts the connection and stays silent for this long, it has failed. This time, too, is shorter
# than the linker's limit. A fresh engine tries once more, because a busy machine may also need this long.
_OPEN_SECONDS = 15.0

# When a proxy has not led to WhatsApp for this long after the database is open, the proxy has failed.
_PROXY_SECONDS = 15.0

# After the login status "error", the child waits this long for PairStatus. It comes at once if Postgres has rejected
# the keys. For other causes it does not always come.
_PAIR_STATUS_SECONDS = 1.0

# The child may reserve this much data. A pairing reserves 230 MB, and uses less. A server that is no Postgres may seem
# to announce an answer of more than 1 GB. Go's driver then fails at its first request for that much, before it uses the
# memory. Without the limit, it would use more than the function's 512 MB, and the linker would end with its child.
# (RLIMIT_AS would also count the 2 GB that Go only sets aside.)
_MOST_DATA_BYTES = 1 << 30

# The login statuses before pairing that are refusals. `_NewClient__onLoginStatus` handles "timeout" and "error".
# PairStatus follows "success".
_REFUSALS = {
    "err-client-outdated": Reason.CLIENT_OUTDATED,
    "err-unexpected-state": Reason.PAIRING_REJECTED,
    "passkey-request": Reason.PASSKEY_REQUIRED,
}

# whatsmeow's names for the failures 403 and 406. WhatsApp's own names are "locked" and "banned".
_BANNED = (ConnectFailureReason.MAIN_DEVICE_GONE, ConnectFailureReason.UNKNOWN_LOGOUT)


class Client(NewClient):  # type: ignore[misc]  # neonize is untyped to us
    """A client that reports its events to the pipe. Its callbacks run on threads of Go, write a line and return."""

    def __init__(self, dsn: str, jid: JID | None, out: int) -> None:
        super().__init__(
            dsn,
            jid=jid,
            uuid=None if jid else "pairing",
            new_device=jid is None,
            props=DeviceProps(os="Windows", platformType=DeviceProps.CHROME),
        )
        self._out = out
        self.store_is_open, self.is_reached = threading.Event(), threading.Event()
        self._qrs = 0
        self._ref: str | None = None
        self._ref_ends_at = 0.0
        self._own_jid = Jid2String(jid) if jid else ""
        # neonize passes this function of its module to Go, which calls it with each line of whatsmeow's log.
        neonize_client.log_whatsmeow = self._on_log
        self.event.qr(lambda _, text: self._on_qr(text.decode()))
        self.event(PairStatusEv)(lambda _, status: self._on_pair_status(status))
        self.event(ConnectedEv)(lambda _, __: self.on_connected())
        self.event(OfflineSyncCompletedEv)(lambda _, __: self.say("synced"))
        self.event(LoggedOutEv)(lambda _, event: self._on_logged_out(event.Reason))
        self.event(StreamReplacedEv)(lambda _, __: self.say("replaced"))
        self.event(TemporaryBanEv)(lambda _, __: self._refuse(Reason.ACCOUNT_BANNED))
        self.event(ClientOutdatedEv)(lambda _, __: self._refuse(Reason.CLIENT_OUTDATED))
        self.event(ConnectFailureEv)(lambda _, __: self.say("unreachable"))

    def say(self, event: str, **fields: object) -> None:
        """Write one line. It is short, so the pipe takes it as a whole."""
        os.write(self._out, protocol.encode(event, **fields))

    def report(self, fault: StoreFault | None) -> None:
        """Report a fault of the engine's database; None reports that WhatsApp cannot be reached."""
        if fault:
            self.say("store_failed", why=fault.why, passes=fault.passes, login_refused=fault.login_refused)
        else:
            self.say("unreachable")

    def on_connected(self) -> None:
        """Report that the device has logged in."""
        self.say("online", jid=self._own_jid)

    def _on_log(self, data: int, size: int) -> None:
        text = LogEntry.FromString(ctypes.string_at(data, size)).Message
        if text.startswith("Dialing"):
            self.store_is_open.set()
        if fault := logged_fault(text):
            self.report(fault)

    def _refuse(self, reason: Reason) -> None:
        self.say("refused", reason=reason)

    def _on_qr(self, text: str) -> None:
        ref, now = text.partition("#")[2].partition(",")[0], time.monotonic()
        renewed = ref == self._ref
        if not renewed:
            self._qrs += 1
            seconds = _FIRST_QR_SECONDS if self._qrs == 1 else _NEXT_QR_SECONDS
            self._ref, self._ref_ends_at = ref, now + seconds
        # A renewed QR is good for as long as its ref still is.
        self.say("qr", text=text, seconds=self._ref_ends_at - now, renewed=renewed)

    def _on_pair_status(self, status: Any) -> None:
        if status.Status == PairStatus.SUCCESS:
            self._own_jid = Jid2String(status.ID)
            self.say("scanned", jid=self._own_jid)
        elif fault := _fault_at_work(status.Error):
            # The phone has scanned, but Postgres has not stored the keys.
            self.report(fault)
        else:
            self._refuse(Reason.PAIRING_REJECTED)

    def _on_logged_out(self, why: int) -> None:
        if why in _BANNED:
            self._refuse(Reason.ACCOUNT_BANNED)
        else:
            self.say("logged_out")

    def _NewClient__onLoginStatus(self, _: int, status: int) -> None:
        # This replaces neonize's method of this name, which prints the pointer and not the text.
        text = ctypes.string_at(status).decode()
        if text == "timeout":
            # There is no QR left, the socket has closed, or WhatsApp has answered 503.
            self.say("exhausted" if self._qrs else "unreachable")
        elif text == "error":
            grace = threading.Timer(_PAIR_STATUS_SECONDS, self._refuse, [Reason.PAIRING_REJECTED])
            grace.daemon = True
            grace.start()
        elif text in _REFUSALS:
            self._refuse(_REFUSALS[text])


class LogOut(Client):
    """A client that logs in, waits until the parent has confirmed the keys, and then removes its device."""

    def __init__(self, dsn: str, jid: JID | None, out: int, confirmed: threading.Event) -> None:
        super().__init__(dsn, jid, out)
        self._confirmed = confirmed
        self._turn = threading.Lock()
        self._done = False

    def on_connected(self) -> None:
        """Log out on a thread of its own. Inside this callback, the call would wait for the callback's end."""
        super().on_connected()
        threading.Thread(target=self._log_out, daemon=True).start()

    def _on_logged_out(self, why: int) -> None:  # noqa: ARG002
        # WhatsApp does not know the device any more, whatever the reason is. So the task is done.
        self.say("logged_out")

    def _log_out(self) -> None:
        self._confirmed.wait()
        with self._turn:  # a device that has logged in twice has two threads here
            if self._done:
                return
            try:
                self.logout()
            except NeonizeError as problem:
                self.report(_fault_at_work(str(problem)))
            else:
                self._done = True
                self.say("logged_out")


def main() -> None:
    """Do the task that standard input names, until it is done, the child's time is over, or the parent is gone."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_DATA_BYTES, _MOST_DATA_BYTES))
    out = int(sys.argv[1])
    lifeline = Lifeline()
    task = lifeline.task()
    threading.Thread(target=_beat, args=(out,), daemon=True).start()
    if task["task"] == "create_tables":
        os.write(out, _create_tables(task["dsn"]))
        os._exit(0)
    dsn, jid = task["dsn"], _jid(task["jid"])
    client = LogOut(dsn, jid, out, lifeline.confirmed) if task["task"] == "log_out" else Client(dsn, jid, out)
    threading.Thread(target=_watch_connection, args=(client,), daemon=True).start()
    threading.Thread(target=_watch_store, args=(client,), daemon=True).start()
    if task["proxy"]:
        threading.Thread(target=_watch_proxy, args=(client,), daemon=True).start()
    _connect(client, dsn, task["proxy"])


def _create_tables(dsn: str) -> bytes:
    # Call Go directly: it opens the database, which creates the tables, and lists the devices. neonize's function for
    # this reads every answer as a list of devices, also the text of an error, and so loses the error.
    text = gocode.GetAllDevices(dsn.encode(), func_callback_bytes2(log_whatsmeow)).decode()
    fault = _fault_at_start(text.removeprefix("error: "), dsn) if text.startswith("error: ") else None
    return protocol.encode("store_failed", why=fault.why) if fault else protocol.encode(protocol.DONE)


def _connect(client: Client, dsn: str, proxy: str | None) -> None:
    """Open the database, then dial WhatsApp. Report a failure of either."""
    pause, give_up_at = _PAUSE_SECONDS, time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            client.connect(neonize_client.ProxySettings(proxy) if proxy else None)
            return
        except NeonizeError as problem:
            text = str(problem)
        # The engine opens its database before it dials. So an error after that is not about the database.
        fault = None if client.store_is_open.is_set() else _fault_at_start(text, dsn)
        if not (fault and fault.passes and time.monotonic() + pause < give_up_at):
            break
        time.sleep(pause)
        pause *= 2
    if proxy and not fault and (found := proxy_fault(text)):
        client.say("unreachable", why=found.why, login_refused=found.login_refused)
        return
    # Report that the fault does not pass. A fresh engine would only repeat what this engine has tried for so long.
    client.report(fault and replace(fault, passes=False))


def _fault_at_start(text: str, dsn: str) -> StoreFault | None:
    fault = store_fault(text)
    seen = tls_fault(dsn) if fault and fault.in_handshake else None
    return StoreFault(seen.why, seen.passes) if seen else fault


def _fault_at_work(text: str) -> StoreFault | None:
    return store_fault(text) if "pq: " in text else logged_fault(text)


def _jid(text: str | None) -> JID | None:
    if text is None:
        return None
    user, _, server = text.partition("@")
    number, _, device = user.partition(":")
    jid = build_jid(number, server)
    jid.Device = int(device or 0)
    return jid


def _watch_connection(client: Client) -> None:
    while not client.is_connected:
        time.sleep(0.05)
    client.is_reached.set()
    client.say("reached")


def _watch_store(client: Client) -> None:
    if not client.store_is_open.wait(_OPEN_SECONDS):
        client.report(StoreFault("Postgres does not answer", passes=True))


def _watch_proxy(client: Client) -> None:
    client.store_is_open.wait()
    # While Go dials, it does not answer `is_connected`. So wait for what `_watch_connection` has seen.
    if not client.is_reached.wait(_PROXY_SECONDS):
        client.say("unreachable", why="the proxy does not answer, or WhatsApp does not behind it", login_refused=False)


def _beat(out: int) -> None:
    while True:
        os.write(out, protocol.encode(protocol.BEAT))
        time.sleep(1)


if __name__ == "__main__":
    main()
