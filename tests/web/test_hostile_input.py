"""What no client of ours sends: each is refused with a problem that names the culprit, none is a fault of ours."""

from __future__ import annotations

import base64

import httpx
import pytest

from tests.web.conftest import MakeToken
from web.access import MIB
from web.uploads import MAPPING_LIMIT

LONE = b"\\ud800"  # half of a surrogate pair, as JSON writes it
NESTED = base64.urlsafe_b64encode(b"[" * 5_000).decode()
MAIL = b'"name": "x", "channel": "email", "segment_id": 1, "content": {"subject": "s", "html": "h"}'


@pytest.fixture
async def api(client: httpx.AsyncClient, token: MakeToken) -> httpx.AsyncClient:
    client.headers["authorization"] = f"Bearer {await token()}"
    client.base_url = client.base_url.join("/api/v1/")
    return client


@pytest.mark.parametrize(
    ("path", "body", "culprit"),
    [
        ("campaigns", b'{"name": "%s", %s}' % (LONE, MAIL[13:]), "name"),
        ("segments", b'{"name": "%s", "rule": {"all": []}}' % LONE, "name"),
        ("segments", b'{"name": "x", "rule": {"all": []}, "description": "a\\u0000b"}', "description"),
        ("templates", b'{"channel": "email", "name": "x", "html": "a\\u0000b"}', "html"),
        ("campaigns/1/preview", b'{"customer_id": 99999999999999999999}', "customer_id"),
        ("campaigns/1/test", b'{"to": "a@b.example", "customer_id": -1}', "customer_id"),
        ("campaigns", b'{"name": "x", "channel": "email", "content": {"subject": "a\\u0000b"}}', "content.subject"),
        ("segments/preview", b'{"rule": {"field": "%s", "op": "empty"}}' % LONE, "field"),
        ("campaigns", b'{"schedule": {"at": "0001-01-01T00:00:00+23:59"}, %s}' % MAIL, "schedule.at"),
        ("campaigns", b'{"schedule": {"at": "9999-12-31T23:59:59-23:59"}, %s}' % MAIL, "schedule.at"),
    ],
)
async def test_a_refused_body_names_its_culprit(api: httpx.AsyncClient, path: str, body: bytes, culprit: str) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code == 422, answer.text
    assert culprit in [fault["path"] for fault in answer.json()["errors"]]


@pytest.mark.parametrize("kind", ["customers", "orders", "appliances", "service-visits", "events", "dealers"])
async def test_a_refused_record_names_its_culprit(api: httpx.AsyncClient, kind: str) -> None:
    answer = await api.post(kind, content=b'{"%s": 1, "a\\u0000b": 2}' % LONE)
    assert answer.status_code == 200, answer.text
    culprits = {fault["path"] for fault in answer.json()["rejected"][0]["errors"]}
    assert {"\\ud800", "a\\0b"} <= culprits


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e400", b"9" * 5_000, b"[" * 5_000])
async def test_what_is_no_json_is_malformed(api: httpx.AsyncClient, number: bytes) -> None:
    answer = await api.post("customers", content=b'{"external_id": %s}' % number)
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["detail"]
    assert (await api.get("customers")).json()["items"] == []


async def test_a_rule_may_not_be_a_flood(api: httpx.AsyncClient) -> None:
    rule = {"field": "city", "op": "in", "value": ["x"] * MIB}
    assert (await api.post("segments/preview", json={"rule": rule})).status_code == 413


@pytest.mark.parametrize(
    ("path", "culprit"),
    [
        (f"segments?cursor={NESTED}", "cursor"),
        (f"salespeople?cursor={NESTED}", "cursor"),
        ("templates?cursor=WyJcdWQ4MDAiLCAiMSJd", "cursor"),
        ("customers?limit=0000001000000", "limit"),
        (f"imports?cursor={'0' * 20}{'9' * 20}", "cursor"),
        (f"imports?cursor={'1' * 5_000}", "cursor"),
    ],
)
async def test_a_refused_query_names_its_culprit(api: httpx.AsyncClient, path: str, culprit: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 422, answer.text
    assert [fault["path"] for fault in answer.json()["errors"]] == [culprit]


@pytest.mark.parametrize("digits", [19, 20, 5_000])
async def test_an_id_of_any_length_names_nothing(api: httpx.AsyncClient, digits: int) -> None:
    for path in ("customers/{}", "segments/{}/members", "imports/{}/rejects"):
        answer = await api.get(path.format("9" * digits))
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_mapping_is_no_way_to_fill_the_memory(api: httpx.AsyncClient) -> None:
    files = {"file": ("a.csv", b"a\n1\n"), "mapping": ("m.json", b" " * (MAPPING_LIMIT + 1))}
    answer = await api.post("imports", data={"kind": "customers"}, files=files)
    assert answer.status_code == 413
    assert "mapping" in answer.json()["detail"]
