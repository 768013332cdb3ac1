"""Rules of follow-ups and weights of the score in the console."""

from __future__ import annotations

import json

from runtime.house import House
from sales.opening import capacities
from sales.rules import READY_MADE, rule_of
from sales.scores import DEFAULTS, weights_of
from tests.web.conftest import SignIn
from tests.web.scene import WANG, invalid_fields, put, text_of, value_of

NUMBERS = {"count": "2", "within_days": "7", "hours": "48", "value": "250", "due_hours": "12", "cool_down_days": "20"}
FORM = {"code": "twice", "name": "Looked twice", "signal": "event", "event": "clicked", "active": "yes", **NUMBERS}


async def test_a_rule_of_ones_own_is_made_changed_and_dropped(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    rule = json.dumps({"field": "city", "op": "eq", "value": "西安"})
    assert (await client.post("/follow-up-rules", data={**FORM, "rule": rule})).status_code == 303
    async with house.database.connect() as conn:
        kept = await rule_of(conn, "twice")
    assert (kept.signal.count, kept.due_hours, kept.active, kept.rule["field"]) == (2, 12, True, "city")
    assert "Looked twice" in text_of(await client.get("/follow-up-rules"))
    assert json.loads(value_of(await client.get("/follow-up-rules/twice"), "rule"))["value"] == "西安"
    await client.post("/follow-up-rules/twice/drop")
    assert (await client.get("/follow-up-rules/twice")).status_code == 404


async def test_every_ready_made_rule_can_be_opened_and_saved_as_it_is(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    for each in READY_MADE:
        assert (await client.get(f"/follow-up-rules/{each.code}")).status_code == 200
    off = {**FORM, "code": "replacement", "rule": json.dumps(dict(READY_MADE[3].rule))}
    del off["active"]
    assert (await client.post("/follow-up-rules", data=off)).status_code == 303
    async with house.database.connect() as conn:
        assert not (await rule_of(conn, "replacement")).active


async def test_what_is_wrong_stands_beside_its_field(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    wrong = {**FORM, "code": "A b", "name": "", "due_hours": "0", "rule": "{}"}
    assert invalid_fields(await client.post("/follow-up-rules", data=wrong)) == {"code", "name", "due_hours"}
    for rule in ("{", '{"field": "shoe", "op": "eq", "value": 1}', "[" * 100_000):
        answer = await client.post("/follow-up-rules", data={**FORM, "rule": rule})
        assert (answer.status_code, invalid_fields(answer)) == (422, set())
        assert 'id="rule-refused" data-refused' in answer.text, rule[:20]
    for name, value in (("count", "x"), ("value", "NaN")):
        assert invalid_fields(await client.post("/follow-up-rules", data={**FORM, name: value})) == {name}


async def test_nothing_that_was_typed_is_lost_to_an_error(sign_in: SignIn) -> None:
    typed = {**FORM, "link": "aircon", "campaign": "Autumn", "within_days": "9", "due_hours": "0", "at_once": "yes"}
    answer = await (await sign_in("marketer")).post("/follow-up-rules", data={**typed, "rule": '{"any": []}'})
    assert invalid_fields(answer) == {"due_hours"}
    names = ("code", "name", "event", "count", "within_days", "campaign", "link", "hours", "value", "due_hours", "rule")
    assert {name: value_of(answer, name) for name in names} == {name: typed.get(name, '{"any": []}') for name in names}


async def test_new_tasks_a_day_are_set(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    await client.post("/follow-up-rules/capacity", data={"salesperson": "s1", "daily": "5"})
    await client.post("/follow-up-rules/capacity", data={"salesperson": "", "daily": "20"})
    async with house.database.connect() as conn:
        assert await capacities(conn) == {"": 20, "s1": 5}
    assert invalid_fields(await client.post("/follow-up-rules/capacity", data={"daily": "501"})) == {"daily"}


async def test_weights_are_shown_tried_and_saved(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("admin")
    form = {f"{kind}.{part}": "10" for part in DEFAULTS for kind in ("weight", "target")}
    tried = await client.post("/score-weights", data={**form, "act": "preview"})
    assert "What these weights would change" in text_of(tried)
    async with house.database.connect() as conn:
        assert await weights_of(conn) == DEFAULTS
    assert (await client.post("/score-weights", data=form)).status_code == 303
    async with house.database.connect() as conn:
        kept = await weights_of(conn)
    assert {(float(each.weight), float(each.target)) for each in kept.values()} == {(10, 0.1), (10, 10)}
    assert invalid_fields(await client.post("/score-weights", data={**form, "weight.margin": "-1"})) == {
        "weight-margin"
    }
    assert (await client.post("/score-weights", data={**form, "target.margin": "x"})).status_code == 422
