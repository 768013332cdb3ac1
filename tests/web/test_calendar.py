"""The calendar as a page and as a call."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import add_people
from tests.campaigns.test_schedule import scheduled
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import text_of

__all__ = ["house", "sink"]  # fixtures

DAILY = {"cron": "0 9 * * *", "timezone": "Asia/Shanghai"}


async def daily(house: House, name: str = "Filters") -> int:
    async with house.database.begin() as conn:
        await add_people(conn, 2)
    return await scheduled(house, DAILY, name=name, now=utc_now())


@pytest.mark.parametrize("view", ["month", "week", "list"])
async def test_what_is_coming_is_shown_and_leads_there(sign_in: SignIn, house: House, view: str) -> None:
    campaign_id = await daily(house, "Filters <b>")
    day = (utc_now() + timedelta(days=62)).date()
    for language, words in (("en", "≈ 2 people"), ("zh", "≈ 2 人")):
        client = await sign_in("analyst", language=language)
        page = await client.get(f"/calendar?view={view}&day={day}")
        assert page.status_code == 200
        assert words in text_of(page)
        assert "Filters &lt;b&gt;" in page.text
        assert f'href="/campaigns/{campaign_id}"' in page.text
        assert f"?day={day.replace(day=1)}" in page.text or view == "week" or "data-step" in page.text


async def test_from_month_to_month(sign_in: SignIn, house: House) -> None:
    await daily(house)
    client = await sign_in("analyst")
    page = await client.get("/calendar?day=2030-01-15")
    steps = dict(re.findall(r'href="[^"]*day=([\d-]+)[^"]*" data-step="(\w+)"', page.text))
    assert steps == {"2029-12-01": "earlier", "2030-02-01": "later"}
    assert text_of(page).count("Filters") >= 31
    week = await client.get("/calendar?view=week&day=2030-01-15")
    assert text_of(week).count("Filters") == 7


async def test_nonsense_in_the_address_is_today(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    for query in ("day=soon", "day=9999-12-31", "view=year", "day=0001-01-01&view=week"):
        page = await client.get(f"/calendar?{query}")
        assert page.status_code == 200
        assert "Nothing goes out in these days" in page.text


async def test_the_call(api: OpenApi, house: House) -> None:
    campaign_id = await daily(house)
    client = await api("analyst")
    found = (await client.get("/calendar?from=2030-01-01&to=2030-01-02")).json()
    assert (found["from"], found["to"]) == ("2030-01-01", "2030-01-02")
    assert [(one["campaign_id"], one["at"], one["state"]) for one in found["items"]] == [
        (campaign_id, "2030-01-01T01:00:00Z", "coming"),
        (campaign_id, "2030-01-02T01:00:00Z", "coming"),
    ]
    assert (found["items"][0]["people"], found["items"][0]["estimated"], found["items"][0]["kind"]) == (2, True, "cron")
    assert (await client.get("/calendar")).status_code == 200


@pytest.mark.parametrize(
    ("query", "culprit"),
    [
        ("from=soon", "from"),
        ("from=2030-01-02&to=2030-01-01", "to"),
        ("from=2030-01-02&to=2031-01-01", "to"),
        ("from=0001-01-01&to=0001-01-02", "from"),
    ],
)
async def test_a_bad_span_is_named(api: OpenApi, query: str, culprit: str) -> None:
    answer = await (await api("analyst")).get(f"/calendar?{query}")
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [culprit]
