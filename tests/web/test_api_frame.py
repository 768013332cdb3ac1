"""What every call of the API keeps to: problems, pages, idempotency, roles, its description."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update

from runtime.clock import utc_now
from runtime.house import House
from segments.models import segments
from tests.waiting import until
from tests.web.conftest import OpenApi
from web.api.contract import JSON_LIMIT
from web.models import idempotency_keys
from web.routes import table

EVERYBODY = {"all": []}


async def kept(house: House) -> int:
    async with house.database.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(segments)) or 0)


def problem(answer: httpx.Response, status: int) -> list[tuple[str, str]]:
    """The culprits of a problem of RFC 9457, after its frame was checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == status
    assert body["detail"]
    return [(one["path"], one["message"]) for one in body["errors"]]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a": NaN', b"[" * 100_000])
async def test_what_is_no_json_is_400(api: OpenApi, body: bytes) -> None:
    answer = await (await api()).post("/segments", content=body)
    assert problem(answer, 400) == []
    assert "not JSON" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "culprits"),
    [
        ("/segments", {"name": "a"}, {"rule"}),
        ("/segments", {"name": "a", "rule": EVERYBODY, "colour": 1}, {"colour"}),
        ("/segments", {"name": 7, "rule": []}, {"name", "rule"}),
        ("/segments", {"name": "a", "rule": {"all": [{"field": "city", "op": "eq_"}]}}, {"all[0].op"}),
        ("/segments", [], {""}),
        ("/customers", {"items": {}}, {"items"}),
        ("/customers", {"items": []}, {"items"}),
        ("/customers", {"items": [{}] * 1001}, {"items"}),
        ("/campaigns", {"channel": "email"}, {"name"}),
    ],
)
async def test_refused_content_is_422_and_names_every_culprit(
    api: OpenApi, path: str, body: Any, culprits: set[str]
) -> None:
    assert {path for path, _said in problem(await (await api()).post(path, json=body), 422)} == culprits


async def test_what_is_not_there_is_404(api: OpenApi) -> None:
    client = await api()
    for path in ("/nothing", "/customers/1", "/segments/9", "/campaigns/9", "/imports/9", f"/segments/{2**63}"):
        problem(await client.get(path), 404)
    problem(await client.put("/segments", json={}), 405)


