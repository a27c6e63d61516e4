"""The calls of a process to Postgres and AWS. The process stops before each call, and the call may meet a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from whatsapp_pairing.core.errors import DatabaseUnavailable, WorkflowUnavailable
from whatsapp_pairing.runtime.database import Connection, Database, T
from whatsapp_pairing.runtime.repository import Repository
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import DECIDED, Workflow

from tests.system.model.modelled_step_functions import Execution
from tests.system.model.process import Killed, Order, Process

if TYPE_CHECKING:
    from tests.system.model.modelled_system import ModelledSystem

# A call without an answer may still reach Postgres within this time after it was sent.
LATE_SECONDS = 8.0

# The database stores the answers of these calls. A repeat of the same call therefore gets the same answer.
_STORED = {"end", "disconnect", "start_unlinks"}


@dataclass
class Late:
    """A call that its process has given up. Postgres may get it later."""

    process: Process
    work: Callable[[Connection], Any]
    until: float

    def __repr__(self) -> str:
        return f"<late {self.process.doing} of {self.process}>"


class InterruptedDatabase(Database):
    """The database of one process, which stops before each exchange with Postgres.

    The product itself repeats a call when its answer is lost (`Database.run`). The process stops before the repeat too,
    so anything may happen between the two.
    """

    def __init__(self, system: ModelledSystem, process: Process) -> None:
        super().__init__(lambda: "")
        self._system, self._process = system, process
        self._refusing = False
        self._stored: object = None
        # `Database.run` repeats a call only if the connection existed before. The real connection belongs to `World`.
        self._connection = cast(Connection, object())

    def _run(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        self._refusing, self._stored = False, None
        return super()._run(work, patience)

    def _run_once(self, work: Callable[[Connection], T], _: float) -> T:
        if self._refusing:
            raise DatabaseUnavailable
        order = self._process.stop()
        self._refusing = order in (Order.REFUSE, Order.LOSE)
        if order is Order.REFUSE:
            raise DatabaseUnavailable
        if order is Order.LATE:
            self._system.late.append(Late(self._process, work, self._system.now + LATE_SECONDS))
            raise DatabaseUnavailable
        result = self._system.exchange(self._process, work, row_is_locked=order is Order.HOLD)
        self._check_stored(result)
        if self._process.writes_row_of:
            self._system.promises.edited.pop(self._process.writes_row_of, None)
        if order is Order.DIE:
            raise Killed
        if order in (Order.LOSE, Order.REPEAT):
            raise DatabaseUnavailable
        return result

    def _check_stored(self, result: object) -> None:
        if self._process.doing not in _STORED:
            return
        before, self._stored = self._stored, result
        if before not in (None, {"answer": None}, {"devices": []}):
            assert result == before, f"{self._process} has lost what its {self._process.doing} did"


class WatchedRepository:
    """A repository of one process.

    It notes the call, the lease that the process asks for, and whether it got the lease.
    """

    def __init__(self, table: type[Any], system: ModelledSystem, process: Process) -> None:
        self._table: Repository = table(InterruptedDatabase(system, process))
        self._process = process

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._table, name)
        if not callable(found):
            return found
        process = self._process

        def call(*arguments: Any, **named: Any) -> Any:
            process.doing = name
            process.writes_row_of = arguments[0] if name == "write" else None
            if name == "take":
                process.lease = arguments[1]
            result = found(*arguments, **named)
            if name == "take":
                process.has_lease = result is not None
            return result

        return call


class InterruptedWorkflow(Workflow):
    """The workflow client of one process, which stops before each call to AWS."""

    def __init__(self, system: ModelledSystem, process: Process) -> None:
        super().__init__(Settings({}))
        self._system, self._process = system, process

    def start(self, attempt_id: UUID) -> None:
        self._call("start", lambda: self._system.start(attempt_id))

    def succeed(self, token: str | None) -> bool:
        return self._answer_model("succeed", token, lambda execution, token: execution.succeed(token))

    def fail(self, token: str | None) -> bool:
        return self._answer_model("fail", token, lambda execution, token: execution.fail(token, DECIDED))

    def heartbeat(self, token: str | None) -> bool:
        return self._answer_model("heartbeat", token, lambda execution, token: execution.heartbeat(token))

    def call_linker(self, attempt_id: UUID) -> None:
        self._call("call_linker", lambda: self._invoke_model("call_linker", attempt_id))

    def call_unlink(self, device_id: UUID) -> None:
        self._call("call_unlink", lambda: self._invoke_model("call_unlink", device_id))

    def _invoke_model(self, function: str, about: UUID) -> None:
        self._system.invoked.append((function, about))
        getattr(self._system, function)(about)

    def _answer_model(self, name: str, token: str | None, answer: Callable[[Execution, str], bool]) -> bool:
        if token is None:
            return False
        execution = self._system.executions[UUID(token.partition("/")[0])]
        return self._call(name, lambda: answer(execution, token))

    def _call(self, name: str, work: Callable[[], T]) -> T:
        self._process.doing = name
        order = self._process.stop()
        if order is Order.REFUSE:
            raise WorkflowUnavailable
        result = work()
        if order is Order.REPEAT:
            result = work()
        if order is Order.DIE:
            raise Killed
        if order is Order.LOSE:
            raise WorkflowUnavailable
        return result
