"""Segments over the API: kept, counted, listed, explained."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

XIAN = {"all": [{"field": "city", "op": "in", "value": ["西安"]}]}
PEOPLE = [
    {"external_id": "C1", "name": "王", "city": "西安", "salesperson": "s1"},
    {"external_id": "C2", "name": "李", "city": "咸阳", "salesperson": "s1"},
    {"external_id": "C3", "name": "张", "city": "西安", "salesperson": "s2"},
]


@pytest.fixture
async def ids(api: OpenApi) -> list[int]:
    return list((await (await api()).post("/customers", json={"items": PEOPLE})).json()["ids"])


async def made(client: httpx.AsyncClient, name: str = "Xi'an", rule: Any = XIAN) -> int:
    answer = await client.post("/segments", json={"name": name, "rule": rule})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def test_a_segment_is_kept_read_changed_and_forgotten(api: OpenApi) -> None:
    client = await api("marketer")
    created = await client.post("/segments", json={"name": " Xi'an ", "rule": XIAN, "description": "in town"})
    assert created.status_code == 201
    record = created.json()
    assert set(record) == {
        *("id", "name", "description", "rule", "count", "counted_at", "created_by", "created_at"),
        *("holdout_percent", "updated_at"),
    }
    assert (record["name"], record["rule"], record["count"]) == ("Xi'an", XIAN, None)
    path = f"/segments/{record['id']}"
    assert (await client.get(path)).json() == record
    changed = await client.patch(path, json={"name": "Town"})
    assert (changed.status_code, changed.json()["name"], changed.json()["rule"]) == (200, "Town", XIAN)
    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        problem(await client.request(method, path), 404)


async def test_a_preview_counts_and_shows_some(api: OpenApi, ids: list[int]) -> None:
    answer = (await (await api()).post("/segments/preview", json={"rule": XIAN})).json()
    assert set(answer) == {"count", "sample", "took_ms"}
    assert answer["count"] == 2
    assert [one["id"] for one in answer["sample"]] == [ids[0], ids[2]]
    assert answer["sample"][0]["name"] == "王"
    assert answer["took_ms"] > 0


async def test_count_and_members_agree(api: OpenApi, ids: list[int]) -> None:
    client = await api("analyst")
    segment = await made(await api("marketer"))
    assert (await client.get(f"/segments/{segment}/count")).json() == {"count": 2}
    first = (await client.get(f"/segments/{segment}/members?limit=1")).json()
    assert first["items"] == [{"id": ids[0], "external_id": "C1"}]
    second = (await client.get(f"/segments/{segment}/members?limit=1&cursor={first['next']}")).json()
    assert second == {"items": [{"id": ids[2], "external_id": "C3"}], "next": None}


async def test_a_membership_is_explained_condition_by_condition(api: OpenApi, ids: list[int]) -> None:
    client = await api()
    segment = await made(client)
    for customer_id, holds in ((ids[0], True), (ids[1], False)):
        answer = (await client.get(f"/segments/{segment}/explain?customer_id={customer_id}")).json()
        assert answer["member"] is holds
        assert {"path": "all[0]", "holds": holds} in answer["conditions"]
    assert problem(await client.get(f"/segments/{segment}/explain"), 422)[0][0] == "customer_id"
    assert problem(await client.get(f"/segments/{segment}/explain?customer_id=x"), 422)[0][0] == "customer_id"
    problem(await client.get(f"/segments/{segment}/explain?customer_id=999"), 404)


@pytest.mark.parametrize(
    ("rule", "culprit"),
    [
        ({"all": [{"field": "colour", "op": "eq", "value": "red"}]}, "all[0].field"),
        ({"all": [{"field": "city", "op": "eq_", "value": "x"}]}, "all[0].op"),
        ({"all": [{"field": "city", "op": "in", "value": []}]}, "all[0].value"),
        ({"all": [{"has": "yachts"}]}, "all[0].has"),
        ({"all": [{"in_segment": 99}]}, "all[0].in_segment"),
        ({"some": []}, "some"),
    ],
)
async def test_a_bad_rule_is_refused_by_its_path_everywhere(api: OpenApi, rule: Any, culprit: str) -> None:
    client = await api()
    segment = await made(client)
    for answer in (
        await client.post("/segments", json={"name": "b", "rule": rule}),
        await client.post("/segments/preview", json={"rule": rule}),
        await client.patch(f"/segments/{segment}", json={"rule": rule}),
    ):
        assert problem(answer, 422)[0][0] == culprit


async def test_a_circle_of_segments_is_refused(api: OpenApi) -> None:
    client = await api()
    first = await made(client)
    second = await made(client, "around it", {"in_segment": first})
    assert problem(await client.patch(f"/segments/{first}", json={"rule": {"in_segment": second}}), 422)
    assert "used" in (await client.delete(f"/segments/{first}")).json()["detail"]
    problem(await client.delete(f"/segments/{first}"), 409)


async def test_a_salesperson_counts_their_own_households_alone(api: OpenApi, ids: list[int]) -> None:
    segment = await made(await api())
    client = await api("salesperson", "s1")
    assert (await client.get(f"/segments/{segment}/count")).json() == {"count": 1}
    assert [one["id"] for one in (await client.get(f"/segments/{segment}/members")).json()["items"]] == [ids[0]]
    preview = (await client.post("/segments/preview", json={"rule": {"all": []}})).json()
    assert (preview["count"], [one["id"] for one in preview["sample"]]) == (2, ids[:2])
    problem(await client.get(f"/segments/{segment}/explain?customer_id={ids[2]}"), 404)
    for method, path in (("POST", "/segments"), ("PATCH", f"/segments/{segment}"), ("GET", "/segments")):
        problem(await client.request(method, path, json={}), 403)


async def test_an_estimate_comes_with_its_range(api: OpenApi, ids: list[int]) -> None:
    answer = (await (await api()).post("/segments/estimate", json={"rule": XIAN})).json()
    assert answer.pop("took_ms") > 0
    assert answer == {"count": 2, "low": 2, "high": 2, "sampled": 2, "exact": True}


async def test_a_funnel_tells_what_each_condition_leaves(api: OpenApi, ids: list[int]) -> None:
    rule = {"all": [XIAN, {"field": "salesperson", "op": "eq", "value": "s1"}]}
    answer = (await (await api()).post("/segments/funnel", json={"rule": rule})).json()
    assert (answer["everyone"], answer["count"]) == (3, 1)
    assert answer["steps"] == [
        {"path": "all[0]", "kept": 2, "alone": 2, "without": 2},
        {"path": "all[1]", "kept": 1, "alone": 2, "without": 2},
    ]


async def test_rules_and_segments_are_laid_over_each_other(api: OpenApi, ids: list[int]) -> None:
    client = await api("marketer")
    segment = await made(client)
    rule = {"field": "salesperson", "op": "eq", "value": "s1"}
    for body in ({"a": segment, "b": rule}, {"a": XIAN, "b": rule}):
        answer = (await client.post("/segments/overlap", json=body)).json()
        assert answer.pop("took_ms") > 0
        assert answer == {"only_a": 1, "both": 1, "only_b": 1}
    problem(await client.post("/segments/overlap", json={"a": 99, "b": rule}), 404)
    refused = problem(await client.post("/segments/overlap", json={"a": {"all": []}, "b": {"all": [{}]}}), 422)
    assert [path for path, _message in refused] == ["b.all[0]"]


async def test_a_salesperson_looks_at_their_own_while_writing(api: OpenApi, ids: list[int]) -> None:
    client = await api("salesperson", salesperson="s1")
    assert (await client.post("/segments/estimate", json={"rule": XIAN})).json()["count"] == 1
    assert (await client.post("/segments/funnel", json={"rule": XIAN})).json()["everyone"] == 2
    both = await client.post("/segments/overlap", json={"a": XIAN, "b": {"all": []}})
    assert (both.json()["both"], both.json()["only_b"]) == (1, 1)


@pytest.mark.parametrize("call", ["estimate", "funnel"])
async def test_looking_refuses_by_path(api: OpenApi, call: str) -> None:
    answer = await (await api()).post(f"/segments/{call}", json={"rule": {"all": [{"field": "colour"}]}})
    assert {path for path, _message in problem(answer, 422)} == {"all[0].field", "all[0].op"}
