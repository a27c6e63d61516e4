"""Applies the migrations of `migrations/` and checks what a database holds.

The commands are `python -m infra.migrate up|status|verify --database-url …`, `… bundle DIR` and `… snapshot`. Python
code calls `up`, `status` and `verify`.

Commands:
up_and_status.py     `up` and `status`
verification.py      `verify`: compares what must be there with what is there
default_tls.py       `verify`: tries the default of TLS, also for a URL that names a weaker mode
try_writes.py        `verify --try-writes`: pairs a user, and rolls it back
bundle.py            `bundle`: writes a folder of files for products that apply migrations with a tool of their own
snapshot.py          `snapshot`: starts a fresh database, and writes expected.json from it

What `up` applies:
files.py             reads the numbered files, in their order
numbered.py          applies each numbered file once
engine_tables.py     has whatsmeow create its tables, and grants the rights on them
engine_schema.py     asks first in which schema whatsmeow would create them
engine_sql.py        writes whatsmeow's tables as a file, for a bundle
functions.py         applies the file of each database function again when its text changes
run_file.py          runs a file as one query, and explains an error of Postgres
one_at_a_time.py     lets one `up` work at a time

What `up` records:
history.py           our record of what was applied
supabase_history.py  the Supabase CLI's record, for products that copy the files
release.py           the newest release that has migrated the database
adoption.py          takes old records over, and adopts a database without a record

What `verify` reads:
checked_objects.py   names the objects and the roles to look at
expected.py          reads what must be there, from expected.json
catalog_facts.py     reads from the catalog what is there
catalog_rights.py    the queries of catalog_facts.py about rights
grant_advice.py      the GRANT and REVOKE that mend a finding
"""

from infra.migrate.connection import without_password
from infra.migrate.errors import MigrateError
from infra.migrate.files import MIGRATIONS
from infra.migrate.up_and_status import Outcome, Status, status, up
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
