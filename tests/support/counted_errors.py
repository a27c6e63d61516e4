"""Counts every error of Postgres, also those that the product hides, repeats or translates."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
from whatsapp_pairing.core.errors import PairingError
from whatsapp_pairing.runtime.database import Connection, Database, T


def _sqlstate(error: PairingError) -> str:
    """The SQLSTATE in the message of a refusal, or the whole message if it has none."""
    found = re.search(r"\b[0-9A-Z]{5}\b", str(error))
    return found[0] if found else str(error)


class Errors:
    """How often each kind of call has met each SQLSTATE."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.met: Counter[tuple[str, str]] = Counter()

    def note(self, kind: str, what: str) -> None:
        """Note one error of a call."""
        with self._lock:
            self.met[kind, what] += 1


class CountingDatabase(Database):
    """A database that notes each error before the repository hides, repeats or translates it."""

    kind = ""

    def __init__(self, url: str, errors: Errors) -> None:
        super().__init__(lambda: url)
        self._errors = errors

    def _run(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        def noting(connection: Connection) -> T:
            try:
                return work(connection)
            except psycopg.Error as error:
                self._errors.note(self.kind, error.sqlstate or repr(error))
                raise

        return super()._run(noting, patience)

    def run_text(self, *arguments: Any) -> Any:
        try:
            return super().run_text(*arguments)
        except PairingError as error:
            self._errors.note("write_row", _sqlstate(error))
            raise
