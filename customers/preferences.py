"""What somebody wishes to hear, how often and when: the preference centre's reading and writing.

Their word on channels and topics goes into the consent ledger, a pause is a suppression that ends by itself, the
frequency they ask for is kept beside. Running campaigns obey within seconds (customers/changes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import put
from customers.changes import CONSENTS, note_changed
from customers.consents import MARKETING, ConsentEntry, record_consents
from customers.models import contact_addresses, frequency_wishes, standing_consents, suppressions
from customers.results import Consent
from customers.suppressions import Suppression, end_suppressions, in_force, suppress
from customers.topics import ALL_CHANNELS, purpose_of, topics_declined_by
from runtime.errors import Invalid, Problem
from runtime.registry import channel_kinds

PAUSED = "paused"
UNSUBSCRIBED = "unsubscribed"
PAUSES = (30, 90)
"""The days for which somebody can ask for silence."""


@dataclass(frozen=True)
class Frequency:
    """At most `most` messages a `period`, over all channels together."""

    most: int
    period: str


FREQUENCIES = (Frequency(3, "week"), Frequency(1, "week"), Frequency(2, "month"), Frequency(1, "month"))
"""What the preference centre offers."""


@dataclass(frozen=True)
class Preferences:
    """How somebody stands. `channels`: those over which they can be reached or have said something, and whether they
    are written to there (None: never said)."""

    channels: Mapping[str, bool | None]
    declined: frozenset[str]
    frequency: Frequency | None
    paused_until: datetime | None


@dataclass(frozen=True)
class Wishes:
    """What somebody asks for; what is left out stays. `frequency_given`: `frequency` counts, None as no limit.
    `pause_days`: one of PAUSES, 0 ends a pause."""

    channels: Mapping[str, bool] = field(default_factory=dict)
    topics: Mapping[str, bool] = field(default_factory=dict)
    frequency: Frequency | None = None
    frequency_given: bool = False
    pause_days: int | None = None


async def preferences_of(conn: AsyncConnection, customer_id: int, now: datetime) -> Preferences:
    """How a customer (the survivor, where merged) stands at `now`."""
    wish = frequency_wishes.c
    asked = select(wish.most, wish.period).where(wish.customer_id == customer_id)
    found = (await conn.execute(asked)).one_or_none()
    return Preferences(
        await _channels(conn, customer_id, now),
        await topics_declined_by(conn, customer_id),
        None if found is None else Frequency(found.most, found.period),
        await _paused_until(conn, customer_id, now),
    )


async def save_wishes(
    conn: AsyncConnection,
    customer_id: int,
    wishes: Wishes,
    *,
    source: str,
    proof: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Let them hold from now on; the ledger gets only what differs from what stands. Raises Invalid."""
    _check(wishes)
    before = await preferences_of(conn, customer_id, now)
    await _say(conn, customer_id, before, wishes, source, proof, now)
    returned = [name for name, granted in wishes.channels.items() if granted]
    if returned:
        await end_suppressions(conn, customer_id, UNSUBSCRIBED, now, channels=returned)
    if wishes.frequency_given and wishes.frequency != before.frequency:
        await _set_frequency(conn, customer_id, wishes.frequency, now)
    if wishes.pause_days == 0:
        await end_suppressions(conn, customer_id, PAUSED, now)
    elif wishes.pause_days:
        await pause(conn, customer_id, now + timedelta(days=wishes.pause_days), now=now)


async def pause(conn: AsyncConnection, customer_id: int, until: datetime, *, now: datetime) -> None:
    """Send somebody nothing, over any channel, until then."""
    await suppress(conn, [Suppression(customer_id, name, PAUSED, now, expires_at=until) for name in channel_kinds()])


def _check(wishes: Wishes) -> None:
    problems = [
        Problem(f"channels.{name}", "there is no such channel")
        for name in wishes.channels
        if name not in channel_kinds()
    ]
    if wishes.pause_days not in (None, 0, *PAUSES):
        problems.append(Problem("pause_days", f"must be one of {', '.join(map(str, (0, *PAUSES)))}"))
    wanted = wishes.frequency
    if wanted is not None and (wanted.period not in ("day", "week", "month") or not 1 <= wanted.most <= 1_000):
        problems.append(Problem("frequency", "must be a number from 1 to 1000 a day, week or month"))
    if problems:
        raise Invalid(problems)


async def _say(
    conn: AsyncConnection,
    customer_id: int,
    before: Preferences,
    wishes: Wishes,
    source: str,
    proof: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    said = [
        (name, MARKETING, granted)
        for name, granted in wishes.channels.items()
        if before.channels.get(name) is not granted
    ]
    said += [
        (ALL_CHANNELS, purpose_of(key), granted)
        for key, granted in wishes.topics.items()
        if (key not in before.declined) is not granted
    ]
    entries = [
        ConsentEntry(
            customer_id,
            Consent(channel=channel, purpose=purpose, granted=granted, source=source, at=now),
            None if proof is None else dict(proof),
        )
        for channel, purpose, granted in said
    ]
    await record_consents(conn, entries, now=now)


async def _set_frequency(conn: AsyncConnection, customer_id: int, frequency: Frequency | None, now: datetime) -> None:
    if frequency is None:
        await conn.execute(delete(frequency_wishes).where(frequency_wishes.c.customer_id == customer_id))
    else:
        await put(conn, frequency_wishes, [{"customer_id": customer_id, **vars(frequency), "at": now}])
    await note_changed(conn, CONSENTS, [customer_id])


async def _channels(conn: AsyncConnection, customer_id: int, now: datetime) -> dict[str, bool | None]:
    held, said = contact_addresses.c, standing_consents.c
    kinds = set((await conn.execute(select(held.kind).where(held.customer_id == customer_id))).scalars())
    stand = select(said.channel, said.granted).where(said.customer_id == customer_id, said.purpose == MARKETING)
    words: dict[str, bool] = {row.channel: row.granted for row in await conn.execute(stand)}
    against = select(suppressions.c.channel).where(
        suppressions.c.customer_id == customer_id,
        suppressions.c.reason == UNSUBSCRIBED,
        in_force(suppressions, now),
    )
    stopped = set((await conn.execute(against)).scalars())
    return {
        name: False if name in stopped else words.get(name)
        for name, kind in channel_kinds().items()
        if kind.address_kind in kinds or name in words
    }


async def _paused_until(conn: AsyncConnection, customer_id: int, now: datetime) -> datetime | None:
    row = suppressions.c
    asked = select(func.max(row.expires_at)).where(
        row.customer_id == customer_id, row.reason == PAUSED, in_force(suppressions, now)
    )
    found: datetime | None = await conn.scalar(asked)
    return found
