"""What segment rules and timelines see of messages and events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.timeline import timeline
from runtime.settings import Settings
from segments.context import context_at
from segments.engine import count
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.models import campaign_names

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = SENT_AT + timedelta(hours=1)
AIR = "https://shop.example.com/Air"


@pytest.fixture
async def people(conn: AsyncConnection) -> list[int]:
    """One who clicked, one whose scanner clicked, one who was bounced, one who was skipped."""
    await conn.execute(insert(campaign_names), {"campaign_id": 10, "name": "Autumn", "name_folded": "autumn"})
    people = await make_people(conn, 4)
    keys = await make_messages(conn, people[:2])
    await make_messages(conn, people[2:3], state="bounced", reason="550 no such user")
    await make_messages(conn, people[3:], state="skipped", reason="no_consent")
    clicks = [Fact(key, FactKind.CLICKED, LATER, link=AIR, link_index=0) for key in keys]
    await store(conn, [clicks[0], clicks[1]._replace(machine="scanner")], NOW)
    return people


def event(*where: dict[str, Any]) -> dict[str, Any]:
    return {"has": "events", "where": {"all": [{"field": "kind", "op": "eq", "value": "clicked"}, *where]}}


def sent(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"has": "messages", "where": {"field": field, "op": op, **({} if value is None else {"value": value})}}


@pytest.mark.parametrize(
    ("rule", "members"),
    [
        (event(), 1),
        (event({"field": "machine", "op": "is", "value": True}), 1),
        (event({"field": "machine", "op": "not_empty"}), 2),
        (event({"field": "link", "op": "contains", "value": "/air"}), 1),
        (event({"field": "campaign", "op": "starts_with", "value": "AUT"}), 1),
        (event({"field": "channel", "op": "eq", "value": "email"}), 1),
        (sent("state", "eq", "bounced"), 1),
        (sent("state", "in", ["sent", "skipped"]), 3),
        (sent("campaign", "eq", "Autumn"), 4),
        (sent("campaign", "eq", "Winter"), 0),
        (sent("clicked_at", "not_empty"), 1),
        (sent("opened_at", "within_last", "P2D"), 1),
        (sent("sent_at", "empty"), 1),
        ({"field": "last_clicked_at", "op": "within_last", "value": "P2D"}, 1),
        ({"field": "engagement_score", "op": "between", "value": [3.95, 3.95]}, 1),  # 4 points, 38 hours ago
        ({"field": "engagement_score", "op": "empty"}, 3),
    ],
)
async def test_rules_ask_about_messages_and_events(
    conn: AsyncConnection, settings: Settings, people: list[int], rule: dict[str, Any], members: int
) -> None:
    assert len(people) == 4
    assert await count(conn, rule, context_at(NOW, settings)) == members


async def test_the_timeline_tells_what_went_out_and_what_came_of_it(conn: AsyncConnection, people: list[int]) -> None:
    told = (await timeline(conn, people[0])).items
    assert [(each.kind, each.at, each.channel, each.campaign) for each in told] == [
        ("clicked", LATER, "email", "Autumn"),
        ("message", SENT_AT, "email", "Autumn"),
    ]
    assert (told[0].data["link"], told[0].data["machine"], told[1].data["state"]) == (AIR, None, "sent")
    assert (await timeline(conn, people[1])).items[0].data["machine"] == "scanner"
    [skipped] = (await timeline(conn, people[3])).items
    assert (skipped.data["state"], skipped.data["reason"]) == ("skipped", "no_consent")
