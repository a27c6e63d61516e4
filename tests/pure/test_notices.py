"""The notices and their instructions, in both languages."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.notices import INSTRUCTIONS, Notice, instruction


def test_the_codes_are_the_contracts() -> None:
    assert [notice.value for notice in Notice] == ["scan_again", "new_qr"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_notice_has_its_own_instruction(language: str) -> None:
    said = [instruction(notice, language) for notice in Notice]
    assert len(set(said)) == len(Notice)
    assert all(text.endswith(".") and text[0].isupper() for text in said)
    assert set(INSTRUCTIONS[language]) == set(Notice)


def test_the_languages_differ() -> None:
    assert all(instruction(notice, "en") != instruction(notice, "es") for notice in Notice)
    assert instruction(Notice.NEW_QR) == instruction(Notice.NEW_QR, "en")


@pytest.mark.parametrize("other", [None, "", "connected", "SCAN_AGAIN", "new_qr "])
def test_any_other_text_is_no_notice(other: str | None) -> None:
    assert Notice.parse(other) is None
    assert Notice.parse("new_qr") is Notice.NEW_QR
