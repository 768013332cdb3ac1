"""Campaigns over the API: drafted, launched over a real mail server, stopped, reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import CONTENT, EVERYBODY, Sink, finished, working
from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

__all__ = ["house", "sink"]  # fixtures

COUNTS = {
    *("audience", "queued", "sending", "sent", "delivered", "bounced", "failed", "skipped", "cancelled", "unknown"),
    *("opened", "clicked", "complained", "unsubscribed", "machine_opened", "machine_clicked"),
}
PROMISED = {"id", "name", "state", "runs", "counts", "skipped_reasons", "orders", "revenue"}
CONSENT = [{"channel": "email", "purpose": "marketing", "granted": True, "source": "shop"}]


def draft(**changes: Any) -> dict[str, Any]:
    return {"name": "Spring", "channel": "email", "rule": EVERYBODY, "content": CONTENT, "schedule": None, **changes}


async def made(client: httpx.AsyncClient, **changes: Any) -> int:
    answer = await client.post("/campaigns", json=draft(**changes))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


@pytest.fixture
async def people(api: OpenApi) -> list[int]:
    """Two who consented, one who did not, one without an address."""
    records = [
        {"external_id": "A", "name": "王", "email": "a@example.com", "consents": CONSENT},
        {"external_id": "B", "name": "李", "email": "b@example.com", "consents": CONSENT},
        {"external_id": "C", "name": "张", "email": "c@example.com"},
        {"external_id": "D", "name": "赵", "consents": CONSENT},
    ]
    return list((await (await api()).post("/customers", json={"items": records})).json()["ids"])


async def test_a_draft_is_kept_changed_and_forgotten(api: OpenApi) -> None:
    client = await api("marketer")
    created = await client.post("/campaigns", json=draft())
    assert created.status_code == 201
    record = created.json()
    assert set(record) >= PROMISED
    assert (set(record["counts"]), set(record["counts"].values())) == (COUNTS, {0})
    assert (record["state"], record["runs"], record["orders"]) == ("draft", [], 0)
    assert isinstance(record["revenue"], str)
    path = f"/campaigns/{record['id']}"
    assert (await client.get(path)).json() == record
    changed = await client.patch(path, json={"name": "Summer", "options": {"holdout_percent": 10}})
    assert (changed.json()["name"], changed.json()["options"]["holdout_percent"]) == ("Summer", 10)
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404)


async def test_a_campaign_goes_out_and_is_reported(api: OpenApi, people: list[int], house: House, sink: Sink) -> None:
    client = await api("marketer")
    campaign = await made(client)
    launched = await client.post(f"/campaigns/{campaign}/launch")
    assert launched.status_code == 200
    assert launched.json()["state"] in ("preparing", "sending")
    async with working(house):
        await finished(house, campaign)
    record = (await client.get(f"/campaigns/{campaign}")).json()
    assert (record["counts"]["audience"], record["counts"]["sent"], record["counts"]["skipped"]) == (4, 2, 2)
    assert record["skipped_reasons"] == {"no_consent": 1, "no_address": 1}
    [run] = record["runs"]
    assert set(run) >= {"id", "occurrence", "state", "counts"}
    assert (run["state"], run["counts"]["sent"]) == ("finished", 2)
    assert sorted(sink.addresses) == ["a@example.com", "b@example.com"]
    told = (await client.get(f"/campaigns/{campaign}/messages")).json()
    assert [one["customer_id"] for one in told["items"]] == people
    reasons = {one["external_id"]: (one["state"], one["reason"]) for one in told["items"]}
    assert reasons["C"] == ("skipped", "no_consent")
    assert reasons["A"][0] == "sent"
    skipped = (await client.get(f"/campaigns/{campaign}/messages?state=skipped&limit=1")).json()
    rest = (await client.get(f"/campaigns/{campaign}/messages?state=skipped&cursor={skipped['next']}")).json()
    assert [one["customer_id"] for one in skipped["items"] + rest["items"]] == people[2:]


async def test_what_may_not_be_done_in_a_state_is_409(api: OpenApi, people: list[int]) -> None:
    client = await api("marketer")
    campaign = await made(client)
    for verb in ("pause", "resume", "cancel"):
        problem(await client.post(f"/campaigns/{campaign}/{verb}"), 409)
    await client.post(f"/campaigns/{campaign}/launch")
    problem(await client.post(f"/campaigns/{campaign}/launch"), 409)
    problem(await client.patch(f"/campaigns/{campaign}", json={"name": "x"}), 409)
    problem(await client.delete(f"/campaigns/{campaign}"), 409)
    assert (await client.post(f"/campaigns/{campaign}/pause")).json()["state"] == "paused"
    assert (await client.post(f"/campaigns/{campaign}/resume")).json()["state"] in ("preparing", "sending")
    cancelled = (await client.post(f"/campaigns/{campaign}/cancel")).json()
    assert cancelled["state"] == "cancelled"
    problem(await client.post(f"/campaigns/{campaign}/resume"), 409)


async def test_a_launch_under_a_key_happens_once(api: OpenApi, people: list[int]) -> None:
    client, key = await api("marketer"), {"Idempotency-Key": "launch"}
    campaign = await made(client)
    first = await client.post(f"/campaigns/{campaign}/launch", headers=key)
    again = await client.post(f"/campaigns/{campaign}/launch", headers=key)
    assert (first.status_code, first.content) == (200, again.content)


async def test_a_schedule_is_kept_as_it_was_given(api: OpenApi, people: list[int]) -> None:
    client = await api("marketer")
    at = (utc_now() + timedelta(days=3)).replace(microsecond=0).isoformat()
    timed = await made(client, schedule={"at": at})
    assert (await client.post(f"/campaigns/{timed}/launch")).json()["state"] == "scheduled"
    weekly = await made(client, schedule={"cron": "0 10 * * 1", "timezone": "Asia/Shanghai"})
    record = (await client.post(f"/campaigns/{weekly}/launch")).json()
    assert (record["state"], record["schedule"]) == ("scheduled", {"cron": "0 10 * * 1", "timezone": "Asia/Shanghai"})


async def test_a_test_goes_to_one_address_and_changes_nothing(api: OpenApi, people: list[int], sink: Sink) -> None:
    client, key = await api("marketer"), {"Idempotency-Key": "test"}
    campaign = await made(client)
    for _repeat in range(2):
        answer = await client.post(f"/campaigns/{campaign}/test", json={"to": "me@example.com"}, headers=key)
        assert (answer.status_code, answer.json()["state"]) == (200, "draft")
    assert sink.addresses == ["me@example.com"]
    sink.at_rcpt = lambda address: "550 5.1.1 no such user"
    refused = await client.post(f"/campaigns/{campaign}/test", json={"to": "me@example.com"})
    assert problem(refused, 422)[0][0] == "to"
    assert "no such user" in refused.json()["detail"]


async def test_a_mail_server_that_is_down_is_503_and_its_key_may_be_used_again(
    api: OpenApi, people: list[int], sink: Sink
) -> None:
    client, key = await api("marketer"), {"Idempotency-Key": "test"}
    campaign = await made(client)
    sink.at_rcpt = lambda address: "451 4.3.0 later"
    problem(await client.post(f"/campaigns/{campaign}/test", json={"to": "me@example.com"}, headers=key), 503)
    sink.at_rcpt = lambda address: None
    again = await client.post(f"/campaigns/{campaign}/test", json={"to": "me@example.com"}, headers=key)
    assert again.status_code == 200
    assert sink.addresses == ["me@example.com"]


async def test_a_preview_is_rendered_for_somebody_of_the_audience(api: OpenApi, people: list[int]) -> None:
    client = await api("marketer")
    campaign = await made(client)
    assert (await client.post(f"/campaigns/{campaign}/preview", json={})).json()["subject"] == "Hello 王"
    other = await client.post(f"/campaigns/{campaign}/preview", json={"customer_id": people[1]})
    assert (other.json()["subject"], other.json()["customer_id"]) == ("Hello 李", people[1])


@pytest.mark.parametrize(
    ("change", "culprits"),
    [
        ({"name": ""}, {"name"}),
        ({"rule": None}, {"segment_id"}),
        ({"segment_id": 1}, {"rule"}),
        ({"rule": None, "segment_id": 99}, {"segment_id"}),
        ({"content": {"subject": "{{ customer.nmae }}", "html": "<p>x</p>"}}, {"content.subject"}),
        ({"content": {"subject": "x", "html": "<p>{% if %}</p>"}}, {"content.html"}),
        ({"content": None}, {"content"}),
        ({"schedule": {"cron": "often", "timezone": "Asia/Shanghai"}}, {"schedule.cron"}),
        ({"schedule": {"at": "tomorrow"}}, {"schedule.at"}),
        ({"options": {"holdout_percent": 101}}, {"options.holdout_percent"}),
        ({"options": {"speed": 1}}, {"options.speed"}),
        ({"channel": "pigeon"}, {"channel"}),
        ({"exclude_segment_ids": [99]}, {"exclude_segment_ids"}),
        ({"colour": "red", "name": ""}, {"colour", "name"}),
        ({"from": "nobody"}, {"from"}),
    ],
)
async def test_a_bad_draft_is_refused_and_every_culprit_named(
    api: OpenApi, change: dict[str, Any], culprits: set[str]
) -> None:
    client = await api("marketer")
    created = await client.post("/campaigns", json=draft(**change))
    answer = created
    if created.status_code == 201:  # some are only known when it is approved
        answer = await client.post(f"/campaigns/{created.json()['id']}/launch")
    assert {path for path, _said in problem(answer, 422)} == culprits


async def test_an_empty_audience_is_refused_at_launch(api: OpenApi) -> None:
    client = await api("marketer")
    campaign = await made(client, rule={"any": []})
    assert problem(await client.post(f"/campaigns/{campaign}/launch"), 422)
    assert (await client.get(f"/campaigns/{campaign}")).json()["state"] == "draft"


async def test_lists_are_pages_of_campaigns(api: OpenApi) -> None:
    client = await api("analyst")
    writer = await api("marketer")
    ids = [await made(writer, name=f"C{number}") for number in range(3)]
    first = (await client.get("/campaigns?limit=2")).json()
    second = (await client.get(f"/campaigns?limit=2&cursor={first['next']}")).json()
    assert [one["id"] for one in first["items"] + second["items"]] == ids
    assert set(first["items"][0]["counts"]) == COUNTS


async def test_a_list_of_those_in_a_state(api: OpenApi, people: list[int]) -> None:
    client = await api("marketer")
    drafts = [await made(client, name=f"C{number}") for number in range(3)]
    launched = drafts.pop(1)
    assert (await client.post(f"/campaigns/{launched}/launch")).status_code == 200
    first = (await client.get("/campaigns?state=draft&limit=1")).json()
    second = (await client.get(f"/campaigns?state=draft&limit=1&cursor={first['next']}")).json()
    assert [one["id"] for one in first["items"] + second["items"]] == drafts
    assert second["next"] is None
    assert [one["id"] for one in (await client.get("/campaigns?state=preparing")).json()["items"]] == [launched]
    assert (await client.get("/campaigns?state=finished")).json() == {"items": [], "next": None}
    [(path, message)] = problem(await client.get("/campaigns?state=lost"), 422)
    assert (path, message.partition(":")[0]) == ("state", "unknown state 'lost'")


async def test_only_marketers_act(api: OpenApi) -> None:
    campaign = await made(await api("marketer"))
    analyst = await api("analyst")
    assert (await analyst.get(f"/campaigns/{campaign}")).status_code == 200
    for verb in ("launch", "pause", "resume", "cancel", "test", "preview"):
        problem(await analyst.post(f"/campaigns/{campaign}/{verb}", json={}), 403)
    salesperson = await api("salesperson", "s1")
    for path in ("/campaigns", f"/campaigns/{campaign}", f"/campaigns/{campaign}/messages"):
        problem(await salesperson.get(path), 403)
