"""The statements that the Python code sends to Postgres, and their types and rights in a database."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
import whatsapp_pairing
from psycopg.pq import ExecStatus

# The roles that send our statements. The third login, whatsapp_engine, sends only those of whatsmeow.
ROLES = ("whatsapp_api", "whatsapp_worker")
_STATEMENT = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Described:
    """A statement in a database: the types of its parameters and columns, and the roles that may send it."""

    takes: dict[str, str]
    answers: dict[str, str]
    roles: list[str]


def sent() -> list[str]:
    """Return every statement that is a constant of a module of the shared layer, each in one line."""
    texts = {value for module in _modules() for value in vars(module).values() if isinstance(value, str)}
    lines = (" ".join(part.split()) for text in texts for part in text.split(";\n"))
    return sorted({line.removesuffix(";") for line in lines if _STATEMENT.match(line)})


def describe(url: str, statements: Iterable[str]) -> dict[str, dict[str, Any] | str]:
    """Return each statement as `Described`, or the message with which Postgres refuses it. The URL is the owner's."""
    with psycopg.connect(url, autocommit=True) as connection:
        # A generic plan keeps the parameters. Postgres would otherwise skip a strict function that is given NULL.
        connection.execute("set plan_cache_mode = force_generic_plan")
        return {statement: _described(connection, statement) for statement in statements}


def _modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(whatsapp_pairing.__path__, "whatsapp_pairing."):
        yield importlib.import_module(module.name)


def _described(connection: psycopg.Connection, statement: str) -> dict[str, Any] | str:
    names = list(dict.fromkeys(_PARAMETER.findall(statement)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")
    prepared = connection.pgconn.prepare(b"described", numbered.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        return prepared.get_error_message().splitlines()[0]
    found = connection.pgconn.describe_prepared(b"described")
    types = [_type(connection, found.param_type(number)) for number in range(found.nparams)]
    columns = [(found.fname(number) or b"").decode() for number in range(found.nfields)]
    answers = [_type(connection, found.ftype(number)) for number in range(found.nfields)]
    roles = [role for role in ROLES if _may(connection, role, len(types))]
    connection.execute("deallocate described")
    return asdict(Described(dict(zip(names, types, strict=True)), dict(zip(columns, answers, strict=True)), roles))


def _type(connection: psycopg.Connection, oid: int) -> str:
    row = connection.execute("select %s::oid::regtype::text", (oid,)).fetchone()
    assert row is not None
    return str(row[0])


def _may(connection: psycopg.Connection, role: str, parameters: int) -> bool:
    """Whether a role has the rights for the prepared statement. EXPLAIN checks them and runs nothing."""
    values = f"({', '.join(['null'] * parameters)})" if parameters else ""
    connection.execute(f"set role {role}")
    try:
        connection.execute(f"explain execute described{values}")
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        connection.execute("reset role")
    return True
