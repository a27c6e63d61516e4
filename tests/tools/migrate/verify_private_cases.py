"""Changes of the private schemas and of the roles, and the beginning of each line that `verify` then prints."""

from __future__ import annotations

from infra.migrate.checked_objects import ENGINE_TABLE, ENGINE_VERSION, LOGINS, OUTSIDERS, PRIVATE_SCHEMAS
from infra.migrate.expected import expected
from tests.tools.migrate.verify_table_cases import TABLE

FUNCTIONS = [
    name.removeprefix("function ")
    for name in (fact.name for fact in expected())
    if name.startswith("function whatsapp_private.")
]
# These functions run with the rights of their caller, all others with those of their owner.
AS_CALLER = (
    "whatsapp_private.overdue_before()",
    "whatsapp_private.left_over(whatsapp_private.attempts,timestamp with time zone)",
)
TRIGGER_OF_KEYS, KEEPS_APART = "whatsmeow_device_keeps_keys_apart", "whatsapp_private.keep_keys_apart_v1()"
PRIVATE_TABLES = ("attempts", "devices", "sessions", "answers")
NAMES_ITS_USER = "A function sees the user whom it names"

PRIVATE_CASES: list[tuple[str, list[str]]] = [
    *(
        (
            f"drop schema {schema} cascade",
            [
                f"missing: schema {schema}",
                *([f"missing: trigger {TRIGGER_OF_KEYS}"] if schema == "whatsapp_private" else []),
            ],
        )
        for schema in PRIVATE_SCHEMAS
    ),
    *(
        (
            f"grant usage on schema {schema} to {role}",
            [f"differs: privileges of {role} on schema {schema}"],
        )
        for schema in PRIVATE_SCHEMAS
        for role in OUTSIDERS
    ),
    *(
        (
            f"create table {schema}.t (id int); grant select (id) on {schema}.t to {role}",
            [f"differs: privileges of {role} inside schema {schema}"],
        )
        for schema in PRIVATE_SCHEMAS
        for role in OUTSIDERS
    ),
    (
        "create function whatsapp_private.f() returns int language sql as 'select 1'",
        ["differs: privileges of PUBLIC inside schema whatsapp_private"],
    ),
    (
        "create sequence whatsapp_engine.s; grant usage on sequence whatsapp_engine.s to anon",
        ["differs: privileges of anon inside schema whatsapp_engine"],
    ),
    *(
        (f"drop table whatsapp_private.{name} cascade", [f"missing: table whatsapp_private.{name}"])
        for name in PRIVATE_TABLES
        if name != "attempts"
    ),
    (
        "drop table whatsapp_private.attempts cascade",
        [
            # The function has a parameter of this table's type.
            "missing: function whatsapp_private.left_over(whatsapp_private.attempts,timestamp with time zone)",
            "missing: table whatsapp_private.attempts",
            # This policy of `devices` reads the table.
            'missing: policy "Sweeps give devices up" on whatsapp_private.devices',
        ],
    ),
    *(
        (
            f"alter table whatsapp_private.{name} disable row level security",
            [f"differs: row level security of whatsapp_private.{name}"],
        )
        for name in PRIVATE_TABLES
    ),
    (f"drop table {ENGINE_TABLE} cascade", [f"missing: table {ENGINE_TABLE}"]),
    *(
        (f'drop policy "{NAMES_ITS_USER}" on {table}', [f'missing: policy "{NAMES_ITS_USER}" on {table}'])
        for table in (TABLE, *(f"whatsapp_private.{name}" for name in ("attempts", "devices", "sessions")))
    ),
    (
        f'alter policy "{NAMES_ITS_USER}" on {TABLE} to public',
        [f'differs: policy "{NAMES_ITS_USER}" on {TABLE}'],
    ),
    (
        f'alter policy "{NAMES_ITS_USER}" on whatsapp_private.sessions using (true)',
        [f'differs: policy "{NAMES_ITS_USER}" on whatsapp_private.sessions'],
    ),
    (
        'alter policy "Sweeps give devices up" on whatsapp_private.devices with check (true)',
        ['differs: policy "Sweeps give devices up" on whatsapp_private.devices'],
    ),
    *(
        (f'create policy "more" on {table} to whatsapp_api using (true)', [f'differs: policy "more" on {table}'])
        for table in (TABLE, "whatsapp_private.devices")
    ),
    *((f"drop function {name}", [f"missing: function {name}"]) for name in FUNCTIONS if name != KEEPS_APART),
    (
        f"drop function {KEEPS_APART} cascade",
        [f"missing: function {KEEPS_APART}", f"missing: trigger {TRIGGER_OF_KEYS}"],
    ),
    (f"drop trigger {TRIGGER_OF_KEYS} on {ENGINE_TABLE}", [f"missing: trigger {TRIGGER_OF_KEYS}"]),
    *(
        (f"alter table {ENGINE_TABLE} {change} trigger {TRIGGER_OF_KEYS}", [f"differs: trigger {TRIGGER_OF_KEYS}"])
        for change in ("disable", "enable replica")
    ),
    (f"alter table {ENGINE_TABLE} disable trigger all", [f"differs: trigger {TRIGGER_OF_KEYS}"]),
    (
        f"create or replace trigger {TRIGGER_OF_KEYS} before insert on {ENGINE_TABLE} for each row"
        f" execute function {KEEPS_APART}",
        [f"differs: trigger {TRIGGER_OF_KEYS}"],
    ),
    (
        f"create or replace function {KEEPS_APART} returns trigger language plpgsql security definer"
        " set search_path = pg_catalog, pg_temp as 'begin return coalesce(new, old); end'",
        [f"differs: body of function {KEEPS_APART}"],
    ),
    *(
        (f"drop index whatsapp_engine.{name}", [f"missing: index {name}"])
        for name in ("whatsmeow_device_by_fingerprint", "whatsmeow_device_by_number")
    ),
    *(
        (
            f"alter function {name} security {'definer' if name in AS_CALLER else 'invoker'}",
            [f"differs: function {name}"],
        )
        for name in FUNCTIONS
    ),
    *((f"alter function {name} reset search_path", [f"differs: function {name}"]) for name in FUNCTIONS),
    (
        f"grant execute on function {FUNCTIONS[0]} to authenticated",
        ["differs: privileges of authenticated inside schema whatsapp_private"],
    ),
    (f"drop table {ENGINE_VERSION}", [f"missing: table {ENGINE_VERSION}"]),
    *(
        (f"revoke all on {place} from {role}", [f"missing: privileges of {role} on {place}"])
        for role, place in (
            ("whatsapp_api", "schema whatsapp_private"),
            ("whatsapp_worker", "schema whatsapp_private"),
            ("whatsapp_worker", "table whatsapp_private.attempts"),
            ("whatsapp_worker", "table whatsapp_private.devices"),
            ("whatsapp_worker", f"table {TABLE}"),
            ("whatsapp_engine", "schema whatsapp_engine"),
            ("whatsapp_engine", f"table {ENGINE_VERSION}"),
        )
    ),
    *(
        (
            f"alter function {name} owner to current_user",
            [f"differs: function {name}", f"missing: privileges of whatsapp_functions on function {name}"],
        )
        for name in FUNCTIONS
        if name.endswith("_v1(uuid)")
    ),
    *(
        (change, [f"differs: privileges of {role} on {place}"])
        for change, role, place in (
            (
                "grant update (user_id) on whatsapp_private.attempts to whatsapp_api",
                "whatsapp_api",
                "table whatsapp_private.attempts",
            ),
            (f"grant select on {TABLE} to whatsapp_worker", "whatsapp_worker", f"table {TABLE}"),
            (
                "grant select on whatsapp_private.devices to whatsapp_api with grant option",
                "whatsapp_api",
                "table whatsapp_private.devices",
            ),
            ("grant select (id) on auth.users to whatsapp_worker", "whatsapp_worker", "table auth.users"),
            (f"grant select on {ENGINE_TABLE} to whatsapp_worker", "whatsapp_worker", f"table {ENGINE_TABLE}"),
            ("grant create on schema whatsapp_engine to whatsapp_engine", "whatsapp_engine", "schema whatsapp_engine"),
            (f"grant update on {ENGINE_VERSION} to whatsapp_engine", "whatsapp_engine", f"table {ENGINE_VERSION}"),
            (f"revoke delete on {ENGINE_TABLE} from whatsapp_engine", "whatsapp_engine", "whatsmeow's tables"),
            ("create table whatsapp_engine.whatsmeow_more ()", "whatsapp_engine", "whatsmeow's tables"),
            (
                "alter table whatsapp_private.devices owner to whatsapp_api",
                "whatsapp_api",
                "table whatsapp_private.devices",
            ),
        )
    ),
]

