"""Upgrades a database with paired devices, as an operator does it, and tries the present engine on the new tables."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from infra.children import ChildGuard
from infra.engine_version.bounded import Done, Runner
from infra.engine_version.candidate import Checkout
from infra.engine_version.deployment import Deployment, Person, deployed
from infra.engine_version.report import Line, failed, ok
from infra.engine_version.stored_rows import differences, missing_tables, read_rows
from infra.errors import ToolError
from infra.migrate.snapshot import fresh_database

UNLINK = "upgrade, the paired device logs in and is unlinked"
PAIR = "upgrade, a new device pairs"
ANNOUNCE = "version of WhatsApp Web that is announced"

_MIGRATE_SECONDS = 180.0


class Upgrade:
    """One database: first with the present engine, then with the candidate's, then with the present one again.

    Parameters
    ----------
    present, candidate
        The two checkouts.
    log
        The file for what the systems and the migrations print.
    guard
        Ends the processes if this process is killed.
    """

    def __init__(self, present: Checkout, candidate: Checkout, log: Path, guard: ChildGuard) -> None:
        self._present, self._candidate, self._log, self._guard = present, candidate, log, guard
        self._first, self._second, self._third = (
            Person(str(uuid.uuid4()), f"3460000000{number}") for number in (1, 2, 3)
        )
        self._announced: dict[Checkout, str] = {}

    def lines(self) -> Iterator[Line]:
        """Yield the results, in the order of an upgrade."""
        with fresh_database() as server, tempfile.TemporaryDirectory(prefix="whatsapp-engine-") as folder:
            url, data_dir = server.url(), Path(folder) / "system"
            with deployed(self._present, url, data_dir, self._log, self._guard) as system:
                for person in (self._first, self._second):
                    self._pair(system, self._present, person)
            version = _version(url)
            made = f"2 devices of {self._present.version}, tables of version {version}"
            yield ok("upgrade, a database of today", made)
            yield from self._migrated(url, version)
            logs = data_dir / "logs"
            shutil.rmtree(logs)  # so that an error in a log is one of the candidate's
            try:
                with deployed(self._candidate, url, data_dir, self._log, self._guard) as system:
                    yield _tried(UNLINK, logs, lambda: self._unlink(system, url, self._first))
                    yield _tried(PAIR, logs, lambda: self._pair(system, self._candidate, self._third))
            except ToolError as error:
                why = f"the system with {self._candidate.version} does not start: {error}"
                yield from (failed(check, why) for check in (UNLINK, PAIR))
            yield self._announcement()
            yield self._way_back(url, data_dir)

    def _migrated(self, url: str, version: int) -> Iterator[Line]:
        rows = read_rows(url)
        done, check = self._migrate(self._candidate, url, "up"), "upgrade, infra.migrate up"
        moved = _version(url)
        if done.status != 0:
            yield failed(check, done.last_line)
        else:
            yield ok(check, f"tables of version {version} -> {moved}")
        lost, check = [*differences(rows, read_rows(url)), *missing_tables(url)], "upgrade, rows and tables"
        many = sum(len(table.rows) for table in rows.values())
        yield failed(check, "; ".join(lost)) if lost else ok(check, f"all {many} rows of {len(rows)} tables are kept")
        # The present checkout knows what the present SQL needs. The copy has a new snapshot.
        done, check = self._migrate(self._present, url, "verify", "--try-writes"), "upgrade, infra.migrate verify"
        yield ok(check, done.last_line) if done.status == 0 else failed(check, _findings(done))

    def _announcement(self) -> Line:
        before, after = (self._announced.get(checkout, "") for checkout in (self._present, self._candidate))
        if not after:
            return failed(ANNOUNCE, "unknown, because no new device showed a QR code")
        if _numbers(after) < _numbers(before):
            return failed(ANNOUNCE, f"{after}, which is older than the present {before}")
        if after == before and self._candidate.version != self._present.version:
            return ok(ANNOUNCE, f"{after} as before; a WhatsApp that refuses it now will refuse it again")
        return ok(ANNOUNCE, f"{after} (now {before})")

    def _way_back(self, url: str, data_dir: Path) -> Line:
        """Say what the present engine does with the tables as they are now. Either answer is a fact, not a failure."""
        check = f"way back to {self._present.version}"
        done = self._migrate(self._present, url, "up")
        if done.status != 0:
            return ok(check, f"none, once `up` has run: {done.last_line}")
        with deployed(self._present, url, data_dir, self._log, self._guard) as system:
            self._unlink(system, url, self._second)
        return ok(check, "it opens the tables, logs in and unlinks")

    def _pair(self, system: Deployment, checkout: Checkout, person: Person) -> str:
        qr = system.show_qr(person)
        self._announced[checkout] = system.announced()
        system.scan(person, qr)
        return "connected"

    def _unlink(self, system: Deployment, url: str, person: Person) -> str:
        if (status := system.status(person)) != "connected":
            raise ToolError(f"the status of the paired device is {status}")
        system.disconnect(person)
        with psycopg.connect(url) as connection:
            left = connection.execute(
                "SELECT count(*) FROM whatsapp_engine.whatsmeow_device WHERE jid LIKE %s", (f"{person.number}%",)
            ).fetchone()
        if left != (0,):
            raise ToolError("the phone has removed the device, but its keys are still stored")
        return "the phone and the database have forgotten it"

    def _migrate(self, checkout: Checkout, url: str, *command: str) -> Done:
        environment = {"DATABASE_URL": url}
        runner = Runner(checkout.root, self._log, self._guard)
        return runner.run([checkout.python, "-m", "infra.migrate", *command], _MIGRATE_SECONDS, environment)


def _tried(check: str, logs: Path, work: Callable[[], str]) -> Line:
    try:
        return ok(check, work())
    except ToolError as error:
        told = "; ".join(dict.fromkeys(_complaints(logs)))
        return failed(check, f"{error}; the functions' logs say: {told}" if told else str(error))


def _complaints(logs: Path) -> Iterator[str]:
    """Yield the errors and warnings of linker and unlink."""
    for name in ("linker", "unlink"):
        path = logs / f"{name}.log"
        for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
            if line.startswith("[ERROR] "):  # Lambda's words for a function that raises
                yield line.removeprefix("[ERROR] ").partition("Traceback")[0]
            elif line.startswith("{"):
                entry = json.loads(line)
                if entry.get("level") in ("WARNING", "ERROR"):
                    yield " ".join(str(entry[key]) for key in ("message", "why") if key in entry)


def _version(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT max(version) FROM whatsapp_engine.whatsmeow_version").fetchone()
    return int(row[0]) if row else 0


def _findings(done: Done) -> str:
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
