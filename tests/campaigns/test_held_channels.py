"""Channels that never hand a message over twice: `sending` is committed first, what is in doubt is held."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, text, update

from campaigns.dispatch.batch import send
from campaigns.freeze import prepare_run
from campaigns.models import runs
from channels import registry
from channels.contract import Capabilities, ChannelError
from channels.memory import MemoryChannel
from customers.models import standing_consents
from runtime.house import House
from tests.campaigns.scene import add_people, launched, record, work_off
from tracking.models import messages


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> MemoryChannel:
    """A channel like SMS, to addresses of kind email."""
    careful = Capabilities(subject=True, html=True, resend_in_doubt=False, commit_before_submit=True)
    channel = MemoryChannel("pager", capabilities=careful)
    monkeypatch.setitem(registry._CHANNELS, "pager", channel)
    return channel


async def a_campaign(house: House, people: int) -> int:
    async with house.database.begin() as conn:
        await add_people(conn, people)
        await conn.execute(update(standing_consents).values(channel="pager"))
    return await launched(house, channel="pager")


async def test_what_is_in_doubt_is_never_sent_again(house: House, pager: MemoryChannel) -> None:
    campaign_id = await a_campaign(house, 20)
    pager.refusals["p3@example.com"] = ChannelError("no answer", in_doubt=True)
    await work_off(house, future=True)
    found = await record(house, campaign_id)
    counts = found["counts"]
    assert (found["state"], counts["sent"], counts["unknown"], counts["sending"]) == ("finished", 19, 1, 0)
    assert sorted(message.to for message in pager.sent) == sorted(f"p{number}@example.com" for number in range(1, 21))


async def test_what_a_dead_sender_left_is_held(house: House, pager: MemoryChannel) -> None:
    campaign_id = await a_campaign(house, 5)
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)
    async with house.database.begin() as conn:
        await conn.execute(update(messages).where(messages.c.address == "p2@example.com").values(state="sending"))
    await work_off(house, future=True)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"], found["counts"]["unknown"]) == ("finished", 4, 1)
    assert "p2@example.com" not in [message.to for message in pager.sent]


async def test_a_stop_leaves_nothing_as_sending(house: House, pager: MemoryChannel) -> None:
    await a_campaign(house, 50)
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)
    house.stopping.set()
    await asyncio.wait_for(send(house, run_id, 0), 10)
    house.stopping.clear()
    async with house.database.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM messages WHERE state = 'queued'")) == 50
