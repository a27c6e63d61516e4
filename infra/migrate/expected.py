"""What a migrated database must hold: the one place to extend when a migration adds something.

Each line is a fact's name and its value as `facts.py` reads it; a fact with a parent is only looked for
where the parent is there, so that a lost table is one finding and not forty.
"""

from __future__ import annotations

from dataclasses import dataclass

SESSIONS = "public.whatsapp_sessions"
TRIGGER_FUNCTION = "public.update_whatsapp_sessions_updated_at()"
TRIGGER = "trigger_update_whatsapp_sessions_updated_at"

# Tables of whatsapp_private. Those of whatsapp_engine are whatsmeow's own business, but for the one that we
# read.
ENGINE_TABLE = "whatsapp_engine.whatsmeow_device"
ENGINE_VERSION = "whatsapp_engine.whatsmeow_version"
ENGINE_TABLES = "whatsmeow's tables"
PRIVATE_TABLES = ("attempts", "devices")
PRIVATE_SCHEMAS = ("whatsapp_private", "whatsapp_engine", "whatsapp_migrations")

# Indexes that rules of ours rest on (two clicks are one attempt); a merely useful one may come and go.
PRIVATE_INDEXES = {
    "attempts_one_live_per_user": (
        "CREATE UNIQUE INDEX attempts_one_live_per_user ON whatsapp_private.attempts"
        " USING btree (user_id) WHERE (ended_at IS NULL)"
    ),
    "devices_one_linked_per_user": (
        "CREATE UNIQUE INDEX devices_one_linked_per_user ON whatsapp_private.devices"
        " USING btree (user_id) WHERE (state = 'linked'::text)"
    ),
    "whatsmeow_device_by_fingerprint": (
        f"CREATE INDEX whatsmeow_device_by_fingerprint ON {ENGINE_TABLE} USING btree (sha256(adv_key))"
    ),
}

# What each role may do, as the migration grants it; anything else that is granted to one of them is too much.
LOGINS = {
    "whatsapp_api": "login, no inherit, member of authenticated",
    "whatsapp_worker": "login",
    "whatsapp_engine": "login",
}
_SETTINGS = (
    "DateStyle=ISO, MDY; default_transaction_isolation=read committed; idle_in_transaction_session_timeout=5s;"
    " lock_timeout={lock}; row_security=on; statement_timeout={statement}"
)
_LIMITS = {
    "whatsapp_api": {"statement": "4s", "lock": "3s"},
    "whatsapp_worker": {"statement": "4s", "lock": "3s"},
    "whatsapp_engine": {"statement": "30s", "lock": "10s"},
}
_GRANTS = {
    "whatsapp_api": {
        "schema whatsapp_private": "usage",
        "table whatsapp_private.attempts": (
            "insert (id, user_id, number, deadline, failures), select,"
            " update (lease_id, lease_expires_at, qr_expires_at, failures, ended_at, outcome)"
        ),
        "table whatsapp_private.devices": "select, update (state, updated_at)",
        f"table {SESSIONS}": (
            "insert (user_id, phone_number, session_status, qr_code, connected_at, last_seen),"
            " select (user_id, phone_number, session_status, connected_at),"
            " update (phone_number, session_status, qr_code, connected_at)"
        ),
        "function whatsapp_private.stored_jid(bytea)": "execute",
    },
    "whatsapp_worker": {
        "schema whatsapp_private": "usage",
        "table whatsapp_private.attempts": (
            "select, update (phase, deadline, task_token, lease_id, lease_expires_at, legs, qr_shown_at, qr_expires_at,"
            " reachable, verdict, failures, ended_at, outcome)"
        ),
        "table whatsapp_private.devices": (
            "delete, insert (user_id, attempt_id, fingerprint, lease_id, lease_expires_at), select,"
            " update (jid, state, lease_id, lease_expires_at, updated_at, unlink_starts)"
        ),
        f"table {SESSIONS}": (
            "insert (user_id, phone_number, session_status, qr_code, connected_at, last_seen),"
            " select (id, user_id, phone_number, session_status, connected_at, last_seen, updated_at),"
            " update (phone_number, session_status, qr_code, connected_at, last_seen)"
        ),
        "function whatsapp_private.stored_jid(bytea)": "execute",
        "function whatsapp_private.forget_device(uuid,uuid)": "execute",
    },
    "whatsapp_engine": {
        "schema whatsapp_engine": "usage",
        f"table {ENGINE_VERSION}": "select",
        # Of every other table of whatsmeow's, whatever their number.
        ENGINE_TABLES: "delete, insert, select, update",
    },
}

# They run with their owner's rights, so each has a fixed search_path and is closed to everybody else.
FUNCTIONS = {
    "whatsapp_private.stored_jid(bytea)": 'text in plpgsql, security definer, search_path=""',
    "whatsapp_private.forget_device(uuid,uuid)": 'void in plpgsql, security definer, search_path=""',
}

# Nobody who comes through the API may reach the private schemas; PUBLIC is everybody.
OUTSIDERS = ("anon", "authenticated", "PUBLIC")

