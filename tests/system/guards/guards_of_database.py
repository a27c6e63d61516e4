"""The guards of the database: row level security, the logins' rights, and the checks in its functions."""

from __future__ import annotations

from tests.system.guards.guard import LAYER, Guard

FIRST = "migrations/20250111000000_whatsapp_sessions.sql"
ROLES = "migrations/20250113000000_database_roles.sql"
CHANGES = "migrations/20250116000000_state_changes.sql"
RETENTION = "migrations/20250119000000_retention.sql"


def function(name: str) -> str:
    """The path of a function's file."""
    return f"migrations/functions/{name}.sql"


# The condition by which a linker's functions check its lease.
_HOLDS_LEASE = "  IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN\n"

OF_DATABASE = [
    # ── row level security ──
    Guard(
        "row level security: the policy",
        FIRST,
        "own CONSTANT TEXT := '(auth.uid() = user_id)'",
        "own CONSTANT TEXT := '(auth.uid() IS NOT NULL)'",
        "tests/system/security/test_rows.py",
    ),
    Guard(
        "row level security: switched on",
        FIRST,
        "    ALTER TABLE public.whatsapp_sessions ENABLE ROW LEVEL SECURITY;",
        "    NULL;",
        "tests/system/security/test_rows.py",
    ),
    Guard(
        "a function sees the rows of its user only",
        CHANGES,
        "$$((SELECT current_setting('whatsapp.user_id', true)) IN (user_id::text, 'all'))$$",
        "'(true)'",
        "tests/system/security/test_functions.py",
    ),
    Guard(
        "sweeps give up no linked device",
        RETENTION,
        "OR state IN ('offered', 'linking') AND NOT EXISTS (",
        "OR true OR NOT EXISTS (",
        "tests/system/security/test_sequences.py",
    ),
    Guard(
        "sweeps give up no device of a live attempt",
        RETENTION,
        "a.id = attempt_id AND a.ended_at IS NULL OFFSET 0",
        "false",
        "tests/system/security/test_sequences.py",
    ),
    Guard(
        "sweeps delete superseded attempts only",
        RETENTION,
        "USING (superseded AND ended_at IS NOT NULL)",
        "USING (true)",
        "tests/system/security/test_sequences.py",
    ),
    Guard(
        "sweeps delete what was given up only",
        CHANGES,
        "FOR DELETE TO whatsapp_worker\n  USING (state = 'unlinking')",
        "FOR DELETE TO whatsapp_worker\n  USING (true)",
        "tests/system/security/test_sequences.py",
    ),
    Guard(
        "sweeps only clear a task token",
        CHANGES,
        "USING (ended_at IS NOT NULL) WITH CHECK (task_token IS NULL)",
        "USING (true)",
        "tests/system/security/test_sequences.py",
    ),
    # ── the roles ──
    Guard(
        "private functions are closed to users",
        ROLES,
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA whatsapp_private FROM PUBLIC, anon, authenticated;",
        "",
        "tests/system/security/test_outsiders.py",
    ),
    Guard(
        "a function is closed to PUBLIC",
        function("session_v1"),
        "REVOKE ALL ON FUNCTION whatsapp_private.session_v1(UUID) FROM PUBLIC;",
        "",
        "tests/system/security/test_functions.py tests/system/security/test_outsiders.py",
    ),
    Guard(
        "private schemas are closed to users",
        ROLES,
        "GRANT USAGE ON SCHEMA whatsapp_private TO whatsapp_api, whatsapp_worker;",
        "GRANT USAGE ON SCHEMA whatsapp_private TO whatsapp_api, whatsapp_worker, authenticated;",
        "tests/system/security/test_outsiders.py",
    ),
    Guard(
        "the API cannot act as a user",
        CHANGES,
        "REVOKE authenticated FROM whatsapp_api;",
        "",
        "tests/system/security/test_logins.py",
    ),
    Guard(
        "the logins lose their rights on the tables",
        CHANGES,
        "REVOKE ALL ON whatsapp_private.attempts, whatsapp_private.devices, public.whatsapp_sessions\n"
        "  FROM whatsapp_api, whatsapp_worker;",
        "",
        "tests/system/security/test_logins.py",
    ),
    Guard(
        "the worker cannot read a QR",
        CHANGES,
        "GRANT SELECT (user_id, session_status, last_seen, messages_sent, messages_received, updated_at)\n",
        "GRANT SELECT\n",
        "tests/system/security/test_logins.py",
    ),
    Guard(
        "a function uses no type of its caller",
        function("attempt_v1"),
        "SET search_path = pg_catalog, pg_temp",
        "SET search_path = ''",
        "tests/system/security/test_functions.py tests/system/security/test_advisor.py",
    ),
    Guard(
        "a function uses no operator of its caller",
        function("show_session_v1"),
        "p_user::TEXT, 0::BIGINT",
        "p_user, 0",
        "tests/system/security/test_functions.py",
    ),
    # ── which user a device belongs to ──
    Guard(
        "devices are found by their binding",
        function("give_up_v1"),
        "WHERE d.user_id = p_user AND (",
        "WHERE substring(d.jid FROM '^[0-9]+') = (\n"
        "      SELECT s.phone_number FROM public.whatsapp_sessions s WHERE s.user_id = p_user) AND (",
        "tests/system/security/test_own_row.py",
    ),
    Guard(
        "a device is linked by its binding",
        function("claim_v1"),
        "SELECT FROM whatsapp_private.devices d WHERE d.user_id = p_user AND d.state = 'linked'",
        "SELECT FROM public.whatsapp_sessions s WHERE s.user_id = p_user AND s.session_status = 'connected'",
        "tests/system/security/test_own_row.py",
    ),
    Guard(
        "stored keys are not bound to another user",
        function("show_qr_v1"),
        "WHERE whatsapp_private.stored_jid(p_fingerprint) IS NULL",
        "WHERE true",
        "tests/system/security/test_sequences.py",
    ),
    # ── one JID, two devices ──
    Guard(
        "a newer device replaces an older one of its JID",
        function("keep_keys_apart_v1"),
        "  IF TG_OP = 'INSERT' THEN\n",
        "  IF TG_OP = 'INSERT' THEN\n    RETURN NEW;\n",
        "tests/database/test_jid_again.py",
    ),
    Guard(
        "an engine deletes no other device's keys",
        function("keep_keys_apart_v1"),
        "\n  IF session_user = 'whatsapp_engine' THEN\n",
        "\n  IF false THEN\n",
        "tests/database/test_jid_again.py",
    ),
    Guard(
        "an unlink logs out no other device",
        f"{LAYER}/keeper/unlink.py",
        "if devices.stored_jid(device_id, lease.id) != jid:",
        "if False:",
        "tests/system/engine/test_jid_again.py",
    ),
    Guard(
        "a number stays with a device that has it",
        function("forget_number_v1"),
        "    WHERE substring(e.jid FROM '^[0-9]+') = number AND sha256(e.adv_key) <> p_fingerprint\n",
        "    WHERE false\n",
        "tests/database/test_jid_again.py",
    ),
    Guard(
        "only the lease's holder forgets a device",
        function("forget_v1"),
        " AND d.lease_id = p_lease",
        "",
        "tests/database/test_unlink.py",
    ),
    # ── the session row ──
    Guard(
        "times that a user wrote are checked",
        f"{LAYER}/session/sweeps.py",
        "CASE WHEN c.last_seen BETWEEN 'epoch' AND now() THEN c.last_seen END",
        "c.last_seen",
        "tests/system/security/test_own_row.py",
    ),
    Guard(
        "no call waits for a user's row",
        function("show_session_v1"),
        "FOR UPDATE SKIP LOCKED",
        "FOR UPDATE",
        "tests/system/security/test_held_row.py",
    ),
    Guard(
        "one call at a time tries a user's row",
        function("show_session_v1"),
        "IF NOT pg_try_advisory_xact_lock(hashtextextended('whatsapp-pairing row ' || p_user::TEXT, 0::BIGINT)) THEN",
        "IF false THEN",
        "tests/system/security/test_held_row.py",
    ),
    Guard(
        "the row has a transaction of its own",
        function("claim_v1"),
        "  version := whatsapp_private.note_change_v1(p_user, NULL);\n",
        "  version := whatsapp_private.note_change_v1(p_user, NULL);\n"
        "  PERFORM whatsapp_private.show_session_v1(p_user);\n",
        "tests/system/security/test_foreign_objects.py",
    ),
    Guard(
        "deferred triggers have the row's time limit",
        f"{LAYER}/pairing/session_rows.py",
        "SET CONSTRAINTS ALL IMMEDIATE;\n",
        "",
        "tests/system/security/test_foreign_objects.py",
    ),
    # ── leases, limits and repeats ──
    Guard(
        "only the lease's holder completes a pairing",
        function("connected_v1"),
        f"  {_HOLDS_LEASE}      RETURN;\n    END IF;\n"
        "    SELECT d.id INTO linked FROM whatsapp_private.devices d\n"
        "    WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND ",
        "    SELECT d.id INTO linked FROM whatsapp_private.devices d\n    WHERE d.attempt_id = p_attempt AND ",
        "tests/database/test_leases.py",
    ),
    Guard(
        "only the lease's holder shows a QR",
        function("show_qr_v1"),
        _HOLDS_LEASE,
        "  IF false THEN\n",
        "tests/database/test_leases.py",
    ),
    Guard(
        "only the lease's holder reports a scan",
        function("scanned_v1"),
        f"{_HOLDS_LEASE}    RETURN;\n  END IF;\n"
        "  SELECT d.id INTO device FROM whatsapp_private.devices d\n"
        "  WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND ",
        "  SELECT d.id INTO device FROM whatsapp_private.devices d\n  WHERE d.attempt_id = p_attempt AND ",
        "tests/database/test_leases.py",
    ),
    Guard(
        "only the lease's holder renews it",
        function("renew_v1"),
        _HOLDS_LEASE,
        "  IF false THEN\n",
        "tests/database/test_leases.py",
    ),
    Guard(
        "a late call does not bring a released lease back",
        function("holds_lease_v1"),
        " AND a.lease_expires_at IS NOT NULL",
        "",
        "tests/database/test_lost_answers.py",
    ),
    Guard(
        "only the lease's holder leaves a verdict",
        function("release_v1"),
        "AND a.lease_id = p_lease ",
        "",
        "tests/database/test_leases.py",
    ),
    Guard(
        "only the lease's holder counts a refusal",
        function("refuse_v1"),
        _HOLDS_LEASE,
        "  IF false THEN\n",
        "tests/database/test_leases.py",
    ),
    Guard(
        "a repeated refusal is counted once",
        function("refuse_v1"),
        "AND a.refusals = p_refusals",
        "",
        "tests/database/test_lost_answers.py",
    ),
    Guard(
        "so many refusals for each attempt",
        f"{LAYER}/pairing/attempt.py",
        "self.refusals < MOST_REFUSALS and ",
        "",
        "tests/pure/test_attempt.py",
    ),
    Guard(
        "one linker at a time",
        function("take_v1"),
        "\n    AND (a.lease_expires_at IS NULL OR a.lease_expires_at <= at)",
        "",
        "tests/database/test_leases.py",
    ),
    Guard(
        "a pause between two attempts",
        function("claim_v1"),
        "  IF wait > 0 THEN\n",
        "  IF false THEN\n",
        "tests/database/test_connect.py",
    ),
    Guard(
        "so many attempts an hour",
        function("claim_v1"),
        "WHERE first.user_id = p_user AND first.number = last.number + 1 - p_most",
        "WHERE false",
        "tests/database/test_connect.py",
    ),
    Guard(
        "a cap on live attempts",
        function("claim_v1"),
        "  IF at_capacity THEN\n",
        "  IF false THEN\n",
        "tests/database/test_connect.py",
    ),
    Guard(
        "an attempt that changed is not ended",
        function("end_v1"),
        " AND a.deadline = p_deadline",
        "",
        "tests/database/test_phases.py",
    ),
    Guard(
        "a repeated disconnect gets its answer",
        function("disconnect_v1"),
        "  IF FOUND THEN\n    RETURN result;\n  END IF;\n",
        "",
        "tests/database/test_lost_answers.py",
    ),
    Guard(
        "a repeated end gets its answer",
        function("end_v1"),
        "  IF result IS NOT NULL THEN\n    RETURN result;\n  END IF;\n",
        "",
        "tests/database/test_lost_answers.py",
    ),
    Guard(
        "a repeated start of unlinks gets its answer",
        function("start_unlinks_v1"),
        "  IF FOUND THEN\n    RETURN started;\n  END IF;\n",
        "",
        "tests/database/test_lost_answers.py",
    ),
]  # fmt: skip
