"""Templates over the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

MAIL = {"name": "Hello", "channel": "email", "subject": "Hi {{ customer.name }}", "html": "<p>{{ customer.city }}</p>"}


async def test_a_template_is_kept_read_changed_and_forgotten(api: OpenApi) -> None:
    client = await api("marketer")
    created = await client.post("/templates", json=MAIL)
    assert created.status_code == 201
    record = created.json()
    assert {name: record[name] for name in MAIL} == MAIL
    path = f"/templates/{record['id']}"
    assert (await client.get(path)).json() == record
    assert (await client.get("/templates")).json() == {"items": [record], "next": None}
    changed = (await client.patch(path, json={"html": None, "mjml": "<mjml><mj-body></mj-body></mjml>"})).json()
    assert (changed["subject"], changed["html"]) == (MAIL["subject"], None)
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404)


async def test_a_preview_is_rendered_for_a_customer(api: OpenApi) -> None:
    client = await api("marketer")
    people = [{"external_id": "A", "name": "王<b>", "city": "西安"}, {"external_id": "B", "name": "李"}]
    first, second = (await client.post("/customers", json={"items": people})).json()["ids"]
    template = (await client.post("/templates", json=MAIL)).json()["id"]
    shown = (await client.post(f"/templates/{template}/preview", json={"customer_id": first})).json()
    assert set(shown) >= {"subject", "html", "text", "warnings"}
    assert (shown["subject"], shown["customer_id"]) == ("Hi 王<b>", first)
    assert "西安" in shown["html"]
    assert "西安" in shown["text"]
    other = (await client.post(f"/templates/{template}/preview", json={"customer_id": second})).json()
    assert any("city" in warning for warning in other["warnings"])
    problem(await client.post(f"/templates/{template}/preview", json={"customer_id": 99}), 404)
    problem(await client.post("/templates/99/preview", json={}), 404)


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"html": "{{ customer.nmae }}"}, "html"),
        ({"subject": "{{ customer.name"}, "subject"),
        ({"html": None, "mjml": "<mjml"}, "mjml"),
        ({"channel": "pigeon"}, "channel"),
        ({"name": ""}, "name"),
        ({"html": None}, "html"),
        ({"mjml": "<mjml><mj-body></mj-body></mjml>"}, "mjml"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_broken_content_is_refused_by_name(api: OpenApi, change: dict[str, Any], culprit: str) -> None:
    answer = await (await api("marketer")).post("/templates", json={**MAIL, **change})
    assert [path for path, _said in problem(answer, 422)] == [culprit]


async def test_a_name_is_taken_once_and_a_used_template_stays(api: OpenApi) -> None:
    client = await api("marketer")
    template = (await client.post("/templates", json=MAIL)).json()["id"]
    problem(await client.post("/templates", json=MAIL), 409)
    campaign = {"name": "Spring", "channel": "email", "rule": {"all": []}, "template_id": template}
    assert (await client.post("/campaigns", json=campaign)).status_code == 201
    problem(await client.delete(f"/templates/{template}"), 409)


async def test_analysts_read_only(api: OpenApi) -> None:
    template = (await (await api("marketer")).post("/templates", json=MAIL)).json()["id"]
    client = await api("analyst")
    assert (await client.get(f"/templates/{template}")).status_code == 200
    for method, path in (("POST", "/templates"), ("PATCH", f"/templates/{template}"), ("DELETE", "/templates/1")):
        problem(await client.request(method, path, json={}), 403)
    salesperson = await api("salesperson", "s1")
    problem(await salesperson.get("/templates"), 403)
