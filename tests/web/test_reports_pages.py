"""Reports in the console: a campaign's parts, the programme, growth, windows and costs, and the report by mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from campaigns import figures
from campaigns.models import report_schedules
from campaigns.programme import programme
from campaigns.windows import windows_now
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.conftest import sink
from tests.campaigns.scene import Sink, add_people, launched, work_off
from tests.campaigns.test_report import clicked, ordered
from tests.web.conftest import MakeUser, SignIn
from tests.web.scene import LI, WANG, order, put, text_of
from web.models import users
from web.pages import campaign_report
from web.report_mails import Span, due, last, mail_report, save_recipients

__all__ = ["sink"]  # a fixture


@pytest.fixture
def mailing(house: House, sink: Sink) -> House:
    return replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{sink.port}?connections=4"))


async def played(house: House) -> int:
    """A finished campaign to three, one of whom clicked and bought for 40.10."""
    async with house.database.begin() as conn:
        first, *_ = await add_people(conn, 3)
    campaign_id = await launched(house)
    await work_off(house)
    at = utc_now()
    await clicked(house, campaign_id, first, at)
    async with house.database.begin() as conn:
        await ordered(conn, first, "1", at + timedelta(seconds=1), amount="40.10", margin="8.05")
    return campaign_id


async def test_a_report_with_its_costs_tables_and_clicks_over_the_mail(sign_in: SignIn, mailing: House) -> None:
    campaign_id = await played(mailing)
    client = await sign_in("marketer")
    saved = await client.post(f"/campaigns/{campaign_id}/costs", data={"fixed": "3", "per_message": "0.5"})
    page = await client.get(saved.headers["location"])
    told = text_of(page)
    for words in (
        "Not returned 3 100%",
        "Last touch 1 ¥40.10 ¥8.05 ¥3.55",
        "Cost: ¥4.50 , ¥1.5000 a message",
        "Windows 1",
    ):
        assert words in told, (words, told)
    assert f'src="/campaigns/{campaign_id}/heat"' in page.text
    assert "100.0%</span>" in (await client.get(f"/campaigns/{campaign_id}/heat")).text
    for table, line in (("cities", "西安,3,1,1,0"), ("systems", "Windows,1"), ("domains", "example.com,3,3,0,1,1")):
        answer = await client.get(f"/campaigns/{campaign_id}/report/{table}.csv")
        assert answer.text.splitlines()[1] == line
    assert (await client.get(f"/campaigns/{campaign_id}/report/secrets.csv")).status_code == 404
    refused = await client.post(f"/campaigns/{campaign_id}/costs", data={"fixed": "-1"})
    assert "must be an amount" in text_of(await client.get(refused.headers["location"]))


async def test_a_large_campaign_is_shown_as_it_was_counted(
    sign_in: SignIn, mailing: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = await played(mailing)
    monkeypatch.setattr(campaign_report, "MANY", 1)
    client = await sign_in("analyst")
    assert "being counted" in text_of(await client.get(f"/campaigns/{campaign_id}"))
    await figures.count_figures(mailing, campaign_id=campaign_id)
    told = text_of(await client.get(f"/campaigns/{campaign_id}"))
    assert "count now" in told
    assert "¥40.10" in told
    assert "count now" not in text_of(await client.get(f"/campaigns/{campaign_id}?counted=yes"))


async def test_the_programme_of_a_period(sign_in: SignIn, mailing: House) -> None:
    client = await sign_in("analyst")
    assert "No campaign went out" in text_of(await client.get("/reports"))
    campaign_id = await played(mailing)
    assert "1 campaign is still being counted" in text_of(await client.get("/reports"))
    await figures.count_figures(mailing, campaign_id=campaign_id)
    told = text_of(await client.get("/reports?days=90"))
    assert "Spring" in told
    assert "¥40.10" in told
    lines = (await client.get("/reports/campaigns.csv")).text.splitlines()
    assert lines[1].split(",")[2:] == ["3", "1", "1", "0", "0", "1", "40.1000", "8.0500", "0.0000"]
    async with mailing.database.connect() as conn:
        now = utc_now()
        assert (await programme(conn, now - timedelta(days=9), now - timedelta(days=2), "UTC")).lines == []


async def test_growth_and_cohorts(sign_in: SignIn, house: House) -> None:
    client = await sign_in("analyst")
    assert "No orders yet" in text_of(await client.get("/reports/growth"))
    await put(house, "customers", WANG, LI)
    await put(house, "orders", order("C1", "1"), order("C2", "2"), order("C1", "3", ordered_at="2026-10-20"))
    told = text_of(await client.get("/reports/growth?days=90"))
    assert "New" in told
    months = (await client.get("/reports/growth/months.csv?days=90")).text.splitlines()
    assert [line.split(",")[1] for line in months if line.startswith("2026-10")] == ["2"]
    assert (await client.get("/reports/growth/cohorts.csv")).text.splitlines()[1].startswith("2026-10,2,")
    assert (await client.get("/reports/growth/others.csv")).status_code == 404


async def test_windows_and_costs_are_set_by_marketers(sign_in: SignIn, house: House) -> None:
    reader = await sign_in("analyst")
    assert "disabled" in (await reader.get("/reports/rules")).text
    client = await sign_in("marketer")
    wrong = await client.post("/reports/rules", data={"click_days": "0", "open_days": "3", "costs.email": "x"})
    assert wrong.status_code == 422
    assert "from 1 to 365" in text_of(wrong)
    await client.post("/reports/rules", data={"click_days": "14", "open_days": "0", "costs.email": "0.05"})
    async with house.database.connect() as conn:
        found = await windows_now(conn)
    assert (found.click_days, found.open_days, str(found.costs["email"])) == (14, 0, "0.0500")


async def test_the_report_comes_by_mail_once_a_period_in_ones_language(
    sign_in: SignIn, make_user: MakeUser, mailing: House, sink: Sink
) -> None:
    campaign_id = await played(mailing)
    await figures.count_figures(mailing, campaign_id=campaign_id)
    chosen = await make_user(email="wang@example.com", language="zh", role="analyst")
    nobody = await make_user(email="s@example.com", role="salesperson")
    client = await sign_in("admin")
    await client.post("/reports/people", data={f"user.{chosen}": "week", f"user.{nobody}": "week"})
    assert "wang@example.com" in (await client.get("/reports")).text
    today = utc_now().astimezone(mailing.settings.zone).date()
    span = last("week", today)
    async with mailing.database.connect() as conn:
        assert await due(conn, today) == [(chosen, span)]
        await conn.execute(update(users).values(active=False))
        assert await due(conn, today) == []
        await conn.rollback()
    sent = len(sink.mails)
    for _ in range(2):
        await mail_report(mailing, user_id=chosen, start=span.start.isoformat())
    [(address, mail)] = sink.mails[sent:]
    assert address == "wang@example.com"
    assert "您的一周" in str(mail["Subject"])
    async with mailing.database.begin() as conn:
        assert await due(conn, today) == []
        assert [one.start for _who, one in await due(conn, today + timedelta(days=7))] == [span.end]
        await save_recipients(conn, {chosen: ""}, by="me")
        assert (await conn.execute(select(report_schedules))).all() == []


def test_the_last_week_and_month() -> None:
    assert last("week", date(2026, 11, 23)) == Span(date(2026, 11, 16), date(2026, 11, 23))
    assert last("week", date(2026, 11, 22)) == Span(date(2026, 11, 9), date(2026, 11, 16))
    assert last("month", date(2026, 1, 31)) == Span(date(2025, 12, 1), date(2026, 1, 1))
