"""Brings the database's URL, as people copy it, into the one form that all drivers read alike.

Supabase, ORMs and shells write the URL in many forms. psycopg (libpq) and the engine (Go's lib/pq) each read only some
of them. ``normalised`` drops the parameters of other drivers, escapes the special characters of a password, and names
the part that is wrong. No message holds any part of the URL, because after a typing mistake any part may be the
password.
"""

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime.tls import MODES, on_this_machine, settled

_FORM = "postgresql://user:password@host:port/database"

UNREADABLE = "The database's URL cannot be read by Postgres's client."
"""The message for a URL that libpq refuses. libpq's own message quotes the URL with its password."""

NO_SESSION = (
    "The database's URL has port 6543, the transaction pooler: the engine needs 5432, the session pooler or the direct "
    "connection."
)
"""The message where the engine is given the transaction pooler."""

# Characters that may surround a URL in a terminal, a .env file, a document or an e-mail.
_INVISIBLE = " \t\r\n\f\v\0\ufeff\u00a0\u200b\u2060"
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’"}
_TRAILING = _INVISIBLE + ";,\\" + "".join(_QUOTES.values())
_BEFORE = re.compile(
    r"(?:export\s+)?(?:(?:[A-Z][A-Z0-9_]*|(?i:\w*(?:url|uri|dsn)))\s*[=:]\s*(?!//))?"
    r"(?:psql\s+(?:(?:-d|--dbname)[\s=]*)?)?"
)
_SCHEME = re.compile(r"(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)

_REST = (
    r"(?P<host>\[[^\[\]@/?#]*\]|[^\[\]@:/?#\s]*)(?::(?P<port>[^@:/?#]*))?"
    r"(?:/(?P<dbname>[^@/?#]*))?/?(?:\?(?P<query>[^#]*))?"
)
_EXACT = re.compile(rf"(?:(?P<user>[^@:/?#]*)(?::(?P<password>[^@/?#]*))?@)?{_REST}")
# A password with a bare "@", "/", "?" or "#" reaches until the last "@" before a host.
_LENIENT = re.compile(rf"(?P<user>[^:/?#]*?)(?::(?P<password>.*))?@{_REST}(?:#.*)?", re.DOTALL)
_BARE_IPV6 = re.compile(r"(?:^|@)[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.%]*(?:[/?]|$)")
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:\\.|[^\s\\])*)\s*", re.DOTALL)

_AUTHORITY = ("user", "password", "host", "port", "dbname")
_OTHER_NAMES = {"username": "user", "database": "dbname", "hostaddr": "host"}
# Other drivers' names for sslmode, and their values. The empty value asks for TLS, but names no mode.
_TLS_NAMES = ("ssl", "tls", "requiressl")
_TLS_VALUES = (
    dict.fromkeys(("true", "1", "on", "yes", "required"), "")
    | dict.fromkeys(("false", "0", "off", "no"), "disable")
    | {"no-verify": "require"}
)
# The parameters of libpq that mean something here. Any other belongs to another driver, so it is dropped.
_LIBPQ = {
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name",
    "gssencmode", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts",
    "options", "require_auth", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcertmode",
    "sslcrl", "sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni",
    "target_session_attrs", "tcp_user_timeout",
}  # fmt: skip
_NUMBERS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")

_PLACEHOLDER = re.compile(r"(?i:[\[<{(].*pass.*[\]>})]|your[-_ ].*pass.*)|\$\{\w+\}|\$[A-Z_]+|[*•]{3,}", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%\w+)?\]")
_POOLER = ".pooler.supabase.com"
_SUPABASE = (".supabase.com", ".supabase.co", ".supabase.net")
_TRANSACTION_POOLER = 6543
_DIRECT = re.compile(r"db\.(?P<project>\w+)\.supabase\.(?:co|net)")


def normalised(text: str, root: str | None = None) -> str:
    """Return the URL in the form that every driver reads alike, with the TLS that applies (``tls.settled``).

    Parameters
    ----------
    text : str
        The URL.
    root : str, optional
        A file with the certificates that the secret holds beside the URL. It takes the place of Supabase's roots.

    Raises
    ------
    MisconfiguredError
        A part is missing or wrong; the message names it and quotes nothing.

    Examples
    --------
    >>> normalised(' "postgres://me:p@ss@db.example.com/app?pgbouncer=true&sslmode=require" ')
    'postgresql://me:p%40ss@db.example.com/app?sslmode=require'
    >>> normalised("postgresql://me:p@db.example.com/app").partition("&")[0]
    'postgresql://me:p@db.example.com/app?sslmode=verify-full'
    """
    bare = _bare(text.encode("utf-8", "replace").decode())
    scheme = _SCHEME.match(bare)
    if scheme and _SCHEME.search(bare, scheme.end()):
        raise _wrong("holds more than one URL: give one of them")
    if scheme:
        parts, parameters = _of_url(re.sub(r"[\r\n\t]+\s*", "", bare[scheme.end() :]).rstrip(_TRAILING))
    elif re.match(r"\w[\w ]*=", bare):
        parts, parameters = _of_pairs(bare)
    else:
        raise _wrong(_other_form(bare))
    _check(parts, parameters)
    if root and parameters.get("sslrootcert"):
        raise _wrong('names sslrootcert, and its secret has the key "ca" too: keep one of the two')
    host = parts["host"].decode().strip()
    return _written(parts, settled(host, parameters, root))


def is_transaction_pooler(url: str) -> bool:
    """Return whether a normalised URL leads to Supabase's transaction pooler, which keeps no session."""
    parts = urlsplit(url)
    return parts.port == _TRANSACTION_POOLER and (parts.hostname or "").endswith(_SUPABASE)


def _bare(text: str) -> str:
    before = None
    while text != before:
        before = text
        text = text.strip(_INVISIBLE)
        text = text[_BEFORE.match(text).end() :]  # type: ignore[union-attr]  # the pattern matches an empty text, too
        closing = _QUOTES.get(text[:1])
        if closing is not None:
            end = text.rfind(closing)
            text = text[1 : end if end > 0 else None]
    return text


def _other_form(text: str) -> str:
    if not text:
        return "is empty"
    if re.match(r"https?://", text, re.IGNORECASE):
        return f"is the address of a website or API: the database's begins with postgresql://, as {_FORM}"
    if re.match(r"--?\w", text):
        return f"is a psql command with options: give {_FORM}"
    return f"does not begin with postgresql://: give {_FORM}"


def _of_url(text: str) -> tuple[dict[str, bytes], dict[str, str]]:
    found = _EXACT.fullmatch(text)
    if found is None or not _is_query(found["query"] or "", found["user"] is None):
        found = _LENIENT.fullmatch(text) or found
    if found is None:
        if _BARE_IPV6.search(text):
            raise _wrong("has an IPv6 address without square brackets: write it as [2001:db8::1]")
        raise _wrong(f"cannot be read from the host on: give {_FORM}, and %40 %3A %2F %3F %23 %25 for @ : / ? # %")
    parts = {name: _decoded(found[name] or "", name) for name in _AUTHORITY}
    items = [item.partition("=") for item in re.split(r"&(?:amp;)?", found["query"] or "") if item]
    return _merged(parts, [(name, _decoded(value, "parameter")) for name, _, value in items])


def _is_query(text: str, without_user: bool) -> bool:
    """Return whether the text after `?` is a query. It may be the rest of a password with a bare `?`."""
    names = [item.partition("=")[0].lower() for item in text.split("&")]
    known = _LIBPQ.union(_AUTHORITY, _TLS_NAMES)
    return "@" not in text or (all(name in known for name in names) and (not without_user or "user" in names))


def _of_pairs(text: str) -> tuple[dict[str, bytes], dict[str, str]]:
    if re.match(r"[\w ]+=[^;=]*;\s*[\w ]+=", text):
        raise _wrong(f"is in the form Key=Value;Key=Value: give {_FORM}")
    pairs, at = [], 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            raise _wrong(f"is neither a URL nor key=value pairs: give {_FORM}")
        quoted = pair[2].startswith("'")
        value = re.sub(r"\\(.)", r"\1", pair[2][1:-1] if quoted else pair[2], flags=re.DOTALL)
        pairs.append((pair[1], value.encode()))
        at = pair.end()
    return _merged(dict.fromkeys(_AUTHORITY, b""), pairs)


def _decoded(text: str, part: str) -> bytes:
    """Decode percent escapes. A text with a bare % is taken as it is."""
    if not re.search(r"%(?![0-9a-fA-F]{2})", text):
        return unquote_to_bytes(text)
    if re.search(r"%[0-9a-fA-F]{2}", text):
        raise _wrong(f"has a % in its {part} that may be a plain % or an escape: write %25 for each plain %")
    return text.encode()


