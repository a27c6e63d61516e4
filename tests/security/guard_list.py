"""The guards that ``make guards`` takes out, one at a time, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

LAYER = "layers/shared/whatsapp_pairing"
ROLES = "migrations/20250113000000_database_roles.sql"


@dataclass(frozen=True)
class Guard:
    """What a change of one place takes away, and the tests that must notice."""

    name: str
    path: str
    old: str
    new: str
    tests: str


GUARDS = [
    # ── tokens ──
    Guard(
        "signatures are verified",
        f"{LAYER}/identity.py",
        "algorithms: list[str], options: Options = _OPTIONS)",
        "algorithms: list[str], options: Options = _CLAIMS_ONLY)",
        "tests/unit/test_identity.py",
    ),
    Guard(
        "a shared secret only where one is configured",
        f"{LAYER}/identity.py",
        "if self._legacy_secret is None:\n            raise Unauthorized(Refusal.ALGORITHM)",
        'if self._legacy_secret is None:\n            return "secret"',
        "tests/unit/test_identity.py",
    ),
    Guard(
        "tokens of this project only",
        f"{LAYER}/identity.py",
        "            issuer=self._issuers,\n",
        "",
        "tests/unit/test_identity.py",
    ),
    Guard(
        "users' tokens only, not the project's keys",
        f"{LAYER}/identity.py",
        'if claims.get("role") != "authenticated"',
        'if claims.get("role") is None',
        "tests/unit/test_identity.py",
    ),
    Guard(
        "anonymous users only where they are allowed",
        f"{LAYER}/identity.py",
        "if not (self._allow_anonymous or",
        "if not (True or",
        "tests/unit/test_refusals.py",
    ),
    Guard(
        "a second factor where it is demanded",
        "functions/authorizer/app.py",
        "if identity.level < settings().required_assurance_level:",
        "if False:",
        "tests/functions/test_authorizer.py",
    ),
    Guard(
        "invented keys do not make us ask and ask",
        f"{LAYER}/published_keys.py",
        "_ASK_AGAIN_SECONDS = 5",
        "_ASK_AGAIN_SECONDS = 0",
        "tests/unit/test_published_keys.py",
    ),
    Guard(
        "the authorizer's answer ends with the token",
        f"{LAYER}/http.py",
        "        if int(found[\"expiresAt\"]) <= time.time():\n            raise Unauthorized(Refusal.EXPIRED)\n",
        "        int(found[\"expiresAt\"])\n",
        "tests/unit/test_http.py tests/functions/test_api.py tests/e2e/test_tokens.py",
    ),
    Guard(
        "the authorizer alone names the user",
        f"{LAYER}/http.py",
        "found = _authorizers_answer(event)\n",
        "found = _authorizers_answer(event)\n"
        '    found = {**found, "userId": header(event, "x-user-id") or found.get("userId")}\n',
        "tests/unit/test_http.py tests/e2e/test_tokens.py",
    ),
    # ── rows ──
    Guard(
        "the row is read as its user",
        f"{LAYER}/repository/sessions.py",
        "            act_as(connection, claims)\n",
        "",
        "tests/functions/test_api.py",
    ),
    Guard(
        "a row is shown whatever its owner wrote",
        f"{LAYER}/repository/sessions.py",
        "CASE WHEN s.connected_at BETWEEN 'epoch' AND '9999-01-01+00' THEN s.connected_at END AS connected_at",
        "s.connected_at",
        "tests/security/test_own_row.py",
    ),
    Guard(
        "row level security: the policy",
        "migrations/20250111000000_whatsapp_sessions.sql",
        "own CONSTANT TEXT := '(auth.uid() = user_id)'",
        "own CONSTANT TEXT := '(auth.uid() IS NOT NULL)'",
        "tests/security/test_rows.py",
    ),
    Guard(
        "row level security: switched on",
        "migrations/20250111000000_whatsapp_sessions.sql",
        "    ALTER TABLE public.whatsapp_sessions ENABLE ROW LEVEL SECURITY;",
        "    NULL;",
        "tests/security/test_rows.py",
    ),
    Guard(
        "devices are found by their binding",
        f"{LAYER}/repository/attempts.py",
        "WHERE d.user_id = %(user)s AND d.state <> 'unlinking'",
        "WHERE d.state <> 'unlinking' AND substring(d.jid FROM '^[0-9]+') = (\n"
        "    SELECT s.phone_number FROM public.whatsapp_sessions s WHERE s.user_id = %(user)s)",
        "tests/security/test_own_row.py",
    ),
    Guard(
        "a device is linked by its binding",
        f"{LAYER}/repository/attempts.py",
        "SELECT FROM whatsapp_private.devices WHERE user_id = %(user)s AND state = 'linked'",
        "SELECT FROM public.whatsapp_sessions WHERE user_id = %(user)s AND session_status = 'connected'",
        "tests/security/test_own_row.py",
    ),
    # ── the database's roles ──
    Guard(
        "private functions are closed to users",
        ROLES,
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA whatsapp_private FROM PUBLIC, anon, authenticated;",
        "",
        "tests/security/test_outsiders.py",
    ),
    Guard(
        "private schemas are closed to users",
        ROLES,
        "GRANT USAGE ON SCHEMA whatsapp_private TO whatsapp_api, whatsapp_worker;",
        "GRANT USAGE ON SCHEMA whatsapp_private TO whatsapp_api, whatsapp_worker, authenticated;",
        "tests/security/test_outsiders.py",
    ),
    Guard(
        "nobody reads a QR but as its user",
        ROLES,
        "GRANT SELECT (user_id, session_status, phone_number, connected_at),",
        "GRANT SELECT,",
        "tests/security/test_logins.py",
    ),
    Guard(
        "rights are taken up, not inherited",
        ROLES,
        "('whatsapp_api', 'NOINHERIT'),",
        "('whatsapp_api', 'INHERIT'),",
        "tests/security/test_logins.py",
    ),
    # ── leases and limits ──
    Guard(
        "only the lease's holder completes a pairing",
        f"{LAYER}/repository/leases.py",
        "outcome = '{CONNECTED}', failures = 0,\n"
        "    lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL\n"
        "  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND",
        "outcome = '{CONNECTED}', failures = 0,\n"
        "    lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL\n"
        "  WHERE a.id = %(id)s AND",
        "tests/integration/test_leases.py",
    ),
    Guard(
        "one linker at a time",
        f"{LAYER}/repository/leases.py",
        "    AND (a.lease_id IS NULL OR a.lease_id = %(lease)s OR a.lease_expires_at <= now())\n",
        "",
        "tests/integration/test_leases.py",
    ),
    Guard(
        "a pause between two attempts",
        f"{LAYER}/repository/attempts.py",
        "WHERE ended_at IS NULL OR wait > 0)",
        "WHERE ended_at IS NULL)",
        "tests/integration/test_attempts.py",
    ),
    Guard(
        "so many attempts an hour",
        f"{LAYER}/repository/attempts.py",
        "WHERE first.user_id = last.user_id AND first.number",
        "WHERE first.user_id IS NULL AND first.number",
        "tests/integration/test_attempts.py",
    ),
    Guard(
        "a cap on live attempts",
        f"{LAYER}/repository/attempts.py",
        "    AND NOT (SELECT at_capacity FROM system)\n",
        "",
        "tests/integration/test_attempts.py",
    ),
    Guard(
        "large bodies are refused",
        f"{LAYER}/http.py",
        "                raise TooLarge",
        "                pass",
        "tests/unit/test_http.py",
    ),
    # ── the page ──
    Guard(
        "no frame of another origin",
        "functions/page/replying.py",
        "frame-ancestors {frames}; ",
        "",
        "tests/functions/test_page.py tests/browser/test_attacks.py",
    ),
    Guard(
        "the page runs its own script only",
        "functions/page/replying.py",
        '    "require-trusted-types-for \'script\'; trusted-types \'none\'"\n',
        '    ""\n',
        "tests/functions/test_page.py tests/browser/test_attacks.py",
    ),
    Guard(
        "a flaw that is known stops the build",
        "infra/build/audit.py",
        "    return 1 if found else 0",
        "    return 0",
        "tests/unit/test_dependencies.py",
    ),
    Guard(
        "nothing of the person stays after signing out",
        "functions/page/static/app.js",
        "  view.forget();\n  const notice",
        "  const notice",
        "tests/browser/test_next_person.py",
    ),
]  # fmt: skip
