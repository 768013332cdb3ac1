"""What recipients reach from a message: committed before it is answered, and nothing for who forges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select, update

from campaigns.content import compile_content
from campaigns.models import campaigns, runs, snapshots
from customers.models import customers, standing_consents
from runtime.clock import utc_now
from runtime.database import Database
from runtime.house import House
from tests.tracking.people_with_mail import activity_of, make_people, message
from tests.web.conftest import MakeToken
from tracking.ledger import MessageKey
from tracking.models import events, link_tables, messages
from tracking.tokens import MessageUrls
from web.app import create_app

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36"
BROWSER = {"user-agent": AGENT}
CONTENT = compile_content(
    subject="For {{ customer.name }}",
    html="""<html><body><p>Dear {{ customer.name }}</p><a href="https://shop.example.com/air?x=1">Air</a>
    <a href="https://shop.example.com/for/{{ customer.name }}">Yours</a><a href="https://b.example.com/">B</a>
    <a href="{{ links.unsubscribe }}">no more</a></body></html>""",
)
LINKS = [link.template for link in CONTENT.links]
NEVER_CACHED = "no-store"


@pytest.fixture
async def key(house: House) -> MessageKey:
    """One message of one run, sent an hour ago."""
    async with house.database.begin() as conn:
        [person] = await make_people(conn, 1, email="wang@example.com")
        campaign = {"name": "Autumn", "channel": "email", "state": "sending"}
        campaign_id = await conn.scalar(insert(campaigns).values(campaign).returning(campaigns.c.id))
        run_id = await _make_run(conn, campaign_id)
        row = {"customer_id": person, "run_id": run_id, "step": 0, "campaign_id": campaign_id, "channel": "email"}
        sent = {"state": "sent", "sent_at": utc_now() - timedelta(hours=1), "address": "wang@example.com"}
        await conn.execute(insert(messages), {**row, **sent})
        await conn.execute(insert(link_tables), {"run_id": run_id, "links": LINKS})
    return MessageKey(person, run_id)


async def _make_run(conn: Any, campaign_id: int) -> int:
    values = {"campaign_id": campaign_id, "compiled": CONTENT.to_json(), "audience": {}, "options": {}}
    snapshot = insert(snapshots).values(sender="Gree Xi'an <news@example.com>", **values).returning(snapshots.c.id)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    row = {"campaign_id": campaign_id, "snapshot_id": await conn.scalar(snapshot), "state": "sending"}
    run = insert(runs).values(occurrence=at, frozen_at=at, **row).returning(runs.c.id)
    return int(await conn.scalar(run))


def urls(house: House, key: MessageKey) -> MessageUrls:
    return MessageUrls(house.signer, house.settings.public_url, key)


async def stored(house: House) -> list[tuple[str, str | None]]:
    async with house.database.connect() as conn:
        rows = await conn.execute(select(events.c.kind, events.c.machine_reason).order_by(events.c.at))
        return [(row.kind, row.machine_reason) for row in rows]


async def test_the_pixel_is_a_gif_that_nobody_keeps_and_the_open_is_there_at_once(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    answer = await client.get(urls(house, key).open, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content[:6] == b"GIF89a"
    assert NEVER_CACHED in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers
    async with house.database.connect() as conn:
        assert (await message(conn, key)).opens == 1
        assert (await activity_of(conn, key.customer_id)).last_opened_at is not None


async def test_a_click_goes_to_the_runs_own_link(house: House, client: httpx.AsyncClient, key: MessageKey) -> None:
    answer = await client.get(urls(house, key).clicks(1, 0)[0], headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (302, LINKS[0])
    assert await stored(house) == [("clicked", None)]
    async with house.database.connect() as conn:
        assert (await conn.execute(select(events.c.link))).scalar_one() == LINKS[0]


async def test_a_personal_link_is_rendered_at_the_click(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    answer = await client.get(urls(house, key).clicks(1, 1)[0], headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example.com/for/Person%200")
    async with house.database.connect() as conn:
        assert (await conn.execute(select(events.c.link))).scalar_one() == LINKS[1]


async def test_the_mail_in_a_browser_is_the_mail_without_script_or_pixel(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    own = urls(house, key)
    answer = await client.get(own.view, headers=BROWSER)
    assert answer.status_code == 200
    assert "Dear Person 0" in answer.text
    assert own.clicks(1, 0)[0] in answer.text
    assert own.unsubscribe in answer.text
    assert "/o/" not in answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox ")
    assert "allow-scripts" not in answer.headers["content-security-policy"]
    assert await stored(house) == [("viewed", None)]
    async with house.database.connect() as conn:
        assert (await message(conn, key)).opened_at is not None


async def test_there_is_no_link_beyond_the_table(house: House, client: httpx.AsyncClient, key: MessageKey) -> None:
    for url in (urls(house, key).clicks(1, 3)[0], urls(house, MessageKey(key.customer_id, 999)).clicks(1, 0)[0]):
        answer = await client.get(url, headers=BROWSER)
        assert answer.status_code == 404
        assert "location" not in answer.headers
    assert await stored(house) == []


@pytest.mark.parametrize("path", ["o", "c", "u", "v"])
async def test_forged_tokens_leave_no_row_and_lead_nowhere(
    house: House, client: httpx.AsyncClient, key: MessageKey, path: str
) -> None:
    own = urls(house, key)
    good = own.unsubscribe if path != "u" else own.open  # a good tag, for another purpose
    for token in (good.rpartition("/")[2], "x", "AAAAAAAAAAAA", "%00", "é", "." * 300):
        answer = await client.get(f"/{path}/{token}", headers=BROWSER)
        assert answer.status_code == 404
        assert "leads nowhere" in answer.text
        assert "set-cookie" not in answer.headers
    assert (await client.post("/u/AAAAAAAAAAAA", data={"List-Unsubscribe": "One-Click"})).status_code == 404
    assert await stored(house) == []


async def test_a_scanner_that_looks_at_everything_changes_nothing_that_counts(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    own = urls(house, key)
    for url in (own.open, own.clicks(1, 0)[0], own.clicks(1, 2)[0], own.unsubscribe):
        await client.head(url, headers=BROWSER)
        await client.get(url, headers={"user-agent": "Barracuda Sentinel (EE)"})
    async with house.database.connect() as conn:
        row = await message(conn, key)
        assert await conn.scalar(select(func.count()).select_from(standing_consents)) == 0
    assert (row.opens, row.clicks, row.unsubscribed_at) == (0, 0, None)
    assert {reason for _, reason in await stored(house)} == {"head", "scanner"}


async def test_one_click_needs_no_cookie_and_counts_once(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    for _ in range(2):
        answer = await client.post(urls(house, key).unsubscribe, data={"List-Unsubscribe": "One-Click"})
        assert (answer.status_code, answer.is_redirect) == (200, False)
        assert "set-cookie" not in answer.headers
    assert [kind for kind, _ in await stored(house)] == ["unsubscribed"]
    async with house.database.connect() as conn:
        consent = (await conn.execute(select(standing_consents))).one()
    assert (consent.channel, consent.granted, consent.source) == ("email", False, "one-click")


async def test_one_click_as_multipart_too(house: House, client: httpx.AsyncClient, key: MessageKey) -> None:
    form = {"List-Unsubscribe": (None, "One-Click")}
    assert (await client.post(urls(house, key).unsubscribe, files=form)).status_code == 200
    assert [kind for kind, _ in await stored(house)] == ["unsubscribed"]


async def test_the_page_names_the_sender_offers_the_button_and_takes_it_back(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    url = urls(house, key).unsubscribe
    shown = await client.get(url, headers=BROWSER)
    assert shown.status_code == 200
    assert "Gree Xi&#39;an" in shown.text
    assert 'name="mail" value="off"' in shown.text
    assert await stored(house) == []
    done = await client.post(url, data={"mail": "off"}, headers=BROWSER)
    assert "You are unsubscribed" in done.text
    assert 'name="mail" value="on"' in done.text
    assert "You receive no news" in (await client.get(url, headers=BROWSER)).text
    back = await client.post(url, data={"mail": "on"}, headers=BROWSER)
    assert "subscribed again" in back.text
    assert [kind for kind, _ in await stored(house)] == ["unsubscribed", "resubscribed"]


async def test_the_page_speaks_the_recipients_language(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    url = urls(house, key).unsubscribe
    assert 'lang="zh-CN"' in (await client.get(url, headers={**BROWSER, "accept-language": "zh-CN"})).text
    assert 'html lang="zh-CN"' in (await client.get(f"{url}?lang=zh", headers=BROWSER)).text


async def test_links_of_a_merged_customer_serve_the_survivor(
    house: House, client: httpx.AsyncClient, key: MessageKey
) -> None:
    async with house.database.begin() as conn:
        [survivor] = await make_people(conn, 1)
        await conn.execute(update(messages).values(customer_id=survivor))
        await conn.execute(update(customers).where(customers.c.id == key.customer_id).values(merged_into=survivor))
    assert (await client.get(urls(house, key).open, headers=BROWSER)).status_code == 200
    assert (await client.post(urls(house, key).unsubscribe)).status_code == 200
    async with house.database.connect() as conn:
        row = await message(conn, MessageKey(survivor, key.run_id))
    assert row.opens == 1
    assert row.unsubscribed_at is not None


async def test_the_links_of_a_test_message_explain_themselves(house: House, client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/u/test"), await client.get("/v/test"), await client.post("/u/test")):
        assert answer.status_code == 200
        assert "test message" in answer.text
    assert await stored(house) == []


async def test_a_large_body_is_refused(house: House, client: httpx.AsyncClient, key: MessageKey) -> None:
    answer = await client.post(urls(house, key).unsubscribe, data={"x": "y" * 100_000})
    assert answer.status_code == 413
    assert await stored(house) == []


async def test_events_are_told_over_the_api(house: House, client: httpx.AsyncClient, token: MakeToken) -> None:
    client.headers["authorization"] = f"Bearer {await token('marketer')}"
    told = {"key": "c-1", "kind": "call", "customer": {"external_id": "W1"}, "value": "3.5"}
    for expected in ({"created": 1, "updated": 0, "unchanged": 0}, {"created": 0, "updated": 0, "unchanged": 1}):
        answer = await client.post("/api/v1/events", json=told)
        assert (answer.status_code, answer.json()["records"]) == (200, expected)
    refused = (await client.post("/api/v1/events", json={"items": [told, {"kind": "call"}]})).json()
    assert (refused["accepted"], refused["rejected"][0]["index"]) == (1, 1)
    assert await stored(house) == [("call", None)]


async def test_strangers_are_told_nothing_of_our_machines(house: House, key: MessageKey) -> None:
    gone = Database("postgresql://u@127.0.0.1:9/hidden")
    app = create_app(replace(house, database=gone))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        links = urls(house, key)
        kept = await client.post(links.unsubscribe)
        assert kept.status_code == 200
        for answer in (kept, await client.get(links.unsubscribe), await client.get(links.view)):
            assert answer is kept or (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "HEARTH_DATABASE_URL" not in answer.text
            assert "127.0.0.1" not in answer.text
    await gone.close()


@pytest.mark.parametrize("hidden", [True, False])
async def test_a_scanner_that_tries_every_link_unsubscribes_nobody_and_is_no_reader(
    house: House, client: httpx.AsyncClient, key: MessageKey, hidden: bool
) -> None:
    """Row 22: with a browser's name, HEAD and GET of all that stands in the mail, with and without what is hidden."""
    own = urls(house, key)
    links = [own.open, own.view, *own.clicks(len(LINKS)), own.unsubscribe, own.preferences.partition("#")[0]]
    for address in [*links, f"{own.open}/more"] if hidden else links:
        for method in ("HEAD", "GET"):
            assert (await client.request(method, address, headers=BROWSER)).status_code < 400
    row = await stored_message(house, key)
    assert (row.opens, row.clicks, row.opened_at, row.clicked_at, row.unsubscribed_at) == (0, 0, None, None, None)
    assert row.machine_opened_at is not None
    assert row.machine_clicked_at is not None
    assert {reason for _, reason in await stored(house)} - {"head", "sweep"} == ({"trap"} if hidden else set())
    async with house.database.begin() as conn:
        person = await activity_of(conn, key.customer_id)
        assert (person.last_opened_at, person.engaged_until) == (None, None)
        assert (await conn.scalar(select(func.count()).select_from(standing_consents))) == 0
    for _ in range(2):
        posted = await client.post(own.unsubscribe, data={"List-Unsubscribe": "One-Click"}, headers=BROWSER)
        assert posted.status_code == 200
    assert [kind for kind, _ in await stored(house)].count("unsubscribed") == 1


async def test_a_forged_hidden_link_leaves_no_trace(house: House, client: httpx.AsyncClient, key: MessageKey) -> None:
    for token in (urls(house, key).unsubscribe.rpartition("/")[2], "x"):
        assert (await client.get(f"/o/{token}/more", headers=BROWSER)).status_code == 404
    assert await stored(house) == []


async def stored_message(house: House, key: MessageKey) -> Any:
    async with house.database.connect() as conn:
        return await message(conn, key)
