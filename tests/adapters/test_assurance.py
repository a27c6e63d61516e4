"""The assurance level of a sign-in: with or without a second factor."""

from __future__ import annotations

import doctest

import pytest
from whatsapp_pairing.core import assurance as module
from whatsapp_pairing.core.assurance import AssuranceLevel
from whatsapp_pairing.web.identity import TokenVerifier

from tests.support.jwks import Project

STRANGE = [
    None, "", "none", "aal", "aal0", "aal3", "aal22", "AAL2", "Aal2", " aal2", "aal2 ", "aal2\n", "ａａｌ２", "mfa",
    2, 2.0, True, ["aal2"], ["aal1", "aal2"], [], {}, {"aal2": True}, {"level": "aal2"},
]  # fmt: skip


def test_the_docstring_examples_are_true() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("claim", STRANGE, ids=repr)
def test_an_unknown_level_counts_as_none(claim: object) -> None:
    assert AssuranceLevel.parse(claim) is AssuranceLevel.NONE


def test_the_levels_of_supabase_are_in_order() -> None:
    assert AssuranceLevel.NONE < AssuranceLevel.parse("aal1") < AssuranceLevel.parse("aal2")


@pytest.mark.parametrize("claim", STRANGE, ids=repr)
def test_a_token_of_an_unknown_level_still_names_its_user(
    project: Project, verifier: TokenVerifier, claim: object
) -> None:
    identity = verifier.verify(project.token(aal=claim))
    assert (identity.user_id, identity.level) == (project.user, AssuranceLevel.NONE)
