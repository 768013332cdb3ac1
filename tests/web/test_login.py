"""Signing in: sessions, CSRF, limits, one-time passwords."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update

from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import BASE, PASSWORD, MakeUser, SignIn
from web import throttle
from web.app import create_app
from web.models import attempts, sessions, users


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Through the form, as a browser does it."""
    data = {"csrf_token": form_token(await client.get("/login")), "email": email, "password": password, **fields}
    return await client.post("/login", data=data)


def form_token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


async def test_the_right_password_opens_a_session(client: httpx.AsyncClient, make_user: MakeUser) -> None:
    await make_user(email="Wang@Example.com")
    answer = await log_in(client, " wang@example.COM ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert (await client.get("/profile")).status_code == 200


async def test_unknown_address_and_wrong_password_read_the_same(client: httpx.AsyncClient, make_user: MakeUser) -> None:
    await make_user(email="a@example.com")
    wrong = await log_in(client, "a@example.com", "not the password")
    unknown = await log_in(client, "b@example.com", "not the password")
    assert wrong.status_code == unknown.status_code == 422
    assert wrong.text.replace("a@example.com", "") == unknown.text.replace("b@example.com", "")
    assert (await client.get("/profile")).status_code == 303


async def test_an_inactive_user_is_out_at_once(client: httpx.AsyncClient, make_user: MakeUser, house: House) -> None:
    user_id = await make_user(email="a@example.com")
    await log_in(client, "a@example.com")
    async with house.database.begin() as conn:
        await conn.execute(update(users).where(users.c.id == user_id).values(active=False))
    assert (await client.get("/profile")).status_code == 303
    assert (await log_in(client, "a@example.com")).status_code == 422


async def test_a_login_gives_a_fresh_session_and_ends_the_one_before(
    client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    await make_user(email="a@example.com")
    client.cookies.set("hearth", "chosen by an attacker", domain="127.0.0.1")
    await log_in(client, "a@example.com")
    first = client.cookies["hearth"]
    assert first != "chosen by an attacker"
    profile = await client.get("/profile")
    await client.post("/logout", data={"csrf_token": form_token(profile)})
    await log_in(client, "a@example.com")
    assert client.cookies["hearth"] != first
    async with house.database.connect() as conn:
        assert (await conn.execute(select(func.count()).select_from(sessions))).scalar_one() == 1


async def test_a_second_login_in_the_same_browser_ends_the_first_session(
    client: httpx.AsyncClient, make_user: MakeUser, house: House
) -> None:
    await make_user(email="a@example.com")
    await make_user(email="b@example.com")
    token = form_token(await client.get("/login"))
    await log_in(client, "a@example.com")
    signed_in = form_token(await client.get("/profile"))
    assert signed_in != token
    data = {"csrf_token": signed_in, "email": "b@example.com", "password": PASSWORD}
    assert (await client.post("/login", data=data)).status_code == 303
    async with house.database.connect() as conn:
        assert (await conn.execute(select(func.count()).select_from(sessions))).scalar_one() == 1


async def test_a_login_from_another_site_is_refused(client: httpx.AsyncClient, make_user: MakeUser) -> None:
    await make_user(email="a@example.com")
    token = form_token(await client.get("/login"))
    data = {"email": "a@example.com", "password": PASSWORD, "csrf_token": token}
    assert (await client.post("/login", data=data, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await client.post("/login", data={**data, "csrf_token": "0" * 64})).status_code == 403
    assert (await client.post("/login", data={**data, "csrf_token": "é"})).status_code == 403
    assert (await client.post("/login", data=data)).status_code == 303


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/users?q=a", "/users?q=a"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("\\\\evil.example", "/"),
        ("", "/"),
    ],
)
async def test_next_stays_on_this_host(
    target: str, location: str, client: httpx.AsyncClient, make_user: MakeUser
) -> None:
    await make_user(email="a@example.com")
    answer = await log_in(client, "a@example.com", next=target)
    assert answer.headers["location"] == location


async def test_guesses_are_limited_by_account_and_a_login_elsewhere_does_not_clear_them(
    new_client: Callable[[], httpx.AsyncClient], make_user: MakeUser
) -> None:
    await make_user(email="a@example.com")
    attacker, owner = new_client(), new_client()
    for _try in range(throttle.LOGIN_ACCOUNT.tries - 1):
        assert (await log_in(attacker, "a@example.com", "wrong password")).status_code == 422
    assert (await log_in(owner, "a@example.com")).status_code == 303
    assert (await log_in(attacker, "A@example.com", "wrong password")).status_code == 422
    refused = await log_in(attacker, "a@example.com", PASSWORD)
    assert refused.status_code == 429
    assert "Too many tries" in refused.text


async def test_parallel_guesses_count_each_other(
    new_client: Callable[[], httpx.AsyncClient], make_user: MakeUser
) -> None:
    await make_user(email="a@example.com")
    client = new_client()
    token = form_token(await client.get("/login"))
    data = {"csrf_token": token, "email": "a@example.com", "password": "wrong password"}
    answers = await asyncio.gather(*(client.post("/login", data=data) for _guess in range(30)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {422, 429}
    assert statuses.count(422) <= throttle.LOGIN_ACCOUNT.tries


async def test_the_limit_ends_with_time(client: httpx.AsyncClient, make_user: MakeUser, house: House) -> None:
    await make_user(email="a@example.com")
    for _try in range(throttle.LOGIN_ACCOUNT.tries):
        await log_in(client, "a@example.com", "wrong password")
    assert (await log_in(client, "a@example.com")).status_code == 429
    async with house.database.begin() as conn:
        await conn.execute(update(attempts).values(at=attempts.c.at - timedelta(minutes=16)))
    assert (await log_in(client, "a@example.com")).status_code == 303


async def test_an_address_that_guesses_many_accounts_is_limited(client: httpx.AsyncClient, house: House) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        tries = [(throttle.LOGIN_IP, "127.0.0.1")] * throttle.LOGIN_IP.tries
        await throttle.record_tries(conn, tries, now)
    assert (await log_in(client, "new@example.com")).status_code == 429


async def test_sessions_end(client: httpx.AsyncClient, make_user: MakeUser, house: House) -> None:
    await make_user(email="a@example.com")
    await log_in(client, "a@example.com")
    async with house.database.begin() as conn:
        await conn.execute(update(sessions).values(last_seen_at=sessions.c.last_seen_at - timedelta(days=4)))
    assert (await client.get("/profile")).status_code == 303


async def test_logging_out_ends_the_session_in_the_database(sign_in: SignIn, house: House) -> None:
    client = await sign_in("analyst")
    secret = client.cookies["hearth"]
    assert (await client.post("/logout")).status_code == 303
    client.cookies.set("hearth", secret, domain="127.0.0.1")
    assert (await client.get("/profile")).status_code == 303


async def test_a_one_time_password_must_be_changed_first(sign_in: SignIn) -> None:
    client = await sign_in("marketer", must_change_password=True)
    for path in ("/", "/profile", "/nothing/../users"):
        assert (await client.get(path)).headers["location"] == "/profile/password"
    form = await client.get("/profile/password")
    assert "Choose your own password" in form.text
    fields = {"old": PASSWORD, "password": "a much better one", "again": "a much better one"}
    assert (await client.post("/profile/password", data=fields)).status_code == 303
    assert (await client.get("/profile")).status_code == 200


async def test_a_changed_password_ends_all_other_sessions(
    new_client: Callable[[], httpx.AsyncClient], make_user: MakeUser
) -> None:
    await make_user(email="a@example.com")
    here, there = new_client(), new_client()
    await log_in(here, "a@example.com")
    await log_in(there, "a@example.com")
    token = form_token(await here.get("/profile/password"))
    fields = {"csrf_token": token, "old": PASSWORD, "password": "a much better one", "again": "a much better one"}
    old_session = here.cookies["hearth"]
    assert (await here.post("/profile/password", data=fields)).status_code == 303
    assert here.cookies["hearth"] != old_session
    assert (await here.get("/profile")).status_code == 200
    assert (await there.get("/profile")).status_code == 303
    assert (await log_in(there, "a@example.com")).status_code == 422
    assert (await log_in(there, "a@example.com", "a much better one")).status_code == 303


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"old": "wrong", "password": "a much better one", "again": "a much better one"},
            "present password is not right",
        ),
        ({"old": PASSWORD, "password": "short", "again": "short"}, "at least 10 characters"),
        ({"old": PASSWORD, "password": "a much better one", "again": "another"}, "not the same"),
        ({"old": PASSWORD, "password": "analyst1@example.com", "again": "analyst1@example.com"}, "too easy"),
        ({"old": PASSWORD, "password": "aaaaaaaaaaaa", "again": "aaaaaaaaaaaa"}, "too easy"),
        ({"old": PASSWORD, "password": "x\0" * 10, "again": "x\0" * 10}, "at most"),
    ],
)
async def test_a_bad_new_password_is_told(fields: dict[str, str], said: str, sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    answer = await client.post("/profile/password", data=fields)
    assert answer.status_code == 422
    assert said in answer.text


async def test_without_users_the_login_page_says_how_to_make_one(
    client: httpx.AsyncClient, make_user: MakeUser
) -> None:
    assert "hearth user create" in (await client.get("/login")).text
    await make_user()
    assert "hearth user create" not in (await client.get("/login")).text


async def test_nul_and_long_input_is_refused_without_a_fault(client: httpx.AsyncClient) -> None:
    assert (await log_in(client, "a\0@example.com")).status_code in (400, 422)
    assert (await log_in(client, "a" * 5000 + "@example.com")).status_code == 422


async def test_over_https_cookies_are_pinned_to_the_host(house: House, make_user: MakeUser) -> None:
    await make_user(email="a@example.com")
    secure = replace(house, settings=replace(house.settings, public_url="https://hearth.example"))
    transport = httpx.ASGITransport(app=create_app(secure))
    async with httpx.AsyncClient(transport=transport, base_url=BASE.replace("http:", "https:")) as client:
        answer = await log_in(client, "a@example.com")
    assert answer.headers["set-cookie"].startswith("__Host-hearth=")
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"]
