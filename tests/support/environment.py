"""The tests' environment variables: those that the local system keeps, and those that set up the tests."""

from __future__ import annotations

import os
import signal

from infra.local.environment import clean

KNOBS = (
    "CI",
    "TEST_POSTGRES",
    "FUZZ_SEED",
    "FUZZ_REQUESTS",
    "MODEL_RUNS",
    "RANDOM_CALLS",
    "RANDOM_CALLS_SEED",
    "TLS_POSTGRES",
)

CALLER = clean(os.environ, also=KNOBS)
"""The caller's environment before it is cleaned. Builds use it, because pip may need a proxy, a CA or another index."""

# A shell that starts the tests in the background lets them ignore SIGINT. Every child process would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
