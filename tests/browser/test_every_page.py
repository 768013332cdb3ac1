"""Every page of the console over data that tries to run scripts, on a phone and in both languages."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest
from playwright.async_api import Page
from sqlalchemy import update

import campaigns.templates as templates
from campaigns import store
from channels.contract import EventKind
from channels.email import mailbox
from channels.email.returns import BounceClass
from customers.imports.pending import create_pending, seal_pending
from customers.imports.uploads import append_chunk, create_import, enqueue_import
from customers.reference import Category, save_category
from customers.signup_forms import SignupForm, save_form
from customers.suppressions import Lift, SuppressedAddress, Suppression, lift, suppress, suppress_addresses
from customers.topics import Topic, save_topic
from runtime.clock import utc_now
from runtime.house import House
from segments.audiences import create_audience, enqueue_audience
from segments.store import create_segment
from segments.strangers import ListConsent
from tests.browser.conftest import OpenPage, Site, add_user
from tests.campaigns.scene import body, launched, work_off
from tests.web.scene import CONSENT, order, put
from tracking.facts import Fact, FactKind
from tracking.ingest import store as store_facts
from tracking.ledger import MessageKey
from tracking.models import messages
from tracking.returns import Report, apply_reports
from tracking.strays import Stray, keep_strays
from web.access import Public, Role, Route
from web.models import api_tokens
from web.routes import table
from web.sessions import create_token

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>${alert(3)}{{7*7}}"
PARTS = {"kind": "rejects", "part": "margin", "lose:int": "2", "code": "replacement"}
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest(".table-responsive, thead"))
    .map((one) => `${one.tagName}.${one.className}`)"""
DRAFTS = {"upload": "2"}  # begun after the import
QUERIES = {"category": "?code=refrigerator", "topic": "?key=offers"}
FILES = {"import_rejects", "audience_lines", "customer_export", "suppressed_export", "surveys_csv", "campaign_table"}
FILES |= {"growth_csv", "reports_csv"}  # downloads


def address(route: Route) -> str:
    """The page's address for the first record of its kind."""
    path = re.sub(r"{([\w:]+)}", lambda found: DRAFTS.get(route.name) or PARTS.get(found[1], "1"), route.path)
    return path + QUERIES.get(route.name, "")


PAGES = [
    (route.name, address(route))
    for route in table()
    if "GET" in route.methods and not route.api and not isinstance(route.allow, Public) and route.name not in FILES
]


def mail() -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = ATTACK, f'"{ATTACK[:5]}" <a@example.com>', "b@example.com"
    made["X-Attack"] = ATTACK
    made.set_content(ATTACK)
    made.add_alternative(f"<html><body>{ATTACK}<a href='javascript:alert(4)'>x</a></body></html>", subtype="html")
    return bytes(made)


async def records(house: House) -> None:
    who = {"external_id": ATTACK, "name": ATTACK, "email": "a@example.com", "consents": CONSENT}
    where = {"city": ATTACK, "district": ATTACK, "address": ATTACK, "platform": ATTACK, "gender": ATTACK}
    codes = {"community": ATTACK, "dealer": ATTACK, "salesperson": ATTACK}
    await put(house, "customers", {**who, **where, **codes, "tags": [ATTACK], "attributes": {"note": ATTACK}})
    await put(house, "customers", {"external_id": f"{ATTACK}2", "name": ATTACK, "address": ATTACK})
    for kind in ("communities", "dealers", "salespeople"):
        await put(house, kind, {"code": ATTACK, "name": ATTACK})
    item = {"sku": ATTACK, "name": ATTACK, "quantity": 1, "price": "500", "cost": "1"}
    await put(house, "orders", order(ATTACK, ATTACK, ordered_at=utc_now().isoformat(), items=[item], platform=ATTACK))
    owner = {"customer": {"external_id": ATTACK}}
    thing = {"number": ATTACK, "category": ATTACK, "brand": ATTACK, "model": ATTACK, "installed_on": "2012-01-01"}
    await put(house, "appliances", {**owner, **thing, "status": "in_use"})
    visit = {"number": ATTACK, "kind": ATTACK, "status": ATTACK, "provider": ATTACK, "note": ATTACK}
    await put(house, "service_visits", {**owner, **visit, "completed_at": "2026-10-01"})


async def set_up(house: House) -> None:
    async with house.database.begin() as conn:
        await save_category(conn, Category(ATTACK, ATTACK, ATTACK, Decimal(5), ATTACK))
        await suppress(conn, [Suppression(1, "email", ATTACK, utc_now(), address=ATTACK, detail=ATTACK)])
        await suppress(conn, [Suppression(2, "email", ATTACK, utc_now())])
        await lift(conn, 2, "email", Lift(ATTACK, ATTACK, utc_now()))
        await suppress_addresses(conn, [SuppressedAddress("email", ATTACK, ATTACK, utc_now(), detail=ATTACK)])
        await save_topic(conn, Topic("offers", ATTACK, ATTACK), new=True)
        asked = SignupForm(ATTACK, ATTACK, ATTACK, ATTACK, ATTACK, ["name"], ["offers"])
        await save_form(conn, asked, by=ATTACK, now=utc_now())


