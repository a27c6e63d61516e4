"""The command line: `python -m infra.migrate up|status|verify|bundle|snapshot`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psycopg
from whatsapp_pairing.runtime.tls import weakness

from infra.migrate import MIGRATIONS, MigrateError, status, up, verify
from infra.migrate.connection import readable
from infra.migrate.default_tls import refusal_by_default
from infra.migrate.errors import NewerRelease
from infra.migrate.expected import SNAPSHOT
from infra.migrate.verification import checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 for success, 1 for a failure or findings. A wrong call exits with 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command in ("bundle", "snapshot"):
        return {"bundle": _bundle, "snapshot": _snapshot}[options.command](options)
    url = options.database_url or os.environ.get("DATABASE_URL", "")
    if not url:
        parser.error("give --database-url or set DATABASE_URL")
    try:
        url = readable(url)
        if told := weakness(url):
            print(f"warning: {told}", file=sys.stderr)
        return {"up": _up, "status": _status, "verify": _verify}[options.command](url, options)
    except NewerRelease as problem:
        # The workflow of an earlier tag runs `up` and `verify` before it deploys, and must go on.
        return _say({"ok": True, "newer_release": problem.recorded}, [f"note: {problem}"], options.json)
    except MigrateError as problem:
        return _fail(str(problem), options.json)
    except psycopg.Error as problem:  # for example, the connection was lost, or a right is missing
        return _fail(str(problem).strip(), options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.migrate", description="Migrations of whatsapp-pairing.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|status|verify|bundle|snapshot")
    for name, text in {
        "up": "apply every pending migration, each in one transaction, and the engine's own tables",
        "status": "list the migrations: applied, pending, changed after they were applied, and records without a file",
        "verify": "check what the database holds; exit 1 and a list of what is missing or different",
    }.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--database-url", metavar="URL", help="default: the environment's DATABASE_URL")
        if name != "verify":
            command.add_argument("--directory", type=Path, default=MIGRATIONS, help="default: migrations/")
        if name == "up":
            command.add_argument(
                "--supabase-history",
                action="store_true",
                help="also record the files in the Supabase CLI's history: for products whose supabase/migrations "
                "holds copies of them",
            )
        if name == "verify":
            command.add_argument(
                "--try-writes",
                action="store_true",
                help="also pair the oldest user as the three roles, and roll everything back",
            )
        command.add_argument("--json", action="store_true", help="print JSON")
    text = (
        "write the migrations, whatsmeow's tables and our record as files into a folder, for a product that applies "
        "migrations with a tool of its own; it changes no file that is there"
    )
    command = commands.add_parser("bundle", help=text, description=text)
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--directory", type=Path, default=MIGRATIONS, help="default: migrations/")
    command.add_argument("--json", action="store_true", help="print JSON")
    text = "write what `verify` expects, from a fresh database that the migrations make; review the diff of the file"
    command = commands.add_parser("snapshot", help=text, description=text)
    command.add_argument("--file", type=Path, default=SNAPSHOT, help="default: infra/migrate/expected.json")
    return parser


def _snapshot(options: argparse.Namespace) -> int:
    from infra.migrate.snapshot import (
        write_snapshot,  # imported here: it starts a Postgres, which the other commands do not need
    )

    print(f"{options.file}: {'changed' if write_snapshot(options.file) else 'as before'}")
    if options.file == SNAPSHOT:
        from infra.migrate.bundle import VERSIONS, write_versions

        print(f"{VERSIONS}: {'changed' if write_versions() else 'as before'}")
    return 0


def _bundle(options: argparse.Namespace) -> int:
    from infra.migrate.bundle import write_bundle  # imported here: it starts a Postgres

    try:
        done = write_bundle(options.folder, options.directory)
    except MigrateError as problem:
        return _fail(str(problem), options.json)
    lines = [f"wrote {options.folder / name}" for name in done.written]
    return _say(asdict(done), lines or ["nothing to write"], options.json)


def _up(url: str, options: argparse.Namespace) -> int:
    done = up(url, options.directory, supabase_history=options.supabase_history)
    lines = [f"adopted {version}: it had no record, but the database holds all of it" for version in done.adopted]
    lines += [f"took over the record of {version} from the Supabase CLI's history" for version in done.taken_over]
    if done.taken_over and not options.supabase_history:
        lines.append("These records are no longer in the Supabase CLI's history. If your supabase/migrations holds our")
        lines.append("files, run `up --supabase-history`.")
    lines += [f"applied {version}" for version in done.applied]
    lines += [f"applied functions/{name}.sql" for name in done.functions]
    lines += [f"note: {notice}" for notice in done.notices]
    return _say(asdict(done), lines or ["nothing to apply"], options.json)


def _status(url: str, options: argparse.Namespace) -> int:
    found = status(url, options.directory)
    changed = " (the file has changed since it was applied; `verify` tells whether this matters)"
    lines = [f"applied   {name}" + (changed if name in found.changed else "") for name in found.applied]
    lines += [f"pending   {name}" for name in found.pending]
    lines += [f"no file   {name}" for name in found.not_here]
    return _say(asdict(found), lines, options.json)


def _verify(url: str, options: argparse.Namespace) -> int:
    findings = verify(url)
    if options.try_writes:
        from infra.migrate.try_writes import (
            try_writes,  # imported here: it imports the domain, which the other commands do not need
        )

        findings += try_writes(url)
    wrong = [finding for finding in findings if finding.kind != "beyond"]
    lines = [str(finding) for finding in findings]
    refusal = refusal_by_default(url)
    if refusal:
        lines.append(f"warning: with sslmode=verify-full, the default for every host but this machine: {refusal}")
    if not wrong:
        lines.append(f"ok: {checks()} checks")
    answer = {
        "ok": not wrong,
        "checks": checks(),
        "findings": [asdict(finding) for finding in findings],
        "tls": refusal,
    }
    _say(answer, lines, options.json)
    return 1 if wrong else 0


def _say(answer: object, lines: Sequence[str], as_json: bool) -> int:
    print(json.dumps(answer, indent=2) if as_json else "\n".join(lines))
    return 0


def _fail(message: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"ok": False, "error": message}, indent=2))
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
