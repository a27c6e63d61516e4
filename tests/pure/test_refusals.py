"""Which errors of Postgres, its poolers and the drivers refuse a login."""

from __future__ import annotations

import pytest
from whatsapp_engine.store import logged_fault, store_fault
from whatsapp_pairing.runtime.refusals import is_refused_login

POSTGRES = [
    ("28P01", 'password authentication failed for user "me"'),
    ("28P01", "la autentificación password falló para el usuario «me»"),
    ("28000", 'role "me" does not exist'),
    ("28000", 'role "me" is not permitted to log in'),
    ("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "me", database "postgres", SSL off'),
]
POOLERS = [
    ("08P01", "password authentication failed"),
    ("08P01", "SASL authentication failed"),
    ("08P01", "no such user: me"),
    ("08P01", "no such user"),
    ("08P01", 'server login failed: FATAL password authentication failed for user "me"'),
    ("08P01", 'server login failed: FATAL role "me" does not exist'),
    ("08P01", "server login failed: wrong password type"),
    ("XX000", "Tenant or user not found"),
    ("XX000", "(ENOTFOUND) tenant/user me.abcdefgh not found"),
    ("XX000", "(EAUTHQUERY) user not found in the database"),
    ("XX000", "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked"),
    ("XX000", "Circuit breaker open: Too many authentication errors"),
    ("XX000", "Invalid password"),
]
OTHERS = [
    ("08P01", "server login failed: FATAL sorry, too many clients already"),
    ("08P01", "server login failed: FATAL the database system is starting up"),
    ("08P01", "no more connections allowed (max_client_conn)"),
    ("08P01", "query_wait_timeout"),
    ("XX000", "(ECHECKOUTTIMEOUT) unable to check out connection from the pool"),
    ("XX000", "(ECIRCUITBREAKER) too many failed attempts to connect to the database, new connections are blocked"),
    ("XX000", "(EMAXCONN) max client connections reached, limit: 600"),
    ("53300", "sorry, too many clients already"),
    ("57P03", "the database system is starting up"),
    ("3D000", 'database "password authentication failed" does not exist'),
    ("42501", "permission denied for schema authentication failed"),
]


@pytest.mark.parametrize(("state", "said"), POSTGRES + POOLERS)
def test_a_refused_login_is_known(state: str, said: str) -> None:
    assert is_refused_login(state, said)


@pytest.mark.parametrize(("state", "said"), OTHERS)
def test_another_error_is_no_refused_login(state: str, said: str) -> None:
    assert not is_refused_login(state, said)


@pytest.mark.parametrize(
    "said",
    [
        "connection failed: error received from server in SCRAM exchange: Wrong password",
        "connection failed: fe_sendauth: no password supplied",
        "pq: SCRAM-SHA-256 authentication error: Wrong password",
        "pq: SCRAM-SHA-256 error: Wrong password",
    ],
)
def test_a_refusal_of_a_driver_without_a_code_is_known(said: str) -> None:
    assert is_refused_login(None, said)
    assert not is_refused_login(None, "connection failed: Connection refused")


@pytest.mark.parametrize(("state", "said"), POSTGRES + POOLERS)
def test_an_engine_s_refused_login_does_not_pass(state: str, said: str) -> None:
    fault = store_fault(f"failed to upgrade database: pq: {said} ({state})")
    assert fault is not None
    assert fault.login_refused
    assert not fault.passes
    assert f"SQLSTATE {state} (the role, its password or its address is refused)" in fault.why
    logged = logged_fault(f"Error saving session in database: pq: {said} ({state})")
    assert logged is not None
    assert logged.login_refused


@pytest.mark.parametrize(("state", "said"), OTHERS)
def test_an_engine_s_other_fault_is_no_refused_login(state: str, said: str) -> None:
    fault = store_fault(f"failed to upgrade database: pq: {said} ({state})")
    assert fault is not None
    assert not fault.login_refused
