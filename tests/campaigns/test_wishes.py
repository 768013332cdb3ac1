"""What people asked for themselves holds for every campaign: topics, a frequency, a pause; and suppressed domains."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from campaigns.models import runs
from campaigns.options import Options
from campaigns.permission import barred
from campaigns.respect.underway import courtesy
from channels import registry
from channels.memory import MemoryChannel
from customers.models import contact_addresses, suppressions
from customers.preferences import Frequency, Wishes, preferences_of, save_wishes
from customers.suppressions import DOMAIN, Lift, SuppressedAddress, lift_address, suppress_addresses
from customers.topics import Topic, save_topic
from runtime.clock import utc_now
from runtime.errors import Invalid
from runtime.house import House
from runtime.registry import ChannelKind
from tests.campaigns.scene import launched, work_off
from tests.campaigns.test_respect import people, run_of, sent_and_skipped
from tracking.models import messages

MEMORY = ChannelKind("memory", "email")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryChannel:
    channel = MemoryChannel("memory")
    monkeypatch.setitem(registry._CHANNELS, "memory", channel)
    return channel


async def wish(house: House, customer_id: int, wishes: Wishes) -> None:
    async with house.database.begin() as conn:
        await save_wishes(conn, customer_id, wishes, source="test", now=utc_now())


async def topics(house: House, *keys: str) -> None:
    async with house.database.begin() as conn:
        for key in keys:
            await save_topic(conn, Topic(key, key.title()), new=True)


async def test_who_declined_a_topic_gets_nothing_about_it_and_everything_else(
    house: House, memory: MemoryChannel
) -> None:
    await topics(house, "offers", "care")
    first, *_others = await people(house, 5)
    await wish(house, first, Wishes(topics={"offers": False, "care": True}))
    about = await launched(house, channel="memory", options={"topic": "offers"})
    other = await launched(house, channel="memory", options={"topic": "care"})
    none = await launched(house, channel="memory")
    await work_off(house)
    assert await sent_and_skipped(house, about) == (4, {"topic: offers": 1})
    assert await sent_and_skipped(house, other) == (5, {})
    assert await sent_and_skipped(house, none) == (5, {})


async def test_a_topic_must_be_there(house: House, memory: MemoryChannel) -> None:
    await people(house, 1)
    with pytest.raises(Invalid) as refused:
        await launched(house, channel="memory", options={"topic": "nothing"})
    assert [problem.path for problem in refused.value.problems] == ["options.topic"]


async def test_nobody_gets_more_than_they_asked_for(house: House, memory: MemoryChannel) -> None:
    one, two, *_ = await people(house, 5)
    await wish(house, one, Wishes(frequency=Frequency(1, "month"), frequency_given=True))
    await wish(house, two, Wishes(frequency=Frequency(2, "month"), frequency_given=True))
    sent = []
    for _ in range(3):  # also where the campaign ignores the workspace's caps: the wish is the person's
        campaign = await launched(house, channel="memory", options={"frequency_cap": "ignore"})
        await work_off(house)
        sent.append(await sent_and_skipped(house, campaign))
    reason = "frequency_wish: month"
    assert sent == [(5, {}), (4, {reason: 1}), (3, {reason: 2})]
    await wish(house, one, Wishes(frequency=None, frequency_given=True))
    campaign = await launched(house, channel="memory")
    await work_off(house)
    assert await sent_and_skipped(house, campaign) == (4, {reason: 1})


async def test_a_pause_ends_by_itself_and_by_their_word(house: House, memory: MemoryChannel) -> None:
    paused, ended = await people(house, 2)
    for one in (paused, ended):
        await wish(house, one, Wishes(pause_days=30))
    async with house.database.begin() as conn:  # what `pause` does for the channels that are installed
        await conn.execute(update(suppressions).values(channel="memory"))
    await wish(house, ended, Wishes(pause_days=0))
    campaign = await launched(house, channel="memory")
    await work_off(house)
    assert await sent_and_skipped(house, campaign) == (1, {"suppressed: paused": 1})
    async with house.database.connect() as conn:
        later = utc_now() + timedelta(days=30, seconds=1)
        assert (await preferences_of(conn, paused, utc_now())).paused_until is not None
        assert (await preferences_of(conn, paused, later)).paused_until is None
        assert (await preferences_of(conn, ended, utc_now())).paused_until is None


async def test_what_is_said_while_a_batch_is_sent_counts(house: House, memory: MemoryChannel) -> None:
    """As the watch asks it: who changed is asked about again."""
    await topics(house, "offers")
    first, second, third = await people(house, 3)
    await launched(house, channel="memory")
    await work_off(house)
    now = utc_now()
    async with house.database.begin() as conn:
        kept = await courtesy(conn, 10**6, MEMORY, Options(topic="offers"), [first, second, third], "UTC")
        assert await kept.objecting(conn, [first, second, third], now) == {}
        assert await kept.over_cap(conn, now) == {}
        await save_wishes(conn, first, Wishes(topics={"offers": False}), source="test", now=now)
        asked = Wishes(frequency=Frequency(1, "week"), frequency_given=True)
        await save_wishes(conn, second, asked, source="test", now=now)
        assert await kept.objecting(conn, [first, second], now) == {first: "topic: offers"}
        assert await kept.over_cap(conn, now) == {second: "frequency_wish: week"}
        more = replace(asked, frequency=Frequency(2, "week"))
        await save_wishes(conn, second, more, source="test", now=now)
        await kept.objecting(conn, [second], now)
        assert await kept.over_cap(conn, now) == {}


async def test_a_suppressed_domain_holds_in_the_freeze_and_at_the_last_moment(
    house: House, memory: MemoryChannel
) -> None:
    ids = await people(house, 4)
    now = utc_now()
    async with house.database.begin() as conn:
        held = contact_addresses.c
        mine = update(contact_addresses).where(held.customer_id == ids[0])
        await conn.execute(mine.values(value="one@rival.example"))
        mine = update(contact_addresses).where(held.customer_id == ids[1])
        await conn.execute(mine.values(value="one@mail.rival.example"))
        await suppress_addresses(conn, [SuppressedAddress(DOMAIN, "rival.example", "manual", now)])
        expired = SuppressedAddress(DOMAIN, "example.com", "manual", now, expires_at=now - timedelta(seconds=1))
        await suppress_addresses(conn, [expired])
    campaign = await launched(house, channel="memory")
    await work_off(house)
    assert await sent_and_skipped(house, campaign) == (3, {"suppressed: manual": 1})
    asked = [(ids[0], "one@rival.example"), (ids[1], "one@mail.rival.example"), (ids[2], "p3@example.com")]
    async with house.database.begin() as conn:
        assert await barred(conn, asked, MEMORY, utc_now()) == {ids[0]: "suppressed: manual"}
        await lift_address(conn, DOMAIN, "rival.example", Lift("me", "a mistake", utc_now()))
        assert await barred(conn, asked, MEMORY, utc_now()) == {}
        run_id = await run_of(house, campaign)
        skipped = select(messages.c.customer_id).where(messages.c.run_id == run_id, messages.c.state == "skipped")
        assert (await conn.execute(skipped)).scalars().all() == [ids[0]]
        assert await conn.scalar(select(runs.c.people).where(runs.c.id == run_id)) == 4
