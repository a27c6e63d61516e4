"""A role of the tests' Postgres that must give a password, and the secret that holds its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import boto3
import psycopg
from psycopg.conninfo import conninfo_to_dict
from whatsapp_pairing.runtime import secrets

from tests.support.postgres import Postgres


class AskedRole:
    """A role that logs in to one database with a password only. The server counts the refused logins.

    Attributes
    ----------
    name : str
        The role.
    """

    def __init__(self, postgres: Postgres, url: str, name: str) -> None:
        self.name = name
        self._url = url
        self._log = postgres.log
        self._from = postgres.log.stat().st_size

    def url(self, password: str, port: int | None = None) -> str:
        """Return the role's URL, directly or through a pooler on this port."""
        parts = conninfo_to_dict(self._url)
        return f"postgresql://{self.name}:{password}@127.0.0.1:{port or parts['port']}/{parts['dbname']}"

    def set_password(self, password: str) -> None:
        """Change the password at the server, and end the role's connections."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE usename = %s AND datname = current_database()",
                (self.name,),
            )

    @property
    def refusals(self) -> int:
        """How many logins the server has refused. It writes its log before it answers."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().count(f'password authentication failed for user "{self.name}"'.encode())


@contextmanager
def asking(postgres: Postgres, url: str, name: str) -> Iterator[AskedRole]:
    """Let the server ask this role for a password, in the database of this URL, until the block ends."""
    with psycopg.connect(url, autocommit=True) as connection:
        (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        path, before = Path(file), Path(file).read_bytes()
        path.write_bytes(f"host {conninfo_to_dict(url)['dbname']} {name} all scram-sha-256\n".encode() + before)
        try:
            connection.execute("SELECT pg_reload_conf()")
            # The rules have the new line as soon as this session's server has read them again.
            loaded = "SELECT EXISTS (SELECT FROM pg_hba_file_rules WHERE %s = ANY (user_name))"
            assert connection.execute(loaded, (name,)).fetchone() == (True,)
            yield AskedRole(postgres, url, name)
        finally:
            path.write_bytes(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"ALTER ROLE {name} PASSWORD NULL".encode())


class UrlSecret:
    """A secret of moto's Secrets Manager with the key ``url``."""

    def __init__(self, url: str) -> None:
        self.name = f"pairing/{uuid4()}"
        self._client = boto3.client("secretsmanager")
        self._client.create_secret(Name=self.name, SecretString=f'{{"url": "{url}"}}')

    def put(self, url: str) -> None:
        """Change the secret. An instance that has read it before knows the old value."""
        self._client.put_secret_value(SecretId=self.name, SecretString=f'{{"url": "{url}"}}')

    def read(self) -> str:
        """Read the secret as the settings do."""
        return secrets.read(self.name, "url")
