"""The parts that the use cases of a pairing call."""

from dataclasses import dataclass
from functools import cache

from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime import snapshot
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.settings import settings
from whatsapp_pairing.runtime.workflow import Workflow


@dataclass(frozen=True)
class Services:
    """The attempts and the session rows in the database, and the workflow."""

    attempts: Attempts
    session_rows: SessionRows
    workflow: Workflow


def services_on(database: Database) -> Services:
    """Return the services that use this database, as the environment sets them."""
    rows = SessionRows(database, settings().write_session_rows)
    return Services(Attempts(database), rows, Workflow(settings()))


@cache
def services() -> Services:
    """Return the services that an instance of a function keeps between invocations."""
    return services_on(database())


snapshot.forget(services.cache_clear)
