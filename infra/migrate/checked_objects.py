"""Names the objects and the roles that `verify` looks at."""

from __future__ import annotations

SESSIONS = "public.whatsapp_sessions"
TRIGGER_FUNCTION = "public.update_whatsapp_sessions_updated_at()"

PRIVATE_SCHEMAS = ("whatsapp_private", "whatsapp_engine", "whatsapp_migrations")

# whatsmeow makes the tables of the schema whatsapp_engine. `verify` looks for two of them only.
ENGINE_TABLE = "whatsapp_engine.whatsmeow_device"
ENGINE_VERSION = "whatsapp_engine.whatsmeow_version"
ENGINE_TABLES = "whatsmeow's tables"

LOGINS = ("whatsapp_api", "whatsapp_worker", "whatsapp_engine")

# whatsapp_functions owns the database functions. Nobody can log in as this role.
ROLES = (*LOGINS, "whatsapp_functions")

# The roles of Supabase's API, and PUBLIC, which means all roles. They have no right in the private schemas.
OUTSIDERS = ("anon", "authenticated", "PUBLIC")

# A product's own server uses service_role. It reads and writes session rows. The product may give it further rights in
# the private schemas, so `verify` looks at its rights to the session rows only.
SERVICE_ROLE = "service_role"

# These roles need the session rows, so they must be able to use the schema public.
USERS_OF_PUBLIC = ("authenticated", SERVICE_ROLE, "whatsapp_functions", "whatsapp_worker")
