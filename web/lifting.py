"""Who may lift which suppression, for console and API alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.suppressions import Lift, lift, lift_address, suppressed_address, suppressions_of
from runtime.errors import Forbidden, NotFound
from web.access import Role, Viewer

COMPLAINED = "complained"


async def lift_of_person(
    conn: AsyncConnection, viewer: Viewer, customer_id: int, channel: str, reason: str | None, note: str, now: datetime
) -> None:
    """End what stands against a person over a channel. Raises NotFound, Forbidden, Invalid without a note."""
    standing = await suppressions_of(conn, customer_id, now)
    meant = [one.reason for one in standing if one.channel == channel and reason in (None, one.reason)]
    if not meant:
        raise NotFound(f"nothing stands against customer {customer_id} over {channel}")
    _check(viewer, meant)
    await lift(conn, customer_id, channel, Lift(viewer.name, note, now), reason=reason)


async def lift_of_address(
    conn: AsyncConnection, viewer: Viewer, kind: str, value: str, note: str, now: datetime
) -> None:
    """End the suppression of an address. Raises NotFound, Forbidden, Invalid without a note."""
    standing = await suppressed_address(conn, kind, value, now)
    if standing is None:
        raise NotFound(f"{value} is not suppressed")
    _check(viewer, [standing.reason])
    await lift_address(conn, kind, value, Lift(viewer.name, note, now))


def _check(viewer: Viewer, reasons: Iterable[str]) -> None:
    """Whoever complained is written to again only by an administrator's word: the sender's name is at stake."""
    if COMPLAINED in reasons and viewer.role is not Role.ADMIN:
        raise Forbidden("they complained of mail: only an administrator may lift that")
