"""The consent ledger, folded: in whatever order entries arrive, the one of the latest time stands."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import ConsentEntry, record_consents
from customers.models import consents, standing_consents
from customers.preferences import Frequency, Preferences, Wishes, preferences_of, save_wishes
from customers.results import Consent
from tests.customers.door import NOW, Door

CHANNELS = ("email", "all")
PURPOSES = ("marketing", "topic:offers")
Key = tuple[int, str, str]


def entries_of(rng: random.Random, count: int) -> list[ConsentEntry]:
    """Entries of three people at times of their own."""
    times = rng.sample(range(10_000), count)
    return [
        ConsentEntry(
            rng.randint(1, 3),
            Consent(
                rng.choice(CHANNELS),
                rng.choice(PURPOSES),
                rng.random() < 0.5,
                f"source {number}",
                NOW - timedelta(minutes=minutes),
            ),
        )
        for number, minutes in enumerate(times)
    ]


def by_time(entries: list[ConsentEntry]) -> dict[Key, tuple[bool, str]]:
    """The plain reading: the latest word on each."""
    ordered = sorted(entries, key=lambda entry: entry.consent.at or NOW)
    return {
        (entry.customer_id, entry.consent.channel, entry.consent.purpose): (entry.consent.granted, entry.consent.source)
        for entry in ordered
    }


async def standing(conn: AsyncConnection) -> dict[Key, tuple[bool, str]]:
    row = standing_consents.c
    asked = select(row.customer_id, row.channel, row.purpose, row.granted, row.source)
    return {(one[0], one[1], one[2]): (one[3], one[4]) for one in await conn.execute(asked)}


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_repetition_gives_the_same_standing_consent(conn: AsyncConnection, seed: int) -> None:
    rng = random.Random(seed)
    entries = entries_of(rng, 40)
    found = []
    for _ in range(3):
        shuffled = [*entries, *rng.sample(entries, 10)]
        rng.shuffle(shuffled)
        while shuffled:  # in calls of any size
            size = rng.randint(1, 12)
            await record_consents(conn, shuffled[:size], now=NOW)
            shuffled = shuffled[size:]
        kept = len((await conn.execute(select(consents.c.id))).all())
        found.append((await standing(conn), kept))
        for table in (consents, standing_consents):
            await conn.execute(delete(table))
    assert found == [(by_time(entries), len(entries))] * 3


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_the_plain_reading_does_not_depend_on_order(rng: random.Random, count: int) -> None:
    entries = entries_of(rng, count)
    read = by_time(entries)
    rng.shuffle(entries)
    assert by_time(entries) == read


async def test_wishes_are_what_was_said_last(door: Door) -> None:
    await door("customers", {"email": "w@example.com"})
    rng = random.Random(7)
    topics = ("offers", "care", "news")
    declined: set[str] = set()
    granted: bool | None = None
    frequency: Frequency | None = None
    for step in range(25):
        said = {key: rng.random() < 0.5 for key in topics if rng.random() < 0.5}
        word = rng.choice([None, True, False])
        wanted = rng.choice([None, Frequency(1, "week"), Frequency(2, "month")])
        told = rng.random() < 0.5
        wishes = Wishes({} if word is None else {"email": word}, said, wanted, told)
        await save_wishes(door.conn, 1, wishes, source="page", now=NOW + timedelta(minutes=step))
        declined = (declined | {key for key, on in said.items() if not on}) - {key for key, on in said.items() if on}
        granted = granted if word is None else word
        frequency = wanted if told else frequency
        expected = Preferences({"email": granted}, frozenset(declined), frequency, None)
        assert await preferences_of(door.conn, 1, NOW + timedelta(minutes=step)) == expected


@pytest.mark.parametrize("again", [False, True])
async def test_a_word_of_the_future_yields_to_a_withdrawal(conn: AsyncConnection, door: Door, again: bool) -> None:
    """As a file has it whose dates are those until which it counts."""
    given = {"channel": "email", "granted": True, "source": "shop", "at": "2098-01-01"}
    said = Consent("email", "marketing", False, "page", NOW + timedelta(minutes=1))
    await door("customers", {"external_id": "A", "consents": [given]})
    await record_consents(conn, [ConsentEntry(1, said)], now=NOW + timedelta(minutes=2))
    if again:
        await door("customers", {"external_id": "A", "consents": [given]})
    assert await standing(conn) == {(1, "email", "marketing"): (False, "page")}
    assert len((await conn.execute(select(consents.c.id))).all()) == 2
