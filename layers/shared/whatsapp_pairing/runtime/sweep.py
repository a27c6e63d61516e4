"""What the sweeps of cleanup have in common: batches that pass over locked rows, and the counts of a dry run."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from whatsapp_pairing.runtime.repository import Repository


@dataclass(frozen=True)
class Batch:
    """How many rows a batch has changed (``done``), and how many it has left because they were locked (``left``)."""

    done: int
    left: int = 0


class Sweep(Repository):
    """Some sweeps of cleanup. Each batch has at most ``size`` rows and is a transaction of its own.

    A batch passes over rows that another transaction has locked. A statement that may have to wait for a user's lock
    cannot pass over rows. Such a sweep has two calls: one finds rows, the other changes them. So the caller can go on
    without the rows that could not be changed (``without``).

    The statements choose a batch as an array (``id = ANY (ARRAY(SELECT …))``). Postgres then finds its rows by the
    primary key. With ``id IN (SELECT …)``, it sometimes read the whole table for 200 rows.

    Attributes
    ----------
    counts : dict
        SQL that counts what each sweep would find now, by the names of ``cleanup.Swept``.
    """

    counts: ClassVar[dict[str, str]]

    def _found(self, statement: str, size: int) -> Batch:
        row = self._one(statement, size=size)
        assert row is not None
        return Batch(row["found"])

    def _due(self, statement: str) -> int:
        row = self._one(statement)
        assert row is not None
        due: int = row["due"]
        return due

    def _ids(self, statement: str, size: int, without: Collection[UUID]) -> list[UUID]:
        return [row["id"] for row in self._all(statement, size=size, without=list(without))]

    def _swept(self, change: str, due: str, size: int, **parameters: object) -> Batch:
        # `due` counts the rows as they were before the change, so it includes the changed rows. In a batch that is not
        # full, the difference of the two counts is the number of locked rows.
        statement = f"""
        WITH changed AS ({change})
        SELECT (SELECT count(*) FROM changed) AS done,
               CASE WHEN (SELECT count(*) FROM changed) < %(size)s THEN (SELECT count(*) FROM {due}) END AS due
        """
        row = self._one(statement, size=size, **parameters)
        assert row is not None
        return Batch(row["done"], max(0, (row["due"] or 0) - row["done"]))
