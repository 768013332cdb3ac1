"""Imports and uploaded lists over the API: multipart, a worker, an account of every line."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from runtime.house import House
from tests.campaigns.scene import work_off
from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

PEOPLE = (
    "客户编号,姓名,手机,邮箱\n1,王伟,13800138000,w@example.com\n2,李娜,13900139000,\n,,,\n"
    "3,张三,13700137000,no address\n"
)
MAPPING = {"kind": "customers", "columns": {"external_id": "No", "name": "Who"}}


def csv(text: str | bytes, name: str = "people.csv") -> dict[str, Any]:
    return {"file": (name, text.encode() if isinstance(text, str) else text, "text/csv")}


async def started(client: httpx.AsyncClient, path: str, data: dict[str, Any], files: dict[str, Any]) -> str:
    answer = await client.post(path, data=data, files=files)
    assert answer.status_code == 202, answer.text
    assert list(answer.json()) == ["id"]
    return f"{path}/{answer.json()['id']}"


async def test_a_file_is_taken_in_and_every_line_accounted_for(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    path = await started(client, "/imports", {"kind": "customers"}, csv(PEOPLE))
    queued = (await client.get(path)).json()
    assert (queued["state"], queued["rows"], queued["rejects_url"]) == ("queued", 0, None)
    await work_off(house)
    done = (await client.get(path)).json()
    assert (done["state"], done["error"]) == ("done", None)
    assert done["rows"] == done["accepted"] + done["rejected"]
    assert (done["accepted"], done["rejected"]) == (2, done["rows"] - 2)
    assert done["records"] == {"created": 2, "updated": 0, "unchanged": 0}
    rejects = await client.get(done["rejects_url"])
    assert rejects.headers["content-type"].startswith("text/csv")
    assert "attachment" in rejects.headers["content-disposition"]
    assert "no address" in rejects.text
    assert (await client.get("/customers?external_id=1")).json()["items"][0]["name"] == "王伟"


async def test_the_same_file_again_changes_nothing(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    for _repeat in range(2):
        path = await started(client, "/imports", {"kind": "customers"}, csv(PEOPLE))
        await work_off(house)
    assert (await client.get(path)).json()["records"] == {"created": 0, "updated": 0, "unchanged": 2}


async def test_a_dry_run_says_what_would_be_and_changes_nothing(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    path = await started(client, "/imports", {"kind": "customers", "dry_run": "true"}, csv(PEOPLE))
    await work_off(house)
    done = (await client.get(path)).json()
    assert (done["dry_run"], done["state"], done["accepted"]) == (True, "done", 2)
    assert (await client.get("/customers")).json()["items"] == []


@pytest.mark.parametrize("given", ["text", "file"])
async def test_a_mapping_is_taken_as_text_or_as_a_file(api: OpenApi, house: House, given: str) -> None:
    client = await api("marketer")
    text = json.dumps(MAPPING)
    data = {"kind": "customers"} | ({"mapping": text} if given == "text" else {})
    files = csv("No;Who\n7;Wang\n") | ({"mapping": ("m.json", text.encode())} if given == "file" else {})
    await started(client, "/imports", data, files)
    await work_off(house)
    assert (await client.get("/customers?external_id=7")).json()["items"][0]["name"] == "Wang"


async def test_a_packed_file_in_a_chinese_encoding(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    await started(
        client, "/imports", {"kind": "customers"}, csv(gzip.compress(PEOPLE.encode("gb18030")), "客户.csv.gz")
    )
    await work_off(house)
    assert (await client.get("/customers?external_id=2")).json()["items"][0]["name"] == "李娜"


@pytest.mark.parametrize(
    ("data", "files", "culprit"),
    [
        ({"kind": "yachts"}, csv(PEOPLE), "kind"),
        ({}, csv(PEOPLE), "kind"),
        ({"kind": "customers"}, {}, "file"),
        ({"kind": "customers"}, csv(""), "file"),
        ({"kind": "customers", "mapping": "{"}, csv(PEOPLE), "mapping"),
        ({"kind": "customers", "mapping": '{"columns": {"colour": "x"}}'}, csv(PEOPLE), "columns.colour"),
        ({"kind": "customers", "dry_run": "perhaps"}, csv(PEOPLE), "dry_run"),
    ],
)
async def test_a_bad_upload_is_refused_by_name(api: OpenApi, data: Any, files: Any, culprit: str) -> None:
    client = await api("marketer")
    answer = await client.post("/imports", data=data, files=files)
    assert culprit in [path for path, _said in problem(answer, 422)]
    assert (await client.get("/imports")).json()["items"] == []


async def test_a_file_without_its_key_column_fails_and_says_so(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    path = await started(client, "/imports", {"kind": "orders"}, csv("a,b\n1,2\n"))
    await work_off(house)
    done = (await client.get(path)).json()
    assert done["state"] == "failed"
    assert done["error"]


async def test_a_repeated_upload_under_a_key_is_one_import(api: OpenApi) -> None:
    client, key = await api("marketer"), {"Idempotency-Key": "k1"}
    first = await client.post("/imports", data={"kind": "customers"}, files=csv(PEOPLE), headers=key)
    again = await client.post("/imports", data={"kind": "customers"}, files=csv(PEOPLE), headers=key)
    assert (first.status_code, again.status_code, first.content) == (202, 202, again.content)
    other = await client.post("/imports", data={"kind": "customers"}, files=csv(PEOPLE + "4,赵,,\n"), headers=key)
    problem(other, 409)
    assert len((await client.get("/imports")).json()["items"]) == 1


async def test_imports_are_listed_newest_first(api: OpenApi) -> None:
    client = await api("marketer")
    paths = [await started(client, "/imports", {"kind": "customers"}, csv(PEOPLE)) for _ in range(3)]
    first = (await client.get("/imports?limit=2")).json()
    second = (await client.get(f"/imports?limit=2&cursor={first['next']}")).json()
    assert [f"/imports/{one['id']}" for one in first["items"] + second["items"]] == paths[::-1]
    assert second["next"] is None


async def test_a_list_of_people_is_matched(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    known = [{"external_id": "A", "email": "a@example.com"}, {"external_id": "B"}]
    ids = (await client.post("/customers", json={"items": known})).json()["ids"]
    text = "external_id,email\nA,\nB,\n,a@example.com\nZ,\n"
    path = await started(client, "/audiences", {"name": "Fair"}, csv(text))
    assert (await client.get(path)).json()["state"] == "queued"
    await work_off(house)
    done = (await client.get(path)).json()
    assert set(done) >= {"state", "rows", "matched", "unmatched", "ambiguous", "duplicates"}
    assert (done["state"], done["rows"], done["matched"]) == ("done", 4, 2)
    assert (done["unmatched"], done["ambiguous"], done["duplicates"]) == (1, 0, 1)
    assert "Z" in (await client.get(done["rejects_url"])).text
    counted = await client.post("/segments/preview", json={"rule": {"in_audience": done["id"]}})
    assert [one["id"] for one in counted.json()["sample"]] == ids
    assert [one["name"] for one in (await client.get("/audiences")).json()["items"]] == ["Fair"]


async def test_people_whom_nobody_knows_become_customers_with_their_consent(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    stated = {"create_missing": "true", "consent_source": "Fair 2026", "consent_channels": "email"}
    path = await started(client, "/audiences", {"name": "Fair", **stated}, csv("姓名,邮箱\n王伟,w@example.com\n"))
    await work_off(house)
    done = (await client.get(path)).json()
    assert (done["matched"], done["created"], done["unmatched"]) == (1, 1, 0)
    made = (await client.get("/customers?email=w@example.com")).json()["items"][0]
    assert made["name"] == "王伟"
    assert [(one["channel"], one["granted"], one["source"]) for one in made["consents"]] == [
        ("email", True, "Fair 2026")
    ]


async def test_a_list_is_renamed_looked_at_again_and_deleted(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    path = await started(client, "/audiences", {"name": "Fair"}, csv("external_id\nA\n"))
    await work_off(house)
    assert (await client.patch(path, json={"name": "Autumn"})).json()["name"] == "Autumn"
    problem(await client.patch(path, json={"name": ""}), 422)
    await client.post("/customers", json={"external_id": "A"})
    again = await client.post(f"{path}/match")
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    problem(await client.post(f"{path}/match"), 409)
    await work_off(house)
    assert (await client.get(path)).json()["matched"] == 1
    assert (await client.get(f"{path}/rejects?kind=unmatched")).text.count("\r\n") == 1
    problem(await client.get(f"{path}/rejects?kind=others"), 422)
    kept = await client.post("/segments", json={"name": "s", "rule": {"in_audience": int(path.rpartition("/")[2])}})
    problem(await client.delete(path), 409)
    assert (await client.delete(f"/segments/{kept.json()['id']}")).status_code == 204
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404)


@pytest.mark.parametrize(
    ("data", "files", "culprit"),
    [
        ({}, csv(PEOPLE), "name"),
        ({"name": "x"}, {}, "file"),
        ({"name": "x", "create_missing": "true"}, csv(PEOPLE), "consent_source"),
        ({"name": "x", "create_missing": "perhaps"}, csv(PEOPLE), "create_missing"),
        ({"name": "x", "create_missing": "1", "consent_source": "s" * 201}, csv(PEOPLE), "consent_source"),
        (
            {"name": "x", "create_missing": "1", "consent_source": "s", "consent_channels": "email,fax"},
            csv(PEOPLE),
            "consent_channels",
        ),
        ({"name": "x", "mapping": '{"columns": {"name": "x"}}'}, csv(PEOPLE), "columns.name"),
    ],
)
async def test_a_bad_list_is_refused_by_name(api: OpenApi, data: Any, files: Any, culprit: str) -> None:
    answer = await (await api("marketer")).post("/audiences", data=data, files=files)
    assert [path for path, _said in problem(answer, 422)] == [culprit]


async def test_analysts_look_and_do_not_upload(api: OpenApi) -> None:
    client = await api("analyst")
    for path in ("/imports", "/audiences"):
        assert (await client.get(path)).status_code == 200
        problem(await client.post(path, data={"kind": "customers", "name": "x"}, files=csv(PEOPLE)), 403)
