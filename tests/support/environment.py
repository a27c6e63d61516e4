"""The environment of the tests: what the local system keeps, and the knobs of the tests themselves."""

from __future__ import annotations

import os
import signal

from infra.local.environment import clean

KNOBS = ("CI", "TEST_POSTGRES", "FUZZ_SEED", "FUZZ_REQUESTS", "MODEL_RUNS", "STORM_CALLS", "STORM_SEED")

CALLER = clean(os.environ, also=KNOBS)
"""The caller's whole environment, for builds: pip may need a proxy, a CA or another index."""

# A shell that starts the tests in the background has SIGINT ignored, and every child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
