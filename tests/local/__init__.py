"""The local runner's tests: a small template of their own in fixtures/."""
