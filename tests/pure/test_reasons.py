"""The reasons and their sentences, in both languages."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.reasons import SENTENCES, Reason, sentence


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_reason_has_its_own_sentence(language: str) -> None:
    said = [sentence(reason, language) for reason in Reason]
    assert len(set(said)) == len(Reason)
    assert all(text.endswith(".") and text[0].isupper() for text in said)
    assert set(SENTENCES[language]) == set(Reason)


def test_the_languages_differ() -> None:
    assert all(sentence(reason, "en") != sentence(reason, "es") for reason in Reason)
    assert sentence(Reason.INTERNAL) == sentence(Reason.INTERNAL, "en")


@pytest.mark.parametrize("reason", Reason)
def test_a_code_parses_back(reason: Reason) -> None:
    assert Reason.parse(reason.value) is reason


@pytest.mark.parametrize("other", [None, "", "connected", "States.Timeout", "QR_TIMEOUT", "qr_timeout ", "Cancelled"])
def test_any_other_text_is_no_reason(other: str | None) -> None:
    assert Reason.parse(other) is None


def test_two_reasons_are_the_person_s_own_choice() -> None:
    assert {reason for reason in Reason if reason.by_choice} == {Reason.CANCELLED, Reason.UNLINKED_FROM_PHONE}


@pytest.mark.parametrize(
    ("language", "true", "untrue"),
    [
        ("en", ("does not help", "another WhatsApp account", "in some months"), ("Settings", "Turn the passkey off")),
        ("es", ("no sirve", "otra cuenta de WhatsApp", "unos meses"), ("Ajustes", "Desactívala")),
    ],
)
def test_the_passkey_advice_is_true(language: str, true: tuple[str, ...], untrue: tuple[str, ...]) -> None:
    advice = sentence(Reason.PASSKEY_REQUIRED, language)
    assert [words for words in true if words not in advice] == []
    assert [words for words in untrue if words in advice] == []
