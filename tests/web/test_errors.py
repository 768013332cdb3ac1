"""What goes wrong is told clearly: pages for people, problems for programs, never a traceback or a secret."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response

from runtime.database import Database
from runtime.errors import Conflict, Forbidden, HearthError, Invalid, NotFound, Problem, TooLarge, Unavailable
from runtime.house import House
from tests.waiting import until
from tests.web.conftest import OpenApi, SignIn
from web.access import PUBLIC, Route
from web.app import create_app
from web.errors import Failure, problem_response
from web.guard import Guarded
from web.routes import table
from web.throttle import TooManyTries

CASES: list[tuple[Exception, int]] = [
    (Invalid([Problem("items[2].email", "is not an address"), Problem("name", "is missing")]), 422),
    (NotFound("there is no campaign 7"), 404),
    (Conflict("campaign 7 is finished"), 409),
    (Forbidden("only administrators"), 403),
    (TooLarge("at most 5 MB"), 413),
    (Unavailable("the mail server does not answer"), 503),
    (TooManyTries("wait"), 429),
    (HearthError("refused"), 422),
    (RuntimeError("secret in a traceback"), 500),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 400),
]


def app_that_raises(house: House, error: Exception, path: str) -> httpx.AsyncClient:
    async def endpoint(_request: Request) -> Response:
        raise error

    app = create_app(house)
    app.add_route(path, Guarded(Route(path, endpoint, "broken", PUBLIC)), methods=["GET"])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
async def test_an_error_as_a_problem(error: Exception, status: int, house: House) -> None:
    async with app_that_raises(house, error, "/api/broken") as client:
        answer = await client.get("/api/broken")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == status
    if isinstance(error, HearthError):
        assert problem["detail"] == str(error)
    if isinstance(error, Invalid):
        assert problem["errors"][0] == {"path": "items[2].email", "message": "is not an address"}
    if status == 503:
        assert answer.headers["retry-after"]
    assert "secret" not in answer.text


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
async def test_an_error_as_a_page(error: Exception, status: int, house: House) -> None:
    async with app_that_raises(house, error, "/broken") as client:
        answer = await client.get("/broken")
        fragment = await client.get("/broken", headers={"HX-Request": "true"})
    assert answer.status_code == fragment.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert fragment.headers["content-type"].startswith("text/plain")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "secret" not in answer.text + fragment.text
    if isinstance(error, Invalid):
        assert "items[2].email: is not an address" in answer.text
    elif isinstance(error, HearthError):
        assert str(error) in answer.text
        assert str(error) == fragment.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/login", 405), ("GET", "/users/99999999999999999999", 404)],
)
async def test_what_does_not_exist(method: str, path: str, status: int, sign_in: SignIn) -> None:
    client = await sign_in("admin")
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert "empty-title" in answer.text
    assert 'aria-label="Main menu"' in answer.text  # still at home


async def test_unknown_api_paths_are_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


async def test_nul_in_a_search_is_not_a_fault(sign_in: SignIn) -> None:
    client = await sign_in("admin")
    assert (await client.get("/users?q=a%00b")).status_code == 200
    assert (await client.get("/users?cursor=%00&sort=-name")).status_code == 422
    assert (await client.get("/users?limit=x")).status_code == 422
    assert (await client.get("/users?limit=0")).status_code == 422


async def test_every_page_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/login", "/nothing", "/health", "/static/theme.js"):
        headers = (await client.get(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"].replace("default-src 'self'", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert (await client.get("/login")).headers["cache-control"] == "no-store"


@pytest.fixture
async def dead_database() -> AsyncIterator[Database]:
    database = Database("postgresql://nobody:pass-word-shown@127.0.0.1:9/none")
    yield database
    await database.close()


async def test_without_its_database_the_console_says_so(house: House, dead_database: Database) -> None:
    app = create_app(replace(house, database=dead_database))
    protected = next(route for route in table() if route.api and route.allow and "GET" in route.methods)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        page = await client.get("/login")
        health = await client.get("/health")
        problem = await client.get(protected.path, headers={"authorization": "Bearer x"})
    assert page.status_code == health.status_code == problem.status_code == 503
    assert "database does not answer" in page.text
    assert health.json()["status"] == "unavailable"
    assert problem.json()["status"] == 503
    assert "pass-word-shown" not in page.text + health.text + problem.text


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    announced = await client.post("/login", content=b"x", headers={"content-length": str(10**12)})
    assert announced.status_code == 413
    assert "larger than Hearth accepts" in announced.text


async def test_a_body_without_a_length_is_cut_off_at_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b"a" * 65536

    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/login", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert "Content-Security-Policy" in answer.headers
    assert sent < 4 * 1024 * 1024


def parts(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % number
    yield b"--x--\r\n"


async def test_a_form_of_ten_thousand_parts_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post("/login", content=b"".join(parts(10_000)), headers=headers)
    assert answer.status_code == 413


async def test_broken_multipart_is_malformed(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post("/login", content=b"no boundary at all", headers=headers)
    assert answer.status_code == 400


def test_a_problem_keeps_its_headers() -> None:
    answer = problem_response(Failure(401, "sign in", headers={"WWW-Authenticate": "Bearer"}))
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_health_and_metrics_tell_of_database_and_queue(client: httpx.AsyncClient) -> None:
    health = await client.get("/health")
    assert health.json() == {"status": "ok", "database": "ok", "queue": {"waiting": 0, "workers": 0}}
    await client.get("/users/x")
    metrics = (await client.get("/metrics")).text
    assert re.search(r'hearth_http_requests_total\{route="health",status="200"\} \d', metrics)
    assert "hearth_queue_waiting 0.0" in metrics


@pytest.mark.parametrize("path", ["/users", "/api/v1/segments"])
async def test_a_statement_that_waits_too_long_is_told_as_busy(
    house: House, sign_in: SignIn, api: OpenApi, path: str
) -> None:
    table_name = "users" if path == "/users" else "segments"
    client = await (sign_in("admin") if path == "/users" else api("admin"))
    waiting = text(
        "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = CAST(:name AS regclass)"
    )

    async def cancelled() -> bool:
        async with house.database.connect() as other:
            return bool((await other.execute(waiting, {"name": table_name})).all())

    async with house.database.begin() as conn:
        await conn.execute(text(f"LOCK TABLE {table_name} IN ACCESS EXCLUSIVE MODE"))
        asked = asyncio.create_task(client.get(f"http://127.0.0.1:8000{path}"))
        await until(cancelled)
        answer = await asked
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "busy with other work" in answer.text


async def test_what_could_not_be_read_is_told_to_programs(api: OpenApi) -> None:
    answer = await (await api()).post("/segments", content=b"{")
    assert (answer.status_code, "not JSON" in answer.json()["detail"]) == (400, True)