_COLUMNS = {
    "id": "uuid not null default gen_random_uuid()",
    "user_id": "uuid not null",
    "phone_number": "character varying(20)",
    "session_status": "character varying(20) not null default 'disconnected'::character varying",
    "qr_code": "text",
    "connected_at": "timestamp with time zone",
    "last_seen": "timestamp with time zone",
    "messages_sent": "integer not null default 0",
    "messages_received": "integer not null default 0",
    "created_at": "timestamp with time zone not null default now()",
    "updated_at": "timestamp with time zone not null default now()",
}
_STATUSES = ("disconnected", "connecting", "waiting_qr", "connected", "error")
_INDEXES = {
    "idx_whatsapp_sessions_user_id": "user_id",
    "idx_whatsapp_sessions_status": "session_status",
    "idx_whatsapp_sessions_updated_at": "updated_at",
}
_OWN = "(auth.uid() = user_id)"
_POLICIES = {
    "Users can view their own WhatsApp sessions": f"select to authenticated using {_OWN}",
    "Users can insert their own WhatsApp sessions": f"insert to authenticated with check {_OWN}",
    "Users can update their own WhatsApp sessions": f"update to authenticated using {_OWN} with check {_OWN}",
    "Users can delete their own WhatsApp sessions": f"delete to authenticated using {_OWN}",
}
_SERVES_ALL = "WhatsApp pairing serves every user"
_POLICY_OF_LOGINS = "permissive for all to whatsapp_api, whatsapp_worker using true"
POLICIES = (*_POLICIES, _SERVES_ALL)


@dataclass(frozen=True)
class Expected:
    """One fact that must hold. `parent` names the fact without which this one means nothing."""

    name: str
    value: str
    parent: str = ""


def expected() -> list[Expected]:
    """Every fact that must hold, parents before children."""
    return [*_sessions(), *_trigger(), *_private(), *_logins()]


def _sessions() -> list[Expected]:
    table = f"table {SESSIONS}"
    statuses = ", ".join(f"'{status}'::character varying" for status in _STATUSES)
    children = {
        **{f"column {SESSIONS}.{name}": value for name, value in _COLUMNS.items()},
        f"primary key of {SESSIONS}": "PRIMARY KEY (id)",
        f"unique key (user_id) of {SESSIONS}": "UNIQUE (user_id)",
        f"foreign key (user_id) to auth.users of {SESSIONS}": (
            "FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE"
        ),
        f"check valid_session_status of {SESSIONS}": (
            f"CHECK (((session_status)::text = ANY ((ARRAY[{statuses}])::text[])))"
        ),
        **{
            f"index {name}": f"CREATE INDEX {name} ON {SESSIONS} USING btree ({column})"
            for name, column in _INDEXES.items()
        },
        f"row level security of {SESSIONS}": "enabled",
        **{f'policy "{name}" on {SESSIONS}': f"permissive for {value}" for name, value in _POLICIES.items()},
        f'policy "{_SERVES_ALL}" on {SESSIONS}': _POLICY_OF_LOGINS,
        f"privileges of anon on {SESSIONS}": "none",
        f"privileges of authenticated on {SESSIONS}": "delete, insert, select, update",
        f"privileges of PUBLIC on {SESSIONS}": "none",
    }
    return [Expected(table, "present"), *(Expected(name, value, table) for name, value in children.items())]


def _trigger() -> list[Expected]:
    function = f"function {TRIGGER_FUNCTION}"
    return [
        Expected(function, 'trigger in plpgsql, security invoker, search_path=""'),
        Expected(f"body of {function}", "begin new.updated_at = now(); return new; end;", function),
        Expected(
            f"trigger {TRIGGER}",
            f"CREATE TRIGGER {TRIGGER} BEFORE UPDATE ON {SESSIONS} FOR EACH ROW EXECUTE FUNCTION {TRIGGER_FUNCTION}",
            f"table {SESSIONS}",
        ),
    ]


def _private() -> list[Expected]:
    facts = []
    for schema in PRIVATE_SCHEMAS:
        parent = f"schema {schema}"
        facts.append(Expected(parent, "present"))
        for role in OUTSIDERS:
            facts.append(Expected(f"privileges of {role} on {parent}", "none", parent))
            facts.append(Expected(f"privileges of {role} inside {parent}", "none", parent))
    for name in PRIVATE_TABLES:
        table = f"table whatsapp_private.{name}"
        facts.append(Expected(table, "present", "schema whatsapp_private"))
        facts.append(Expected(f"row level security of whatsapp_private.{name}", "enabled", table))
        facts.append(Expected(f'policy "{_SERVES_ALL}" on whatsapp_private.{name}', _POLICY_OF_LOGINS, table))
    for name, value in FUNCTIONS.items():
        facts.append(Expected(f"function {name}", value, "schema whatsapp_private"))
    facts.append(Expected(f"table {ENGINE_TABLE}", "present", "schema whatsapp_engine"))
    facts.append(Expected(f"table {ENGINE_VERSION}", "present", f"table {ENGINE_TABLE}"))
    for name, definition in PRIVATE_INDEXES.items():
        table = f"table {definition.split(' ON ')[1].split()[0]}"
        facts.append(Expected(f"index {name}", definition, table))
    return facts


def _logins() -> list[Expected]:
    facts = [Expected(f"role {name}", attributes) for name, attributes in LOGINS.items()]
    for role, limits in _LIMITS.items():
        facts.append(Expected(f"settings of role {role}", _SETTINGS.format(**limits), f"role {role}"))
    for role, grants in _GRANTS.items():
        for place, privileges in grants.items():
            parent = f"table {ENGINE_TABLE}" if place == ENGINE_TABLES else place
            facts.append(Expected(f"privileges of {role} on {place}", privileges, parent))
    return facts
