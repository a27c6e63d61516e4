"""One guard of the code."""

from __future__ import annotations

from dataclasses import dataclass

LAYER = "layers/shared/whatsapp_pairing"


@dataclass(frozen=True)
class Guard:
    """A change of one file that removes a guard, and the tests that must notice.

    Attributes
    ----------
    places : int
        How often the file contains ``old``.
    """

    name: str
    path: str
    old: str
    new: str
    tests: str
    places: int = 1
