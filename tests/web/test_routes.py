"""Every route is in the one table, says who may use it, and keeps to it."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from tests.web.conftest import MakeToken, SignIn
from web.access import ADMINS, PUBLIC, Public, Role
from web.guard import Guarded
from web.routes import table

PUBLIC_ROUTES = {"login", "login_try", "language", "reset", "reset_ask", "reset_choose", "reset_done"}
PUBLIC_ROUTES |= {"health", "metrics", "api.openapi"}
PUBLIC_PATHS = ("/o/", "/c/", "/u/", "/v/", "/p/", "/r/", "/s/", "/preferences/", "/confirm/", "/hooks/")
NO_CSRF_PATHS = ("/api/", "/u/", "/p/", "/r/", "/s/", "/preferences/", "/confirm/", "/hooks/")


def test_the_app_has_no_route_beside_the_table(app: Starlette) -> None:
    routes = [route for route in app.routes if not (isinstance(route, Mount) and route.path == "/static")]
    assert all(isinstance(route, Route) and isinstance(route.endpoint, Guarded) for route in routes)
    assert [route.endpoint.route for route in routes if isinstance(route, Route)] == list(table())


def test_names_are_unique() -> None:
    names = [route.name for route in table()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("route", table(), ids=lambda route: route.name)
def test_every_row_is_sound(route: object) -> None:
    assert isinstance(route, table()[0].__class__)
    assert isinstance(route.allow, Public) or route.allow
    assert isinstance(route.allow, Public) is (route.name in PUBLIC_ROUTES or route.path.startswith(PUBLIC_PATHS))
    assert route.csrf or not route.changes or route.path.startswith(NO_CSRF_PATHS)


def sample_path(path: str) -> str:
    """An address of the route, whatever stands in it."""
    return re.sub(r"{\w+(:path)?}", "x", re.sub(r"{\w+:int}", "999999", path))


CONSOLE = [route for route in table() if not route.api and not isinstance(route.allow, Public)]
API = [route for route in table() if route.api and not isinstance(route.allow, Public)]


async def test_nobody_gets_to_the_login_from_every_page(client: httpx.AsyncClient) -> None:
    for route in CONSOLE:
        answer = await client.request(route.methods[0], sample_path(route.path))
        assert answer.status_code == 303, route
        assert answer.headers["location"].startswith("/login?next="), route


async def test_htmx_is_told_to_go_to_the_login(client: httpx.AsyncClient) -> None:
    answer = await client.get("/users", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.headers["hx-redirect"] == "/login?next=%2F"
    assert not answer.text


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_is_kept_out_of_every_page_that_is_not_its_own(role: Role, sign_in: SignIn) -> None:
    client = await sign_in(role.value, salesperson="s1")
    for route in CONSOLE:
        if role not in route.allow:
            answer = await client.request(route.methods[0], sample_path(route.path))
            assert answer.status_code == 403, route
        elif not route.changes:
            answer = await client.request(route.methods[0], sample_path(route.path), headers={"accept": "text/html"})
            assert answer.status_code not in (403, 405, 500), (route, answer.text)


async def test_no_page_changes_anything_without_the_csrf_token(sign_in: SignIn) -> None:
    client = await sign_in("admin")
    del client.headers["x-csrf-token"]
    for route in CONSOLE:
        if route.changes:
            answer = await client.request(route.methods[0], sample_path(route.path))
            assert answer.status_code == 403, route


@pytest.mark.parametrize("role", list(Role))
async def test_a_token_is_kept_to_its_role(role: Role, client: httpx.AsyncClient, token: MakeToken) -> None:
    client.headers["authorization"] = f"Bearer {await token(role.value, 's1')}"
    for route in API:
        if role not in route.allow:
            answer = await client.request(route.methods[0], sample_path(route.path))
            assert answer.status_code == 403, route
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_api_takes_tokens_only(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    signed_in = await sign_in("admin")
    for route in API:
        for who in (client, signed_in):
            answer = await who.request(route.methods[0], sample_path(route.path))
            assert answer.status_code == 401, route
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["status"] == 401


def test_public_is_not_a_role() -> None:
    assert not PUBLIC
    assert Role.ANALYST not in ADMINS
