"""The base of all classes that call the database."""

from whatsapp_pairing.runtime.database import Database, Row


class Repository:
    """A repository. Each call is one statement, and so one transaction and one exchange with Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _one(self, statement: str, **parameters: object) -> Row | None:
        return self._database.run(lambda connection: connection.execute(statement, parameters).fetchone())

    def _do(self, statement: str, **parameters: object) -> None:
        self._database.run(lambda connection: connection.execute(statement, parameters))

    def _all(self, statement: str, **parameters: object) -> list[Row]:
        return self._database.run(lambda connection: connection.execute(statement, parameters).fetchall())
