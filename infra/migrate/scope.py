"""The objects that `verify` looks at, and the roles that it asks about."""

from __future__ import annotations

SESSIONS = "public.whatsapp_sessions"
TRIGGER_FUNCTION = "public.update_whatsapp_sessions_updated_at()"

PRIVATE_SCHEMAS = ("whatsapp_private", "whatsapp_engine", "whatsapp_migrations")

# The tables of whatsapp_engine are whatsmeow's own business, but for the two that we read.
ENGINE_TABLE = "whatsapp_engine.whatsmeow_device"
ENGINE_VERSION = "whatsapp_engine.whatsmeow_version"
ENGINE_TABLES = "whatsmeow's tables"

LOGINS = ("whatsapp_api", "whatsapp_worker", "whatsapp_engine")

# Owns the database functions, and logs in nowhere.
ROLES = (*LOGINS, "whatsapp_functions")

# The roles of Supabase's API, and PUBLIC, which is every role. None of them may reach the private schemas.
OUTSIDERS = ("anon", "authenticated", "PUBLIC")
