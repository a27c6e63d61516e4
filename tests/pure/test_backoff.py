"""The pauses between tries grow up to a limit."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st
from whatsapp_pairing.core import backoff
from whatsapp_pairing.core.backoff import Backoff


def test_the_docstring_examples_are_true() -> None:
    results = doctest.testmod(backoff)
    assert results.attempted > 0
    assert results.failed == 0


@given(st.floats(0.01, 10), st.floats(1, 10), st.floats(0, 0.9), st.integers(1, 3000))
def test_pauses_grow_to_their_limit_and_stay(first: float, factor: float, jitter: float, tries: int) -> None:
    most = first * factor
    pauses = Backoff(first, most, jitter)
    for count in range(tries):
        whole = min(first * 2.0 ** min(count, 100), most)
        assert whole * (1 - jitter) <= pauses.next() <= whole
    pauses.reset()
    assert pauses.next() <= first


def test_jitter_spreads() -> None:
    pauses = {Backoff(1, 1, 0.5).next() for _ in range(20)}
    assert len(pauses) > 10
