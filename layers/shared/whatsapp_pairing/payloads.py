"""The events that our own functions send each other, and their parser."""

from typing import TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from whatsapp_pairing.core.errors import InvalidPayload
from whatsapp_pairing.pairing.attempt import Phase


class _Payload(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, hide_input_in_errors=True)


class OpenPhase(_Payload):
    """From the workflow's wait states."""

    attempt_id: UUID
    phase: Phase
    task_token: str = Field(min_length=1, repr=False)
    entered_at: AwareDatetime


class SettlePhase(_Payload):
    """From the workflow, after a wait that did not end well."""

    attempt_id: UUID
    error: str


class Link(_Payload):
    """From open_phase to the linker."""

    attempt_id: UUID


class Unlink(_Payload):
    """From the function that gives up a device."""

    device_id: UUID


class Clean(_Payload):
    """From the schedule, or from an operator. Unknown keys are wrong, so a misspelled ``dryRun`` does not clean."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dry_run: bool = False


P = TypeVar("P", bound=_Payload)


def parse(kind: type[P], event: object) -> P:
    """Return the event as ``kind``.

    Raises
    ------
    InvalidPayload
        Fields are wrong or missing. The message names them, never their values.
    """
    try:
        return kind.model_validate(event)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, part["loc"])) or "event" for part in error.errors())
        raise InvalidPayload(f"{kind.__name__}: wrong or missing: {wrong}") from None
