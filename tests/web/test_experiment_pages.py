"""Experiments in the console and the API: the form's variants, the report's part, decided and stopped by hand."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from campaigns import figures, store
from campaigns.models import campaigns
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import Sink, add_people, launched, record, work_off
from tests.campaigns.test_experiments import experiment
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import text_of
from tests.web.test_campaigns_pages import FORM, town
from tracking.models import messages
from web.experiment_words import decision, lift_said, revenue_doubt
from web.pages import campaign_report

__all__ = ["house", "sink"]  # fixtures

EMPTY = {
    "name": "",
    "subject": "",
    "source": "",
    "text": "",
    "sender": "",
    "delay": "",
    "at": "",
    "weight": "",
    "format": "html",
}


def rows(*variants: dict[str, str]) -> dict[str, list[str]]:
    """The fields of these variants, as a browser sends them."""
    filled = [{**EMPTY, **variant} for variant in variants]
    return {f"variant_{name}": [row[name] for row in filled] for name in EMPTY}


async def test_the_form_takes_variants_and_shows_them_again(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    second = {"name": "B", "subject": "Only today", "weight": "2", "delay": "30"}
    plan = {"test_percent": "40", "winner": "opens", "wait_hours": "6", "significance": "90", "fallback": "leading"}
    fields = {**FORM, "segment_id": str(await town(house)), **plan, **rows({"name": "A"}, second, {})}
    made = await client.post("/campaigns/new", data=fields)
    assert made.status_code == 303, text_of(made)
    async with house.database.connect() as conn:
        found = await store.campaign(conn, int(await conn.scalar(select(campaigns.c.id)) or 0))
    assert found.options.experiment == {
        "variants": [{"name": "A"}, {"name": "B", "subject": "Only today", "weight": 2.0, "delay_minutes": 30.0}],
        "test_percent": 40.0,
        "winner": "opens",
        "wait_hours": 6.0,
        "significance": 90.0,
        "fallback": "leading",
    }
    page = await client.get(f"/campaigns/{found.id}/edit")
    assert page.text.count("data-variant>") == 3  # two, and the empty one to copy
    assert 'value="Only today"' in page.text
    assert "40 % try the variants A, B" in text_of(page)
    same = rows({"name": "A"}, {"name": "B"}, {"name": "C", "source": ""})
    wrong = await client.post("/campaigns/new", data={**fields, **same})
    assert wrong.status_code == 422
    assert "variant 'B' does not differ from 'A'; variant 'C'" in text_of(wrong).replace("&#39;", "'")
    shown = await client.post("/campaigns/preview", data={**fields, "variant_preview": "1"})
    assert "Only today" in shown.text
    assert (await client.get(f"/campaigns/{found.id}/preview?variant=1")).text.count("Only today") == 1
    assert "has no variant 7" in (await client.get(f"/campaigns/{found.id}/preview?variant=7")).text


async def test_the_report_tells_of_the_test_and_takes_a_decision(sign_in: SignIn, house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 20)
    campaign_id = await launched(house, **experiment())
    await work_off(house)
    client = await sign_in("marketer")
    assert f"/campaigns/{campaign_id}/findings" in (await client.get(f"/campaigns/{campaign_id}")).text
    part = await client.get(f"/campaigns/{campaign_id}/findings")
    assert "The test goes on" in text_of(part)
    assert "Decide now" in text_of(part)
    reader = await sign_in("analyst")
    assert "Decide now" not in text_of(await reader.get(f"/campaigns/{campaign_id}/findings"))
    decided = await client.post(f"/campaigns/{campaign_id}/test/decide", data={"variant": "B"})
    assert decided.status_code == 303
    assert "chose B for the rest" in text_of(await client.get(f"/campaigns/{campaign_id}/findings"))
    again = await client.post(f"/campaigns/{campaign_id}/test/stop")
    assert again.status_code == 409
    await work_off(house)
    assert (await record(house, campaign_id))["counts"]["sent"] == 20


async def test_the_numbers_of_a_large_test_are_those_counted_and_its_decision_is_the_latest(
    sign_in: SignIn, house: House, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 20)
    campaign_id = await launched(house, **experiment())
    await work_off(house)
    client = await sign_in("marketer")
    counted_now = text_of(await client.get(f"/campaigns/{campaign_id}/findings"))
    monkeypatch.setattr(campaign_report, "MANY", 1)
    async with house.database.begin() as conn:
        kept = await figures.keep(conn, campaign_id, utc_now())
        assert (await figures.kept(conn, [campaign_id]))[campaign_id] == kept
        await conn.execute(update(messages).values(sent_at=None))  # what was counted before stays as it is
    assert text_of(await client.get(f"/campaigns/{campaign_id}/findings")) == counted_now
    await client.post(f"/campaigns/{campaign_id}/test/decide", data={"variant": "B"})
    assert "chose B for the rest" in text_of(await client.get(f"/campaigns/{campaign_id}/findings"))


async def test_the_api_decides_stops_and_shows(api: OpenApi, house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 20)
    first, second = await launched(house, **experiment()), await launched(house, **experiment())
    await work_off(house)
    client = await api("marketer")
    found = (await client.get(f"/campaigns/{first}")).json()
    assert [one["name"] for one in found["tests"][0]["variants"]] == ["A", "B"]
    assert found["lift"] is None
    unknown = await client.post(f"/campaigns/{first}/experiment/decide", json={"variant": "Z"})
    assert (unknown.status_code, unknown.json()["errors"][0]["path"]) == (422, "variant")
    decided = (await client.post(f"/campaigns/{first}/experiment/decide", json={})).json()
    assert (decided["tests"][0]["winner"], decided["tests"][0]["how"]) == ("A", "first")
    stopped = (await client.post(f"/campaigns/{second}/experiment/stop")).json()
    assert (stopped["tests"][0]["state"], stopped["tests"][0]["winner"]) == ("stopped", None)
    assert (await client.post(f"/campaigns/{second}/experiment/stop")).status_code == 409


OUTCOME = {
    "state": "decided",
    "winner": "B",
    "leader": "B",
    "goal": "clicks",
    "decided_by": None,
    "due_at": None,
    "rest": {"waiting": 0},
    "p": 0.012,
    "significance": 95.0,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"how": "significant"}, "B won by clicks"),
        ({"how": "first", "p": 0.4, "winner": "A"}, "gets the first variant, A"),
        ({"how": "leading", "p": 0.4}, "gets it all the same"),
        ({"how": "first", "p": None}, "Too little happened"),
        ({"how": "leading", "p": None}, "the one that led, B"),
        ({"how": "by_hand", "decided_by": "me"}, "me chose B"),
        ({"how": "stopped", "decided_by": "me", "state": "stopped"}, "me stopped the test"),
        ({"how": "cancelled", "state": "stopped"}, "cancelled before the test was decided"),
    ],
)
async def test_every_decision_has_its_sentence(sign_in: SignIn, changes: dict[str, object], words: str) -> None:
    assert words in decision({**OUTCOME, **changes})


def test_lift_in_words() -> None:
    group = {"people": 200, "buyers": 40, "buyer_rate": 0.2}
    lift = {"days": 30, "sent": group, "held_out": group, "enough": True, "proved": True, "people_needed": 25}
    more = {"value": 0.1, "low": 0.05, "high": 0.15}
    assert "made the difference" in lift_said({**lift, "buyer_rate": more})
    assert "may be chance" in lift_said({**lift, "buyer_rate": more, "proved": False})
    assert "kept people from buying" in lift_said({**lift, "buyer_rate": {**more, "value": -0.1}})
    nothing = {**lift, "buyer_rate": more, "enough": False}
    assert "Too few bought" in lift_said({**nothing, "people_needed": None})
    small = {**group, "people": 8}
    assert "Too few were held out to tell what the message did: 8;" in lift_said({**nothing, "held_out": small})
    assert "Too few got it" in lift_said({**nothing, "sent": small})
    assert revenue_doubt(nothing) == revenue_doubt({**lift, "enough_for_revenue": True}) == ""
    doubt = revenue_doubt({**lift, "enough_for_revenue": False, "people_needed_for_revenue": 450})
    assert "in a group of 200; it would take about 450" in doubt


async def test_each_message_says_which_variant_it_has(sign_in: SignIn, api: OpenApi, house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 20)
    plain = await launched(house)
    held = {"options": {**experiment()["options"], "holdout_percent": 30}}
    campaign_id = await launched(house, **held)
    await work_off(house)
    client, reader = await api("marketer"), await sign_in("analyst")
    path = f"/campaigns/{campaign_id}/messages"
    items = (await client.get(path)).json()["items"]
    assert {one["variant"] for one in items if one["in_test"]} == {"A", "B"}
    assert {(one["variant"], one["state"]) for one in items if one["in_test"] is False} == {(None, "queued")}
    skipped = [one for one in items if one["state"] == "skipped"]
    assert {(one["variant"], one["in_test"]) for one in skipped} == {(None, None)}
    assert "waits for the test" in text_of(await reader.get(path))
    assert (await client.post(f"/campaigns/{campaign_id}/experiment/decide", json={"variant": "B"})).status_code == 200
    await work_off(house)
    items = (await client.get(path)).json()["items"]
    assert {one["variant"] for one in items if one["in_test"] is False} == {"B"}
    assert "B the rest" in text_of(await reader.get(path))
    [first, *_others] = (await client.get(f"/campaigns/{plain}/messages")).json()["items"]
    assert (first["variant"], first["in_test"]) == (None, None)
    assert "Variant" not in text_of(await reader.get(f"/campaigns/{plain}/messages"))
