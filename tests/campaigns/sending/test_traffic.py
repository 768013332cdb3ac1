"""Real batches over a real SMTP connection: domains that refuse, senders that warm up, campaigns side by side."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.batch import defer_batches
from campaigns.freeze import prepare_run
from campaigns.halt import pause
from campaigns.launch import resume
from campaigns.models import held_domains, runs, sender_days
from campaigns.ranks import Rank
from campaigns.sending import release
from campaigns.sending.holds import Hold, write_holds
from campaigns.sending.limits import save_domain, save_sender
from customers.models import contact_addresses, customers
from runtime.clock import local_date, utc_now
from runtime.errors import NotFound
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, launched, record, work_off
from tracking.models import messages


async def people_at(conn: AsyncConnection, *domains: str) -> None:
    """The people of the scene, spread over these domains in turn."""
    ids = list((await conn.execute(select(customers.c.id).order_by(customers.c.id))).scalars())
    for place, customer_id in enumerate(ids):
        address = f"c{customer_id}@{domains[place % len(domains)]}"
        mine = contact_addresses.c.customer_id == customer_id
        await conn.execute(update(contact_addresses).where(mine).values(value=address))


async def a_campaign(house: House, people: int, *domains: str, **changes: object) -> int:
    async with house.database.begin() as conn:
        await add_people(conn, people)
        if domains:
            await people_at(conn, *domains)
    return await launched(house, **changes)


async def states(house: House) -> dict[str, Counter[str]]:
    """How many messages of each domain stand where; `held`: those that are put off."""
    found: dict[str, Counter[str]] = {}
    async with house.database.connect() as conn:
        for row in await conn.execute(select(messages.c.address, messages.c.state, messages.c.not_before)):
            domain = found.setdefault(row.address.partition("@")[2], Counter())
            domain[row.state if row.not_before is None else "held"] += 1
    return found


REFUSALS = {
    "RCPT": lambda sink, answer: setattr(sink, "at_rcpt", answer),
    "final dot": lambda sink, answer: setattr(sink, "at_data", answer),
}


@pytest.mark.parametrize("where", REFUSALS)
async def test_a_domain_that_says_421_is_left_alone_and_the_others_go_on(house: House, sink: Sink, where: str) -> None:
    """FAULTS.md row 10, small."""
    refused: list[str] = []

    def answer(address: str) -> str | None:
        if not address.endswith("@busy.example"):
            return None
        refused.append(address)
        return "421 4.7.0 too many messages, come back later"

    REFUSALS[where](sink, answer)
    campaign_id = await a_campaign(house, 120, "busy.example", "calm.example", "else.example")
    await work_off(house)
    found = await states(house)
    assert found["calm.example"] == found["else.example"] == {"sent": 40}
    assert found["busy.example"] == {"held": 40}
    assert len(refused) <= 12  # five in a row, and what was under way
    assert (await record(house, campaign_id))["state"] == "sending"
    async with house.database.connect() as conn:
        hold = (await conn.execute(select(held_domains))).one()
        soonest = await conn.scalar(select(messages.c.not_before).where(messages.c.attempts == 0).limit(1))
    assert (hold.name, hold.level) == ("busy.example", 1)
    assert "too many messages" in hold.answer
    assert soonest is not None
    assert soonest >= hold.held_until - timedelta(seconds=1)


async def test_a_domain_that_is_released_gets_what_it_had_put_off_and_nothing_else_before_its_time(
    house: House, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "HEARD", timedelta(0))
    sink.at_rcpt = lambda address: "421 4.7.0 too many messages" if "mail" in address else None
    await a_campaign(house, 60, "hotmail.com", "mail.example", "calm.example")
    await work_off(house)
    assert await states(house) == {
        "hotmail.com": {"held": 20},
        "mail.example": {"held": 20},
        "calm.example": {"sent": 20},
    }
    planned = text("""
        UPDATE messages SET not_before = now() + interval '5 minutes', put_off_at = NULL
        WHERE customer_id = (SELECT min(customer_id) FROM messages WHERE attempts = 0 AND address LIKE '%hotmail%')
    """)
    async with house.database.begin() as conn:
        await conn.execute(planned)
        [tried] = (
            await conn.execute(text("SELECT count(*) FROM messages WHERE attempts > 0 AND state = 'queued'"))
        ).one()
        assert tried
        assert await release.release(conn, "outlook.com", now=utc_now()) == 19
        with pytest.raises(NotFound):
            await release.release(conn, "outlook.com", now=utc_now())
    sink.at_rcpt = lambda address: None
    await work_off(house)
    assert await states(house) == {
        "hotmail.com": {"sent": 19, "held": 1},
        "mail.example": {"held": 20},
        "calm.example": {"sent": 20},
    }


async def test_what_comes_back_in_a_paused_campaign_goes_with_the_resume(
    house: House, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "HEARD", timedelta(0))
    now = utc_now()
    async with house.database.begin() as conn:
        await write_holds(conn, {"busy.example": Hold("busy.example", 1, now + timedelta(hours=1), "421 busy", now)})
    campaign_id = await a_campaign(house, 10, "busy.example")
    await work_off(house)
    async with house.database.begin() as conn:
        await pause(conn, campaign_id, now=utc_now())
        assert await release.release(conn, "busy.example", now=utc_now()) == 10
    await work_off(house)
    assert not sink.mails
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
    await work_off(house)
    assert len(sink.mails) == 10


async def test_a_held_domain_is_probed_and_then_gets_the_rest(house: House, sink: Sink) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        over = Hold("busy.example", 3, now - timedelta(seconds=1), "421 busy", now - timedelta(minutes=4))
        await write_holds(conn, {over.name: over})
    await a_campaign(house, 30, "busy.example")
    await work_off(house)
    assert len(sink.mails) == 30
    async with house.database.connect() as conn:
        assert (await conn.execute(select(held_domains))).all() == []


async def test_what_another_worker_found_out_holds_here_too(house: House, sink: Sink) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        hold = Hold("outlook.com", 1, now + timedelta(hours=1), "421 busy", now)
        await write_holds(conn, {hold.name: hold})
    await a_campaign(house, 20, "hotmail.com", "calm.example")
    await work_off(house)
    assert await states(house) == {"hotmail.com": {"held": 10}, "calm.example": {"sent": 10}}


async def test_the_server_itself_in_trouble_is_not_put_down_to_a_domain(house: House, sink: Sink) -> None:
    sink.at_rcpt = lambda address: "451 4.2.0 mailbox is busy"
    await a_campaign(house, 20, "calm.example")
    await work_off(house)
    async with house.database.connect() as conn:
        assert (await conn.execute(select(held_domains))).all() == []


async def test_a_domains_rate_is_kept_while_others_go_on(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await save_domain(conn, "slow.example", rate=20.0, connections=None, by=None)
    await a_campaign(house, 160, "slow.example", "calm.example", "fast.example", "else.example")
    await work_off(house, future=True, seconds=60)
    times: dict[bool, list[float]] = {True: [], False: []}
    for at, address in zip(sink.times, sink.addresses, strict=True):
        times[address.endswith("@slow.example")].append(at)
    assert [len(times[slow]) for slow in (True, False)] == [40, 120]
    assert times[True][-1] - times[True][0] > 1.8  # 40 messages at 20 a second
    assert times[False][-1] < times[True][-1] - 0.5


async def test_no_more_connections_hand_over_than_a_domain_allows(house: House, sink: Sink) -> None:
    """Each message is under way until its answer came; the sink cannot see that, so the state of the domain says it."""
    async with house.database.begin() as conn:
        await save_domain(conn, "tight.example", rate=None, connections=1, by=None)
    await a_campaign(house, 60, "tight.example", "calm.example")
    under_way = most = 0

    def counted(address: str) -> None:
        nonlocal under_way, most
        if address.endswith("@tight.example"):
            under_way += 1
            most = max(most, under_way)

    def done(address: str) -> None:
        nonlocal under_way
        under_way -= address.endswith("@tight.example")

    sink.at_rcpt, sink.at_data = counted, done
    await work_off(house)
    assert len(sink.mails) == 60
    assert most == 1


async def test_a_sender_that_is_warmed_up_stops_at_todays_ceiling_and_says_so(house: House, sink: Sink) -> None:
    today = local_date(utc_now(), house.settings.timezone)
    async with house.database.begin() as conn:
        plan = {"days": [25, 100]}
        await save_sender(conn, "news@shop.example", rate=None, warm_up=plan, today=today, by=None)
    campaign_id = await a_campaign(house, 60, **{"from": "Shop <News@shop.example>"})
    await asyncio.gather(work_off(house), work_off(house))
    assert len(sink.mails) == 25
    found = await record(house, campaign_id)
    assert found["counts"]["queued"] == 35
    assert "today's 25 messages are sent" in found["runs"][0]["note"]
    async with house.database.begin() as conn:
        later = text("SELECT min(scheduled_at) FROM procrastinate_jobs WHERE status = 'todo' AND task_name = :name")
        next_at = await conn.scalar(later, {"name": "campaigns.send_batch"})
        assert local_date(next_at, house.settings.timezone) == today + timedelta(days=1)
        yesterday = {"day": today - timedelta(days=1)}
        await conn.execute(update(sender_days).values(**yesterday))  # it is tomorrow
        await defer_batches(conn, found["runs"][0]["id"])
    await work_off(house)
    assert len(sink.mails) == 50
    async with house.database.connect() as conn:
        taken = {row.day: row.taken for row in await conn.execute(select(sender_days))}
    assert taken[today] == 25


async def test_a_senders_rate_counts_for_all_its_campaigns_together(house: House, sink: Sink) -> None:
    today = local_date(utc_now(), house.settings.timezone)
    async with house.database.begin() as conn:
        await add_people(conn, 40)
        await save_sender(conn, "shop.example", rate=40.0, warm_up=None, today=today, by=None)
    await launched(house, **{"from": "Shop <news@shop.example>"})
    await launched(house, **{"from": "Shop <other@shop.example>", "name": "Other"})
    await asyncio.gather(*(work_off(house, seconds=60, future=True) for _ in range(2)))
    assert len(sink.mails) == 80
    assert sink.times[-1] - sink.times[0] > 1.7  # two seconds at 40 a second, but for the last
    for first, later in zip(sink.times, sink.times[45:], strict=False):
        assert later - first > 0.9


async def test_campaigns_take_turns_and_ranks_come_first(house: House) -> None:
    """A run that comes later neither waits for all before it nor overtakes what is left of them."""
    async with house.database.begin() as conn:
        await add_people(conn, 40)
    ids = [await launched(house, name=name) for name in ("first", "second", "urgent")]
    async with house.database.connect() as conn:
        run_ids = list((await conn.execute(select(runs.c.id).order_by(runs.c.id))).scalars())
    async with house.database.begin() as conn:
        await conn.execute(update(runs).where(runs.c.id == run_ids[2]).values(rank=Rank.TRANSACTIONAL))
    for run_id in run_ids:
        await prepare_run(house, run_id=run_id)
    async with house.database.begin() as conn:
        await conn.execute(update(runs).values(batches=4))
        for run_id in run_ids:
            spread = text("UPDATE messages SET batch = customer_id % 4 WHERE run_id = :id AND state = 'queued'")
            await conn.execute(spread, {"id": run_id})
            if run_id != run_ids[1]:
                await defer_batches(conn, run_id)
        through = text(
            "UPDATE procrastinate_jobs SET status = 'succeeded' WHERE (args ->> 'run_id')::bigint = :id"
            " AND (args ->> 'batch')::int < 2 AND task_name = 'campaigns.send_batch'"
        )
        await conn.execute(through, {"id": run_ids[0]})
        await defer_batches(conn, run_ids[1])
        order = text(
            "SELECT (args ->> 'run_id')::bigint AS run, (args ->> 'batch')::int AS batch FROM procrastinate_jobs"
            " WHERE status = 'todo' AND task_name = 'campaigns.send_batch' ORDER BY priority DESC, id"
        )
        found = [(row.run, row.batch) for row in await conn.execute(order)]
    first, second, urgent = run_ids
    assert len(ids) == 3
    assert found == [
        *((urgent, batch) for batch in range(4)),
        (first, 2), (second, 0), (first, 3), (second, 1), (second, 2), (second, 3),
    ]  # fmt: skip
