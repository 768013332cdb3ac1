"""Previews and test sends: what somebody would get, with links that lead nowhere or straight on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from campaigns import store
from campaigns.preview import preview_campaign, preview_content
from campaigns.trial import send_test
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Unavailable
from runtime.house import House
from tests.campaigns.scene import CONTENT, Sink, add_people, body, links_of, record
from tracking.models import messages


async def draft(house: House, people: int = 2) -> int:
    async with house.database.begin() as conn:
        await add_people(conn, people) if people else None
        return await store.create_campaign(conn, body(), settings=house.settings, by=None)


async def test_a_preview_for_somebody(house: House) -> None:
    campaign_id = await draft(house)
    async with house.database.connect() as conn:
        found = await preview_campaign(conn, campaign_id, 2, settings=house.settings, now=utc_now())
        first = await preview_campaign(conn, campaign_id, settings=house.settings, now=utc_now())
        with pytest.raises(NotFound, match="there is no customer 99"):
            await preview_campaign(conn, campaign_id, 99, settings=house.settings, now=utc_now())
    assert (found.subject, found.customer_id) == ("Hello Person 2", 2)
    assert "Dear Person 2" in str(found.html)
    assert "Dear Person 2" in found.text
    assert "/c/" not in str(found.html)
    assert (first.subject, first.customer_id) == ("Hello Person 1", 1)


async def test_a_preview_says_what_is_missing(house: House) -> None:
    content = {"subject": "{{ salesperson.name }}", "html": "<p>{{ appliance.model }}</p>"}
    async with house.database.begin() as conn:
        await add_people(conn, 1)
        found = await preview_content(conn, content, settings=house.settings, now=utc_now())
        broken = {"subject": "x", "html": "{{ customer.nmae }}"}
        with pytest.raises(Invalid, match=r"^html: "):
            await preview_content(conn, broken, settings=house.settings, now=utc_now())
    assert any("appliance.model, salesperson.name" in warning for warning in found.warnings)
    assert "The subject is empty." in found.warnings


async def test_a_preview_without_customers(house: House) -> None:
    async with house.database.connect() as conn:
        found = await preview_content(conn, CONTENT, settings=house.settings, now=utc_now())
    assert (found.subject, found.customer_id) == ("Hello", None)
    assert found.warnings[0] == "There is no customer yet to show this for."


async def test_a_test_send_goes_through_the_real_channel_and_counts_for_nothing(house: House, sink: Sink) -> None:
    campaign_id = await draft(house)
    replies = await send_test(house, campaign_id, ["boss@example.com"], now=utc_now())
    [(address, mail)] = sink.mails
    assert (address, mail["Subject"]) == ("boss@example.com", "[Test] Hello Person 1")
    assert replies == [{"to": "boss@example.com", "reply": "250 2.0.0 queued as 1"}]
    links = links_of(mail)
    assert "https://shop.example/p?c=p1" in links
    assert not any("/c/" in link or "/o/" in link for link in links)
    async with house.database.connect() as conn:
        assert (await conn.execute(select(messages))).all() == []
    assert (await record(house, campaign_id))["counts"]["audience"] == 0


async def test_a_test_send_that_is_refused_says_who_and_why(house: House, sink: Sink) -> None:
    campaign_id = await draft(house)
    with pytest.raises(Invalid, match="to: "):
        await send_test(house, campaign_id, "no address", now=utc_now())
    with pytest.raises(Invalid, match="to: must be an address"):
        await send_test(house, campaign_id, 7, now=utc_now())
    sink.at_rcpt = lambda address: "550 5.1.1 no such user"
    with pytest.raises(Invalid, match=r"to: gone@example\.com: 550 5\.1\.1 no such user"):
        await send_test(house, campaign_id, "gone@example.com", now=utc_now())
    sink.at_rcpt = lambda address: "550 5.7.1 go away"
    with pytest.raises(Unavailable, match=r"550 5\.7\.1 go away"):
        await send_test(house, campaign_id, "boss@example.com", now=utc_now())
