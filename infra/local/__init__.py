"""Runs template.yaml on one machine: `python -m infra.local`.

A request's way::

    gateway ── routing, cors, authorizers (payload: the event formats)
       │
    invoker ── pool ── instances ── runtime_api        a process per instance (processes: memory, end)
       │
    step_functions (moto, moto_fixes) ──> invoker      workflow tasks; functions that start functions
    schedules ─────────────────────────> invoker

Around it: `template` (with `resources` and `intrinsics`) reads a `stack`; `interpreters` chooses the Python for the
functions, from source or from what was built; `database`, `sandbox`, `identity` and `dev` stand in for Supabase and
WhatsApp; `runner` starts and ends everything, `datadir` keeps a second runner out and `guard` ends the children of
a killed one.
"""
