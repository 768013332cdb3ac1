"""Surveys from tap to record: looking rates nothing, an answer counts once a person gave it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update

from campaigns.content import compile_content
from campaigns.models import campaigns, runs, snapshots
from customers.models import activity, customers, ratings
from customers.ratings import fold_ratings
from customers.timeline import timeline
from runtime.clock import utc_now
from runtime.house import House
from tests.web.scene import put, text_of
from tracking.ledger import MessageKey
from tracking.models import link_tables, messages
from tracking.tokens import MessageUrls

AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile Safari/537.36"
)
BROWSER = {"user-agent": AGENT}
CONTENT = compile_content(
    subject="How was it?",
    html='<p>Dear {{ customer.name }}</p>{{ survey("csat") }}{{ survey("nps") }}<a href="https://a.example/">A</a>'
    '<a href="{{ survey_link("csat") }}">Tell us</a>',
)
PLACES = {link.label: link.index for link in CONTENT.links}
VISIT = {"has": "service_visits", "field": "completed_at", "after": "P1D"}
ANCHORED = {
    "rule": {"all": []},
    "exclude": [],
    "anchor": {**VISIT, "where": {"field": "kind", "op": "eq", "value": "repair"}},
    "timezone": "Asia/Shanghai",
}


@pytest.fixture
async def key(house: House) -> MessageKey:
    """One message, sent an hour ago, on the day after a repair."""
    done = utc_now() - timedelta(days=1)
    person = {"external_id": "C1"}
    [customer] = await put(
        house, "customers", {**person, "name": "Wang", "email": "w@example.com", "salesperson": "s1"}
    )
    await put(house, "appliances", {"customer": person, "number": "A1", "category": "fridge"})
    visits = [("V1", "repair", "Kuaixiu", done), ("V2", "maintenance", "Other", done + timedelta(hours=1))]
    for number, kind, provider, at in visits:
        visit = {"customer": person, "number": number, "kind": kind, "provider": provider, "appliance": "A1"}
        await put(house, "service_visits", {**visit, "status": "completed", "completed_at": at.isoformat()})
    async with house.database.begin() as conn:
        campaign = {"name": "After the repair", "channel": "email", "state": "sending"}
        campaign_id = await conn.scalar(insert(campaigns).values(campaign).returning(campaigns.c.id))
        values = {"campaign_id": campaign_id, "compiled": CONTENT.to_json(), "audience": ANCHORED, "options": {}}
        snapshot = insert(snapshots).values(sender="Gree Xi'an <n@example.com>", **values).returning(snapshots.c.id)
        row = {"campaign_id": campaign_id, "snapshot_id": await conn.scalar(snapshot), "state": "sending"}
        run = insert(runs).values(occurrence=utc_now(), frozen_at=utc_now(), **row).returning(runs.c.id)
        run_id = int(await conn.scalar(run) or 0)
        mail = {"customer_id": customer, "run_id": run_id, "step": 0, "campaign_id": campaign_id, "channel": "email"}
        await conn.execute(insert(messages), {**mail, "state": "sent", "sent_at": utc_now() - timedelta(hours=1)})
        links = [link.template for link in CONTENT.links]
        await conn.execute(insert(link_tables), {"run_id": run_id, "links": links})
    return MessageKey(customer, run_id)


async def tap(client: httpx.AsyncClient, house: House, key: MessageKey, label: str) -> str:
    """Where an answer in the message leads."""
    urls = MessageUrls(house.signer, house.settings.public_url, key)
    answer = await client.get(urls.clicks(1, PLACES[label])[0], headers=BROWSER)
    assert answer.status_code == 302
    address = answer.headers["location"]
    assert address.startswith(f"{house.settings.public_url}/r/")
    return str(address)


async def post(client: httpx.AsyncClient, address: str, agent: str = AGENT, **form: Any) -> httpx.Response:
    answer = await client.post(address, data=form, headers={"user-agent": agent})
    assert answer.status_code == 303, answer.text
    return await client.get(answer.headers["location"], headers={"user-agent": agent})


async def rows_of(house: House) -> list[Any]:
    async with house.database.connect() as conn:
        return list(await conn.execute(select(ratings).order_by(ratings.c.at)))


async def test_one_tap_is_an_answer_once_the_page_saw_somebody(
    client: httpx.AsyncClient, house: House, key: MessageKey
) -> None:
    address = await tap(client, house, key, "CSAT 2")
    for method in ("GET", "HEAD"):
        opened = await client.request(method, address, headers=BROWSER)
        assert opened.status_code == 200
        assert "no-store" in opened.headers["cache-control"]
    assert await rows_of(house) == []
    shown = await client.get(address, headers=BROWSER)
    assert "data-answer" in shown.text
    assert "2 of 5: dissatisfied" in text_of(shown)
    thanked = await post(client, address, score=2, how="seen")
    assert "Thank you!" in thanked.text
    assert "data-answer" not in thanked.text
    [row] = await rows_of(house)
    assert (row.customer_id, row.survey, row.score, row.counts, row.how) == (key.customer_id, "csat", 2, True, "seen")
    assert (row.about, row.about_number, row.provider, row.category, row.salesperson) == (
        *("service_visits", "V1", "Kuaixiu", "fridge"),
        "s1",
    )
    again = await client.get(address, headers=BROWSER)
    assert "data-answer" not in again.text  # a reload, or the tab restored next week, answers nothing


async def test_the_last_answer_counts_and_takes_a_comment(
    client: httpx.AsyncClient, house: House, key: MessageKey
) -> None:
    address = await tap(client, house, key, "CSAT 2")
    await post(client, address, score=2, how="touched")
    changed = await post(client, address, score=4)
    assert "4 of 5: satisfied" in text_of(changed)
    said = await post(client, str(changed.url), comment="Came on time <b>")
    assert "We read every comment." in said.text
    other = await post(client, await tap(client, house, key, "NPS 10"), score=10, how="touched")
    assert "10 of 10: very likely" in text_of(other)
    rows = await rows_of(house)
    assert [(row.score, row.counts, row.comment) for row in rows] == [
        (2, False, None),
        (4, True, "Came on time <b>"),
        (10, True, None),
    ]
    async with house.database.begin() as conn:
        said_last = (await conn.execute(select(activity).where(activity.c.customer_id == key.customer_id))).one()
        assert (said_last.last_rating, said_last.nps_group) == (4, "promoter")
        found = await timeline(conn, key.customer_id)
        assert [entry.data["score"] for entry in found.items if entry.kind == "rated"] == [10, 4, 2]
        assert await fold_ratings(conn) == 0


async def test_a_page_that_asks(client: httpx.AsyncClient, house: House, key: MessageKey) -> None:
    address = await tap(client, house, key, "CSAT")
    asked = await client.get(address, headers=BROWSER)
    assert asked.text.count('name="score"') == 5
    assert "data-answer" not in asked.text
    await post(client, address, score=5)
    assert [(row.score, row.how) for row in await rows_of(house)] == [(5, "button")]


@pytest.mark.parametrize("agent", ["", "curl/8", "Barracuda Sentinel (EE)", "Mozilla/5.0 (compatible; Googlebot/2.1)"])
async def test_programs_that_say_so_count_for_nothing(
    client: httpx.AsyncClient, house: House, key: MessageKey, agent: str
) -> None:
    address = await tap(client, house, key, "CSAT 1")
    seen = await post(client, address, agent, score=1, how="touched")
    assert "Please press your answer" in seen.text
    assert "data-answer" not in seen.text  # and the page does not repeat itself
    [row] = await rows_of(house)
    assert not row.counts
    assert row.machine_reason
    await post(client, address, score=1)
    assert [row.counts for row in await rows_of(house)] == [False, True]


async def test_a_browser_that_opens_every_link_rates_nothing(
    client: httpx.AsyncClient, house: House, key: MessageKey
) -> None:
    addresses = {label: await tap(client, house, key, label) for label in PLACES if label.startswith(("CSAT ", "NPS "))}
    for label, address in addresses.items():
        await post(client, address, score=int(label.split()[1]), how="seen")
    rows = await rows_of(house)
    assert {row.machine_reason for row in rows} == {"together"}
    assert not any(row.counts for row in rows)
    async with house.database.begin() as conn:
        assert await fold_ratings(conn) == 0


async def test_answers_one_after_the_other_are_a_machines(
    client: httpx.AsyncClient, house: House, key: MessageKey
) -> None:
    """Even when the links themselves were opened long ago."""
    first, second = await tap(client, house, key, "CSAT 1"), await tap(client, house, key, "CSAT 2")
    await post(client, first, score=1, how="seen")
    assert (await rows_of(house))[0].counts
    await post(client, second, score=2, how="seen")
    assert [(row.machine_reason, row.counts) for row in await rows_of(house)] == [("together", False)] * 2
    await post(client, second, score=2, how="button")
    assert [row.counts for row in await rows_of(house)] == [False, False, True]


async def test_a_survey_ends_and_says_so(client: httpx.AsyncClient, house: House, key: MessageKey) -> None:
    address = await tap(client, house, key, "CSAT 3")
    async with house.database.begin() as conn:
        await conn.execute(update(messages).values(sent_at=utc_now() - timedelta(days=91)))
    late = await tap(client, house, key, "CSAT 3")
    assert late != address
    for answer in (await client.get(late), await client.post(late, data={"score": 3})):
        assert answer.status_code == 410
        assert "This survey is over" in answer.text
    assert await rows_of(house) == []


async def test_nothing_else_is_taken(client: httpx.AsyncClient, house: House, key: MessageKey) -> None:
    address = await tap(client, house, key, "CSAT 3")
    for score in ("6", "0", "-1", "five", "", "999", "٣"):
        assert (await client.post(address, data={"score": score}, headers=BROWSER)).status_code == 422
    assert (await client.post(address[:-2], data={"score": 3}, headers=BROWSER)).status_code == 404
    assert (await client.post(address, data={"comment": "x"}, headers=BROWSER)).status_code == 303  # to nothing
    async with house.database.begin() as conn:
        await conn.execute(messages.delete())
    assert (await client.post(address, data={"score": "3"}, headers=BROWSER)).status_code == 404
    assert await rows_of(house) == []
    trial = await client.get(f"{house.settings.public_url}/r/test")
    assert trial.status_code == 200


async def test_it_speaks_the_customers_language(client: httpx.AsyncClient, house: House, key: MessageKey) -> None:
    async with house.database.begin() as conn:
        await conn.execute(update(customers).values(language="中文"))
    address = await tap(client, house, key, "CSAT 5")
    assert "非常满意" in (await client.get(address, headers=BROWSER)).text
    assert "very satisfied" in (await client.get(f"{address}?lang=en", headers=BROWSER)).text
    thanked = await post(client, f"{address}?lang=en", score=5)
    assert "Thank you!" in thanked.text


async def test_without_an_anchor_the_latest_visit_was_rated(
    client: httpx.AsyncClient, house: House, key: MessageKey
) -> None:
    async with house.database.begin() as conn:
        await conn.execute(update(snapshots).values(audience={"rule": {"all": []}, "exclude": []}))
    await post(client, await tap(client, house, key, "CSAT 5"), score=5)
    async with house.database.begin() as conn:
        await conn.execute(update(messages).values(sent_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert [row.about_number for row in await rows_of(house)] == ["V2"]
