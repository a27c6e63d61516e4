"""An embedded Postgres with the parts of Supabase that the migrations need.

The local system, the tests and the commands that need a fresh database use it.

- ``server``: starts, stops and removes a server. ``binaries`` finds its programs.
- ``account``: chooses the user that runs it, and the place of its files, under root too.
- ``supabase.sql``: the roles and the schema ``auth`` that a Supabase project has.
"""

from pathlib import Path

SUPABASE = Path(__file__).with_name("supabase.sql")
"""The tests, the local system and `fresh_database` run this file in a database before the migrations."""
