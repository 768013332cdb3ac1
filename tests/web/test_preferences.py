"""The preference centre: reached by a token alone, says what stands, and what is said there holds at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from customers.erasing import erase
from customers.merging import merge
from customers.models import consents, customers, frequency_wishes, suppressions
from customers.preferences import Frequency, Preferences, preferences_of
from customers.topics import Topic, save_topic
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from runtime.signing import Signer
from tests.tracking.people_with_mail import message
from tests.waiting import until
from tests.web import test_public
from tests.web.scene import LI, WANG, put
from tests.web.test_public import BROWSER, stored, urls
from tracking.ledger import MessageKey
from web.recipients import PURPOSE, own_token, recipient_of_link, spoken

mail = test_public.key  # a fixture: a message that was sent an hour ago
SHOWN = ["channel.email", "topic.offers", "topic.care"]


@pytest.fixture
async def topics(house: House) -> None:
    async with house.database.begin() as conn:
        await save_topic(conn, Topic("offers", "Offers", "优惠"), new=True)
        await save_topic(conn, Topic("care", "Care of appliances", "家电保养"), new=True)
        await save_topic(conn, Topic("old", "Not offered any more", offered=False), new=True)


async def stands(house: House, customer_id: int) -> Preferences:
    async with house.database.connect() as conn:
        return await preferences_of(conn, customer_id, utc_now())


async def test_wishes_are_taken_down_and_shown_again(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    topics: None,
) -> None:
    url = urls(house, mail).unsubscribe
    shown = await client.get(url, headers=BROWSER)
    assert "Offers" in shown.text
    assert "Not offered" not in shown.text
    wishes = {"mail": "wishes", "shown": SHOWN, "channel.email": "yes", "topic.care": "yes", "frequency": "1 month"}
    done = await client.post(url, data={**wishes, "pause": "30"}, headers=BROWSER)
    assert "Your wishes are saved" in done.text
    assert "set-cookie" not in done.headers
    found = await stands(house, mail.customer_id)
    assert (found.channels, found.declined, found.frequency) == ({"email": True}, {"offers"}, Frequency(1, "month"))
    assert found.paused_until is not None
    assert timedelta(days=29) < found.paused_until - utc_now() <= timedelta(days=30)
    again = await client.post(url, data={**wishes, "pause": ""}, headers=BROWSER)
    assert 'value="1 month" selected' in again.text
    assert (await stands(house, mail.customer_id)).paused_until == found.paused_until
    await client.post(url, data={**wishes, "frequency": "", "pause": "0"}, headers=BROWSER)
    found = await stands(house, mail.customer_id)
    assert (found.frequency, found.paused_until) == (None, None)


async def test_the_ledger_says_each_thing_once_with_its_proof(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    topics: None,
) -> None:
    url = urls(house, mail).unsubscribe
    for _ in range(2):
        await client.post(url, data={"mail": "wishes", "shown": SHOWN, "topic.care": "yes"}, headers=BROWSER)
    async with house.database.connect() as conn:
        rows = (await conn.execute(select(consents))).all()
    assert [(row.channel, row.purpose, row.granted, row.source) for row in rows] == [
        ("all", "topic:offers", False, "page")
    ], "a channel that was never agreed to and is not ticked stays unsaid"
    assert rows[0].proof["run"] == mail.run_id
    assert "on record" in (await client.get(url, headers=BROWSER)).text


async def test_turning_the_channel_off_counts_for_its_campaign(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
) -> None:
    url = urls(house, mail).unsubscribe
    await client.post(url, data={"mail": "on"}, headers=BROWSER)
    await client.post(url, data={"mail": "wishes", "shown": SHOWN}, headers=BROWSER)
    assert [kind for kind, _ in await stored(house)] == ["unsubscribed"]
    async with house.database.connect() as conn:
        assert (await message(conn, mail)).unsubscribed_at is not None
    assert (await stands(house, mail.customer_id)).channels == {"email": False}


async def test_everything_at_once(house: House, client: httpx.AsyncClient, mail: MessageKey) -> None:
    done = await client.post(urls(house, mail).unsubscribe, data={"mail": "none"}, headers=BROWSER)
    assert "You are unsubscribed" in done.text
    assert not any((await stands(house, mail.customer_id)).channels.values())
    assert [kind for kind, _ in await stored(house)] == ["unsubscribed"]


async def test_the_page_speaks_the_language_on_record(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    topics: None,
) -> None:
    url = urls(house, mail).unsubscribe
    async with house.database.begin() as conn:
        await conn.execute(update(customers).where(customers.c.id == mail.customer_id).values(language="中文"))
    shown = await client.get(url, headers={**BROWSER, "accept-language": "en"})
    assert 'html lang="zh-CN"' in shown.text
    assert "家电保养" in shown.text
    assert 'html lang="en"' in (await client.get(f"{url}?lang=en", headers=BROWSER)).text


async def test_a_link_of_their_own_needs_no_message(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    topics: None,
) -> None:
    url = f"/preferences/{own_token(house.signer, mail.customer_id, utc_now())}"
    assert (await client.get(url, headers=BROWSER)).status_code == 200
    done = await client.post(url, data={"mail": "wishes", "shown": SHOWN, "channel.email": "yes"}, headers=BROWSER)
    assert done.status_code == 200
    found = await stands(house, mail.customer_id)
    assert (found.channels, found.declined) == ({"email": True}, {"offers", "care"})
    await client.post(url, data={"mail": "off"}, headers=BROWSER)
    assert (await stands(house, mail.customer_id)).channels == {"email": False}
    late = own_token(house.signer, mail.customer_id, utc_now() - timedelta(days=401))
    for bad in (late, url[13:-1], house.signer.sign("reset", b"\0" * 8, utc_now() + timedelta(hours=1))):
        assert (await client.get(f"/preferences/{bad}", headers=BROWSER)).status_code == 404
        assert (await client.post(f"/preferences/{bad}", data={"mail": "none"})).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"pause": "31"}, {"frequency": "0 week"}, {"frequency": "2 year"}, {"frequency": "9999 day"}]
)
async def test_what_the_page_does_not_offer_is_refused(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    wrong: dict[str, str],
) -> None:
    before = await stands(house, mail.customer_id)
    answer = await client.post(urls(house, mail).unsubscribe, data={"mail": "wishes", **wrong}, headers=BROWSER)
    assert answer.status_code == 422
    assert await stands(house, mail.customer_id) == before


async def test_topics_that_are_not_there_are_not_written_down(
    house: House,
    client: httpx.AsyncClient,
    mail: MessageKey,
    topics: None,
) -> None:
    shown = ["topic.offers", "topic.nobody", "topic.", "channel.pigeon"]
    await client.post(urls(house, mail).unsubscribe, data={"mail": "wishes", "shown": shown}, headers=BROWSER)
    assert (await stands(house, mail.customer_id)).declined == {"offers"}


@given(st.integers(min_value=0, max_value=2**63 - 1), st.integers(min_value=0, max_value=199), st.integers(1, 255))
def test_a_changed_token_is_no_token(customer_id: int, place: int, other: int) -> None:
    signer, now = Signer("a secret for tests that is long enough"), utc_now()
    token = own_token(signer, customer_id, now)
    place %= len(token)
    changed = token[:place] + chr((ord(token[place]) + other) % 256) + token[place + 1 :]
    assert int.from_bytes(signer.verify(PURPOSE, token, now), "big") == customer_id
    with pytest.raises(Exception, match="not valid"):
        signer.verify(PURPOSE, changed, now)


async def test_old_links_survive_a_new_key(house: House, mail: MessageKey) -> None:
    token = own_token(house.signer, mail.customer_id, utc_now())
    rotated = replace(house, signer=Signer(f"{house.settings.secret_key},another secret that is long enough"))
    async with house.database.connect() as conn:
        assert (await recipient_of_link(conn, rotated, token, utc_now())).customer_id == mail.customer_id
        stranger = replace(house, signer=Signer("another secret that is long enough"))
        with pytest.raises(NotFound):
            await recipient_of_link(conn, stranger, token, utc_now())


@pytest.mark.parametrize(
    ("written", "language"),
    [("zh-CN", "zh"), ("中文", "zh"), ("ZH", "zh"), ("English", "en"), ("en_US", "en"), ("fr", None), (None, None)],
)
def test_languages_on_record(written: str | None, language: str | None) -> None:
    assert spoken(written) == language


@pytest.mark.parametrize("change", ["merge", "erase"])
async def test_a_wish_that_crosses_a_merge_or_an_erasure(house: House, client: httpx.AsyncClient, change: str) -> None:
    """It goes to who they are now, and leaves nothing of who is gone."""
    gone, kept = await put(house, "customers", LI, WANG)
    url = f"/preferences/{own_token(house.signer, gone, utc_now())}"
    async with house.database.begin() as conn:
        await (merge(conn, kept, gone, now=utc_now()) if change == "merge" else erase(conn, gone))
        saying = asyncio.create_task(client.post(url, data={"mail": "wishes", "frequency": "1 month", "pause": "30"}))

        async def met() -> bool:
            return saying.done() or bool(await conn.scalar(_WAITING))

        await until(met)
    assert (await saying).status_code == (200 if change == "merge" else 404)
    async with house.database.connect() as conn:
        for table in (frequency_wishes, suppressions):
            told = (await conn.execute(select(table.c.customer_id))).scalars().all()
            assert told == ([kept] if change == "merge" else []), table.name


_WAITING = text("""
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
""")