def _merged(parts: dict[str, bytes], pairs: list[tuple[str, bytes]]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Sort pairs into the parts of the authority and the parameters. A query may hold parts of the authority too."""
    parameters: dict[str, str] = {}
    for written, value in pairs:
        name = written.strip().lower()
        name = _OTHER_NAMES.get(name, name)
        if name in _AUTHORITY:
            if parts[name] not in (b"", value):
                raise _wrong(f"names its {'database' if name == 'dbname' else name} twice, with different values")
            parts[name] = value
        elif name in _LIBPQ or name in _TLS_NAMES:
            text = value.decode("utf-8", "replace")
            if name in _TLS_NAMES or name == "sslmode":
                text = _TLS_VALUES.get(text.lower(), text.lower())
            if parameters.setdefault(name, text) != text:
                raise _wrong(f"has {name} twice, with different values")
        elif re.search("ssl|tls", name):
            raise _wrong("has a TLS parameter that Postgres does not know: it knows sslmode and sslrootcert")
    others = {parameters.pop(name) for name in _TLS_NAMES if name in parameters}
    modes = others - {""}
    if len(modes) > 1 and "sslmode" not in parameters:
        raise _wrong("asks for TLS twice, with different values")
    if others and not parameters.get("sslmode"):
        parameters["sslmode"] = modes.pop() if modes else ""
    return parts, parameters


def _check(parts: dict[str, bytes], parameters: dict[str, str]) -> None:
    text = {name: value.decode("utf-8", "replace").strip() for name, value in parts.items()}
    host, user = text["host"], text["user"]
    if _PLACEHOLDER.fullmatch(text["password"]):
        raise _wrong("still has a placeholder such as [YOUR-PASSWORD] in the place of the password")
    for name in ("user", "host", "dbname"):
        if re.search(r"[\[<{].*[\]>}]", text[name]) and not _HOST.fullmatch(text[name]):
            part = "database" if name == "dbname" else name
            raise _wrong(f"still has a placeholder in brackets in the place of the {part}")
    if not host:
        raise _wrong(f"names no host: give {_FORM}")
    if not host.startswith("/") and not _HOST.fullmatch(host):
        raise _wrong("has a host with a character that no host's name has")
    if text["port"] and not (re.fullmatch("[0-9]{1,5}", text["port"]) and 0 < int(text["port"]) < 65536):
        raise _wrong("has a port that is not a number from 1 to 65535")
    if not user and not (host.startswith("/") or on_this_machine(host)):
        raise _wrong(f"names no user: give {_FORM}")
    _check_database(text["dbname"])
    if parameters.get("sslmode") and parameters["sslmode"] not in MODES:
        raise _wrong(f"has an sslmode that Postgres does not know: it knows {', '.join(MODES)}")
    for name, value in parameters.items():
        if name in _NUMBERS and not re.fullmatch("[0-9]+", value):
            raise _wrong(f"has a parameter {name} that is not a number")
    if "\0" in "".join([*text.values(), *parameters.values()]):
        raise _wrong("holds a zero byte, written as %00")
    _check_supabase(parts, host.lower(), user, parameters)


def _check_database(name: str) -> None:
    if not name:
        raise _wrong("names no database: end it with /postgres, as Supabase's is called")
    if re.search(r"[\s\"'\\]", name):
        raise _wrong("has a database name with a space, a quote or a backslash: end the URL after the name")


def _check_supabase(parts: dict[str, bytes], host: str, user: str, parameters: dict[str, str]) -> None:
    """Check the user's form. The pooler wants `user.project`; the direct server wants `user`.

    Each of the two servers reports the other form as a wrong password.
    """
    if host.endswith(_POOLER) and "." not in user and "reference=" not in parameters.get("options", ""):
        raise _wrong("names a user without its project: through Supabase's pooler it is user.project-ref")
    direct = _DIRECT.fullmatch(host)
    if direct is not None:
        parts["user"] = user.removesuffix(f".{direct['project']}").encode()


def _written(parts: dict[str, bytes], parameters: dict[str, str]) -> str:
    password = parts["password"]
    user = quote(parts["user"], safe="") + (f":{quote(password, safe='')}" if password else "")
    host, port = parts["host"].decode().strip(), parts["port"].decode().strip()
    if host.startswith("/"):
        parameters, host = {"host": host, **parameters}, ""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return (
        f"postgresql://{user}{'@' if user else ''}{host}{':' if port else ''}{port}"
        f"/{quote(parts['dbname'].strip(), safe='')}{'?' if query else ''}{query}"
    )


def _wrong(what: str) -> MisconfiguredError:
    return MisconfiguredError(f"The database's URL {what}.")
