"""Runs template.yaml on one machine: `python -m infra.local`.

A request's way::

    gateway ── routing, cors, authorizers              payload: the event formats
       │
    invoker ── pool ── instances ── runtime_api        a process per instance (processes: memory, end), which takes
       │                                               one invocation after another
    step_functions (moto, moto_fixes) ──> invoker      workflow tasks; functions that start functions
    schedules ─────────────────────────> invoker

Around it:

- `environment` is what is kept of the caller's shell. `options` is the command line.
- `template` (with `template_http`, `template_schedules`, `resources`, `parameters` and `intrinsics`) reads a `stack`.
- `interpreters` chooses the Python for the functions, from source or, by `as_on_lambda.sh`, from what was built.
- `postgres` runs the embedded database from `binaries` under an `account`. `database` marks and prepares a database.
- `sandbox`, `identity` and `dev` stand in for WhatsApp and Supabase (`supabase.sql`).
- `httpserver` is what gateway and runtime_api have in common.
- `runner` starts and ends everything. `datadir` keeps a second runner out, `guard` ends the children of a killed one,
  and `logs` keeps the log files short.
- `errors` is what can go wrong.
"""
