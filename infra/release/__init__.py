"""Cuts a release: `make release VERSION=x.y.z`.

cut.py         the steps: checks, version, changelog, recorded calls, commit and tag
changelog.py   the sections of CHANGELOG.md
calls.py       the calls between parts that may be of two releases
statements.py  those of these calls that are statements to Postgres
kept.py        tests/releases: what earlier releases have called, compared with what exists now

The version stands in pyproject.toml only; infra/migrate/release.py reads it and compares versions.
"""
