"""One guard of the code."""

from __future__ import annotations

from dataclasses import dataclass

LAYER = "layers/shared/whatsapp_pairing"


@dataclass(frozen=True)
class Guard:
    """What a change of one file takes away, and the tests that must notice.

    Attributes
    ----------
    places : int
        How often ``old`` stands in the file.
    """

    name: str
    path: str
    old: str
    new: str
    tests: str
    places: int = 1
