"""Changes of the owner's table, and the beginning of each line that `verify` then prints."""

from __future__ import annotations

from infra.migrate.checked_objects import PRIVATE_SCHEMAS

TABLE = "public.whatsapp_sessions"
FUNCTION = "function public.update_whatsapp_sessions_updated_at()"
TRIGGER = "trigger_update_whatsapp_sessions_updated_at"

TABLE_CASES: list[tuple[str, list[str]]] = [
    (f"drop table {TABLE} cascade", [f"missing: table {TABLE}"]),
    (f"alter table {TABLE} alter id drop default", [f"differs: column {TABLE}.id"]),
    (f"alter table {TABLE} alter user_id drop not null", [f"differs: column {TABLE}.user_id"]),
    (f"alter table {TABLE} alter phone_number type varchar(30)", [f"differs: column {TABLE}.phone_number"]),
    (
        f"alter table {TABLE} alter session_status set default 'error'",
        [f"differs: column {TABLE}.session_status"],
    ),
    (
        f"alter table {TABLE} drop column qr_code",
        [
            f"missing: check whatsapp_sessions_qr_code_is_short of {TABLE}",
            f"missing: column {TABLE}.qr_code",
            f"differs: privileges of whatsapp_functions on table {TABLE}",
        ],
    ),
    (f"alter table {TABLE} alter connected_at type timestamp", [f"differs: column {TABLE}.connected_at"]),
    (f"alter table {TABLE} alter last_seen set not null", [f"differs: column {TABLE}.last_seen"]),
    (f"alter table {TABLE} alter messages_sent drop default", [f"differs: column {TABLE}.messages_sent"]),
    (
        f"alter table {TABLE} alter messages_received type bigint",
        [f"differs: column {TABLE}.messages_received"],
    ),
    (f"alter table {TABLE} rename created_at to made_at", [f"missing: column {TABLE}.created_at"]),
    (f"alter table {TABLE} alter updated_at drop not null", [f"differs: column {TABLE}.updated_at"]),
    (f"alter table {TABLE} drop constraint whatsapp_sessions_pkey", [f"missing: primary key of {TABLE}"]),
    (
        f"alter table {TABLE} drop constraint whatsapp_sessions_user_id_key",
        [f"missing: unique key (user_id) of {TABLE}"],
    ),
    (
        f"alter table {TABLE} drop constraint whatsapp_sessions_user_id_fkey",
        [f"missing: foreign key (user_id) to auth.users of {TABLE}"],
    ),
    (
        f"alter table {TABLE} add foreign key (user_id) references auth.users",
        [f"differs: foreign key (user_id) to auth.users of {TABLE}"],
    ),
    (
        f"alter table {TABLE} drop constraint valid_session_status",
        [f"missing: check valid_session_status of {TABLE}"],
    ),
    (
        (
            f"alter table {TABLE} drop constraint valid_session_status,"
            " add constraint valid_session_status check (session_status <> '')"
        ),
        [f"differs: check valid_session_status of {TABLE}"],
    ),
    ("drop index public.idx_whatsapp_sessions_user_id", ["missing: index idx_whatsapp_sessions_user_id"]),
    ("drop index public.idx_whatsapp_sessions_status", ["missing: index idx_whatsapp_sessions_status"]),
    (
        (
            "drop index public.idx_whatsapp_sessions_updated_at;"
            f"create index idx_whatsapp_sessions_updated_at on {TABLE} (created_at)"
        ),
        ["differs: index idx_whatsapp_sessions_updated_at"],
    ),
    (
        ("update pg_index set indisvalid = false where indexrelid = 'public.idx_whatsapp_sessions_status'::regclass"),
        ["differs: index idx_whatsapp_sessions_status"],
    ),
    (f"alter table {TABLE} disable row level security", [f"differs: row level security of {TABLE}"]),
    *(
        (
            f'drop policy "Users can {verb} their own WhatsApp sessions" on {TABLE}',
            [f'missing: policy "Users can {verb} their own WhatsApp sessions" on {TABLE}'],
        )
        for verb in ("view", "insert", "update", "delete")
    ),
    (
        f'alter policy "Users can view their own WhatsApp sessions" on {TABLE} using (true)',
        [f'differs: policy "Users can view their own WhatsApp sessions" on {TABLE}'],
    ),
    (
        f'alter policy "Users can update their own WhatsApp sessions" on {TABLE} with check (true)',
        [f'differs: policy "Users can update their own WhatsApp sessions" on {TABLE}'],
    ),
    (
        f'alter policy "Users can delete their own WhatsApp sessions" on {TABLE} to service_role',
        [f'differs: policy "Users can delete their own WhatsApp sessions" on {TABLE}'],
    ),
    (f'create policy "all" on {TABLE} using (true)', [f'differs: policy "all" on {TABLE}']),
    (f'create policy "theirs" on {TABLE} to service_role using (true)', []),
    (
        f'create policy "stricter" on {TABLE} as restrictive using (true)',
        [f'beyond: policy "stricter" on {TABLE}'],
    ),
    (f"alter table {TABLE} add tenant int not null", [f"beyond: column {TABLE}.tenant"]),
    (f"alter table {TABLE} add tenant int not null default 1", []),
    (f"alter table {TABLE} add more int not null generated always as identity", []),
    (f"alter table {TABLE} add constraint short check (qr_code <> '')", [f"beyond: check short of {TABLE}"]),
    (f"alter table {TABLE} add unique (phone_number)", [f"beyond: unique key (phone_number) of {TABLE}"]),
    (f"create unique index one_phone on {TABLE} (phone_number)", ["beyond: index one_phone"]),
    (f"create index phones on {TABLE} (phone_number)", []),
    (
        f"create table public.profiles (id uuid primary key); alter table {TABLE} add foreign key (user_id)"
        " references public.profiles",
        [f"beyond: foreign key (user_id) to public.profiles of {TABLE}"],
    ),
    (
        f"create trigger audit after insert on {TABLE} for each row"
        " execute function public.update_whatsapp_sessions_updated_at()",
        ["beyond: trigger audit"],
    ),
    (
        f"create constraint trigger late after insert on {TABLE} deferrable initially deferred for each row"
        " execute function public.update_whatsapp_sessions_updated_at()",
        ["beyond: trigger late"],
    ),
    (
        f"create trigger whole before update on {TABLE} for each statement"
        " execute function public.update_whatsapp_sessions_updated_at()",
        ["beyond: trigger whole"],
    ),
    (
        f"create trigger off before update on {TABLE} for each row execute function"
        f" public.update_whatsapp_sessions_updated_at(); alter table {TABLE} disable trigger off",
        [],
    ),
    (
        f"create trigger audit after insert on {TABLE} for each row execute function"
        " public.update_whatsapp_sessions_updated_at(); create trigger audit after insert on whatsapp_private.devices"
        " for each row execute function public.update_whatsapp_sessions_updated_at()",
        ["beyond: trigger audit"],
    ),
    (
        f"alter table {TABLE} add constraint one_phone exclude using btree (phone_number with =)",
        [f"beyond: exclusion one_phone of {TABLE}"],
    ),
    (
        f"create rule quiet as on update to {TABLE} do instead nothing",
        [f"beyond: rule quiet of {TABLE}"],
    ),
    (
        f"create rule quiet as on update to {TABLE} do instead nothing; alter table {TABLE} disable rule quiet",
        [],
    ),
    (
        f"create domain public.short as text not null; alter table {TABLE} add code public.short default ''",
        [f"beyond: column {TABLE}.code"],
    ),
    (
        f"create domain public.phone as varchar(20) check (value <> '');"
        f"alter table {TABLE} alter phone_number type public.phone",
        [f"differs: column {TABLE}.phone_number"],
    ),
    (
        f"alter table {TABLE} add ratio int generated always as (1 / messages_sent) stored",
        [f"beyond: column {TABLE}.ratio"],
    ),
    (f"alter table {TABLE} add number serial", [f"beyond: column {TABLE}.number"]),
    (
        "create function public.tenant() returns int language sql as 'select 1';"
        f"alter table {TABLE} add tenant int default public.tenant()",
        [f"beyond: column {TABLE}.tenant"],
    ),
    (f"alter table {TABLE} add made_at timestamptz default now()", []),
    (
        f"create unique index one_number on {TABLE} (lower(phone_number)) where id is not null",
        ["beyond: index one_number"],
    ),
    (
        f"create table public.base (user_id uuid not null); alter table {TABLE} inherit public.base",
        [f"beyond: parent public.base of {TABLE}"],
    ),
    (
        f"create table public.parts (like {TABLE}) partition by range (created_at); alter table public.parts attach"
        f" partition {TABLE} for values from ('2020-01-01') to ('2030-01-01')",
        [f"beyond: parent public.parts of {TABLE}"],
    ),
    (f"create table public.archive () inherits ({TABLE})", [f"beyond: child public.archive of {TABLE}"]),
    (
        f"create table public.orders (session_id uuid references {TABLE})",
        [f"beyond: reference from public.orders of {TABLE}"],
    ),
    (f"alter table {TABLE} force row level security", [f"beyond: forced row level security of {TABLE}"]),
    (
        "alter table whatsapp_private.devices force row level security",
        ["differs: forced row level security of whatsapp_private.devices"],
    ),
    (f"alter table {TABLE} replica identity nothing", [f"beyond: replica identity of {TABLE}"]),
    (f"alter table {TABLE} replica identity full", []),
    (
        f"create publication counted for table {TABLE} where (messages_sent > 1)",
        [f"beyond: filter of publication counted of {TABLE}"],
    ),
    (
        f"create publication counted for table {TABLE} (id, messages_sent)",
        [f"beyond: filter of publication counted of {TABLE}"],
    ),
    (
        "create publication tasks for table whatsapp_private.attempts",
        ["differs: publication tasks of schema whatsapp_private"],
    ),
    (
        "create publication everything for all tables",
        [f"differs: publication everything of schema {schema}" for schema in sorted(PRIVATE_SCHEMAS)],
    ),
    (f"create publication shown for table {TABLE}", []),
    (f"drop trigger {TRIGGER} on {TABLE}", [f"missing: trigger {TRIGGER}"]),
    (f"alter table {TABLE} disable trigger {TRIGGER}", [f"differs: trigger {TRIGGER}"]),
    (f"drop {FUNCTION} cascade", [f"missing: {FUNCTION}", f"missing: trigger {TRIGGER}"]),
    (f"alter {FUNCTION} reset search_path", [f"differs: {FUNCTION}"]),
    (f"alter {FUNCTION} security definer", [f"differs: {FUNCTION}"]),
    (
        (
            f"create or replace {FUNCTION} returns trigger language plpgsql set search_path = ''"
            " as 'begin return new; end;'"
        ),
        [f"differs: body of {FUNCTION}"],
    ),
    *(
        (f"revoke {right} on {TABLE} from {role}", [f"differs: privileges of {role} on {TABLE}"])
        for role in ("authenticated", "service_role")
        for right in ("select", "insert", "update", "delete", "all")
    ),
    *(
        (f"grant {right} on {TABLE} to {role}", [f"differs: privileges of {role} on {TABLE}"])
        for role in ("authenticated", "service_role")
        for right in ("truncate", "references", "trigger", "all")
    ),
    *(
        (f"grant {right} on {TABLE} to {role}", [f"differs: privileges of {role} on {TABLE}"])
        for role in ("anon", "PUBLIC")
        for right in ("select", "update (qr_code)", "truncate")
    ),
    # USAGE may come from PUBLIC, from a grant to the role itself, or from a role that it inherits.
    ("revoke usage on schema public from public", []),
    *(
        (f"revoke usage on schema public from {role}", [])
        for role in ("authenticated", "service_role", "whatsapp_functions", "whatsapp_worker")
    ),
    *(
        (f"revoke usage on schema public from public, {role}", [f"differs: usage of schema public by {role}"])
        for role in ("authenticated", "service_role", "whatsapp_functions", "whatsapp_worker")
    ),
    ("grant usage on schema public to whatsapp_api", []),
    (
        "grant create on schema public to whatsapp_worker",
        ["differs: privileges of whatsapp_worker on schema public"],
    ),
]
