"""Late follow-ups reach the team's manager by mail, each once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert

from customers.models import dealers, salespeople
from runtime.clock import utc_now
from runtime.house import House
from sales.models import follow_ups
from sales.opening import escalate
from tests.campaigns.conftest import sink
from tests.campaigns.scene import Sink
from tests.tracking.people_with_mail import make_people
from tests.web.conftest import MakeUser
from web.late_mails import digest, mail_late

__all__ = ["sink"]  # a fixture


@pytest.fixture
def mailing(house: House, sink: Sink) -> House:
    return replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{sink.port}?connections=4"))


async def make_late(house: House, salesperson: str, name: str, rule: str = "replacement") -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        [person] = await make_people(conn, 1, salesperson=salesperson, name=name)
        given = dict.fromkeys(("signal_at", "opened_at", "given_at"), now - timedelta(days=2))
        row = {"customer_id": person, "rule": rule, "salesperson": salesperson, "evidence": [], "value": 1}
        await conn.execute(insert(follow_ups), {**row, **given, "due_hours": 24, "due_at": now - timedelta(hours=1)})
        await escalate(conn, now)


async def test_the_manager_of_a_team_is_told_once(mailing: House, make_user: MakeUser, sink: Sink) -> None:
    async with mailing.database.begin() as conn:
        await conn.execute(insert(dealers), [{"code": "east"}, {"code": "west"}])
        team = {"s1": "east", "s2": "east", "s3": "west", "s4": None}
        people = [{"code": code, "name": code.upper(), "dealer": dealer} for code, dealer in team.items()]
        await conn.execute(insert(salespeople), people)
    manager = await make_user("marketer", email="east@example.com", salesperson="s1", language="zh")
    admin = await make_user("admin", email="boss@example.com")
    nobody = await make_user("salesperson", salesperson="s2")
    for seller, name in (("s2", "Wang"), ("s3", "Li"), ("s4", "Zhao")):
        await make_late(mailing, seller, name)
    sent = len(sink.mails)
    for _ in range(2):
        for user_id in (manager, admin, nobody):
            await mail_late(mailing, user_id=user_id)
    told = dict(sink.mails[sent:])
    assert len(sink.mails) == sent + 2
    assert {
        address: {one for one in ("Wang", "Li", "Zhao") if one in body(mail)} for address, mail in told.items()
    } == {
        "east@example.com": {"Wang"},
        "boss@example.com": {"Li", "Zhao"},
    }
    assert "逾期" in str(told["east@example.com"]["Subject"])
    await make_late(mailing, "s1", "Sun", "bad_rating")
    async with mailing.database.connect() as conn:
        found = await digest(conn, manager, "Asia/Shanghai")
        assert found is not None
        assert [row["customer"] for row in found.rows] == ["Sun"]
        assert await digest(conn, admin, "Asia/Shanghai") is None


def body(mail: object) -> str:
    text = mail.get_body(("plain",)).get_content()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text
