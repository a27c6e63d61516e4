"""Asks Postgres for the plan of each statement of a use case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from whatsapp_pairing.runtime.database import Connection, Database, T


@dataclass
class Plan:
    """The plan of one statement. ``nodes`` are its steps, as EXPLAIN names them."""

    statement: str
    explained: dict[str, Any]
    nodes: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = list(_nodes(self.explained["Plan"]))

    @property
    def read_whole(self) -> set[str]:
        """The tables that are read from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"].endswith("Seq Scan")}

    @property
    def indexes(self) -> set[str]:
        """The indexes that are used."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}


class ExplainedDatabase(Database):
    """Explains each statement, and then runs it. ``plans`` has the plans in the order of the statements.

    Parameters
    ----------
    how : str
        Further options of EXPLAIN. With ANALYZE the statement runs twice, and the first run is rolled back.
    """

    def __init__(self, url: Callable[[], str], how: str = "") -> None:
        super().__init__(url)
        self._explain = f"EXPLAIN (FORMAT JSON{how and ', '}{how}) "
        self.plans: list[Plan] = []

    def run(self, work: Callable[[Connection], T]) -> T:
        return super().run(lambda connection: work(_Explaining(connection, self)))  # type: ignore[arg-type]

    def explain(self, connection: Connection, statement: str, parameters: Any) -> None:
        with connection.transaction(force_rollback=True):
            row = connection.execute(self._explain + statement, parameters).fetchone()
        assert row
        (explained,) = row["QUERY PLAN"] if isinstance(row["QUERY PLAN"], list) else json.loads(row["QUERY PLAN"])
        self.plans.append(Plan(statement.strip(), explained))


class _Explaining:
    def __init__(self, connection: Connection, database: ExplainedDatabase) -> None:
        self._connection, self._database = connection, database

    def execute(self, statement: str, parameters: Any = None) -> Any:
        if not statement.lstrip().startswith(("SET", "SELECT set_config")):
            self._database.explain(self._connection, statement, parameters)
        return self._connection.execute(statement, parameters)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
