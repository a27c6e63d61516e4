"""A project with published keys, and what verifies its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from whatsapp_pairing.web import published_keys
from whatsapp_pairing.web.identity import TokenVerifier

from tests.support.jwks import Project, served
from tests.support.stack import PATIENCE_SECONDS


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.now


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine has time to answer; a test of the limit sets its own."""
    monkeypatch.setattr(published_keys, "_ANSWER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def published() -> Iterator[Project]:
    """A project whose keys are served."""
    with served(Project()) as project:
        yield project


@pytest.fixture
def project(published: Project) -> Project:
    """The project, in good order, and asked by nobody yet."""
    published.reset()
    return published


@pytest.fixture
def verifier(project: Project) -> TokenVerifier:
    """A verifier that has no keys yet."""
    return TokenVerifier(project.url)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the cache of keys looks at; it stands still until the test moves it."""
    clock = Clock()
    monkeypatch.setattr(published_keys, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock
