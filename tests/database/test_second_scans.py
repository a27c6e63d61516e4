"""A linker shows another QR when a scan does not pair: WhatsApp asks for another scan, or refuses pairing or login."""

from __future__ import annotations

from dataclasses import replace

import pytest
from whatsapp_pairing.core.engine import DatabaseFailed, Exhausted, Reached, Refused, Synced
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS, SCAN_AGAIN_SECONDS
from whatsapp_pairing.session.session import Session, Status

from tests.support.adv_secret import Secret
from tests.support.metrics import metrics_in, values
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import JID, Stage, Step, online, outcome_of, qr, reached_qr, removed, scan

REJECTED = Refused(Reason.PAIRING_REJECTED)
# Postgres refuses to store the keys of a device that a phone has just scanned.
FULL = DatabaseFailed("SQLSTATE 53100", passes=True)


def renewed(secret: Secret, seconds: float) -> Step:
    """The QR that the person has to scan again. WhatsApp gives it the ref of the QR before."""
    return replace(qr(secret), seconds=seconds, renewed=True)


def pairs(world: World, jid: str = JID) -> list[Step]:
    """The script of an engine whose QR is scanned and whose device logs in."""
    secret = Secret()
    return [*reached_qr(secret), *scan(world, secret, jid), 0.3, online(jid), 0.5, Synced()]


class Watched(Stage):
    """Runs a scripted engine, and can note the session that the person sees."""

    def __init__(self, world: World, *scripts: list[Step]) -> None:
        super().__init__(world, *scripts)
        self.seen: list[Session] = []

    def look(self) -> None:
        """Note the session that the person sees now."""
        self.seen.append(self.world.sessions.get(self.user))


def test_a_renewed_qr_is_shown_with_its_notice_and_pairs(world: World) -> None:
    first, second = Secret(), Secret()
    stage = Watched(world)
    stage.scripts.append(
        [*reached_qr(first), 20.0, renewed(second, 40.0), 39.0, stage.look, *scan(world, second), stage.look,
         online(), Synced()]
    )  # fmt: skip

    assert stage.link() == "connected"

    shown, scanned = stage.seen
    assert (shown.status, shown.qr, shown.notice) == (Status.WAITING_QR, second.text(), Notice.SCAN_AGAIN)
    assert (scanned.status, scanned.qr, scanned.notice) == (Status.WAITING_QR, None, None)
    assert (world.bound(first)["state"], world.bound(second)["state"]) == ("unlinking", "linked")
    assert world.sessions.get(stage.user).notice is None


def test_a_notice_stays_for_the_next_qrs(world: World) -> None:
    stage, secret = Watched(world), Secret()
    stage.scripts.append(
        [*reached_qr(Secret()), 5.0, renewed(secret, 55.0), 55.0, qr(secret, 2, 20), stage.look, 20.0, Exhausted()]
    )
    stage.scripts.append([stage.look, *reached_qr(Secret()), stage.look])
    assert stage.link() == Reason.SCAN_NOT_REPEATED
    assert [session.notice for session in stage.seen] == [Notice.SCAN_AGAIN] * 3
    assert stage.settle("scan_not_repeated") == Reason.SCAN_NOT_REPEATED
    session = world.sessions.get(stage.user)
    assert (session.reason, session.notice) == (Reason.SCAN_NOT_REPEATED, None)


@pytest.mark.parametrize("refusals", [1, 2, 3])
@pytest.mark.parametrize("refused", [REJECTED, FULL], ids=["engine", "store"])
def test_a_refused_pairing_gets_another_qr(world: World, refusals: int, refused: Step) -> None:
    stage = Watched(world)
    for _ in range(refusals):
        stage.scripts.append([*reached_qr(Secret()), refused])
    stage.scripts.append([stage.look, Reached(), qr(Secret()), stage.look, *pairs(world)[1:]])

    assert stage.link() == "connected"

    waiting, shown = stage.seen
    assert (waiting.status, waiting.qr, waiting.notice) == (Status.CONNECTING, None, Notice.NEW_QR)
    assert (shown.status, shown.notice) == (Status.WAITING_QR, Notice.NEW_QR)
    assert stage.started == ["pair"] * (refusals + 1)
    assert stage.clock.now < 3, "the next QR came after a pause"


def test_the_fourth_refusal_ends_the_attempt(world: World) -> None:
    stage = Stage(world, *[[*reached_qr(Secret()), REJECTED] for _ in range(4)])
    assert stage.link() == Reason.PAIRING_REJECTED
    assert stage.settle() == Reason.PAIRING_REJECTED
    assert world.sessions.get(stage.user).reason is Reason.PAIRING_REJECTED
    assert stage.started == ["pair"] * 4


