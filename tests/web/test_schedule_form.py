"""The schedule part of the campaign form: what it sends becomes a schedule, in words, with the next due times."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns import store
from campaigns.anchors import MOST_TIMES
from campaigns.due import read_schedule
from runtime.house import House
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import record
from tests.web.conftest import SignIn
from tests.web.scene import fields_of, invalid_fields, text_of, value_of
from tests.web.test_campaigns_pages import FORM, drafted, town
from web.campaign_form.when import When
from web.i18n import use_language
from web.schedule_words import schedule_in_words

__all__ = ["house", "sink"]  # fixtures

ZONE = "Asia/Shanghai"
WARRANTY = {"has": "appliances", "field": "warranty_until", "before": "P14D"}


SHOWN = ("anchor", "way", "many", "unit", "times", "only_orders", "only_appliances", "only_is", "time", "rest")


async def stored(house: House, campaign: int) -> store.Campaign:
    async with house.database.connect() as conn:
        return await store.campaign(conn, campaign)


def anchored(**anchor: Any) -> dict[str, Any]:
    return {"anchor": anchor, "time": "09:00", "timezone": ZONE}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"anchor": "/birthday", "way": "on"}, {"field": "birthday"}),
        ({"anchor": "/birthday", "way": "every", "many": "1", "unit": "Y"}, {"field": "birthday", "every": "P1Y"}),
        ({"anchor": "/birthday", "way": "yearly"}, {"field": "birthday", "every": "P1Y"}),
        (
            {"anchor": "/birthday", "way": "before_yearly", "many": "2", "unit": "W"},
            {"field": "birthday", "every": "P1Y", "before": "P2W"},
        ),
        ({"anchor": "appliances/warranty_until", "way": "before", "many": "14", "unit": "D"}, WARRANTY),
        (
            {"anchor": "orders/ordered_at", "way": "every", "many": "3", "unit": "M"},
            {"has": "orders", "field": "ordered_at", "every": "P3M"},
        ),
        (
            {
                "anchor": "appliances/installed_on",
                "way": "every",
                "many": "6",
                "unit": "M",
                "times": "4",
                "only_appliances": "category",
                "only_is": "空调，冰箱",
            },
            {
                "has": "appliances",
                "field": "installed_on",
                "every": "P6M",
                "times": 4,
                "where": {"field": "category", "op": "in", "value": ["空调", "冰箱"]},
            },
        ),
        (
            {"anchor": "orders/ordered_at", "way": "yearly", "only_orders": "platform", "only_is": "天猫", "times": ""},
            {
                "has": "orders",
                "field": "ordered_at",
                "every": "P1Y",
                "where": {"field": "platform", "op": "eq", "value": "天猫"},
            },
        ),
        (
            {"anchor": "/birthday", "way": "on", "times": "3", "only_orders": "platform", "only_is": "天猫"},
            {"field": "birthday"},
        ),
    ],
)
async def test_an_anchor_is_kept_and_shown_again(
    sign_in: SignIn, house: House, sent: dict[str, str], kept: dict[str, Any]
) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    form = {**FORM, "segment_id": segment, "when": "anchor", "time": "09:00", **sent}
    made = await client.post("/campaigns/new", data=form)
    assert made.status_code == 303, text_of(made)
    campaign = int(made.headers["location"].rpartition("/")[2])
    assert (await record(house, campaign))["schedule"] == anchored(**kept)
    page = await client.get(f"/campaigns/{campaign}/edit")
    again = {
        **form,
        **{name: fields_of(page, "campaign-form")[name] for name in SHOWN},
    }
    assert (await client.post(f"/campaigns/{campaign}/edit", data=again)).status_code == 303
    assert (await record(house, campaign))["schedule"] == anchored(**kept)
    assert "09:00" in text_of(await client.get(f"/campaigns/{campaign}"))


async def test_hours_are_counted_at_every_hour(sign_in: SignIn, house: House) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    sent = {"anchor": "service_visits/completed_at", "way": "after", "many": "3", "unit": "H"}
    form = {**FORM, "segment_id": segment, "when": "anchor", "time": "09:00", **sent}
    made = await client.post("/campaigns/new", data=form)
    assert made.status_code == 303, text_of(made)
    campaign = int(made.headers["location"].rpartition("/")[2])
    kept = {"has": "service_visits", "field": "completed_at", "after": "PT3H"}
    assert (await record(house, campaign))["schedule"] == {**anchored(**kept), "time": "*:00"}
    page = await client.get(f"/campaigns/{campaign}/edit")
    again = {**form, **{name: fields_of(page, "campaign-form")[name] for name in SHOWN}}
    assert (again["unit"], again["time"]) == ("H", "09:00")
    assert (await client.post(f"/campaigns/{campaign}/edit", data=again)).status_code == 303
    assert (await record(house, campaign))["schedule"] == {**anchored(**kept), "time": "*:00"}
    assert "Every hour" in text_of(await client.get(f"/campaigns/{campaign}"))
    refused = await client.post("/campaigns/new", data={**form, "anchor": "/birthday"})
    assert invalid_fields(refused) == {"anchor"}


async def test_what_of_an_anchor_the_form_does_not_show_is_kept(sign_in: SignIn, house: House) -> None:
    where = {"field": "category", "op": "contains", "value": "air"}
    given = anchored(has="appliances", field="installed_on", where=where, every="P6M", times=4)
    campaign = await drafted(house, schedule=given)
    client, names = await sign_in("marketer"), ("name", "subject", *SHOWN)
    page = await client.get(f"/campaigns/{campaign}/edit")
    form = {name: fields_of(page, "campaign-form")[name] for name in names} | {
        "source": value_of(page, "source"),
        "format": "html",
        "when": "anchor",
        "time": "09:00",
    }
    assert (await client.post(f"/campaigns/{campaign}/edit", data=form)).status_code == 303
    assert (await record(house, campaign))["schedule"] == given
    other = {**form, "anchor": "/birthday", "way": "on", "rest": form["rest"]}
    assert (await client.post(f"/campaigns/{campaign}/edit", data=other)).status_code == 303
    assert (await record(house, campaign))["schedule"] == anchored(field="birthday")


async def test_how_a_run_is_timed(sign_in: SignIn, house: House) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    form = {**FORM, "segment_id": segment, "when": "cron", "cron": "0 9 * * *"}
    timed = {"pace": "best", "window": "12", "spread": "30", "deadline": "20", "catch_up": "2"}
    made = await client.post("/campaigns/new", data={**form, **timed})
    campaign = int(made.headers["location"].rpartition("/")[2])
    options = {"send_time_optimisation": {"window_hours": 12}, "spread_over": 30, "deadline": 20, "catch_up_hours": 2}
    assert (await record(house, campaign))["options"] == options
    page = await client.get(f"/campaigns/{campaign}/edit")
    assert timed.items() <= fields_of(page, "campaign-form").items()
    bad = await client.post("/campaigns/new", data={**form, "when": "now", "pace": "own", "spread": "0"})
    assert bad.status_code == 422
    assert {"spread"} <= invalid_fields(bad)


@pytest.mark.parametrize(
    ("sent", "cron"),
    [
        ({"rhythm": "daily", "clock": "09:05"}, "5 9 * * *"),
        ({"rhythm": "weekly", "weekday": ["5", "1"], "clock": "18:30"}, "30 18 * * 1,5"),
        ({"rhythm": "monthly", "monthday": "L", "clock": "10:00"}, "0 10 L * *"),
        ({"rhythm": "monthly", "monthday": "31", "clock": "10:00"}, "0 10 31 * *"),
        ({"rhythm": "cron", "cron": "0 9 1 1 *"}, "0 9 1 1 *"),
    ],
)
async def test_a_rhythm_is_kept_and_shown_again(sign_in: SignIn, house: House, sent: dict[str, Any], cron: str) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    made = await client.post("/campaigns/new", data={**FORM, "segment_id": segment, "when": "cron", **sent})
    assert made.status_code == 303, text_of(made)
    campaign = int(made.headers["location"].rpartition("/")[2])
    assert (await record(house, campaign))["schedule"] == {"cron": cron, "timezone": ZONE}
    shown = When.fill(await stored(house, campaign), house.settings)
    assert {name: getattr(shown, name) for name in sent} == {
        name: tuple(sorted(value)) if isinstance(value, list) else value for name, value in sent.items()
    }


async def test_what_is_missing_of_a_rhythm_is_said_at_its_field(sign_in: SignIn, house: House) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    form = {**FORM, "segment_id": segment, "when": "cron", "rhythm": "weekly"}
    for sent, words in (
        ({"clock": "10:00"}, "choose a day of the week"),
        ({"weekday": "1", "clock": "soon"}, "'soon'"),
    ):
        refused = await client.post("/campaigns/new", data={**form, **sent})
        assert refused.status_code == 422
        assert words in text_of(refused).replace("&#39;", "'")
        assert "It is not saved yet" in text_of(refused)


async def test_a_day_of_birth_is_told_from_a_birthday(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    for way, meant in (("on", True), ("before", True), ("yearly", False), ("after", False)):
        sent = {"when": "anchor", "anchor": "/birthday", "way": way, "time": "09:00"}
        said = text_of(await client.post("/campaigns/summary", data=sent))
        assert ("Nobody will get it" in said) == meant, way


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"when": "cron", "cron": "0 9 * * *"}, ["The next times:", "9:00"]),
        ({"when": "cron", "cron": "*/5 * * * *"}, ["more than three times a day"]),
        ({"when": "cron", "cron": "0 9 * * *", "pace": "own"}, ["6 hours earlier"]),
        ({"when": "cron", "cron": "soon"}, ["must have five fields"]),
        ({"when": "anchor", "anchor": "/birthday", "time": "26:00"}, ["is not a time of day"]),
        ({"when": "at", "at": "2030-01-02T10:00"}, ["Jan 2, 2030"]),
        ({"when": "now"}, []),
    ],
)
async def test_the_next_times_follow_the_form(sign_in: SignIn, sent: dict[str, str], words: list[str]) -> None:
    client = await sign_in("marketer")
    found = await client.post("/calendar/due", data=sent)
    assert found.status_code == 200
    assert found.text.count("<time") == (5 if "9:00" in words else found.text.count("<time"))
    for one in words:
        assert one in text_of(found)


@pytest.mark.parametrize(
    ("given", "english", "chinese"),
    [
        ({"cron": "30 9 * * *", "timezone": ZONE}, "It starts every day at 09:30.", "每天 09:30 开始。"),
        ({"cron": "0 10 * * 1", "timezone": ZONE}, "It starts every Monday at 10:00.", "每星期一 10:00 开始。"),
        ({"cron": "0 10 * * 0", "timezone": ZONE}, "It starts every Sunday at 10:00.", "每星期日 10:00 开始。"),
        (
            {"cron": "0 8 L * *", "timezone": "UTC"},
            "It starts on the last day of each month at 08:00. Time zone: UTC",
            "",
        ),
        ({"cron": "*/5 * * * *", "timezone": ZONE}, "again and again, by the cron expression */5 * * * *.", ""),
        (anchored(**WARRANTY), "14 days before: End of warranty (Appliances).", "14 天"),
        (
            anchored(field="birthday", every="P1Y", before="P10D"),
            "10 days before, every year: Birthday.",
            "10 天",
        ),
        ({"cron": "0 10 * * 1,MON,3", "timezone": ZONE}, "every Monday, Wednesday at 10:00.", "每星期一、星期三 10:00"),
        ({"cron": "0 10 * * 1-5", "timezone": ZONE}, "from Monday to Friday at 10:00.", ""),
        (anchored(field="birthday", every="P1Y"), "on the day, every year: Birthday.", "每年"),
        (anchored(has="orders", field="ordered_at", after="P3M"), "3 months after: Order date (Orders).", "3 个月"),
        (
            {**anchored(has="orders", field="delivered_at", after="PT36H"), "time": "*:00"},
            "Every hour it goes to each person 36 hours after: Delivery (Orders).",
            "36 小时",
        ),
        ({**anchored(has="service_visits", field="visited_at", before="PT2H"), "time": "*:15"}, "2 hours before", ""),
    ],
)
def test_a_schedule_in_words(given: dict[str, Any], english: str, chinese: str) -> None:
    for language, words in (("en", english), ("zh", chinese)):
        use_language(language)
        assert words in schedule_in_words(read_schedule(given), ZONE)
    use_language("en")


async def test_the_form_says_how_often_is_the_most(sign_in: SignIn) -> None:
    shown = await (await sign_in("marketer")).get("/campaigns/new")
    assert f"Empty: {MOST_TIMES} times, which is the most." in text_of(shown)


async def test_an_anchor_with_a_field_and_no_value_for_it_is_refused_at_that_field(
    sign_in: SignIn, house: House
) -> None:
    client, segment = await sign_in("marketer"), str(await town(house))
    sent = {"when": "anchor", "anchor": "orders/ordered_at", "way": "every", "many": "3", "unit": "M", "time": "09:00"}
    wrong = {"only_orders": "platform", "only_is": " ", "times": "0"}
    refused = await client.post("/campaigns/new", data={**FORM, "segment_id": segment, **sent, **wrong})
    assert (refused.status_code, invalid_fields(refused)) == (422, {"only_is"})
    wrong = {"only_orders": "platform", "only_is": "Shop", "times": "0"}
    refused = await client.post("/campaigns/new", data={**FORM, "segment_id": segment, **sent, **wrong})
    assert (refused.status_code, invalid_fields(refused)) == (422, {"times"})
    assert "must be a whole number from 1 to 240" in text_of(refused)
