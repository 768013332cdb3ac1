"""A forgotten password, from the form over the queue and a real SMTP server to the new password."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from email.message import Message

import httpx
import pytest
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import SMTP
from sqlalchemy import text, update

from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import PASSWORD, MakeUser, SignIn
from tests.web.test_login import form_token, log_in
from web import throttle
from web.models import users
from web.resets import reset_token, send_reset
from web.users import find_user

NEW = "an entirely new one"


class Mailbox(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.mails.append(message)


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Mailbox, int]]:
    handler = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    async with server:
        yield handler, server.sockets[0].getsockname()[1]


@pytest.fixture
def mailing(house: House, mailbox: tuple[Mailbox, int]) -> House:
    return replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{mailbox[1]}"))


async def ask(client: httpx.AsyncClient, email: str) -> httpx.Response:
    token = form_token(await client.get("/reset"))
    return await client.post("/reset", data={"csrf_token": token, "email": email})


async def deferred(house: House) -> list[str]:
    async with house.database.connect() as conn:
        rows = await conn.execute(
            text("SELECT args->>'email' FROM procrastinate_jobs WHERE task_name = 'web.send_reset' ORDER BY id")
        )
        return [row[0] for row in rows]


def link_in(mail: Message) -> str:
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    found = re.search(r"http://127\.0\.0\.1:8000(/reset/\S+)", payload.decode())
    assert found is not None
    return found[1]


async def test_the_whole_way(
    client: httpx.AsyncClient, make_user: MakeUser, mailing: House, mailbox: tuple[Mailbox, int]
) -> None:
    await make_user(email="Wang@example.com", language="zh")
    assert (await ask(client, "wang@example.com")).status_code == 200
    assert await deferred(mailing) == ["wang@example.com"]
    await send_reset(mailing, email="wang@example.com")
    [mail] = mailbox[0].mails
    assert mail["To"] == "Wang@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    link = link_in(mail)
    form = await client.get(link)
    assert form.status_code == 200
    data = {"csrf_token": form_token(form), "password": NEW, "again": NEW}
    assert (await client.post(link, data=data)).headers["location"] == "/login"
    assert (await log_in(client, "wang@example.com", NEW)).status_code == 303


async def test_the_answer_is_the_same_for_a_stranger(
    client: httpx.AsyncClient, make_user: MakeUser, mailing: House, mailbox: tuple[Mailbox, int]
) -> None:
    await make_user(email="known@example.com")
    known, stranger = await ask(client, "known@example.com"), await ask(client, "other@example.com")
    assert known.text.replace("known@", "other@") == stranger.text
    await send_reset(mailing, email="other@example.com")
    assert mailbox[0].mails == []


async def test_one_mail_an_hour(make_user: MakeUser, mailing: House, mailbox: tuple[Mailbox, int]) -> None:
    user_id = await make_user(email="a@example.com")
    for _time in range(3):
        await send_reset(mailing, email="a@example.com")
    assert len(mailbox[0].mails) == 1
    async with mailing.database.begin() as conn:
        await conn.execute(
            update(users).where(users.c.id == user_id).values(reset_sent_at=utc_now() - timedelta(hours=2))
        )
    await send_reset(mailing, email="a@example.com")
    assert len(mailbox[0].mails) == 2


async def test_asking_is_limited_by_ip(client: httpx.AsyncClient, house: House) -> None:
    async with house.database.begin() as conn:
        tries = [(throttle.RESET_IP, "127.0.0.1")] * throttle.RESET_IP.tries
        await throttle.record_tries(conn, tries, utc_now())
    assert (await ask(client, "a@example.com")).status_code == 429
    assert await deferred(house) == []


async def link_for(house: House, user_id: int, age: timedelta = timedelta(0)) -> str:
    async with house.database.connect() as conn:
        user = await find_user(conn, user_id)
    return f"/reset/{reset_token(house.signer, user, utc_now() - age)}"


async def test_a_link_works_once(client: httpx.AsyncClient, make_user: MakeUser, house: House) -> None:
    user_id = await make_user(email="a@example.com")
    link, other = await link_for(house, user_id), await link_for(house, user_id, timedelta(minutes=5))
    data = {"csrf_token": form_token(await client.get(link)), "password": NEW, "again": NEW}
    assert (await client.post(link, data=data)).status_code == 303
    for used in (link, other):
        assert (await client.get(used)).status_code == 404
        assert (await client.post(used, data=data)).status_code == 404


async def test_a_link_dies_with_the_hour_or_with_the_user(
    client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    user_id = await make_user()
    assert (await client.get(await link_for(house, user_id, timedelta(minutes=61)))).status_code == 404
    link = await link_for(house, user_id)
    assert (await client.get(link)).status_code == 200
    async with house.database.begin() as conn:
        await conn.execute(update(users).where(users.c.id == user_id).values(active=False))
    assert (await client.get(link)).status_code == 404


@pytest.mark.parametrize(
    "change", [lambda link: link[:-1] + ("A" if link[-1] != "A" else "B"), lambda _link: "/reset/x"]
)
async def test_a_forged_link_is_void(
    change: Callable[[str], str], client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    link = await link_for(house, await make_user())
    assert (await client.get(change(link))).status_code == 404


async def test_a_link_for_another_purpose_is_void(client: httpx.AsyncClient, house: House) -> None:
    token = house.signer.sign("other", b"\0" * 24, utc_now() + timedelta(hours=1))
    assert (await client.get(f"/reset/{token}")).status_code == 404


async def test_a_reset_ends_every_session(
    sign_in: SignIn, client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    user_id = await make_user(email="a@example.com")
    await log_in(client, "a@example.com", PASSWORD)
    assert (await client.get("/profile")).status_code == 200
    link = await link_for(house, user_id)
    data = {"csrf_token": form_token(await client.get(link)), "password": NEW, "again": NEW}
    await client.post(link, data=data)
    assert (await client.get("/profile")).status_code == 303


@pytest.mark.parametrize(
    ("password", "again", "said"), [("short", "short", "at least 10"), (NEW, "other", "not the same")]
)
async def test_a_bad_choice_is_told(
    password: str, again: str, said: str, client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    link = await link_for(house, await make_user())
    data = {"csrf_token": form_token(await client.get(link)), "password": password, "again": again}
    answer = await client.post(link, data=data)
    assert answer.status_code == 422
    assert said in answer.text
