"""Signing up: pending until confirmed, the same answer for every address, one mail an hour, and the proof is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from customers.consent_settings import ConsentSettings, save_consent_settings
from customers.consents import MARKETING, record_consent
from customers.erasing import erase
from customers.models import consents, customers, signup_turns, signups, standing_consents
from customers.results import Consent
from customers.signup_forms import SignupForm, form_by_id, save_form
from customers.signups import SignupRef, forget_old, mailbox, read_signup_token, signup_token
from customers.suppressions import DOMAIN, SuppressedAddress, suppress_addresses, suppressed_address
from customers.topics import Topic, save_topic
from customers.upsert import upsert
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from runtime.signing import Signer
from tests.campaigns.scene import Sink, free_port, work_off
from tests.web.conftest import SignIn

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x64) Chrome/120"}
ENTERED = {"email": "Li@Example.com", "name": "Li Na", "agree": "yes", "topic": ["offers"]}
Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def form(house: House) -> SignupForm:
    async with house.database.begin() as conn:
        await save_topic(conn, Topic("offers", "Offers", "优惠"), new=True)
        await save_topic(conn, Topic("care", "Care"), new=True)
        made = SignupForm("Shop", "Stay in touch", "保持联系", "Write to me", "请联系我", ["name"], ["offers"])
        return await save_form(conn, made, by="me", now=utc_now())


@asynccontextmanager
async def mail_server(house: House) -> AsyncIterator[tuple[House, Sink]]:
    """The house with a mail server of its own; what is waiting is worked off on leaving."""
    sink, port = Sink(), free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    await asyncio.to_thread(controller.start)
    try:
        yield replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{port}")), sink
    finally:
        await asyncio.to_thread(controller.stop)


@pytest.fixture
async def mailed(house: House) -> AsyncIterator[Callable[[], Awaitable[list[str]]]]:
    """`await mailed()` → the confirmation links that went out since last asked, after all work is done."""
    async with mail_server(house) as (own, sink):

        async def links() -> list[str]:
            await work_off(own)
            found = []
            for _, mail in sink.mails:
                body = mail.get_body(("plain",))
                assert body is not None
                found += re.findall(r"http\S+/confirm/\S+", body.get_content())
            sink.mails.clear()
            return [urlsplit(link).path for link in found]

        yield links


async def count(house: House, table: Any) -> int:
    async with house.database.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(table)) or 0)


async def test_a_signup_is_pending_until_the_link_is_pressed(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    shown = await client.get(f"/s/{form.slug}", headers=BROWSER)
    assert "Write to me" in shown.text
    answer = await client.post(f"/s/{form.slug}", data=ENTERED, headers={**BROWSER, "origin": "https://shop.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    [link] = await mailed()
    for _ in range(2):  # a scanner looks
        assert "Yes, sign me up" in (await client.get(link)).text
        await client.head(link)
    assert (await count(house, customers), await count(house, consents)) == (0, 0)
    pressed = await client.post(link, headers=BROWSER)
    assert "You are signed up" in pressed.text
    again = await client.post(link, headers=BROWSER)
    assert "You are signed up" in again.text
    async with house.database.connect() as conn:
        person = (await conn.execute(select(customers))).one()
        rows = (await conn.execute(select(consents).order_by(consents.c.purpose))).all()
    assert (person.email, person.name, person.language) == ("li@example.com", "Li Na", "en")
    assert [(row.channel, row.purpose, row.granted) for row in rows] == [
        ("email", MARKETING, True),
        ("all", "topic:offers", True),
    ]
    assert {row.text_version for row in rows} == {f"{form.slug}/1"}
    proof = rows[0].proof
    assert proof["asked"]["agent"] == BROWSER["user-agent"]
    assert len(proof["asked"]["ip_hash"]) == len(proof["confirmed"]["ip_hash"]) == 32
    assert "127.0.0.1" not in str(proof)
    own = re.search(r'href="(/preferences/[^"]+)"', pressed.text)
    assert own is not None
    assert (await client.get(own[1])).status_code == 200


async def test_one_mailbox_is_mailed_once_an_hour_however_it_is_spelled(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    async with house.database.begin() as conn:
        second = await save_form(conn, replace(form, id=0, name="Other"), by="me", now=utc_now())
    spelled = ["v.ictim@gmail.com", "victim+1@gmail.com", "VICTIM@gmail.com", "v.i.c.t.i.m+x@gmail.com"]
    answers = await asyncio.gather(
        *(
            client.post(f"/s/{each.slug}", data={**ENTERED, "email": email}, headers=BROWSER)
            for email in spelled
            for each in (form, second)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await mailed()) == 1
    async with house.database.begin() as conn:
        await conn.execute(update(signup_turns).values(at=utc_now() - timedelta(hours=1, seconds=1)))
    await client.post(f"/s/{form.slug}", data={**ENTERED, "email": spelled[0]}, headers=BROWSER)
    assert len(await mailed()) == 1


async def test_nobody_learns_whether_an_address_is_known(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        known = {"email": "known@example.com", "name": "Wang Wei"}
        await upsert(conn, "customers", [known], settings=house.settings, now=now)
        bounced = SuppressedAddress("email", "bounced@example.com", "bounced", now)
        await suppress_addresses(conn, [bounced, SuppressedAddress(DOMAIN, "rival.example", "manual", now)])
    pages = []
    for email in ("new@example.com", "known@example.com", "bounced@example.com", "a@rival.example", "new@example.com"):
        answer = await client.post(f"/s/{form.slug}", data={**ENTERED, "email": email}, headers=BROWSER)
        pages.append((answer.status_code, answer.text.replace(email, "")))
    assert len(set(pages)) == 1
    links = await mailed()
    assert len(links) == 2, "new and known are asked; who bounced or was suppressed is left in peace"
    for link in links:
        assert (await client.post(link, headers=BROWSER)).status_code == 200
    async with house.database.connect() as conn:
        names = (await conn.execute(select(customers.c.email, customers.c.name))).all()
    assert {tuple(row) for row in names} == {("new@example.com", "Li Na"), ("known@example.com", "Wang Wei")}


async def test_machines_and_floods_cause_no_mail(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    trapped = await client.post(f"/s/{form.slug}", data={**ENTERED, "website": "http://x"}, headers=BROWSER)
    fine = await client.post(f"/s/{form.slug}", data=ENTERED, headers=BROWSER)
    assert trapped.status_code == fine.status_code == 200
    assert len(await mailed()) == 1
    answers = [await client.post(f"/s/{form.slug}", data={**ENTERED, "email": f"v{n}@example.com"}) for n in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 18 + [429] * 2
    refused = answers[-1].text
    assert "Too many" in refused
    assert 'href="/"' not in refused  # which leads to a console that customers know nothing of
    assert len(await mailed()) == 18


@pytest.mark.parametrize(
    ("changes", "field"), [({"email": "nobody"}, "email"), ({"email": ""}, "email"), ({"agree": ""}, "agree")]
)
async def test_what_cannot_be_taken_is_said(
    house: House, client: httpx.AsyncClient, form: SignupForm, changes: dict[str, str], field: str
) -> None:
    answer = await client.post(f"/s/{form.slug}", data={**ENTERED, **changes}, headers=BROWSER)
    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert await count(house, signups) == 0


async def test_a_closed_or_unknown_form_leads_nowhere(
    house: House, client: httpx.AsyncClient, form: SignupForm
) -> None:
    async with house.database.begin() as conn:
        await save_form(conn, replace(form, active=False), by="me", now=utc_now())
    for slug in (form.slug, "x"):
        assert (await client.get(f"/s/{slug}")).status_code == 404
        assert (await client.post(f"/s/{slug}", data=ENTERED)).status_code == 404


async def test_without_double_opt_in_only_new_addresses_count_at_once(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        await save_consent_settings(conn, ConsentSettings(double_opt_in=False, keep_network_address=True))
        result = await upsert(conn, "customers", [{"email": "gone@example.com"}], settings=house.settings, now=now)
        [known] = result.ids
        said_no = Consent("email", MARKETING, False, "page", now)
        await record_consent(conn, known, said_no, now=now)
        result = await upsert(conn, "customers", [{"email": "erased@example.com"}], settings=house.settings, now=now)
        await erase(conn, result.ids[0])
    for email in ("new@example.com", "gone@example.com", "erased@example.com"):
        await client.post(f"/s/{form.slug}", data={**ENTERED, "email": email}, headers=BROWSER)
    links = await mailed()
    assert len(links) == 2
    async with house.database.connect() as conn:
        standing = select(customers.c.email, standing_consents.c.granted).join(
            standing_consents, standing_consents.c.customer_id == customers.c.id
        )
        rows = await conn.execute(standing.where(standing_consents.c.purpose == MARKETING))
        assert {tuple(row) for row in rows} == {("new@example.com", True), ("gone@example.com", False)}
        [proof] = (await conn.execute(select(consents.c.proof).where(consents.c.channel == "all"))).scalars()
    assert proof["asked"]["ip"] == "127.0.0.1"
    for link in links:
        assert (await client.post(link, headers=BROWSER)).status_code == 200
    async with house.database.connect() as conn:
        rows = await conn.execute(standing.where(standing_consents.c.purpose == MARKETING))
        assert {tuple(row) for row in rows} == {
            ("new@example.com", True),
            ("gone@example.com", True),
            ("erased@example.com", True),
        }, "who comes back by their own confirmed word is let in again"


async def test_a_later_asking_replaces_an_earlier_one_and_old_ones_go(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    await client.post(f"/s/{form.slug}", data=ENTERED, headers=BROWSER)
    [first] = await mailed()
    async with house.database.begin() as conn:
        await conn.execute(update(signup_turns).values(at=utc_now() - timedelta(hours=2)))
    await client.post(f"/s/{form.slug}", data={**ENTERED, "name": "Another"}, headers=BROWSER)
    assert (await client.post(first, headers=BROWSER)).status_code == 404
    [second] = await mailed()
    async with house.database.begin() as conn:
        await forget_old(conn, utc_now() + timedelta(days=29))
        assert await conn.scalar(select(func.count()).select_from(signups)) == 1
        await forget_old(conn, utc_now() + timedelta(days=31))
        assert await conn.scalar(select(func.count()).select_from(signups)) == 0
    assert (await client.post(second, headers=BROWSER)).status_code == 404


@given(st.integers(0, 2**32), st.emails().map(str.lower), st.integers(0, 4 * 10**15))
def test_a_token_names_its_asking_until_it_is_too_old(form_id: int, address: str, microseconds: int) -> None:
    signer, now = Signer("a secret for tests that is long enough"), utc_now()
    ref = SignupRef(form_id, address, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))
    token = signup_token(signer, ref, now)
    assert read_signup_token(signer, token, now + timedelta(days=2, hours=23)) == ref
    for late, stranger in (
        (now + timedelta(days=3, seconds=1), signer),
        (now, Signer("some other secret, long enough")),
    ):
        with pytest.raises(NotFound):
            read_signup_token(stranger, token, late)


@given(st.from_regex(r"[a-z][a-z.]{0,10}[a-z](\+[a-z0-9]{0,5})?@(gmail\.com|example\.org)", fullmatch=True))
def test_a_mailbox_is_its_own_mailbox(address: str) -> None:
    once = mailbox(address)
    assert mailbox(once) == once
    assert "+" not in once
    assert once.partition("@")[2] == address.partition("@")[2]


async def test_a_form_is_made_previewed_and_reworded(house: House, sign_in: SignIn, client: httpx.AsyncClient) -> None:
    browser = await sign_in("marketer")
    assert "No signup forms yet" in (await browser.get("/forms")).text
    made = {"label": "Footer", "title": "News", "text": "I agree <b>", "field": ["name", "phone"], "active": "yes"}
    shown = await browser.post("/forms/preview", data=made)
    assert "I agree &lt;b&gt;" in shown.text
    saved = await browser.post("/forms/new", data=made)
    assert saved.status_code == 303
    path = saved.headers["location"]
    form_id = int(path.rpartition("/")[2])
    found = await browser.get(path)
    async with house.database.connect() as conn:
        form = await form_by_id(conn, form_id)
    assert f"/s/{form.slug}" in found.text
    assert "&lt;form action=" in found.text, "the snippet, as text"
    assert "I agree &amp;lt;b&amp;gt;" in found.text, "escaped in the snippet"
    for text, version in (("I agree <b>", 1), ("I agree too", 2)):
        await browser.post(path, data={**made, "text": text})
        async with house.database.connect() as conn:
            assert (await form_by_id(conn, form_id)).version == version
    assert (await client.get(f"/s/{form.slug}")).status_code == 200
    wrong = await browser.post("/forms/new", data={"label": "", "text": ""})
    assert wrong.status_code == 422
    assert {"label", "title", "text"} <= set(re.findall(r'id="error-(\w+)"', wrong.text))
    assert "Footer" in (await browser.get("/forms")).text
    refused = await browser.post("/forms/settings", data={})
    assert refused.status_code == 403


async def test_topics_are_made_and_changed(house: House, sign_in: SignIn) -> None:
    browser = await sign_in("marketer")
    assert "No topics yet" in (await browser.get("/topics")).text
    made = {"key": "offers", "name": "Offers", "name_zh": "优惠", "offered": "yes"}
    assert (await browser.post("/topics/new", data=made)).status_code == 303
    assert (await browser.post("/topics/new", data=made)).status_code == 422
    assert (await browser.post("/topics/new", data={"key": "Bad Key", "name": ""})).status_code == 422
    changed = {"key": "offers", "name": "Bargains"}
    assert (await browser.post("/topics/edit", data=changed)).status_code == 303
    shown = (await browser.get("/topics")).text
    assert "Bargains" in shown
    assert "Not offered" in shown


async def test_two_presses_at_once_count_once(
    house: House, client: httpx.AsyncClient, form: SignupForm, mailed: Callable[[], Awaitable[list[str]]]
) -> None:
    await client.post(f"/s/{form.slug}", data=ENTERED, headers=BROWSER)
    [link] = await mailed()
    pressed = await asyncio.gather(*(client.post(link, headers=BROWSER) for _ in range(4)))
    assert {answer.status_code for answer in pressed} == {200}
    assert (await count(house, customers), await count(house, consents)) == (1, 2)
    page = re.search(r'href="(/preferences/[^"]+)"', pressed[0].text)
    assert page is not None
    told = (await client.get(page[1])).text
    assert "a form that you sent" in told
    assert form.name not in told


@pytest.mark.parametrize(("reason", "welcome"), [("unsubscribed", True), ("complained", False), ("manual", False)])
async def test_who_unsubscribed_elsewhere_comes_back_by_their_own_word(
    house: House,
    client: httpx.AsyncClient,
    form: SignupForm,
    mailed: Callable[[], Awaitable[list[str]]],
    reason: str,
    welcome: bool,
) -> None:
    """The list of another system says so of the address."""
    now = utc_now()
    async with house.database.begin() as conn:
        await suppress_addresses(conn, [SuppressedAddress("email", "li@example.com", reason, now)])
    await client.post(f"/s/{form.slug}", data=ENTERED, headers=BROWSER)
    links = await mailed()
    assert len(links) == welcome
    for link in links:
        await client.post(link, headers=BROWSER)
    async with house.database.connect() as conn:
        assert (await suppressed_address(conn, "email", "li@example.com", utc_now()) is None) == welcome


async def test_a_form_saved_by_two_at_once_has_both_wordings(house: House, form: SignupForm, sign_in: SignIn) -> None:
    editor = await sign_in("marketer")
    typed = {"label": "Shop", "title": "Stay in touch", "active": "yes"}
    saves = (editor.post(f"/forms/{form.id}", data={**typed, "text": f"Wording {place}"}) for place in range(4))
    assert {answer.status_code for answer in await asyncio.gather(*saves)} == {303}
    async with house.database.connect() as conn:
        assert (await form_by_id(conn, form.id)).version == 5


async def test_of_two_topics_of_one_key_one_is_made(sign_in: SignIn) -> None:
    editor = await sign_in("marketer")
    made = (editor.post("/topics/new", data={"key": "new", "name": f"Name {place}"}) for place in range(4))
    assert sorted(answer.status_code for answer in await asyncio.gather(*made)) == [303, 422, 422, 422]
