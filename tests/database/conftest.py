"""The database of the tests, and what several of them start from."""

from __future__ import annotations

import random

import pytest

from tests.support.adv_secret import Secret
from tests.support.databases import admin, pytest_generate_tests, transaction_pooler, way, world
from tests.support.repositories import World
from tests.support.shown_pairing import ShownPairing

__all__ = ["admin", "pytest_generate_tests", "transaction_pooler", "way", "world"]


@pytest.fixture
def pairing(world: World) -> ShownPairing:
    """A live attempt whose linker has shown a QR."""
    return ShownPairing(world)


@pytest.fixture
def secret() -> Secret:
    """The adv secret of a device."""
    return Secret()


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause of the linker as long as it can be."""
    monkeypatch.setattr(random, "random", lambda: 0.0)