def test_the_fourth_scan_that_the_store_refuses_is_our_fault(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The QRs between the refusals must not hide that the same fault repeats."""
    stage = Stage(world, *[[*reached_qr(Secret()), FULL] for _ in range(5)])
    assert stage.link() == Reason.LINKER_FAILED
    assert stage.started == ["pair"] * 4
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]


def test_refusals_of_all_linkers_are_counted(world: World) -> None:
    """The next linker continues the count of the linker before it."""
    stage = Stage(world, *[[*reached_qr(Secret()), REJECTED] for _ in range(2)], [OSError("no more processes")])
    with pytest.raises(OSError, match="no more processes"):
        stage.link()
    stage.scripts += [[*reached_qr(Secret()), REJECTED] for _ in range(2)]
    assert stage.link() == Reason.PAIRING_REJECTED


@pytest.mark.parametrize(("left", "outcome"), [(SCAN_AGAIN_SECONDS + 3, "connected"), (25, "pairing_rejected")])
def test_a_refusal_too_late_for_a_scan_gets_no_qr(world: World, left: float, outcome: str) -> None:
    stage = Stage(world, [*reached_qr(Secret()), WINDOW - left, REJECTED], pairs(world))
    assert stage.link() == outcome


def refused_login(world: World, jid: str = JID) -> list[Step]:
    """The script of an engine whose QR is scanned, and whose login WhatsApp refuses with a 401."""
    secret = Secret()
    return [*reached_qr(secret), *scan(world, secret, jid), 1.0, *removed(world, jid)]


def test_a_refused_login_gets_another_qr(world: World) -> None:
    stage = Watched(world, refused_login(world))
    stage.scripts.append([stage.look, Reached(), qr(Secret()), stage.look, *pairs(world)[1:]])

    assert stage.link() == "connected"

    waiting, shown = stage.seen
    assert (waiting.status, waiting.notice) == (Status.CONNECTING, Notice.NEW_QR)
    assert (shown.status, shown.notice) == (Status.WAITING_QR, Notice.NEW_QR)
    assert shown.qr is not None
    assert outcome_of(world, stage.attempt_id) == "connected"


def test_a_refused_login_without_another_scan_says_so(world: World) -> None:
    stage = Stage(world, refused_login(world), reached_qr(Secret()))
    assert stage.link() == Reason.SCAN_NOT_REPEATED


def test_the_fourth_refused_login_ends_the_attempt(world: World) -> None:
    stage = Stage(world, *[refused_login(world) for _ in range(4)])
    assert stage.link() == Reason.PAIRING_REJECTED


def test_keys_left_after_a_refused_login_are_not_resumed(world: World) -> None:
    """The engine ends after the 401, and before whatsmeow has deleted the keys."""
    gone, other = Secret(), "5215550009:4@s.whatsapp.net"
    stage = Stage(world, [*reached_qr(gone), *scan(world, gone), 1.0, removed(world)[1]], pairs(world, other))
    assert stage.link() == "connected"
    assert stage.started == ["pair", "pair"]
    assert world.bound(gone)["state"] == "unlinking"
    assert stage.workflow.of("call_unlinks") == [[world.bound(gone)["id"]]]


@pytest.mark.parametrize("end", ["disconnect", "settle"])
def test_keys_left_after_a_refused_login_are_unlinked_at_the_end(world: World, end: str) -> None:
    gone = Secret()
    stage = Stage(world, [*reached_qr(gone), *scan(world, gone), 1.0, removed(world)[1]])
    if end == "disconnect":
        stage.clock.at(20.0, stage.disconnect)
    stage.link()
    if end == "settle":
        stage.settle()
    assert [world.bound(gone)["id"]] in stage.workflow.of("call_unlinks")


def test_a_refused_login_whose_linker_dies_is_not_scanned(world: World) -> None:
    gone = Secret()
    stage = Stage(world, [*reached_qr(gone), *scan(world, gone), 1.0, removed(world)[0], OSError("out of memory")])
    with pytest.raises(OSError, match="out of memory"):
        stage.link()
    stage.scripts.append(reached_qr(Secret()))
    assert stage.link() == Reason.SCAN_NOT_REPEATED


def test_the_second_scan_does_not_extend_the_deadline(world: World) -> None:
    """The first scan gives an attempt 60 more seconds. Later scans give none."""
    late: list[Step] = [*reached_qr(first := Secret()), WINDOW - 10, *scan(world, first), 1.0, *removed(world)]
    other = "5215550009:4@s.whatsapp.net"
    stage = Stage(world, late, [*reached_qr(second := Secret()), 20.0, *scan(world, second, other)])
    stage.scripts += [[Reached()] for _ in range(8)]
    assert stage.link() == Reason.LINKER_FAILED
    assert stage.clock.now < WINDOW + AFTER_SCAN_SECONDS + 3
