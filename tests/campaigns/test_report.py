"""Reports: counts, links, hours, domains, and the orders that a click led to."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import figures
from campaigns.attribution import Model
from campaigns.breakdowns import devices
from campaigns.heat import heat
from campaigns.report import answers, campaign_lines, campaign_record, domains, hourly, links, message_records
from campaigns.store import campaign
from campaigns.windows import LONGEST
from customers.models import customers, orders
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import CONTENT, Sink, add_people, launched, record, work_off
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.leaving import LONGEST_WINDOW
from tracking.ledger import MessageKey
from tracking.models import link_tables, messages
from tracking.partitions import month_of
from tracking.recount import recount
from tracking.retention import put_away
from tracking.tokens import MessageUrls, TokenRef
from tracking.tracker import Tracker, Visitor

LINK = "https://shop.example/p?c={{ (customer.external_id)|_url }}"
DAY = timedelta(days=1)


async def clicked(house: House, campaign_id: int, customer_id: int, at: datetime, machine: str | None = None) -> None:
    async with house.database.begin() as conn:
        run_id = await conn.scalar(select(messages.c.run_id).where(messages.c.campaign_id == campaign_id).limit(1))
        earlier = update(messages).where(messages.c.campaign_id == campaign_id)
        await conn.execute(earlier.values(sent_at=at - DAY))
        key = MessageKey(customer_id, int(run_id or 0))
        agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
        await store(conn, [Fact(key, FactKind.CLICKED, at, machine, agent, LINK, 0)], at)


async def ordered(conn: AsyncConnection, customer_id: int, number: str, at: datetime, **more: Any) -> None:
    row = {"customer_id": customer_id, "number": number, "status": "completed", "ordered_at": at, "amount": 100}
    await conn.execute(insert(orders).values({**row, **more}))


async def test_the_last_click_within_thirty_days_earns_the_order(house: House, sink: Sink) -> None:
    now = utc_now().replace(microsecond=0)
    async with house.database.begin() as conn:
        first, second, third, fourth = await add_people(conn, 4)
    spring, summer = await launched(house), await launched(house, name="Summer")
    await work_off(house)
    await clicked(house, spring, first, now - 20 * DAY)
    await clicked(house, summer, first, now - 10 * DAY)
    await clicked(house, spring, second, now - 20 * DAY)
    await clicked(house, spring, third, now - 20 * DAY, "scanner")
    async with house.database.begin() as conn:
        await ordered(conn, first, "between", now - 15 * DAY, amount="40.10")
        await ordered(conn, first, "after both", now - 5 * DAY)
        await ordered(conn, first, "before any", now - 21 * DAY)
        await ordered(conn, second, "in time", now - 2 * DAY, status="partly_refunded", refunded=30)
        await ordered(conn, second, "too late", now + 11 * DAY)
        await ordered(conn, second, "cancelled", now - 3 * DAY, status="cancelled")
        await ordered(conn, third, "a machine's", now - 2 * DAY)
        await ordered(conn, fourth, "by itself", now - 2 * DAY)
    found = await record(house, spring)
    assert (found["orders"], found["revenue"]) == (2, "110.10")
    found = await record(house, summer)
    assert (found["orders"], found["revenue"]) == (1, "100.00")


async def test_figures_are_kept_as_they_were_counted(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        first, second, *_ = await add_people(conn, 3)
        await conn.execute(update(customers).where(customers.c.id == second).values(city="成都", salesperson="s1"))
    campaign_id = await launched(house)
    await work_off(house)
    at = utc_now()
    await clicked(house, campaign_id, first, at)
    async with house.database.begin() as conn:
        await ordered(conn, first, "1", at + timedelta(minutes=1), amount="40.10", margin="8.05")
        assert await figures.due(conn, at) == [campaign_id]
        counted = await figures.keep(conn, campaign_id, at + timedelta(hours=1))
        assert (await figures.kept(conn, [campaign_id]))[campaign_id] == counted
        assert await figures.due(conn, at + timedelta(hours=1, minutes=4)) == []
        assert await figures.due(conn, at + timedelta(hours=2, minutes=1)) == [campaign_id]
    assert counted.total.sent == 3
    assert counted.earned[Model.LINEAR].margin == counted.earned[Model.LAST].margin == Decimal("8.05")
    assert [(city["city"], city["sent"], city["clicked"]) for city in counted.cities] == [
        ("西安", 2, 1),
        ("成都", 1, 0),
    ]
    assert [(one["code"], one["sent"]) for one in counted.salespeople] == [(None, 2), ("s1", 1)]
    assert counted.devices["systems"] == [{"name": "Windows", "people": 1}]
    assert counted.devices["programs"] == [{"name": "Chrome", "people": 1}]
    async with house.database.begin() as conn:
        await recount(conn)
        assert await figures.kept(conn, [campaign_id]) == {}


async def test_clicks_lie_over_the_mail_that_was_sent(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        first, *_ = await add_people(conn, 1)
    html = CONTENT["html"].replace("</body>", "<a href='https://shop.example/other'>Other</a></body>")
    campaign_id = await launched(house, content={"subject": "Hi", "html": html})
    await work_off(house)
    await clicked(house, campaign_id, first, utc_now())
    async with house.database.connect() as conn:
        found = await links(conn, campaign_id)
        shown = await heat(conn, campaign_id, found, settings=house.settings, now=utc_now())
    badges = re.findall(r'#heat-\d+"[^>]*><span[^>]*title="(\d+ / \d+)">([\d.]+%)</span>(\w+)', shown)
    assert badges == [("1 / 1", "100.0%", "Look"), ("0 / 1", "0.0%", "Other")]


async def test_tables_and_series(house: House, sink: Sink) -> None:
    sink.at_rcpt = lambda address: "550 5.1.1 no such user" if address == "p3@example.com" else None
    async with house.database.begin() as conn:
        first, *_ = await add_people(conn, 3)
    campaign_id = await launched(house)
    await work_off(house)
    at = utc_now()
    await clicked(house, campaign_id, first, at)
    await clicked(house, campaign_id, first, at + timedelta(seconds=5))
    async with house.database.connect() as conn:
        assert await links(conn, campaign_id) == [
            {
                "link": "https://shop.example/p?c={{ customer.external_id }}",
                "people": 1,
                "clicks": 2,
                "machine_clicks": 0,
            }
        ]
        hours = await hourly(conn, campaign_id)
        assert (sum(hour["sent"] for hour in hours), sum(hour["clicked"] for hour in hours)) == (3, 2)
        assert [hour["at"].minute for hour in hours] == [0] * len(hours)
        [domain] = await domains(conn, campaign_id)
        assert (domain["domain"], domain["audience"], domain["sent"], domain["failed"]) == ("example.com", 3, 2, 1)
        [answer] = await answers(conn, [run["id"] for run in (await campaign_record(conn, campaign_id))["runs"]])
        assert (answer.state, answer.text, answer.n) == ("failed", "550 5.1.1 no such user", 1)
        found, _end = await message_records(conn, campaign_id, answer=answer.text)
        assert [row["name"] for row in found] == ["Person 3"]
        [line] = await campaign_lines(conn, [await campaign(conn, campaign_id)])
        assert (line["name"], line["counts"]["sent"], line["counts"]["clicked"]) == ("Spring", 2, 1)
        page, cursor = await message_records(conn, campaign_id, limit=2)
        rest, end = await message_records(conn, campaign_id, cursor=cursor, limit=2)
        assert [row["name"] for row in page + rest] == ["Person 1", "Person 2", "Person 3"]
        assert (rest[0]["state"], rest[0]["reason"], end) == ("failed", "550 5.1.1 no such user", None)
        assert (await conn.execute(select(link_tables.c.links))).scalar_one() == [LINK]


async def test_reports_and_links_outlive_the_events(house: House, sink: Sink) -> None:
    """All that happened so far is put away: figures stay, the link leads on, and further clicks add to them."""
    async with house.database.begin() as conn:
        first, second = await add_people(conn, 2)
    campaign_id = await launched(house)
    await work_off(house)
    at = utc_now()
    for person, machine in ((first, None), (first, None), (second, "scanner")):
        at += timedelta(seconds=5)
        await clicked(house, campaign_id, person, at, machine)
    async with house.database.begin() as conn:
        await recount(conn)  # since `clicked` moved the time of sending
        before = [await figures(conn, campaign_id) for figures in (links, hourly, devices)]
        run_id = int(await conn.scalar(select(messages.c.run_id).limit(1)) or 0)
    left = await put_away(house.database, month_of(at, 1), None)
    assert sum(month.events for month in left) == 3
    async with house.database.begin() as conn:
        assert [await figures(conn, campaign_id) for figures in (links, hourly, devices)] == before
        assert (await recount(conn)).total == 0
    tracker = Tracker.over(house)

    async def personal(_ref: TokenRef) -> str:
        return "https://shop.example/p?c=p1"

    url = MessageUrls(house.signer, "", MessageKey(first, run_id)).clicks(1)[0]
    assert await tracker.clicked(url[3:], Visitor("Mozilla/5.0 (X11; Linux) Gecko Firefox/130.0"), personal) != ""
    await tracker.collector.close()
    async with house.database.connect() as conn:
        [line] = await links(conn, campaign_id)
    assert (line["people"], line["clicks"], line["machine_clicks"]) == (1, 3, 1)


def test_events_that_an_order_may_be_credited_to_stay() -> None:
    assert timedelta(days=LONGEST) <= LONGEST_WINDOW
