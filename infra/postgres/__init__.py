"""An embedded Postgres with what the migrations need of Supabase's, for the local runner, the tests and the snapshot.

- ``server``: starts, stops and removes a server. ``binaries`` finds its programs.
- ``account``: which user may run it, and where its files may be, under root too.
- ``supabase.sql``: the roles and the schema ``auth`` that a Supabase project has.
"""

from pathlib import Path

SUPABASE = Path(__file__).with_name("supabase.sql")
"""What the tests, the local runner and the snapshot load into a database before the migrations."""
