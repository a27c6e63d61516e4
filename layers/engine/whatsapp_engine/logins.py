"""The logins of an engine: at its database, and at its proxy if it has one. It logs what is wrong with either.

A refused login is worth one more try only after its secret has changed. ``runtime.login`` remembers that between the
invocations of an instance.
"""

from collections.abc import Callable
from dataclasses import replace

from whatsapp_pairing.core.engine import DatabaseFailed, Event, Reached, Refused, Unreachable
from whatsapp_pairing.core.errors import LoginRefused, MisconfiguredError, Unavailable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.login import Login
from whatsapp_pairing.runtime.observability import logger

from whatsapp_engine.proxy import checked_proxy


class NoUrlError(Exception):
    """No engine can be started: a URL cannot be read, is wrong, or was refused. ``event`` says so to the caller."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class Logins:
    """The logins of the engines that one ``ProcessEngine`` starts.

    Parameters
    ----------
    database_url, proxy_url : callable, optional
        Return the URL from a secret.
    """

    def __init__(self, database_url: Callable[[], str] | None, proxy_url: Callable[[], str] | None) -> None:
        self._database = Login(database_url) if database_url else None
        self._proxy = Login(proxy_url) if proxy_url else None

    def database_url(self) -> str | None:
        """Return the URL of the engine's database; None for an engine that keeps its keys in memory.

        Raises
        ------
        NoUrlError
        """
        try:
            return self._database.url() if self._database else None
        except LoginRefused as error:
            raise NoUrlError(logged(DatabaseFailed(str(error), login_refused=True))) from None
        except MisconfiguredError as error:
            raise NoUrlError(logged(DatabaseFailed(str(error)))) from None
        except Unavailable:
            failed = DatabaseFailed("its secret cannot be read at the moment", passes=True)
            raise NoUrlError(logged(failed)) from None

    def proxy_url(self) -> str | None:
        """Return the URL of the proxy; None for an engine that reaches WhatsApp directly.

        Raises
        ------
        NoUrlError
        """
        try:
            return checked_proxy(self._proxy.url()) if self._proxy else None
        except LoginRefused:
            why = "the proxy refuses the user or the password, and its secret has not changed since"
            raise NoUrlError(_refused_by_proxy(why)) from None
        except MisconfiguredError as error:
            raise NoUrlError(_refused_by_proxy(str(error))) from None
        except Unavailable:
            raise NoUrlError(_logged(Unreachable("the proxy's secret cannot be read at the moment"))) from None

    def judged(self, event: Event) -> Event:
        """Note what an event says about a login, and return the event for the caller.

        If a login was refused and its secret has changed since, the event says that the fault passes. So a fresh engine
        follows, and logs in once more.
        """
        match event:
            case DatabaseFailed(login_refused=refused):
                changed = refused and self._database is not None and self._database.note_refusal()
                return logged(replace(event, passes=True) if changed else event)
            case Unreachable(why=str(why), login_refused=True) if not (self._proxy and self._proxy.note_refusal()):
                return _refused_by_proxy(why)
            case Unreachable(why=str()):
                return _logged(event)
            case Reached():
                for login in filter(None, (self._database, self._proxy)):
                    login.note_success()
        return event


def logged(failure: DatabaseFailed) -> DatabaseFailed:
    """Log why the engine's database fails."""
    logger.error("the engine's database refuses it", extra={"why": failure.why})
    return failure


def _logged(event: Unreachable) -> Unreachable:
    logger.error("the engine cannot use its proxy", extra={"why": event.why})
    return event


def _refused_by_proxy(why: str) -> Refused:
    # Another engine with the same secret does not help. So the attempt ends at once, and not with its window.
    _logged(Unreachable(why))
    return Refused(Reason.WHATSAPP_UNREACHABLE)
