"""Makes rows that cleanup has to find: each function makes ``number`` of one kind."""

from __future__ import annotations

from uuid import UUID, uuid4

from tests.support.adv_secret import Secret
from tests.support.repositories import World


def lost_pairing(world: World, secret: Secret | None = None) -> tuple[UUID, UUID]:
    """Make an attempt whose linker has shown a QR and then died. Return its user and its id."""
    user = world.user()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret or Secret())
    return user, attempt_id


def stale_tokens(world: World, number: int) -> None:
    """Attempts that ended long ago and still have their token."""
    for _ in range(number):
        attempt_id = world.claim(user := world.user())
        world.open_auth(attempt_id)
        world.attempts.disconnect(user)
        world.age(400, attempt_id)


def stale_answers(world: World, number: int) -> None:
    """Stored answers of calls that ended an hour ago."""
    for _ in range(number):
        world.sql("INSERT INTO whatsapp_private.answers VALUES (%s, '{}', now() - interval '1 h')", uuid4())


def stale_attempts(world: World, number: int) -> None:
    """Attempts that are a hundred days old, of users who have a newer one."""
    for _ in range(number):
        user = world.user()
        old = world.claim(user)
        world.attempts.disconnect(user)
        world.age(100 * 86_400, old)
        world.claim(user)


def stale_orphans(world: World, number: int) -> None:
    """Devices of deleted users."""
    for _ in range(number):
        user, attempt_id = lost_pairing(world)
        world.age(20, attempt_id)
        world.sql("DELETE FROM auth.users WHERE id = %s", user)


def stray_devices(world: World, number: int) -> None:
    """Offered devices of attempts that have ended."""
    for _ in range(number):
        user, attempt_id = lost_pairing(world)
        world.attempts.disconnect(user)
        world.age(20, attempt_id)
        world.sql("UPDATE whatsapp_private.devices SET state = 'offered', unlink_due_at = NULL "
                  "WHERE attempt_id = %s", attempt_id)  # fmt: skip


def never_scanned(world: World, number: int) -> None:
    """Devices that were given up and have no keys."""
    for _ in range(number):
        user, attempt_id = lost_pairing(world)
        world.attempts.disconnect(user)
        world.age(241, attempt_id)


def due_unlinks(world: World, number: int) -> None:
    """Devices that were given up and have keys."""
    for each in range(number):
        world.link(user := world.user(), Secret(), f"52155503{each:03}:1@s.whatsapp.net")
        world.attempts.disconnect(user)
    world.age(241)


def grown_counters(world: World, number: int) -> None:
    """Session rows whose counters the product has increased."""
    for _ in range(number):
        world.show_row(world.attempt(world.claim())["user_id"])
    world.sql("UPDATE public.whatsapp_sessions SET messages_sent = 1")


def wrong_rows(world: World, number: int) -> None:
    """Session rows that show a pairing that does not exist."""
    for _ in range(number):
        world.attempts.disconnect(user := world.attempt(world.claim())["user_id"])
        world.sql("UPDATE whatsapp_private.sessions SET shown_version = version WHERE user_id = %s", user)
        world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'connecting')", user)
    world.age_rows(301)


def rows_behind(world: World, number: int) -> None:
    """Session rows that are behind their session."""
    for _ in range(number):
        world.claim()
    world.sql("UPDATE whatsapp_private.sessions SET show_due_at = now()")
