"""A Postgres with TLS compiled in, for the slow tests: Debian's, or the one that TLS_POSTGRES names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Issued
from tests.support.environment import CALLER
from tests.support.postgres import Postgres

DEBIAN = "/usr/lib/postgresql"


class TlsPostgres:
    """A server that shows the certificate of one case after the other."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @contextmanager
    def showing(self, *chain: Issued) -> Iterator[int]:
        """Show these certificates, the leaf first. The value is the port."""
        with self._postgres.connect() as connection:
            (folder,) = connection.execute("show data_directory").fetchone() or ("",)
            for name, text in {"key": chain[0].key_pem, "crt": "".join(one.pem for one in chain)}.items():
                file = Path(folder, f"server.{name}")
                file.write_text(text)
                file.chmod(0o600)
                shutil.chown(file, *_owner(folder))
            connection.execute("alter system set ssl = on")
            connection.execute("select pg_reload_conf()")
        yield self._postgres.port


def _owner(folder: str) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_uid, status.st_gid


@contextmanager
def serving_tls() -> Iterator[TlsPostgres]:
    """Start the server; skip the test where there is none."""
    programs = CALLER.get("TLS_POSTGRES") or next((str(path.parent) for path in Path(DEBIAN).glob("*/bin/initdb")), "")
    if not programs:
        pytest.skip("SKIPPED: no Postgres with TLS here; apt-get install postgresql, or name its folder: TLS_POSTGRES")
    postgres = Postgres(programs)
    try:
        with postgres.connect() as connection:
            connection.execute("create schema whatsapp_engine")
        yield TlsPostgres(postgres)
    finally:
        postgres.stop()
