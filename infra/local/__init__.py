"""Runs template.yaml on one machine: `python -m infra.local`.

A request's way::

    gateway ── routing, cors, authorizers              payload: the event formats
       │
    invoker ── pool ── instances ── runtime_api        a process per instance (processes: memory, end), which takes
       │                                               one invocation after another
    step_functions (moto, moto_fixes) ──> invoker      workflow tasks; functions that start functions
    schedules ─────────────────────────> invoker

Around it: `template` (with `template_http`, `template_schedules`, `resources` and `intrinsics`) reads a `stack`;
`interpreters` chooses the Python for the functions, from source or, by `as_on_lambda.sh`, from what was built;
`database`, `sandbox`, `identity` and `dev` stand in for Supabase (`supabase.sql`) and WhatsApp; `httpserver` is what
gateway and runtime_api have in common; `runner` starts and ends everything as `options` say, `datadir` keeps a second
runner out and `guard` ends the children of a killed one; `errors` is what can go wrong.
"""
