"""User administration, API tokens and the profile."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import insert, select

from customers.models import salespeople
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.house import House
from tests.web.conftest import MakeToken, MakeUser, SignIn
from tests.web.test_login import log_in
from web.models import api_tokens, users
from web.users import UserForm, create_user, delete_user, set_active


def shown_secret(page: httpx.Response) -> str:
    found = re.search(r'class="form-control font-monospace" id="[\w-]+" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


async def test_a_new_user_signs_in_with_the_password_shown_once(sign_in: SignIn, client: httpx.AsyncClient) -> None:
    admin = await sign_in("admin")
    made = await admin.post("/users/new", data={"email": "li@example.com", "name": "李雷", "role": "analyst"})
    password = shown_secret(made)
    assert password not in (await admin.get("/users")).text
    answer = await log_in(client, "li@example.com", password)
    assert answer.status_code == 303
    assert (await client.get("/")).headers["location"] == "/profile/password"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email": "no address", "role": "analyst"}, "not an e-mail address"),
        ({"email": "a@b@", "role": "analyst"}, "not an e-mail address"),
        ({"email": "x@example.com", "role": "emperor"}, "one of the four roles"),
        ({"email": "x@example.com", "role": "salesperson"}, "which salesperson"),
        ({"email": "x@example.com", "role": "salesperson", "salesperson": "s9"}, "no salesperson with the code s9"),
        ({"email": "ADMIN1@example.com", "role": "admin"}, "already a user"),
        ({"email": "x@example.com", "role": "admin", "name": "n" * 201}, "at most 200"),
    ],
)
async def test_a_bad_user_is_told_field_by_field(fields: dict[str, str], said: str, sign_in: SignIn) -> None:
    admin = await sign_in("admin")
    answer = await admin.post("/users/new", data=fields)
    assert answer.status_code == 422
    assert said in answer.text


async def test_a_changed_role_takes_effect_at_once(sign_in: SignIn, house: House) -> None:
    admin, other = await sign_in("admin"), await sign_in("admin", email="other@example.com")
    async with house.database.connect() as conn:
        other_id = (await conn.execute(select(users.c.id).where(users.c.email == "other@example.com"))).scalar_one()
    saved = await admin.post(f"/users/{other_id}", data={"name": "Other", "role": "analyst"})
    assert saved.status_code == 303
    assert (await other.get("/users")).status_code == 303


async def test_a_salesperson_is_linked_by_code(sign_in: SignIn, house: House) -> None:
    async with house.database.begin() as conn:
        await conn.execute(insert(salespeople).values(code="s1", name="王芳"))
    admin = await sign_in("admin")
    assert "王芳 (s1)" in (await admin.get("/users/new")).text
    fields = {"email": "wang@example.com", "role": "salesperson", "salesperson": "s1"}
    assert (await admin.post("/users/new", data=fields)).status_code == 200
    assert "s1" in (await admin.get("/users")).text


async def test_the_last_administrator_stays(house: House, make_user: MakeUser) -> None:
    only, _other = await make_user("admin"), await make_user("analyst")
    async with house.database.begin() as conn:
        with pytest.raises(Conflict, match="last administrator"):
            await delete_user(conn, only)
        with pytest.raises(Conflict, match="last administrator"):
            await set_active(conn, only, False)
    second = await make_user("admin")
    async with house.database.begin() as conn:
        await delete_user(conn, only)
        with pytest.raises(Conflict):
            await delete_user(conn, second)


async def test_deleting_needs_the_name(sign_in: SignIn, make_user: MakeUser) -> None:
    admin, user_id = await sign_in("admin"), await make_user("analyst", email="a@example.com")
    refused = await admin.post(f"/users/{user_id}/delete", data={"confirm": "b@example.com"})
    assert refused.status_code == 422
    deleted = await admin.post(f"/users/{user_id}/delete", data={"confirm": "a@example.com"})
    assert deleted.status_code == 303
    assert "a@example.com is deleted" in (await admin.get("/users")).text
    assert "a@example.com is deleted" not in (await admin.get("/users")).text
    assert (await admin.get(f"/users/{user_id}")).status_code == 404


async def test_a_deactivated_user_is_out_until_let_in_again(sign_in: SignIn, house: House) -> None:
    admin, other = await sign_in("admin"), await sign_in("analyst", email="other@example.com")
    async with house.database.connect() as conn:
        other_id = (await conn.execute(select(users.c.id).where(users.c.email == "other@example.com"))).scalar_one()
    await admin.post(f"/users/{other_id}/active", data={"active": "no"})
    assert (await other.get("/profile")).status_code == 303
    assert "Inactive" in (await admin.get("/users")).text
    await admin.post(f"/users/{other_id}/active", data={"active": "yes"})
    assert "Inactive" not in (await admin.get("/users")).text


async def test_a_lost_password_is_replaced(sign_in: SignIn, make_user: MakeUser, client: httpx.AsyncClient) -> None:
    admin, user_id = await sign_in("admin"), await make_user("analyst", email="a@example.com")
    password = shown_secret(await admin.post(f"/users/{user_id}/password"))
    assert (await log_in(client, "a@example.com", password)).status_code == 303


async def test_two_at_once_make_one_user(house: House) -> None:
    form = UserForm("a@example.com", "", "admin")
    async with house.database.begin() as conn:
        await create_user(conn, form, utc_now())
    async with house.database.begin() as conn:
        with pytest.raises(Conflict):
            await create_user(conn, UserForm("A@EXAMPLE.com", "", "admin"), utc_now())
        with pytest.raises(Invalid):
            await create_user(conn, UserForm("a\r\nb@example.com", "", "admin"), utc_now())


async def test_the_list_is_searched_sorted_and_paged(sign_in: SignIn, make_user: MakeUser) -> None:
    admin = await sign_in("admin", name="Zhou")
    for name in ("Anna", "Bert", "李雷"):
        await make_user("analyst", name=name)
    names = r'<td[^>]*><a href="/users/\d+">([^<]+)</a>'
    first = await admin.get("/users?limit=2&sort=-name")
    assert re.findall(names, first.text) == ["李雷", "Zhou"]
    link = re.search(r'href="(/users\?[^"]*cursor=[^"]*)"', first.text)
    assert link is not None
    second = await admin.get(link[1].replace("&amp;", "&"))
    assert re.findall(names, second.text) == ["Bert", "Anna"]
    assert re.findall(names, (await admin.get("/users?q=李")).text) == ["李雷"]
    assert "Nothing found" in (await admin.get("/users?q=100%25_")).text


async def test_htmx_gets_only_the_list(sign_in: SignIn) -> None:
    admin = await sign_in("admin")
    part = await admin.get("/users", headers={"HX-Request": "true", "HX-Target": "results"})
    assert part.text.lstrip().startswith('<div id="results"')
    assert "<html" not in part.text
    whole = {"HX-Request": "true", "HX-Target": "results", "HX-History-Restore-Request": "true"}
    assert "<html" in (await admin.get("/users", headers=whole)).text


async def test_what_people_type_is_shown_escaped(sign_in: SignIn, make_user: MakeUser) -> None:
    admin = await sign_in("admin", name="<script>alert(1)</script>")
    await make_user("analyst", name='"><img src=x onerror=alert(1)>')
    for path in ("/users", "/profile", '/users?q="><script>alert(1)</script>'):
        page = await admin.get(path)
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


async def test_a_token_is_shown_once_and_works_until_revoked(sign_in: SignIn, client: httpx.AsyncClient) -> None:
    admin = await sign_in("admin")
    secret = shown_secret(await admin.post("/tokens/new", data={"name": "the shop", "role": "marketer"}))
    client.headers["authorization"] = f"Bearer {secret}"
    assert (await client.get("/api/v1/nothing")).status_code == 404
    listed = await admin.get("/tokens")
    assert "the shop" in listed.text
    assert secret not in listed.text
    revoke = re.search(r'action="(/tokens/\d+/revoke)"', listed.text)
    assert revoke is not None
    assert (await admin.post(revoke[1])).status_code == 303
    assert (await admin.post(revoke[1])).status_code == 404


@pytest.mark.parametrize(
    "fields", [{"name": "", "role": "admin"}, {"name": "x", "role": "y"}, {"name": "x", "role": "salesperson"}]
)
async def test_a_bad_token_form_is_told(fields: dict[str, str], sign_in: SignIn) -> None:
    admin = await sign_in("admin")
    assert (await admin.post("/tokens/new", data=fields)).status_code == 422


async def test_other_sessions_are_listed_and_ended(sign_in: SignIn, client: httpx.AsyncClient) -> None:
    here = await sign_in("analyst", email="a@example.com")
    await log_in(client, "a@example.com")
    assert "Sign out everywhere else" in (await here.get("/profile")).text
    await here.post("/profile/sessions/end")
    assert (await client.get("/profile")).status_code == 303
    assert (await here.get("/profile")).status_code == 200


async def test_a_token_notes_its_last_use(
    token: MakeToken, client: httpx.AsyncClient, sign_in: SignIn, house: House
) -> None:
    secret = await token("admin")
    client.headers["authorization"] = f"Bearer {secret}"
    await client.get("/api/v1/openapi.json")
    async with house.database.connect() as conn:
        assert (await conn.execute(select(api_tokens.c.last_used_at))).scalar_one() is not None