async def test_an_unknown_or_revoked_token_is_401(client: httpx.AsyncClient) -> None:
    client.headers["authorization"] = "Bearer hearth_nothing"
    answer = await client.get("/api/v1/segments")
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_body_that_is_too_large_is_413(api: OpenApi) -> None:
    client = await api()
    problem(await client.post("/segments", content=b" " * (JSON_LIMIT + 1)), 413)

    async def unannounced() -> Any:
        for _piece in range(JSON_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    problem(await client.post("/segments", content=unannounced()), 413)


async def test_lists_page_by_cursor_and_tell_where_they_end(api: OpenApi) -> None:
    client = await api()
    ids = [(await client.post("/segments", json={"name": str(n), "rule": EVERYBODY})).json()["id"] for n in range(5)]
    seen, cursor = [], None
    for _page in range(3):
        answer = (await client.get("/segments", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        assert set(answer) == {"items", "next"}
        seen += [one["id"] for one in answer["items"]]
        cursor = answer["next"]
    assert (seen, cursor) == (ids, None)


@pytest.mark.parametrize(
    ("query", "culprit"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=zzz", "cursor"),
        ("cursor=~", "cursor"),
    ],
)
async def test_a_bad_limit_or_cursor_is_named(api: OpenApi, query: str, culprit: str) -> None:
    client = await api()
    for path in ("/segments", "/customers", "/templates", "/campaigns", "/salespeople", "/imports", "/audiences"):
        assert [path for path, _said in problem(await client.get(f"{path}?{query}"), 422)] == [culprit], path


async def test_times_have_an_offset(api: OpenApi) -> None:
    made = (await (await api()).post("/segments", json={"name": "a", "rule": EVERYBODY})).json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", made["created_at"])


async def test_the_same_key_and_body_is_done_once(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    first = await client.post("/segments", json={"name": "a", "rule": EVERYBODY}, headers=key)
    again = await client.post("/segments", json={"name": "a", "rule": EVERYBODY}, headers=key)
    assert first.status_code == 201
    assert (again.status_code, again.content, again.headers["content-type"]) == (
        first.status_code,
        first.content,
        first.headers["content-type"],
    )
    assert await kept(house) == 1


async def test_another_body_under_a_known_key_is_409(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    await client.post("/segments", json={"name": "a", "rule": EVERYBODY}, headers=key)
    problem(await client.post("/segments", json={"name": "b", "rule": EVERYBODY}, headers=key), 409)
    assert await kept(house) == 1


async def test_a_key_belongs_to_a_token_and_a_path(api: OpenApi, house: House) -> None:
    key = {"Idempotency-Key": "k1"}
    for client in (await api(), await api()):
        body = {"name": f"of {id(client)}", "rule": EVERYBODY}
        assert (await client.post("/segments", json=body, headers=key)).status_code == 201
        assert (await client.post("/segments/preview", json={"rule": EVERYBODY}, headers=key)).status_code == 200
    assert await kept(house) == 2


async def test_what_was_refused_may_be_tried_again_under_its_key(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    body = {"name": "a", "rule": EVERYBODY}
    taken = (await client.post("/segments", json=body)).json()["id"]
    assert [path for path, _said in problem(await client.post("/segments", json=body, headers=key), 422)] == ["name"]
    await client.delete(f"/segments/{taken}")
    assert (await client.post("/segments", json=body, headers=key)).status_code == 201
    assert await kept(house) == 1


async def test_a_key_is_forgotten_after_a_day(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    await client.post("/segments", json={"name": "a", "rule": EVERYBODY}, headers=key)
    async with house.database.begin() as conn:
        await conn.execute(update(idempotency_keys).values(created_at=utc_now() - timedelta(hours=24, minutes=1)))
    assert (await client.post("/segments", json={"name": "b", "rule": EVERYBODY}, headers=key)).status_code == 201


async def test_a_key_is_short(api: OpenApi) -> None:
    answer = await (await api()).post(
        "/segments/preview", json={"rule": EVERYBODY}, headers={"Idempotency-Key": "k" * 256}
    )
    assert [path for path, _said in problem(answer, 422)] == ["Idempotency-Key"]


async def test_a_second_request_while_the_first_runs_is_told_to_wait(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    body = {"name": "a", "rule": EVERYBODY}

    async def waits() -> bool:
        async with house.database.connect() as other:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'segments'::regclass)"
            return bool(await other.scalar(text(waiting)))

    async with house.database.begin() as conn:
        await conn.execute(text("LOCK TABLE segments IN ACCESS EXCLUSIVE MODE"))
        first = asyncio.create_task(client.post("/segments", json=body, headers=key))
        await until(waits)
        second = await client.post("/segments", json=body, headers=key)
        problem(second, 409)
        assert int(second.headers["retry-after"]) >= 1
    assert (await first).status_code == 201
    assert (await client.post("/segments", json=body, headers=key)).content == (await first).content
    assert await kept(house) == 1


async def test_many_at_once_under_one_key_have_one_effect(api: OpenApi, house: House) -> None:
    client, key = await api(), {"Idempotency-Key": "k1"}
    body = {"name": "a", "rule": EVERYBODY}
    answers = await asyncio.gather(*(client.post("/segments", json=body, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await kept(house) == 1


async def test_the_description_covers_every_route_of_the_api(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    served = {
        (method, re.sub(r"{(\w+):\w+}", r"{\1}", route.path))
        for route in table()
        if route.api and route.name != "api.openapi"
        for method in route.methods
    }
    assert described == served


async def test_the_description_is_whole(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for reference in set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))):
        assert reference in schemas
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            named = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in one["parameters"])
            assert keyed is (method == "post")
            assert one["summary"]
            assert "application/problem+json" in one["responses"]["default"]["content"]