# Changes of roles. Roles belong to the whole server, so these changes are never committed.
ROLE_CASES: list[tuple[str, list[str]]] = [
    *(
        (f"alter role {role} {attribute}", [f"differs: role {role}"])
        for role in LOGINS
        for attribute in ("nologin", "superuser", "createrole", "createdb", "replication", "bypassrls")
    ),
    *(
        (f"alter role {role} {change}", [f"differs: settings of role {role}"])
        for role in LOGINS
        for change in ("set statement_timeout = 0", "reset lock_timeout", "set work_mem = '1MB'")
    ),
    (
        "do $$ begin execute format("
        "'alter role whatsapp_api in database %I set datestyle = German', current_database()); end $$",
        ["differs: settings of role whatsapp_api"],
    ),
    ("alter role whatsapp_api inherit", ["differs: role whatsapp_api"]),
    *(
        (f"alter role whatsapp_functions {attribute}", ["differs: role whatsapp_functions"])
        for attribute in ("login", "superuser", "bypassrls")
    ),
    ("alter role whatsapp_functions set work_mem = '1MB'", ["differs: settings of role whatsapp_functions"]),
    ("grant authenticated to whatsapp_api", ["differs: role whatsapp_api"]),
    *((f"grant service_role to {role}", [f"differs: role {role}"]) for role in LOGINS),
    ("alter role whatsapp_engine rename to somebody", ["missing: role whatsapp_engine"]),
]
