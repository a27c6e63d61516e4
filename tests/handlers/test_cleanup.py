"""The scheduled cleanup, and its dry run."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest
from whatsapp_pairing.core.errors import (
    InvalidPayload,
)
from whatsapp_pairing.runtime.settings import settings

from tests.support.adv_secret import Secret
from tests.support.handlers import Aws, Call, event
from tests.support.repositories import JID


def test_cleanup_ends_lost_attempts_and_counts_them(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.store_keys(secret, JID)
    world.age(1000)

    swept = call("cleanup", event("cleanup"))
    assert {name: count for name, count in swept.items() if count} == {"attempts_ended": 1, "unlinks_started": 1}
    unlink = ("unlink", "Event", {"deviceId": str(world.bound(secret)["id"])})
    assert aws.invocations == [unlink]
    world.age(241)
    assert call("cleanup", event("cleanup"))["unlinks_started"] == 1
    assert aws.invocations == [unlink, unlink]


def test_a_dry_run_counts_and_changes_nothing(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.age(1000)
    before = world.snapshot()

    counted = call("cleanup", {"dryRun": True})
    assert {name: count for name, count in counted.items() if count} == {"attempts_ended": 1}

    assert world.snapshot() == before
    assert aws.invocations == []


@pytest.mark.parametrize("wish", [{"dryrun": True}, {"dry_run": True}, {"dryRun": "true"}, {"dryRun": None}])
def test_a_misspelled_dry_run_cleans_nothing(call: Call, world: Any, user: UUID, wish: dict[str, object]) -> None:
    world.claim(user)
    world.age(1000)
    before = world.snapshot()
    with pytest.raises(InvalidPayload, match="Clean: wrong or missing: dry"):
        call("cleanup", wish)
    assert world.snapshot() == before


def test_cleanup_goes_on_when_lambda_is_away(
    call: Call, world: Any, user: UUID, environment: pytest.MonkeyPatch
) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.store_keys(secret, JID)
    world.age(1000)
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    environment.setattr(random, "random", lambda: 0.0)  # no jitter in botocore's pauses
    settings.cache_clear()
    assert call("cleanup", event("cleanup"))["attempts_ended"] == 1
