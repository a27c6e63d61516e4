"""Tells whether a server or a pooler refuses a login, from the texts of Postgres and of its poolers.

The engine's child process imports this module, so it must import neither psycopg nor anything else that is large.
"""

import re

# Postgres: a wrong password, and a role or an address that may not log in.
_SQLSTATES = ("28000", "28P01")
# Poolers give one code to nearly all their errors: PgBouncer 08P01, Supavisor XX000. Their words tell a refused login.
# Both repeat the words of Postgres when it is Postgres that refuses.
_POOLERS = ("08P01", "XX000")
_WORDS = re.compile(
    r"""
      authentication\ failed          # for a user, or of SASL, PAM or a certificate
    | (wrong|invalid)\ password
    | no\ such\ user                  # PgBouncer
    | role\ .*\ does\ not\ exist
    | not\ permitted\ to\ log\ in
    | no\ pg_hba\.conf\ entry
    | tenant\ or\ user\ not\ found    # older Supavisor
    | \(ENOTFOUND\)                   # Supavisor: no such tenant or user
    | user\ not\ found                # Supavisor, when Postgres does not know the role
    | too\ many\ authentication       # Supavisor has blocked our address, because of earlier refusals
    """,
    re.IGNORECASE | re.VERBOSE,
)
# A driver's own words. An older Supavisor refuses within the exchange of SCRAM, where no error has a code.
_OF_DRIVERS = re.compile(
    r"received from server in SCRAM exchange|no password supplied|SCRAM-SHA-256 (authentication )?error: "
)


def asks_for_certificate(said: str | None) -> bool:
    """Return whether Postgres itself misses a client certificate (``clientcert`` or ``cert`` in pg_hba.conf)."""
    return "requires a valid client certificate" in (said or "")


def is_refused_login(sqlstate: str | None, said: str | None) -> bool:
    """Return whether an error refuses the login. Another try with the same URL would only be refused again.

    Parameters
    ----------
    sqlstate : str or None
        The code of the error; None for an error of the driver.
    said : str or None
        The message. It decides when there is no code, or when poolers use the code for nearly every error.
    """
    if sqlstate is None:
        return _OF_DRIVERS.search(said or "") is not None
    if sqlstate in _POOLERS:
        return _WORDS.search(said or "") is not None
    return sqlstate in _SQLSTATES
