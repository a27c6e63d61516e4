"""The guards outside of the database, in Python code, the page and the template; and the list of all guards."""

from __future__ import annotations

from tests.system.guards.guard import LAYER, Guard
from tests.system.guards.guards_of_database import OF_DATABASE

GUARDS = [
    # ── tokens ──
    Guard(
        "signatures are verified",
        f"{LAYER}/web/identity.py",
        "algorithms: list[str], options: Options = _OPTIONS)",
        "algorithms: list[str], options: Options = _CLAIMS_ONLY)",
        "tests/adapters/test_identity.py",
    ),
    Guard(
        "a shared secret counts only where one is configured",
        f"{LAYER}/web/identity.py",
        "if self._legacy_secret is None:\n            raise Unauthorized(Denial.ALGORITHM)",
        'if self._legacy_secret is None:\n            return "secret"',
        "tests/adapters/test_identity.py",
    ),
    Guard(
        "only tokens of this project count",
        f"{LAYER}/web/identity.py",
        "            issuer=self._issuers,\n",
        "",
        "tests/adapters/test_identity.py",
    ),
    Guard(
        "only tokens of users count, not the project's keys",
        f"{LAYER}/web/identity.py",
        'if claims.get("role") != "authenticated"',
        'if claims.get("role") is None',
        "tests/adapters/test_identity.py",
    ),
    Guard(
        "anonymous users enter only where they are allowed",
        f"{LAYER}/web/identity.py",
        "if not (self._allow_anonymous or",
        "if not (True or",
        "tests/adapters/test_denials.py",
    ),
    Guard(
        "a demanded second factor is checked",
        "functions/authorizer/app.py",
        "if identity.level < settings().required_assurance_level:",
        "if False:",
        "tests/handlers/test_authorizer.py",
    ),
    Guard(
        "tokens of unknown keys cause few fetches",
        f"{LAYER}/web/published_keys.py",
        "_ASK_AGAIN_SECONDS = 5",
        "_ASK_AGAIN_SECONDS = 0",
        "tests/adapters/test_published_keys.py",
    ),
    Guard(
        "the authorizer's answer ends with the token",
        f"{LAYER}/web/http.py",
        "        if int(found[\"expiresAt\"]) <= time.time():\n            raise Unauthorized(Denial.EXPIRED)\n",
        "        int(found[\"expiresAt\"])\n",
        "tests/pure/test_http.py tests/handlers/test_api.py tests/system/pairing/test_tokens.py",
    ),
    Guard(
        "the authorizer alone names the user",
        f"{LAYER}/web/http.py",
        "found = _authorizers_answer(request)\n",
        "found = _authorizers_answer(request)\n"
        '    found = {**found, "userId": header(request, "x-user-id") or found.get("userId")}\n',
        "tests/pure/test_http.py tests/system/pairing/test_tokens.py",
    ),
    # ── limits ──
    Guard(
        "large bodies are refused",
        f"{LAYER}/web/http.py",
        "                raise TooLarge",
        "                pass",
        "tests/pure/test_http.py",
    ),
    # ── the page ──
    Guard(
        "no other origin may frame the page",
        "functions/page/replying.py",
        "frame-ancestors {frames}; ",
        "",
        "tests/handlers/test_page.py tests/system/browser/test_attacks.py",
    ),
    Guard(
        "the page runs its own script only",
        "functions/page/replying.py",
        '    "require-trusted-types-for \'script\'; trusted-types \'none\'"\n',
        '    ""\n',
        "tests/handlers/test_page.py tests/system/browser/test_attacks.py",
    ),
    Guard(
        "a known vulnerability stops the build",
        "infra/build/audit.py",
        "    return 1 if found else 0",
        "    return 0",
        "tests/tools/repository/test_dependencies.py",
    ),
    Guard(
        "sign-out clears the person's data",
        "functions/page/static/app.js",
        "  view.forget();\n  const result",
        "  const result",
        "tests/system/browser/test_next_person.py",
    ),
    Guard(
        "a refused login is not tried at each request",
        f"{LAYER}/runtime/login.py",
        "        if self._clock() < self._again_at:\n            raise LoginRefused\n",
        "",
        "tests/handlers/test_password_rotation.py",
    ),
    Guard(
        "the engine's process gets no other variables",
        "layers/engine/whatsapp_engine/environment.py",
        "for name in ALLOWED if name in os.environ and",
        "for name in os.environ if",
        "tests/system/engine/test_child_environment.py",
    ),
    Guard(
        "the engine's process cannot read its parent",
        "layers/engine/whatsapp_engine/process.py",
        "        hide_this_process()\n",
        "",
        "tests/system/engine/test_child_environment.py",
    ),
    Guard(
        "the certificate of another machine is checked",
        f"{LAYER}/runtime/tls.py",
        '        mode = "verify-full"\n    elif not mode:\n',
        '        mode = "require"\n    elif not mode:\n',
        "tests/pure/test_tls.py",
    ),
    *OF_DATABASE,
]  # fmt: skip
