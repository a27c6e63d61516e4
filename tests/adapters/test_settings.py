"""Settings: typed values of the environment variables."""

from __future__ import annotations

import doctest

import pytest
from whatsapp_pairing.core.assurance import AssuranceLevel
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime import settings as module
from whatsapp_pairing.runtime.settings import Settings, settings

NAMES = {
    "database_url": "DATABASE_SECRET_NAME",
    "engine_database_url": "ENGINE_DATABASE_SECRET_NAME",
    "supabase_url": "SUPABASE_URL",
    "state_machine_arn": "STATE_MACHINE_ARN",
    "linker_function": "LINKER_FUNCTION",
    "unlink_function": "UNLINK_FUNCTION",
    "qr_timeout_seconds": "QR_TIMEOUT_SECONDS",
    "auth_timeout_seconds": "AUTH_TIMEOUT_SECONDS",
    "max_live_pairings": "MAX_LIVE_PAIRINGS",
    "attempt_retention_days": "ATTEMPT_RETENTION_DAYS",
}


def test_the_docstring_examples_are_true() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(("attribute", "name"), NAMES.items())
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named(attribute: str, name: str, value: str | None) -> None:
    environment = {} if value is None else {name: value}
    with pytest.raises(MisconfiguredError, match=rf"\b{name} is missing"):
        getattr(Settings(environment), attribute)


def test_a_setting_that_is_not_read_may_be_missing() -> None:
    assert Settings({"LINKER_FUNCTION": "linker"}).linker_function == "linker"


@pytest.mark.parametrize("name", ["QR_TIMEOUT_SECONDS", "AUTH_TIMEOUT_SECONDS"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "1e", "nan", "inf", "-inf"])
def test_a_wrong_number_is_named_and_not_quoted(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=name) as wrong:
        getattr(Settings({name: value}), name.lower())
    assert value not in str(wrong.value).replace(name, "").split()


@pytest.mark.parametrize("name", ["MAX_LIVE_PAIRINGS", "ATTEMPT_RETENTION_DAYS"])
@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "²"])
def test_a_limit_is_a_whole_number(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=name):
        getattr(Settings({name: value}), name.lower())


def test_a_url_loses_its_trailing_slash() -> None:
    assert Settings({"SUPABASE_URL": "https://x.supabase.co/"}).supabase_url == "https://x.supabase.co"


@pytest.mark.parametrize(
    ("value", "issuers"),
    [
        (None, []), ("", []), (" , ,", []),
        ("https://abcd.supabase.co/auth/v1", ["https://abcd.supabase.co/auth/v1"]),
        ("https://abcd.supabase.co", ["https://abcd.supabase.co/auth/v1"]),
        ("https://abcd.supabase.co/", ["https://abcd.supabase.co/auth/v1"]),
        (" https://a.example/auth/v1/ ,http://b.example:8000,", ["https://a.example/auth/v1", "http://b.example:8000/auth/v1"]),
    ],
)  # fmt: skip
def test_accepted_issuers_are_a_list(value: str | None, issuers: list[str]) -> None:
    assert Settings({} if value is None else {"ACCEPTED_ISSUERS": value}).accepted_issuers == issuers


@pytest.mark.parametrize(
    ("value", "allowed"), [(None, False), ("", False), ("false", False), ("yes", False), ("true", True)]
)
def test_anonymous_users_are_allowed_by_true_only(value: str | None, allowed: bool) -> None:
    environment = {} if value is None else {"ALLOW_ANONYMOUS_USERS": value}
    assert Settings(environment).allow_anonymous_users is allowed


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, AssuranceLevel.NONE),
        ({"REQUIRED_ASSURANCE_LEVEL": "none"}, AssuranceLevel.NONE),
        ({"REQUIRED_ASSURANCE_LEVEL": "aal2"}, AssuranceLevel.AAL2),
    ],
    ids=str,
)
def test_a_second_factor_is_demanded_by_name(environment: dict[str, str], level: AssuranceLevel) -> None:
    assert Settings(environment).required_assurance_level is level


@pytest.mark.parametrize("value", ["", "AAL2", "aal1", "aal3", "true", "2", "aal2 ", "None"])
def test_a_misspelt_level_is_an_error(value: str) -> None:
    with pytest.raises(MisconfiguredError, match="REQUIRED_ASSURANCE_LEVEL is neither none nor aal2"):
        _ = Settings({"REQUIRED_ASSURANCE_LEVEL": value}).required_assurance_level


def test_a_direct_url_wins_over_the_secret() -> None:
    direct = Settings({"DATABASE_URL": "postgresql://x", "DATABASE_SECRET_NAME": "secret"})
    assert direct.database_url == "postgresql://x"


def test_the_environment_is_read_on_first_use_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    monkeypatch.setenv("LINKER_FUNCTION", "first")
    first = settings()
    monkeypatch.setenv("LINKER_FUNCTION", "second")
    assert settings() is first
    assert settings().linker_function == "first"
    settings.cache_clear()


def test_settings_do_not_show_their_values() -> None:
    assert "topsecret" not in repr(Settings({"DATABASE_URL": "postgresql://me:topsecret@host/db"}))
