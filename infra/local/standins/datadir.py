"""The folder that keeps data between runs, and its lock, which keeps a second runner out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from infra.errors import ToolError


class DataDir:
    """``postgres/``, ``sandbox/``, ``logs/``, ``signing-key.pem`` and ``lock``.

    Each kind of WhatsApp has a database of its own (``postgres`` for the sandbox, else ``postgres-live`` or
    ``postgres-external``), because another WhatsApp does not know the devices in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.sandbox = self.path / "sandbox"
        self.logs = self.path / "logs"
        self.signing_key = self.path / "signing-key.pem"
        self._lock = -1

    def __enter__(self) -> DataDir:
        """Make the folder and lock it.

        Raises
        ------
        ToolError
            Another runner uses the folder, or the folder cannot be made or written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ToolError(f"cannot use the data directory {self.path}: {error.strerror}") from error
        try:
            # The kernel releases the lock when this process ends, even if it is killed.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 20).decode().strip()
            os.close(self._lock)
            raise ToolError(f"the data directory {self.path} is in use by another runner (pid {owner})") from None
        for file in self.logs.iterdir():
            if not os.access(file, os.W_OK) or file.is_dir():
                os.close(self._lock)
                raise ToolError(
                    f"cannot write {file}; it may belong to another user. Remove it or use another --data-dir."
                )
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())
        return self

    def postgres(self, whatsapp: str) -> Path:
        """Return the folder of the embedded Postgres for a kind of WhatsApp."""
        return self.path / ("postgres" if whatsapp == "sandbox" else f"postgres-{whatsapp}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)
