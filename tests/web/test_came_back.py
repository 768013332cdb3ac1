"""What came back, in the console: who, why in the other side's words, what follows, which doors are open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, text
from starlette.applications import Starlette

from channels.contract import EventKind
from channels.email.returns import BounceClass
from runtime.clock import utc_now
from runtime.house import House
from tests.tracking.people_with_mail import make_messages, make_people
from tests.web.conftest import SignIn
from tests.web.scene import next_page, text_of
from tracking.came_back import returned
from tracking.models import return_mailboxes
from tracking.returns import Report, apply_reports
from tracking.strays import MOST, Stray, keep_strays
from web.app import create_app

WORDS = {
    "hard": "550 5.1.1 <script>alert(1)</script> unknown",
    "full": "552 5.2.2 mailbox full",
    "policy": "550 5.7.1 refused by our policy",
}


@pytest.fixture
def app(house: House) -> Starlette:
    """Postmark and a mailbox are set up."""
    told = {
        "return_path": "returns@example.com",
        "returns_imap_url": "imaps://returns:HIDDEN@imap.example.com/INBOX",
        "hook_secrets": (("postmark", "user:HIDDEN"),),
    }
    return create_app(replace(house, settings=replace(house.settings, **told)))


@pytest.fixture
async def reported(house: House) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        people = await make_people(conn, 5)
        keys = [(await make_messages(conn, [each], address=f"{each}@nowhere.example"))[0] for each in people]
        await conn.execute(text("UPDATE messages SET sent_at = :at"), {"at": now - timedelta(days=50)})
        reports = [
            Report(key, EventKind.BOUNCED, now - timedelta(days=day), BounceClass(kind), words=words, source="ses")
            for day, (key, (kind, words)) in enumerate(zip(keys, WORDS.items(), strict=False))
        ]
        reports.append(Report(keys[3], EventKind.COMPLAINED, now - timedelta(days=2), words="abuse", source="mail"))
        reports.append(Report(keys[4], EventKind.BOUNCED, now - timedelta(days=40), BounceClass.SOFT, words="long ago"))
        await apply_reports(conn, reports, now)
        await keep_strays(conn, [Stray("a", "imap", "reply", "someone@else.example", "<b>hello</b>")], now)


@pytest.mark.usefixtures("reported")
async def test_all_of_it_is_told_in_the_other_sides_words(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    shown = await client.get("/returns")
    told = text_of(shown)
    for words in (*WORDS.values(), "Nobody there", "Reported as spam", "<b>hello</b>", "someone@else.example"):
        assert words in told, words
    assert "<script>alert" not in shown.text
    assert "long ago" not in told
    assert "on 3 different days within 30 days rests for 90 days" in told
    full = text_of(await client.get("/returns?class=full"))
    assert WORDS["full"] in full
    assert WORDS["policy"] not in full
    complained = text_of(await client.get("/returns?class=complained"))
    assert "abuse" in complained
    assert WORDS["full"] not in complained
    first = await client.get("/returns?limit=1")
    assert WORDS["full"] in text_of(await client.get(next_page(first)))


@pytest.mark.usefixtures("reported")
async def test_set_up_is_told_without_secrets(house: House, sign_in: SignIn) -> None:
    async with house.database.begin() as conn:
        row = {"name": "returns@imap.example.com:993/INBOX", "validity": 1, "uid": 7, "trouble": "<i>no login</i>"}
        await conn.execute(insert(return_mailboxes).values(**row, trouble_at=utc_now()))
    shown = await (await sign_in("analyst")).get("/returns")
    told = text_of(shown)
    for name in ("mailgun", "sendgrid", "ses", "generic"):
        assert f"Missing: HEARTH_HOOK_SECRET_{name.upper()}" in told
        assert f"{house.settings.public_url}/hooks/email/{name}" in told
    assert "HEARTH_HOOK_SECRET_POSTMARK" not in told
    assert "://user:password@" in told
    assert "X-PM-Metadata-hearth" in told
    assert "<i>no login</i>" in told
    assert "HIDDEN" not in shown.text


async def test_the_newest_strays_are_kept_for_a_while(house: House) -> None:
    now = utc_now()
    many = [Stray(str(number), "imap", "reply", words="\ud800\0") for number in range(MOST + 5)]
    async with house.database.begin() as conn:
        await keep_strays(conn, [Stray("old", "imap", "reply")], now - timedelta(days=31))
        for start in range(0, len(many), 200):
            await keep_strays(conn, many[start : start + 200], now)
        await keep_strays(conn, many[-1:], now)
        found = (await conn.execute(text("SELECT count(*), min(key::int), max(key::int) FROM stray_returns"))).one()
    assert found[0] <= MOST
    assert found[2] == MOST + 4


async def test_the_list_uses_its_own_small_index(house: House) -> None:
    async with house.database.begin() as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))
        statement = returned(utc_now()).order_by(text("events.at DESC")).limit(50)
        compiled = statement.compile(compile_kwargs={"literal_binds": True}, dialect=conn.dialect)
        plan = "\n".join((await conn.execute(text(f"EXPLAIN {str(compiled).replace(':', chr(92) + ':')}"))).scalars())
    assert "Index Scan Backward" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "kind" not in plan, plan  # the index knows
