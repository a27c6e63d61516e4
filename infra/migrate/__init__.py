"""Applies the migrations of `migrations/` and checks what a database holds.

`python -m infra.migrate up|status|verify --database-url …`, `… bundle DIR`, `… snapshot`; from Python, `up`, `status`
and `verify`.

files.py             the files, in order
execution.py         a file as one query, and what is told of a refusal
history.py           our record of what was applied
supabase_history.py  the Supabase CLI's record, for products that copy the files
functions.py         repeatable migrations: one file for each database function
release.py           the newest release that has migrated the database
turn.py              one runner at a time
numbered.py          the numbered files, applied once
adoption.py          old records taken over; a database without a record adopted
runner.py            up and status
scope.py             what is looked at
expected.py          what must be there: expected.json
fresh.py             a fresh database, and expected.json written from it
facts.py             what is there
verification.py      verify: the two compared
trying.py            verify --try-writes: a pairing that is rolled back
engine_tables.py     whatsmeow's own tables
engine_sql.py        the same as a file
bundle.py            a folder of files for products that apply them with a tool of their own
"""

from infra.migrate.connection import without_password
from infra.migrate.errors import MigrateError
from infra.migrate.files import MIGRATIONS
from infra.migrate.runner import Outcome, Status, status, up
from infra.migrate.verification import Finding, verify

__all__ = [
    "MIGRATIONS",
    "Finding",
    "MigrateError",
    "Outcome",
    "Status",
    "status",
    "up",
    "verify",
    "without_password",
]
