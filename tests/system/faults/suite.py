"""Runs cases on several worlds at once and counts their ends."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import PATIENCE, PATIENT, DisturbedSystem, Kind, until
from tests.system.faults.leftovers import left_behind, note_orphans, secrets_written

# Most of a case is waiting for a heartbeat, so several systems fit on two cores.
PATIENT_SYSTEMS = 3

Fault = Callable[[DisturbedPairing], None]


@dataclass(frozen=True)
class Case:
    """One way in which a pairing may be disturbed.

    Attributes
    ----------
    fault : callable
        Clicks, does the harm and scans as far as a person would; the suite waits for the end.
    ends : tuple of str
        Ends that are right, as ``DisturbedPairing.end`` names them.
    runs : int
        How often, by default: more where the moment is random.
    kind : Kind
        The system that it wants.
    """

    group: str
    name: str
    fault: Fault
    ends: tuple[str, ...]
    runs: int
    kind: Kind


@dataclass
class Result:
    """What came of a case."""

    case: Case
    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """Group, case, runs, ends and seconds, for the table."""
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return self.case.group, self.case.name, str(self.ends.total()), ends, f"{self.slowest:.1f}"


CASES: list[Case] = []


def case(group: str, name: str, *ends: str, runs: int = 1, kind: Kind = PATIENT) -> Callable[[Fault], Fault]:
    """Register a case; its ends are ``connected`` unless said otherwise."""

    def register(fault: Fault) -> Fault:
        CASES.append(Case(group, name, fault, ends or ("connected",), runs, kind))
        return fault

    return register


class Suite:
    """Runs cases in the background; ``results`` has a future for each.

    Parameters
    ----------
    cases : iterable of Case
        What to run.
    runs : int or None
        How often each; None: as the case says.
    seed : int
        Of the random moments.
    """

    def __init__(self, cases: Iterable[Case], runs: int | None, seed: int) -> None:
        self.results: dict[Case, Future[Result]] = {one: Future() for one in cases}
        self._runs = runs
        self._seed = seed
        self._stopping = False
        self._threads: list[threading.Thread] = []
        patient = [one for one in self.results if one.kind == PATIENT]
        # The others take turns in one lane, sorted so that each kind of system is started once.
        kinds = list(dict.fromkeys(one.kind for one in self.results))
        others = sorted((one for one in self.results if one.kind != PATIENT), key=lambda one: kinds.index(one.kind))
        for lanes, wanted in ((PATIENT_SYSTEMS, patient), (1, others)):
            waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
            for one in wanted:
                waiting.put(one)
            for _ in range(min(lanes, len(wanted))):
                thread = threading.Thread(target=self._work, args=(waiting,))
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Start nothing more and wait until every system has ended."""
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def _work(self, waiting: queue.SimpleQueue[Case]) -> None:
        with contextlib.ExitStack() as cleanups:
            system, kind = None, None
            while not self._stopping:
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    if system is None or one.kind != kind:
                        cleanups.close()
                        system, kind = DisturbedSystem(one.kind), one.kind
                        cleanups.callback(system.close)
                    chance = random.Random(f"{self._seed} {one.name}")
                    self.results[one].set_result(run(one, system, self._runs or one.runs, chance))
                except BaseException as error:  # whoever waits for the result must hear of it
                    self.results[one].set_exception(error)


def run(one: Case, system: DisturbedSystem, runs: int, chance: random.Random) -> Result:
    """Run a case so many times; what went wrong is in the result's ``problems``."""
    result = Result(one)
    for turn in range(runs):
        pairing = DisturbedPairing(system, system.stack.user(), system.number(), chance)
        note_orphans(system)
        began = time.monotonic()
        try:
            one.fault(pairing)
            end = pairing.end()
        except Exception as error:  # a case may fail in any way; the table must still come
            end = f"failed: {type(error).__name__}"
            result.problems.append(traceback.format_exc())
        finally:
            system.sandbox.reset_knobs()
            system.aws.heal()
        result.ends[end] += 1
        result.slowest = max(result.slowest, time.monotonic() - began)
        if end not in one.ends:
            result.problems.append(f"run {turn + 1} ended {end}; attempt {pairing.attempt_for_people()}")
        else:
            result.problems += [f"run {turn + 1}: {thing}" for thing in left_behind(system)]
        try:
            if turn == runs - 1:
                _click_again(pairing)
            assert pairing.user.disconnect().status == 200
        except Exception:
            result.problems.append(f"run {turn + 1}, the next click: {traceback.format_exc()}")
        result.problems += [f"run {turn + 1}, after disconnect: {thing}" for thing in left_behind(system)]
    result.problems += [f"by the end: {thing}" for thing in secrets_written(system)]
    return result


def _click_again(pairing: DisturbedPairing) -> None:
    """Whatever happened, the next click pairs; it may have to wait until 5 seconds after the last."""
    again = DisturbedPairing(pairing.system, pairing.user, pairing.number, pairing.chance)
    again.user.disconnect()
    until("second attempt", lambda: again.user.connect().status == 202, 6, every=0.1)
    again.persist()
    end = again.end(PATIENCE)
    assert end == "connected", end
