"""WhatsApp is unreachable, silent or slow, or refuses."""

from __future__ import annotations

from collections.abc import Callable

from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import HASTY, until
from tests.system.faults.suite import case

GROUP = "network"


def before_the_click(**knobs: object) -> Callable[[DisturbedPairing], None]:
    """Set the knobs before the click. Nobody scans."""

    def fault(pairing: DisturbedPairing) -> None:
        pairing.system.sandbox.set_knobs(**knobs)
        pairing.click()

    return fault


def with_a_scan(**knobs: object) -> Callable[[DisturbedPairing], None]:
    """Set the knobs when the QR shows, and scan it."""

    def fault(pairing: DisturbedPairing) -> None:
        pairing.click()
        qr = pairing.qr()
        pairing.system.sandbox.set_knobs(**knobs)
        pairing.scan(qr)

    return fault


def so_often(times: int | None, **knobs: object) -> Callable[[DisturbedPairing], None]:
    """Let WhatsApp fail this many times (None: always), and scan each QR until the attempt ends."""

    def fault(pairing: DisturbedPairing) -> None:
        pairing.system.sandbox.set_knobs(**knobs, failTimes=times)
        pairing.click()
        pairing.persist()

    return fault


for _name, _end, _knobs in (
    ("refuses every connection", "whatsapp_unreachable", {"refuse": True}),
    ("silent after the HTTP upgrade", "qr_timeout", {"silent": "upgrade"}),
    ("silent after the handshake", "qr_timeout", {"silent": "handshake"}),
    ("gives no QR in time", "qr_timeout", {"qrDelaySeconds": 60}),
    ("answers 503", "whatsapp_unreachable", {"connectFailure": 503}),
    ("answers 405: outdated", "client_outdated", {"connectFailure": 405}),
):
    case(GROUP, _name, f"error: {_end}", kind=HASTY)(before_the_click(**_knobs))

# whatsmeow waits 10 seconds for TLS. It depends on the machine whether that ends before the window.
case(GROUP, "silent after the TCP connection", "error: whatsapp_unreachable", "error: qr_timeout", kind=HASTY)(
    before_the_click(silent="tcp")
)

for _name, _end, _knobs in (
    ("passkey wanted", "passkey_required", {"passkey": True}),
    ("login answered 402: banned", "account_banned", {"loginFailure": 402}),
    ("login answered 403: locked", "account_banned", {"loginFailure": 403}),
    ("login answered 405: outdated", "client_outdated", {"loginFailure": 405}),
):
    case(GROUP, _name, f"error: {_end}", kind=HASTY)(with_a_scan(**_knobs))

case(GROUP, "nobody scans", "error: scan_timeout", kind=HASTY)(before_the_click())

for _name, _knobs in (
    ("refuses one connection", {"refuse": True}),
    ("answers 503 once", {"connectFailure": 503}),
    ("drops the socket while the QR shows", {"dropAfterSeconds": 0.3}),
    ("drops the socket after the scan", {"dropAfterScan": True}),
    ("login answered 503 once", {"loginFailure": 503}),
    ("stream replaced right after the login", {"replaceAfterSeconds": 0}),
):
    case(GROUP, _name, runs=2)(so_often(1, **_knobs))

for _name, _knobs in (
    ("tampered HMAC", {"tamper": "hmac"}),
    ("tampered signature", {"tamper": "signature"}),
    ("login answered 401", {"loginFailure": 401}),
):
    case(GROUP, f"{_name} three times: offers new QRs")(so_often(3, **_knobs))
    case(GROUP, f"{_name} every time", "error: pairing_rejected")(so_often(None, **_knobs))

case(GROUP, "renews the QR at each of two scans", runs=2)(so_often(2, renewSecret=True))
case(GROUP, "renews the QR, and nobody scans again", "error: scan_not_repeated", kind=HASTY)(
    with_a_scan(renewSecret=True)
)


@case(GROUP, "drops the socket while the QR shows, then refuses")
def _(pairing: DisturbedPairing) -> None:
    """No phone can use that QR any more, so it must disappear before WhatsApp is back."""
    pairing.system.sandbox.set_knobs(dropAfterSeconds=1)
    pairing.click()
    pairing.qr()
    pairing.system.sandbox.set_knobs(refuse=True)
    pairing.user.wait(10, "end of the dead QR", lambda status: status["status"] == "connecting")
    pairing.system.sandbox.reset_knobs()
    pairing.persist()


@case(GROUP, "QR comes late")
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(qrDelaySeconds=8)
    pairing.click()
    pairing.persist()


@case(GROUP, "runs out of refs")
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(refs=1)
    pairing.click()
    pairing.qr()
    pairing.system.sandbox.reset_knobs()
    pairing.scan(pairing.qr())


@case(GROUP, "unlinked on the phone during the first sync", "disconnected: unlinked_from_phone")
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(syncDelaySeconds=5)
    pairing.click_and_scan()
    until("login", lambda: [one for one in pairing.system.stack.devices(pairing.number) if one["online"]])
    pairing.system.wait_for_socket("online")
    pairing.system.sandbox.unlink(pairing.number)


@case(GROUP, "the phone never finishes its sync", runs=1)
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(syncDelaySeconds=60)
    pairing.click_and_scan()
