"""The page of senders, recipient domains and thresholds, and the calls that do the same."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from campaigns.halt import pause, pause_by_hand
from campaigns.models import campaigns, held_domains
from campaigns.sending.holds import Hold, write_holds
from campaigns.sending.limits import Limits, load_limits
from campaigns.sending.thresholds import Thresholds, load_thresholds
from runtime.clock import local_date, utc_now
from runtime.house import House
from tests.campaigns.scene import add_people, launched
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import invalid_fields, text_of, value_of
from tests.web.test_api_frame import problem


async def hold(house: House, name: str) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        await write_holds(conn, {name: Hold(name, 2, now + timedelta(hours=1), "421 <b>busy</b>", now)})


async def limits(house: House) -> Limits:
    async with house.database.connect() as conn:
        return await load_limits(conn)


async def test_what_has_no_limits_is_shown_with_the_usual_values(sign_in: SignIn) -> None:
    shown = text_of(await (await sign_in("analyst")).get("/sending"))
    assert "outlook.com" in shown
    assert "hotmail.com" in shown
    assert "takes mail" in shown
    assert "No senders yet" in shown
    assert "Complaints from 0.3% of messages on. A warning from 0.1% on." in shown
    assert "Neither before 500 messages have gone." in shown
    assert "Bounces" not in text_of(await (await sign_in("marketer", language="zh")).get("/sending"))


async def test_a_held_domain_is_shown_with_its_answer_and_released(sign_in: SignIn, house: House) -> None:
    await hold(house, "firm.example")
    client = await sign_in("marketer")
    answer = await client.get("/sending")
    assert "held back" in text_of(answer)
    assert "421 <b>busy</b>" not in answer.text
    assert "421 &lt;b&gt;busy" in answer.text
    assert (await client.post("/sending/domain/release", data={"name": "firm.example"})).status_code == 303
    async with house.database.connect() as conn:
        assert (await conn.execute(select(held_domains))).all() == []
    assert (await client.post("/sending/domain/release", data={"name": "firm.example"})).status_code == 404


async def test_a_sender_is_warmed_up_shown_changed_and_removed(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    typed = {
        "name": "News@Shop.example",
        "rate": "12.5",
        "plan": "days",
        "days": "50, 100，500",
        "first": "",
        "since": "",
    }
    assert (await client.post("/sending/sender", data=typed)).headers["location"] == "/sending"
    [limit] = (await limits(house)).senders.values()
    assert (limit.name, limit.rate) == ("news@shop.example", 12.5)
    assert limit.warm_up is not None
    assert limit.warm_up.days == (50, 100, 500)
    assert limit.warm_up.since == local_date(utc_now(), house.settings.timezone)
    assert "news@shop.example 12.5 0 of 50" in text_of(await client.get("/sending"))
    form = await client.get("/sending/sender?name=news@shop.example")
    assert value_of(form, "days") == "50, 100, 500"
    typed = {"name": "news@shop.example", "plan": "factor", "first": "200", "factor": "1,5", "enough": "100000"}
    assert (await client.post("/sending/sender", data=typed)).status_code == 303
    plan = (await limits(house)).senders["news@shop.example"].warm_up
    assert plan is not None
    assert (plan.first, plan.factor, plan.enough) == (200, 1.5, 100_000)
    assert (await client.post("/sending/sender/remove", data={"name": "news@shop.example"})).status_code == 303
    assert (await limits(house)).senders == {}


BAD_SENDERS: dict[str, tuple[dict[str, str], set[str]]] = {
    "no name": ({"name": "", "rate": "5"}, {"name"}),
    "no address": ({"name": "news@", "rate": "5"}, {"name"}),
    "no rate that is one": ({"name": "shop.example", "rate": "quick"}, {"rate"}),
    "a rate of nothing": ({"name": "shop.example", "rate": "0"}, {"rate"}),
    "nothing settled": ({"name": "shop.example"}, {"rate"}),
    "a day of nothing": ({"name": "shop.example", "plan": "days", "days": "5 0"}, {"days"}),
    "nothing of a plan": ({"name": "shop.example", "plan": "factor"}, {"first", "factor", "enough"}),
    "no days": ({"name": "shop.example", "plan": "days"}, {"days"}),
    "shrinking": ({"name": "shop.example", "plan": "factor", "first": "5", "factor": "1", "enough": "9"}, {"factor"}),
    "no day": ({"name": "shop.example", "plan": "days", "days": "5", "since": "soon"}, {"since"}),
}


@pytest.mark.parametrize(("typed", "culprits"), BAD_SENDERS.values(), ids=BAD_SENDERS)
async def test_what_cannot_be_settled_is_named(sign_in: SignIn, typed: dict[str, str], culprits: set[str]) -> None:
    client = await sign_in("marketer")
    assert invalid_fields(await client.post("/sending/sender", data=typed)) == culprits


async def test_a_domain_is_settled_for_its_whole_mail_service(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    assert (await client.post("/sending/domain", data={"name": "Hotmail.com", "connections": "3"})).status_code == 303
    assert (await limits(house)).connections_to("outlook.com") == 3
    assert value_of(await client.get("/sending/domain?name=outlook.com"), "connections") == "3"
    assert invalid_fields(await client.post("/sending/domain", data={"name": "a@b.example", "rate": "5"})) == {"name"}
    wrong = {"name": "b.example", "connections": "0"}
    assert invalid_fields(await client.post("/sending/domain", data=wrong)) == {"connections"}
    assert (await client.post("/sending/domain/remove", data={"name": "outlook.com"})).status_code == 303
    assert (await limits(house)).connections_to("outlook.com") == 10


async def test_thresholds_are_changed(sign_in: SignIn, house: House) -> None:
    client = await sign_in("admin")
    typed = {"complaints_pause": "0.2", "complaints_alarm": "0.1", "bounces_pause": "", "minimum": "1000"}
    assert (await client.post("/sending/thresholds", data=typed)).status_code == 303
    async with house.database.connect() as conn:
        assert await load_thresholds(conn) == Thresholds(0.1, 0.2, None, 1_000)
    assert "Bounces never stop one." in text_of(await client.get("/sending"))
    assert value_of(await client.get("/sending/thresholds"), "minimum") == "1000"
    over = {**typed, "complaints_alarm": "0.5"}
    assert invalid_fields(await client.post("/sending/thresholds", data=over)) == {"complaints_alarm"}
    assert invalid_fields(await client.post("/sending/thresholds", data={**typed, "minimum": "few"})) == {"minimum"}


async def test_analysts_and_salespeople_change_nothing(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    assert (await analyst.post("/sending/thresholds", data={"minimum": "5"})).status_code == 403
    assert "Change" not in text_of(await analyst.get("/sending"))
    assert (await (await sign_in("salesperson", salesperson="s1")).get("/sending")).status_code == 403


async def test_the_same_over_the_api(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    given: dict[str, Any] = {"name": "shop.example", "rate": 5, "warm_up": {"days": [10, 20]}}
    saved = (await client.post("/sending/senders", json=given)).json()
    assert (saved["name"], saved["rate"], saved["ceiling"], saved["sent_today"]) == ("shop.example", 5.0, 10, 0)
    assert (await client.get("/sending/senders")).json()["items"] == [saved]
    bad = await client.post("/sending/senders", json={"name": "shop.example", "warm_up": {"days": [0]}})
    assert [path for path, _ in problem(bad, 422)] == ["warm_up.days[0]"]
    assert (await client.post("/sending/senders/remove", json={"name": "shop.example"})).status_code == 204
    assert (await client.post("/sending/senders/remove", json={"name": "shop.example"})).status_code == 404
    await hold(house, "firm.example")
    found = (await client.get("/sending/domains")).json()["items"]
    assert (found[0]["name"], found[0]["pauses"], found[0]["answer"]) == ("firm.example", 2, "421 <b>busy</b>")
    changed = (await client.post("/sending/domains", json={"name": "msn.com", "rate": 2.5})).json()
    assert (changed["name"], changed["rate"], changed["connections"]) == ("outlook.com", 2.5, 10)
    assert (await client.post("/sending/domains/release", json={"name": "firm.example"})).status_code == 204
    assert (await client.post("/sending/domains/remove", json={"name": "hotmail.com"})).status_code == 204
    assert (await client.post("/sending/thresholds", json={"minimum": 900})).json()["bounces_pause"] == 5.0
    assert (await client.get("/sending/thresholds")).json()["minimum"] == 900
    never = await client.post("/sending/thresholds", json={"bounces_pause": 0})
    assert [path for path, _ in problem(never, 422)] == ["bounces_pause"]


async def test_what_stopped_by_itself_is_shown_where_people_look_and_goes_on_by_one_click(
    sign_in: SignIn, house: House
) -> None:
    reason = "31 of 600 messages bounced (5.2%); campaigns stop at 5%"
    async with house.database.begin() as conn:
        await add_people(conn, 3)
    stopped, by_hand, warned = [await launched(house, name=name) for name in ("Spring", "Lunch", "Late")]
    async with house.database.begin() as conn:
        await pause(conn, stopped, now=utc_now(), reason=reason)
        await pause_by_hand(conn, by_hand, "Mei", now=utc_now())
        await conn.execute(update(campaigns).where(campaigns.c.id == warned).values(alarm="3 of 9 complained"))
    client, reader = await sign_in("marketer"), await sign_in("analyst", language="zh")
    for path in ("/campaigns", "/dashboard", "/sending"):
        [shown] = re.findall(
            r'<div class="alert alert-warning warned".*?</ul></div>', (await client.get(path)).text, re.S
        )
        assert shown.index("Spring") < shown.index("Late")
        assert "Lunch" not in shown
        assert reason in shown
        assert f'formaction="/campaigns/{stopped}/resume"' in shown
        chinese = (await reader.get(path)).text
        assert "600 封中有 31 封被退回（5.2%）" in chinese
        assert 'id="resume-one"' not in chinese
    assert "600 封中有 31 封被退回（5.2%）" in (await reader.get(f"/campaigns/{stopped}")).text
    assert "由 Mei 暂停" in (await reader.get(f"/campaigns/{by_hand}")).text
    assert (await client.post(f"/campaigns/{stopped}/resume")).status_code == 303
    assert reason not in (await client.get("/dashboard")).text