async def outreach(house: House) -> None:
    async with house.database.begin() as conn:
        rule = {"all": [{"field": "city", "op": "in", "value": [ATTACK]}]}
        segment = await create_segment(conn, ATTACK, rule, description=ATTACK, by=ATTACK)
        safe = ATTACK.replace("{{7*7}}", "")  # content is Jinja
        safe = safe.replace("src=x", f"src={house.settings.public_url}/nothing.png")  # and holds whole addresses
        content = {"subject": safe, "html": f"<html><body>{safe}<a href='https://shop.example/'>x</a></body></html>"}
        kept = {"name": safe, "channel": "email", **content}
        await templates.create_template(conn, kept, settings=house.settings, by=ATTACK)
    await launched(house, name=ATTACK, rule=None, segment_id=segment.id, content=content)
    async with house.database.begin() as conn:
        await store.create_campaign(conn, body(name=ATTACK, content=content), settings=house.settings, by=ATTACK)
        await mailbox.store(conn, [mailbox.Caught(utc_now(), ATTACK, (ATTACK,), mail())])
        upload = await create_import(conn, kind="customers", filename=ATTACK, created_by=ATTACK)
        await append_chunk(conn, upload, 0, f'external_id,email\n1,"{ATTACK}"\n'.replace('""', '"').encode())
        await enqueue_import(conn, upload)
        draft = await create_pending(conn, kind="audience", filename=ATTACK, by=ATTACK)
        await append_chunk(conn, draft, 0, f'email,"{ATTACK}"\n1,"{ATTACK}"\n'.replace('""', '"').encode())
        await seal_pending(conn, draft)
        consent = ListConsent(ATTACK, ATTACK)
        listed = await create_audience(conn, name=ATTACK, filename=ATTACK, consent=consent, by=ATTACK)
        await append_chunk(conn, listed.import_id or 0, 0, f"email,name\na@example.com,{ATTACK}\n{ATTACK},x\n".encode())
        await enqueue_audience(conn, listed.id)
        await create_token(conn, ATTACK, Role.ANALYST, None, utc_now())
        await conn.execute(update(api_tokens).values(name=ATTACK))


async def reactions(house: House) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        found = (await conn.execute(messages.select())).mappings().first()
        assert found is not None
        key = MessageKey(found["customer_id"], found["run_id"])
        early = messages.update().values(state="sent", sent_at=now - timedelta(hours=2), reason=ATTACK, address=ATTACK)
        await conn.execute(early)
        facts = [
            Fact(key, kind, now - timedelta(hours=1), machine, ATTACK, f"https://x.example/{ATTACK}", 0)
            for kind, machine in ((FactKind.OPENED, None), (FactKind.CLICKED, None), (FactKind.CLICKED, ATTACK))
        ]
        await store_facts(conn, facts, now)
        bounced = Report(key, EventKind.BOUNCED, now, BounceClass.FULL, ATTACK, 550, ATTACK, ATTACK)
        await apply_reports(conn, [bounced], now)
        await keep_strays(conn, [Stray(ATTACK, ATTACK, ATTACK, ATTACK, ATTACK)], now)


@pytest.fixture
async def furnished(site: Site) -> House:
    """A house in which everything that people or machines can say is an attack."""
    await add_user(site.house, "x@example.com", "analyst", name=ATTACK)
    await records(site.house)
    await outreach(site.house)
    await work_off(site.house)
    await reactions(site.house)
    await set_up(site.house)
    return site.house


async def see(page: Page, path: str) -> Any:
    answer = await page.goto(path, wait_until="load")
    assert answer is not None
    return answer


async def test_nothing_that_was_stored_ever_runs(furnished: House, open_page: OpenPage) -> None:
    page = await open_page("admin", user_agent=ATTACK)
    ran: list[str] = []
    page.on("dialog", lambda dialog: ran.append(f"{page.url}: {dialog.message}"))
    seen = 0
    for name, path in PAGES:
        answer = await see(page, path)
        assert answer.status in (200, 422), (name, answer.status)
        seen += "alert(1)" in await answer.text()
        await page.wait_for_load_state("networkidle")
    for path in (f"/customers?q={ATTACK}", f"/segments?q={ATTACK}&sort={ATTACK}", "/mailbox/1?images=yes"):
        await see(page, path)
        await page.wait_for_load_state("networkidle")
    assert ran == []
    assert seen > 25, "the attacks are on the pages at all"


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
async def test_no_page_is_wider_than_a_phone(furnished: House, open_page: OpenPage, locale: str) -> None:
    page = await open_page("admin", viewport={"width": 390, "height": 844}, locale=locale, has_touch=True)
    for name, path in PAGES:
        await see(page, path)
        assert await page.evaluate(TOO_WIDE) == [], f"{name} is wider than the screen"
