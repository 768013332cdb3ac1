"""Customers over the API: taken in, found, read, changed, erased; their consents and timeline."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

WANG: dict[str, Any] = {
    "external_id": "C1",
    "name": "王小明",
    "email": "wang@example.com",
    "phone": "13800138000",
    "city": "西安",
    "community": "QJ",
    "birthday": "1980-02-29",
    "household_size": 3,
    "salesperson": "s1",
    "tags": ["vip"],
    "attributes": {"floor": 12},
    "identities": [{"kind": "wechat", "value": "wx1"}],
    "consents": [{"channel": "email", "purpose": "marketing", "granted": True, "source": "shop"}],
}
ACTIVITY = {"last_opened_at", "last_clicked_at", "last_contacted_at", "engagement_score", "orders_count", "total_spent"}


async def taken(client: httpx.AsyncClient, *records: Any) -> list[int]:
    answer = await client.post("/customers", json={"items": list(records)})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["ids"])


async def test_one_record_is_taken_in_and_the_same_again_changes_nothing(api: OpenApi) -> None:
    client = await api("marketer")
    first = await client.post("/customers", json=WANG)
    assert first.status_code == 200
    assert first.json() == {
        "accepted": 1,
        "rejected": [],
        "records": {"created": 1, "updated": 0, "unchanged": 0},
        "ids": [1],
    }
    assert (await client.post("/customers", json=WANG)).json()["records"] == {
        "created": 0,
        "updated": 0,
        "unchanged": 1,
    }
    changed = await client.post("/customers", json={"external_id": "C1", "city": "咸阳"})
    assert changed.json()["records"] == {"created": 0, "updated": 1, "unchanged": 0}
    assert (await client.get("/customers/1")).json()["name"] == "王小明"


async def test_a_bad_record_among_good_ones_is_named_and_the_others_stand(api: OpenApi) -> None:
    client = await api("marketer")
    records = [{"external_id": "A"}, {"name": "nobody"}, {"external_id": "B", "email": "no address"}, 7]
    answer = (await client.post("/customers", json={"items": records})).json()
    assert (answer["accepted"], len(answer["ids"])) == (1, 1)
    assert [one["index"] for one in answer["rejected"]] == [1, 2, 3]
    assert [one["errors"][0]["path"] for one in answer["rejected"]][1] == "email"
    assert all(error["message"] for one in answer["rejected"] for error in one["errors"])


async def test_a_record_has_the_shape_that_was_promised(api: OpenApi) -> None:
    client = await api()
    [customer_id] = await taken(client, WANG)
    found = (await client.get(f"/customers/{customer_id}")).json()
    assert found["id"] == customer_id
    for name in ("external_id", "name", "email", "city", "community", "birthday", "household_size", "salesperson"):
        assert found[name] == WANG[name], name
    assert found["phone"] == "+8613800138000"
    assert {"kind": "wechat", "value": "wx1"} in found["identities"]
    assert {"kind": "external_id", "value": "C1"} in found["identities"]
    assert {one["kind"] for one in found["addresses"]} == {"email", "phone", "wechat"}
    [consent] = found["consents"]
    assert (consent["channel"], consent["purpose"], consent["granted"], consent["source"]) == (
        *("email", "marketing", True),
        "shop",
    )
    assert (found["tags"], found["attributes"], found["appliances"]) == (["vip"], {"floor": 12}, [])
    assert set(found["activity"]) >= ACTIVITY
    assert Decimal(found["activity"]["total_spent"]) == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("external_id=C1", ["C1"]),
        ("email=WANG@example.com", ["C1"]),
        ("phone=138%200013%208000", ["C1"]),
        ("q=小明", ["C1"]),
        ("q=C2", ["C2"]),
        ("q=C1&email=wang@example.com", ["C1"]),
        ("external_id=C1&email=li@example.com", []),
        ("q=%25", []),
        ("", ["C1", "C2"]),
    ],
)
async def test_customers_are_found(api: OpenApi, query: str, found: list[str]) -> None:
    client = await api("analyst")
    await taken(await api(), WANG, {"external_id": "C2", "name": "李雷", "email": "li@example.com"})
    answer = await client.get(f"/customers?{query}")
    assert [one["external_id"] for one in answer.json()["items"]] == found
    assert answer.json()["next"] is None


async def test_an_address_that_is_none_is_nobodys(api: OpenApi) -> None:
    client = await api()
    await taken(client, WANG)
    for name in ("email", "phone", "external_id"):
        assert (await client.get(f"/customers?{name}=x")).json() == {"items": [], "next": None}


async def test_lists_go_on_behind_the_cursor(api: OpenApi) -> None:
    client = await api()
    ids = await taken(client, *({"external_id": f"C{number}"} for number in range(5)))
    first = (await client.get("/customers?limit=3")).json()
    second = (await client.get(f"/customers?limit=3&cursor={first['next']}")).json()
    assert [one["id"] for one in first["items"] + second["items"]] == ids
    assert second["next"] is None


async def test_a_change_answers_the_whole_record(api: OpenApi) -> None:
    client = await api("marketer")
    [customer_id] = await taken(client, WANG)
    answer = await client.patch(f"/customers/{customer_id}", json={"city": "咸阳", "phone": None})
    assert answer.status_code == 200
    assert (answer.json()["city"], answer.json()["name"]) == ("咸阳", "王小明")
    assert problem(await client.patch(f"/customers/{customer_id}", json={"email": "x"}), 422)[0][0] == "email"
    assert problem(await client.patch(f"/customers/{customer_id}", json={"colour": 1}), 422)[0][0] == "colour"
    problem(await client.patch("/customers/99", json={"city": "咸阳"}), 404)


async def test_a_change_never_touches_somebody_else(api: OpenApi) -> None:
    client = await api("marketer")
    first, second = await taken(client, {"external_id": "A"}, {"external_id": "B"})
    answer = await client.patch(f"/customers/{first}", json={"external_id": "B"})
    assert answer.status_code in (409, 422)
    for customer_id, name in ((first, "A"), (second, "B")):
        assert (await client.get(f"/customers/{customer_id}")).json()["external_id"] == name


async def test_an_erased_customer_is_gone_and_does_not_come_back(api: OpenApi) -> None:
    client = await api("marketer")
    [customer_id] = await taken(client, WANG)
    gone = await client.delete(f"/customers/{customer_id}")
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await client.get(f"/customers/{customer_id}"), 404)
    problem(await client.delete(f"/customers/{customer_id}"), 404)
    again = (await client.post("/customers", json=WANG)).json()
    assert (again["accepted"], len(again["rejected"])) == (0, 1)


async def test_a_consent_is_entered_and_stands_on_the_timeline(api: OpenApi) -> None:
    client = await api("marketer")
    [customer_id] = await taken(client, WANG)
    body = {"channel": "email", "purpose": "marketing", "granted": False, "source": "phone call", "text_version": "v2"}
    answer = await client.post(f"/customers/{customer_id}/consents", json=body)
    assert answer.status_code == 201
    assert [one["granted"] for one in answer.json()["consents"]] == [False]
    timeline = (await client.get(f"/customers/{customer_id}/timeline")).json()
    assert set(timeline["items"][0]) == {"at", "kind", "channel", "campaign", "data"}
    assert [one["kind"] for one in timeline["items"]] == ["consent_withdrawn", "consent_granted"]
    assert timeline["next"] is None


async def test_a_timeline_goes_on_behind_the_cursor(api: OpenApi) -> None:
    client = await api("marketer")
    [customer_id] = await taken(client, WANG)
    order = {"customer": {"external_id": "C1"}, "status": "completed", "amount": "10"}
    dated = [{**order, "number": f"N{day}", "ordered_at": f"2026-10-{day:02}"} for day in range(1, 6)]
    await client.post("/orders", json={"items": dated})
    first = (await client.get(f"/customers/{customer_id}/timeline?limit=3")).json()
    second = (await client.get(f"/customers/{customer_id}/timeline?limit=9&cursor={first['next']}")).json()
    times = [one["at"] for one in first["items"] + second["items"]]
    assert (len(first["items"]), len(times)) == (3, 6)
    assert times == sorted(times, reverse=True)
    assert problem(await client.get(f"/customers/{customer_id}/timeline?cursor=x"), 422)[0][0] == "cursor"
    for query, found in (("kind=order", 5), ("kind=order,consent_granted", 6), ("kind=opened", 0), ("q=N3", 1)):
        some = (await client.get(f"/customers/{customer_id}/timeline?{query}")).json()
        assert (len(some["items"]), some["next"]) == (found, None)


@pytest.mark.parametrize(
    ("body", "culprit"),
    [
        ({"channel": "pigeon", "granted": True, "source": "x"}, "channel"),
        ({"channel": "email", "granted": "perhaps", "source": "x"}, "granted"),
        ({"channel": "email", "granted": True}, "source"),
        ({"channel": "email", "granted": True, "source": ""}, "source"),
        ({"channel": "email", "granted": True, "source": "x", "when": "now"}, "when"),
    ],
)
async def test_a_bad_consent_is_refused_by_name(api: OpenApi, body: Any, culprit: str) -> None:
    client = await api("marketer")
    [customer_id] = await taken(client, WANG)
    answer = await client.post(f"/customers/{customer_id}/consents", json=body)
    assert [path for path, _said in problem(answer, 422)] == [culprit]


async def test_a_salesperson_sees_their_own_households_alone(api: OpenApi) -> None:
    own, other = await taken(await api(), WANG, {"external_id": "C2", "salesperson": "s2"})
    client = await api("salesperson", "s1")
    assert [one["id"] for one in (await client.get("/customers")).json()["items"]] == [own]
    assert (await client.get("/customers?external_id=C2")).json()["items"] == []
    body = {"channel": "email", "granted": True, "source": "door"}
    for path in (f"/customers/{own}", f"/customers/{own}/timeline"):
        assert (await client.get(path)).status_code == 200
    assert (await client.post(f"/customers/{own}/consents", json=body)).status_code == 201
    for path in (f"/customers/{other}", f"/customers/{other}/timeline"):
        problem(await client.get(path), 404)
    problem(await client.post(f"/customers/{other}/consents", json=body), 404)
    for method, path in (("POST", "/customers"), ("PATCH", f"/customers/{own}"), ("DELETE", f"/customers/{own}")):
        problem(await client.request(method, path, json={}), 403)


async def test_an_analyst_reads_and_changes_nothing(api: OpenApi) -> None:
    [customer_id] = await taken(await api(), WANG)
    client = await api("analyst")
    assert (await client.get(f"/customers/{customer_id}")).status_code == 200
    for method, path in (("POST", "/customers"), ("PATCH", "/customers/1"), ("DELETE", "/customers/1")):
        problem(await client.request(method, path, json={}), 403)
