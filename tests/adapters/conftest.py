"""A project with published keys, and a verifier of its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from whatsapp_pairing.web import published_keys
from whatsapp_pairing.web.identity import TokenVerifier

from tests.support.jwks import Project, served
from tests.support.stack import PATIENCE_SECONDS


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time of this clock."""
        return self.now


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a server on a busy machine time to answer. A test of the limit sets a limit of its own."""
    monkeypatch.setattr(published_keys, "_ANSWER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def published() -> Iterator[Project]:
    """A project whose keys are served."""
    with served(Project()) as project:
        yield project


@pytest.fixture
def project(published: Project) -> Project:
    """The project. Its server works, and has not been asked yet."""
    published.reset()
    return published


@pytest.fixture
def verifier(project: Project) -> TokenVerifier:
    """A verifier that has no keys yet."""
    return TokenVerifier(project.url)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the key cache."""
    clock = Clock()
    monkeypatch.setattr(published_keys, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock
