"""The queries of Supabase's advisor find no fault in our schemas, and each query finds the fault that it is for."""

from __future__ import annotations

import psycopg
import pytest

from tests.system.security.catalog import ADVISOR

OURS = ["public", "whatsapp_private", "whatsapp_engine"]

# The owner's four policies call auth.uid() directly. Production has them like this, and `verify` demands them so. The
# last test shows that an index leads to the row, so there is one call.
ACCEPTED = {
    "auth.uid() once for each row": {
        f"Users can {verb} their own WhatsApp sessions" for verb in ("view", "insert", "update", "delete")
    }
}

MADE = "create table public.bad (id uuid, user_id uuid);"
BAD = {
    "row level security without a policy": (
        "create table whatsapp_private.bad (); alter table whatsapp_private.bad enable row level security"
    ),
    "a policy without row level security": (f"{MADE} create policy bad on public.bad to authenticated using (false)"),
    "no row level security in an exposed schema": MADE,
    "a policy that lets users write everything": (
        "create policy bad on public.whatsapp_sessions for update to authenticated using (true)"
    ),
    "two policies for the same role and command": (
        "create policy bad on whatsapp_private.sessions to whatsapp_worker using (false)"
    ),
    "a function whose search_path its caller chooses": (
        "create function whatsapp_engine.bad() returns int language sql as 'select 1'"
    ),
    **dict.fromkeys(
        ("a definer's function that finds its caller's types", "a definer's function that users may call"),
        "create function whatsapp_private.bad() returns int language sql security definer set search_path = ''"
        " as 'select 1'",
    ),
    "a setting once for each row": (
        "create policy bad on whatsapp_private.devices using (current_setting('mine', true) = user_id::text)"
    ),
    "a view with its owner's rights": "create view public.bad as select * from public.whatsapp_sessions",
    "auth.users shown by a view": ("create view public.bad with (security_invoker = true) as select * from auth.users"),
    "auth.uid() once for each row": "create policy bad on whatsapp_private.devices using (auth.uid() = user_id)",
    "a foreign key without an index": (
        "create table whatsapp_private.bad (id uuid primary key, user_id uuid references auth.users)"
    ),
    "a table without a primary key": MADE,
}


def found(connection: psycopg.Connection, question: str) -> set[str]:
    connection.execute("set local search_path = ''")  # then the catalog names every schema
    return {name for (name,) in connection.execute(ADVISOR[question].encode(), {"ours": OURS})}


@pytest.mark.parametrize("question", ADVISOR)
def test_the_advisor_finds_nothing(connection: psycopg.Connection, question: str) -> None:
    assert found(connection, question) == ACCEPTED.get(question, set())


@pytest.mark.parametrize("question", ADVISOR)
def test_each_query_of_the_advisor_finds_its_fault(connection: psycopg.Connection, question: str) -> None:
    before = found(connection, question)
    connection.execute("set local search_path to default")
    connection.execute(BAD[question].encode())
    (more,) = found(connection, question) - before
    assert "bad" in more or "whatsapp_worker" in more


def test_the_owner_s_policies_use_the_index(connection: psycopg.Connection) -> None:
    connection.execute("insert into auth.users select gen_random_uuid() from generate_series(1, 2000)")
    connection.execute("insert into public.whatsapp_sessions (user_id) select id from auth.users")
    connection.execute("analyze public.whatsapp_sessions")
    connection.execute("set local role authenticated")
    plan = "\n".join(line for (line,) in connection.execute("explain select * from public.whatsapp_sessions"))
    assert "Index Cond: (user_id = " in plan
    assert "Seq Scan" not in plan
