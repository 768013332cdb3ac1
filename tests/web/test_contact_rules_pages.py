"""Contact rules in the console and over the API; the reasons and options that come of them, in words."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from campaigns.models import contact_rules
from runtime.house import House
from segments.models import segments
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, put, text_of, value_of
from tests.web.test_api_frame import problem
from web.i18n import use_language
from web.words import REASONS, reason_name

DEFAULTS = {
    "frequency_caps": {},
    "quiet_hours": {"sms": [{"from": "20:00", "to": "08:00"}]},
    "holdout_percent": 0.0,
    "service_hold_days": 60,
}
RULES = {
    "frequency_caps": {"all": {"day": 1, "week": 3}, "email": {"month": 8}},
    "quiet_hours": {"email": [{"from": "21:00", "to": "09:00", "days": [1, 2, 3, 4, 5]}]},
    "holdout_percent": 2.5,
    "service_hold_days": 30,
}


async def test_rules_are_read_and_replaced_over_the_api(api: OpenApi) -> None:
    client = await api("marketer")
    assert (await client.get("contact-rules")).json() == DEFAULTS
    answer = await client.put("contact-rules", json=RULES)
    assert answer.json() == RULES, answer.text
    assert (await client.get("contact-rules")).json() == RULES
    assert (await client.put("contact-rules", json={})).json() == DEFAULTS
    assert (await (await api("analyst")).put("contact-rules", json={})).status_code == 403


@pytest.mark.parametrize(
    ("given", "culprit"),
    [
        ({"frequency_caps": {"fax": {"day": 1}}}, "frequency_caps.fax"),
        ({"frequency_caps": {"all": {"year": 1}}}, "frequency_caps.all.year"),
        ({"frequency_caps": {"all": {"day": 0}}}, "frequency_caps.all.day"),
        ({"frequency_caps": {"all": {"day": True}}}, "frequency_caps.all.day"),
        ({"frequency_caps": []}, "frequency_caps"),
        ({"quiet_hours": {"email": [{"from": "25:00", "to": "08:00"}]}}, "quiet_hours.email[0]"),
        ({"quiet_hours": {"email": [{"from": "08:00", "to": "08:00"}]}}, "quiet_hours.email"),
        ({"quiet_hours": {"email": "night"}}, "quiet_hours.email"),
        ({"holdout_percent": 51}, "holdout_percent"),
        ({"service_hold_days": -1}, "service_hold_days"),
        ({"service_hold_days": None}, "service_hold_days"),
        ({"caps": {}}, "caps"),
    ],
)
async def test_what_is_no_rule_is_refused_by_name(api: OpenApi, given: dict[str, Any], culprit: str) -> None:
    answer = await (await api("marketer")).put("contact-rules", json=given)
    assert culprit in [path for path, _message in problem(answer, 422)]


async def test_the_page_shows_saves_and_counts(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, {**LI, "timezone": "America/New_York"})
    visit = {"number": "V1", "customer": {"external_id": "C1"}, "kind": "complaint", "status": "open"}
    await put(house, "service_visits", visit)
    client = await sign_in("marketer")
    shown = await client.get("/contact-rules")
    assert value_of(shown, "quiet.sms.0.from") == "20:00"
    typed = {
        "cap.all.week": "3",
        "cap.email.day": "1",
        "quiet.email.0.from": "21:00",
        "quiet.email.0.to": "09:00",
        "quiet.email.0.days": ["6", "7"],
        "holdout_percent": "50",
        "service_hold_days": "30",
    }
    assert (await client.post("/contact-rules", data=typed)).headers["location"] == "/contact-rules"
    async with house.database.connect() as conn:
        row = (await conn.execute(select(contact_rules))).one()
    assert row.frequency_caps == {"all": {"week": 3}, "email": {"day": 1}}
    assert row.quiet_hours == {"email": [{"from": "21:00", "to": "09:00", "days": [6, 7]}]}
    now = text_of(await client.get("/contact-rules/now"))
    assert "All channels together: at most 3 a week. 0 customers have had that many." in now
    assert "E-mail is quiet: 21:00–09:00 (Sat Sun)." in now
    assert "Customers are in 2 time zones." in now
    assert "1 customer has an open service case and gets no promotion." in now
    assert "About 1 of 2 customers get no campaign at all." in now


async def test_a_wrong_field_is_told_beside_it(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    quiet = {"quiet.email.0.from": "21:00", "quiet.email.0.days": "1"}
    typed = {"cap.all.day": "0", **quiet, "holdout_percent": "x", "service_hold_days": "30"}
    answer = await client.post("/contact-rules", data=typed)
    assert answer.status_code == 422
    said = text_of(answer)
    assert "must be a number of messages from 1 to 1000" in said
    assert "quiet hours need a beginning and an end" in said
    assert "must be a share in percent from 0 to 50" in said
    assert value_of(answer, "cap.all.day") == "0"


async def test_a_segment_holds_people_out(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    typed = {"name": "All", "description": "", "rule": '{"all": []}', "holdout_percent": "12.5"}
    made = await client.post("/segments/new", data=typed)
    assert made.status_code == 303
    async with house.database.connect() as conn:
        assert await conn.scalar(select(segments.c.holdout_percent)) == 12.5
    form = await client.get(made.headers["location"] + "/edit")
    assert value_of(form, "holdout_percent") == "12.5"
    assert (await client.post("/segments/new", data={**typed, "holdout_percent": "60"})).status_code == 422


async def test_a_campaign_may_ignore_the_rules(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    await client.post("/segments/new", data={"name": "All", "description": "", "rule": '{"all": []}'})
    typed = {
        "name": "Recall",
        "segment_id": "1",
        "subject": "Please read",
        "format": "html",
        "source": "<p>Hello</p>",
        "when": "now",
        "household": "yes",
        "ignore_cap": "yes",
        "ignore_quiet": "yes",
        "ignore_service": "yes",
    }
    made = await client.post("/campaigns/new", data=typed)
    assert made.status_code == 303, made.text
    form = await client.get(made.headers["location"] + "/edit")
    for name in ("household", "ignore_cap", "ignore_quiet", "ignore_service"):
        assert f'name="{name}" value="yes" checked' in form.text
    said = text_of(form)
    assert "Of each household one gets it." in said
    assert "It goes out in quiet hours too." in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_reason_has_words(language: str) -> None:
    periods = ("day", "week", "month")
    caps = [f"frequency_cap: {channel} {period}" for channel in ("all", "email") for period in periods]
    reasons = [*REASONS, *caps, "suppressed: bounced", "suppressed: manual"]
    use_language(language)
    try:
        words = [reason_name(reason) for reason in reasons]
    finally:
        use_language("en")
    assert all("_" not in word and ": " not in word for word in words), words
    assert language == "en" or all(any("\u4e00" <= sign <= "\u9fff" for sign in word) for word in words)
