"""Runs cases on several systems at once and counts their ends."""

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

# A case mostly waits for a heartbeat, so several systems can run on two cores.
PATIENT_SYSTEMS = 3

Fault = Callable[[DisturbedPairing], None]


@dataclass(frozen=True)
class Case:
    """One way in which a pairing may be disturbed.

    Attributes
    ----------
    fault : callable
        Clicks, causes the fault, and scans as a person would. The suite waits for the end.
    ends : tuple of str
        The right ends, as ``DisturbedPairing.end`` names them.
    runs : int
        How often to run it by default. Cases with a random moment have several runs.
    kind : Kind
        The system that the case needs.
    """

    group: str
    name: str
    fault: Fault
    ends: tuple[str, ...]
    runs: int
    kind: Kind


@dataclass
class Result:
    """How the runs of a case ended."""

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
    """Register a case. Without `ends`, it must end as ``connected``."""

    def register(fault: Fault) -> Fault:
        CASES.append(Case(group, name, fault, ends or ("connected",), runs, kind))
        return fault

    return register


class Suite:
    """Runs cases in the background. ``results`` has a future for each.

    Parameters
    ----------
    cases : iterable of Case
        What to run.
    runs : int or None
        How often to run each case; None: as the case says.
    seed : int
        The seed of the random moments.
    """

    def __init__(self, cases: Iterable[Case], runs: int | None, seed: int) -> None:
        self.results: dict[Case, Future[Result]] = {one: Future() for one in cases}
        self._runs = runs
        self._seed = seed
        self._stopping = False
        self._threads: list[threading.Thread] = []
        patient = [one for one in self.results if one.kind == PATIENT]
        # The other cases share one thread, sorted so that each kind of system is started once.
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
        """Start no more cases, and wait until every system has ended."""
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
                except BaseException as error:  # pass the error on to the thread that waits for the result
                    self.results[one].set_exception(error)


def run(one: Case, system: DisturbedSystem, runs: int, chance: random.Random) -> Result:
    """Run a case this many times. The problems are in ``problems`` of the result."""
    result = Result(one)
    for turn in range(runs):
        pairing = DisturbedPairing(system, system.stack.user(), system.number(), chance)
        note_orphans(system)
        began = time.monotonic()
        try:
            one.fault(pairing)
            end = pairing.end()
        except Exception as error:  # the table must be printed, however a case fails
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
    """Check that the next click pairs after any disturbance. It may have to wait for the pause of 5 seconds."""
    again = DisturbedPairing(pairing.system, pairing.user, pairing.number, pairing.chance)
    again.user.disconnect()
    until("second attempt", lambda: again.user.connect().status == 202, 6, every=0.1)
    again.persist()
    end = again.end(PATIENCE)
    assert end == "connected", end
