"""How strongly a user has signed in, by the claim ``aal`` of a Supabase access token."""

from enum import IntEnum


class AssuranceLevel(IntEnum):
    """The levels that Supabase issues. A higher level is a stronger sign-in."""

    NONE = 0
    AAL1 = 1
    """One factor, e.g. a password."""

    AAL2 = 2
    """A second factor beside the first."""

    @classmethod
    def parse(cls, claim: object) -> "AssuranceLevel":
        """Return the level that the claim names; ``NONE`` for a missing claim and for any other value.

        Examples
        --------
        >>> AssuranceLevel.parse("aal2").name
        'AAL2'
        >>> [AssuranceLevel.parse(claim).name for claim in (None, "AAL2", "aal3", ["aal2"], 2)]
        ['NONE', 'NONE', 'NONE', 'NONE', 'NONE']
        """
        return next((level for level in cls if level.name.lower() == claim), cls.NONE)
