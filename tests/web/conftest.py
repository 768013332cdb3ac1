"""The app over the test's own house, and clients that are signed in."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert
from starlette.applications import Starlette

from runtime.clock import utc_now
from runtime.house import House
from web.access import Role
from web.app import create_app
from web.i18n import use_language
from web.models import users
from web.sessions import create_token, csrf_token, open_session

BASE = "http://127.0.0.1:8000"
PASSWORD = "correct horse battery"
CHEAP_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

SignIn = Callable[..., Awaitable[httpx.AsyncClient]]
MakeUser = Callable[..., Awaitable[int]]
MakeToken = Callable[..., Awaitable[str]]
OpenApi = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def english() -> None:
    """No test speaks the language that an earlier one of its process chose."""
    use_language("en")


@pytest.fixture
def app(house: House) -> Starlette:
    return create_app(house)


@pytest.fixture
async def new_client(app: Starlette) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """Makes clients over the app, each with its own cookies."""
    made: list[httpx.AsyncClient] = []

    def make() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        made.append(httpx.AsyncClient(transport=transport, base_url=BASE, headers={"accept-language": "en"}))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(new_client: Callable[[], httpx.AsyncClient]) -> httpx.AsyncClient:
    """Nobody is signed in."""
    return new_client()


@pytest.fixture
def make_user(house: House) -> MakeUser:
    """`make_user(role, **columns)` → id; the password is PASSWORD, the address `<role>@example.com` unless told."""
    numbers = itertools.count(1)

    async def make(role: str = "admin", **columns: object) -> int:
        number = next(numbers)
        email = str(columns.pop("email", f"{role}{number}@example.com"))
        row = {
            "email": email,
            "email_folded": email.casefold(),
            "name": f"{role.title()} {number}",
            "password_hash": CHEAP_HASH,
            "role": role,
            "created_at": utc_now(),
            **columns,
        }
        async with house.database.begin() as conn:
            made = await conn.execute(insert(users).values(row).returning(users.c.id))
            return int(made.scalar_one())

    return make


@pytest.fixture
def sign_in(house: House, new_client: Callable[[], httpx.AsyncClient], make_user: MakeUser) -> SignIn:
    """`await sign_in(role, **columns)`: a client with a session of a new user of that role, CSRF header set."""

    async def make(role: str = "admin", **columns: object) -> httpx.AsyncClient:
        user_id = await make_user(role, **columns)
        async with house.database.begin() as conn:
            secret = await open_session(conn, user_id, "127.0.0.1", "tests", utc_now())
        client = new_client()
        client.cookies.set("hearth", secret, domain="127.0.0.1")
        client.headers["x-csrf-token"] = csrf_token(secret)
        return client

    return make


@pytest.fixture
def token(house: House) -> MakeToken:
    """`await token(role, salesperson=None)` → the secret of a new API token."""

    async def make(role: str = "admin", salesperson: str | None = None) -> str:
        async with house.database.begin() as conn:
            _token_id, secret = await create_token(conn, f"test {role}", Role(role), salesperson, utc_now())
        return secret

    return make


@pytest.fixture
def api(new_client: Callable[[], httpx.AsyncClient], token: MakeToken) -> OpenApi:
    """`await api(role, salesperson=None)` → a client of the JSON API with a token of its own; paths as in API.md."""

    async def make(role: str = "admin", salesperson: str | None = None) -> httpx.AsyncClient:
        client = new_client()
        client.base_url = httpx.URL(f"{BASE}/api/v1/")
        client.headers["authorization"] = f"Bearer {await token(role, salesperson)}"
        return client

    return make
