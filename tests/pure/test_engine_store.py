"""Which error texts of whatsmeow, Go's driver and Postgres mean a fault of the engine's database."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatsapp_engine import store
from whatsapp_engine.store import logged_fault, store_fault

UPGRADE = "failed to upgrade database: "
CHECK = UPGRADE + "failed to check if version table is up to date: "

FAULTS = [
    (UPGRADE + 'pq: cannot delete from table "whatsmeow_version" because it does not have a replica identity (55000)',
     ("55000", "whatsmeow_version", "replica identity"), False),
    (UPGRADE + "failed to create version table: pq: permission denied for schema whatsapp_engine at column 14 (42501)",
     ("42501", "schema whatsapp_engine", "failed to create version table"), False),
    (UPGRADE + "pq: must be owner of table whatsmeow_device (42501)", ("42501", "whatsmeow_device"), False),
    (UPGRADE + "failed to create version table: pq: cannot execute CREATE TABLE in a read-only transaction (25006)",
     ("25006", "read-only"), True),
    (UPGRADE + 'failed to run upgrade v0->v15: pq: relation "whatsmeow_device" already exists (42P07)',
     ("42P07", "whatsmeow_device", "failed to run upgrade v0->v15"), False),
    (UPGRADE + "pq: canceling statement due to lock timeout at column 29 (55P03)", ("55P03", "lock"), True),
    (UPGRADE + "pq: canceling statement due to statement timeout (57014)", ("57014",), True),
    ('failed to scan session: pq: permission denied for table whatsmeow_device (42501)', ("whatsmeow_device",), False),
    (CHECK + 'pq: role "s3cret" does not exist (28000)', ("28000", "refused"), False),
    (CHECK + 'pq: password authentication failed for user "s3cret" (28P01)', ("28P01", "password"), False),
    (CHECK + 'pq: database "s3cret" does not exist (3D000)', ("3D000", "no such database"), False),
    (CHECK + "pq: sorry, too many clients already (53300)", ("53300",), True),
    (CHECK + "pq: the database system is starting up (57P03)", ("57P03",), True),
    (CHECK + "pq: SSL is not enabled on the server", ("TLS", "before TLS begins"), True),
    (CHECK + "pq: unsupported startup parameter: options (08P01)", ("options", "ignore_startup_parameters"), False),
    (CHECK + "pq: unsupported startup parameter in options: search_path (08P01)", ("ignore_startup",), False),
    (CHECK + "pq: connection requires a valid client certificate (28000)", ("TLS", "sslcert"), False),
    (CHECK + "tls: failed to verify certificate: x509: certificate signed by unknown authority", ("TLS",), False),
    (CHECK + "x509: certificate is valid for s3cret.example.com, not localhost", ("TLS",), False),
    (CHECK + "open /s3cret/ca.pem: no such file or directory", ("TLS",), False),
    (CHECK + "dial tcp 10.0.0.1:5432: connect: connection refused", ("cannot be reached", "connection refused"), True),
    (CHECK + "dial tcp: lookup s3cret.example.com on 10.0.0.2:53: no such host", ("cannot be reached",), True),
    (CHECK + "dial tcp 10.0.0.1:5432: i/o timeout", ("cannot be reached",), True),
    (UPGRADE + "unsupported database schema version: currently on v1000 (compatible down to v1000), latest known: v15",
     ("1000", "15", "newer release"), False),
    ("failed to save device store: pq: insert or update on table whatsmeow_device s3cret (ZZ999)", ("ZZ999",), False),
    ("something s3cret that nobody knows", ("does not know",), True),
]  # fmt: skip


def test_the_docstring_examples_are_true() -> None:
    results = doctest.testmod(store)
    assert (results.attempted, results.failed) == (1, 0)


@pytest.mark.parametrize(("text", "told", "passes"), FAULTS, ids=[text[-60:] for text, _, _ in FAULTS])
def test_a_fault_is_described_in_our_own_words(text: str, told: tuple[str, ...], passes: bool) -> None:
    fault = store_fault(text)
    assert fault is not None
    assert fault.passes is passes
    for words in told:
        assert words in fault.why
    for word in ("s3cret", "10.0.0.", "example.com"):
        assert word not in fault.why


@pytest.mark.parametrize(
    "text",
    [
        'failed to dial whatsapp web websocket: failed to send handshake request: Get "https://web.whatsapp.com/ws/chat":'
        " dial tcp: lookup web.whatsapp.com on 10.0.0.2:53: no such host",
        "noise handshake failed: EOF",
    ],
)
def test_a_fault_of_whatsapp_is_no_fault_of_the_store(text: str) -> None:
    assert store_fault(text) is None


@pytest.mark.parametrize(
    ("line", "told", "passes"),
    [
        ("Failed to get number of prekeys in database: pq: permission denied for table whatsmeow_pre_keys (42501)",
         "SQLSTATE 42501", False),
        ("Failed to pair device: failed to store main device identity: pq: permission denied for table "
         "whatsmeow_identity_keys (42501)", "whatsmeow_identity_keys", False),
        ("Failed to store LID-PN mapping for 1@lid -> 34600@s.whatsapp.net: pq: permission denied for table "
         "whatsmeow_lid_map (42501)", "whatsmeow_lid_map", False),
        ('Failed to get prekeys to upload: pq: too many connections for role "s3cret" (53300)', "53300", True),
        ("Failed to get number of prekeys in database: dial tcp 10.0.0.1:5432: connect: connection refused",
         "cannot be reached", True),
    ],
)  # fmt: skip
def test_a_fault_in_whatsmeows_log_is_reported(line: str, told: str, passes: bool) -> None:
    fault = logged_fault(line)
    assert fault is not None
    assert told in fault.why
    assert fault.passes is passes
    for word in ("s3cret", "10.0.0.", "34600", "1@lid"):
        assert word not in fault.why


@pytest.mark.parametrize(
    "line",
    [
        "Dialing wss://web.whatsapp.com/ws/chat",
        "Error reading from websocket: failed to get reader: read tcp 10.0.0.2:4431: connection reset by peer",
        "Failed to get number of prekeys on server: websocket disconnected before info query returned response",
        "failed to dial whatsapp web websocket: dial tcp 10.0.0.2:443: connect: connection refused",
        'Failed to store LID-PN mapping for 1@lid -> 2: pq: duplicate key value violates unique constraint (23505)',
        "Failed to get number of prekeys in database: context canceled",
    ],
)  # fmt: skip
def test_another_line_of_the_log_is_no_fault_of_the_store(line: str) -> None:
    assert logged_fault(line) is None


@given(st.from_regex(r"[A-Z]{6,12}[0-9]{4}", fullmatch=True), st.sampled_from([text for text, _, _ in FAULTS]))
def test_a_value_in_a_fault_s_text_is_never_passed_on(value: str, text: str) -> None:
    for changed in (text.replace("pq: ", f'pq: "{value}" '), f"{value} {text}", text.replace("failed", value)):
        fault = store_fault(changed)
        assert fault is not None
        assert value not in fault.why
