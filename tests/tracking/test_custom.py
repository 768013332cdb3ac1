"""Events that others tell: upserted by their key, each refusal with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.settings import Settings
from segments.context import context_at
from segments.engine import count
from tracking.custom import record_events
from tracking.models import campaign_names, events

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def visit(**changes: Any) -> dict[str, Any]:
    given = {"key": "v1", "kind": "Shop visit", "customer": {"external_id": "W1"}, "at": "2026-11-19T10:00:00+08:00"}
    return {**given, **changes}


async def tell(conn: AsyncConnection, settings: Settings, *records: Any) -> Any:
    return await record_events(conn, records, settings=settings, now=NOW)


async def test_an_event_is_kept_with_all_it_says(conn: AsyncConnection, settings: Settings) -> None:
    await conn.execute(insert(campaign_names), {"campaign_id": 7, "name": "Autumn", "name_folded": "autumn"})
    more = {"value": "12.5", "link": "https://Shop.example.com", "channel": "web", "campaign": "Autumn"}
    result = await tell(conn, settings, visit(**more, attributes={"room": "Küche", "minutes": 5}))
    row = (await conn.execute(select(events))).one()
    person = (await conn.execute(select(customers))).one()
    assert (result.created, list(result.ids)) == (1, [person.id])
    assert (row.customer_id, row.kind, row.kind_folded, row.campaign_id) == (person.id, "Shop visit", "shop visit", 7)
    assert row.at == datetime(2026, 11, 19, 2, 0, tzinfo=UTC)
    assert (float(row.value), row.link_folded, row.machine) == (12.5, "https://shop.example.com", False)
    assert (row.attributes, row.attributes_folded) == ({"room": "Küche", "minutes": 5}, {"room": "küche"})


async def test_the_same_key_again_changes_nothing_or_what_differs(conn: AsyncConnection, settings: Settings) -> None:
    await tell(conn, settings, visit())
    assert (await tell(conn, settings, visit())).unchanged == 1
    assert (await tell(conn, settings, visit(value=3))).updated == 1
    moved = await tell(conn, settings, visit(at="2019-01-01T00:00:00Z", value=3))  # another month's table
    assert moved.updated == 1
    row = (await conn.execute(select(events))).one()
    assert (row.at.year, row.value) == (2019, 3)


async def test_without_a_time_an_event_is_of_now_and_stays_there(conn: AsyncConnection, settings: Settings) -> None:
    await tell(conn, settings, visit(at=None))
    later = await record_events(conn, [visit(at=None)], settings=settings, now=NOW.replace(day=21))
    assert later.unchanged == 1
    assert (await conn.execute(select(events.c.at))).scalar_one() == NOW


async def test_one_key_twice_in_a_batch_is_one_event(conn: AsyncConnection, settings: Settings) -> None:
    result = await tell(conn, settings, visit(), visit(value=2), visit(key="v2"))
    assert (result.created, result.updated) == (2, 1)
    assert len((await conn.execute(select(events))).all()) == 2


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"key": None}, "key"),
        ({"kind": ""}, "kind"),
        ({"kind": "clicked"}, "kind"),
        ({"at": "soon"}, "at"),
        ({"value": "much"}, "value"),
        ({"campaign": "Nobody's"}, "campaign"),
        ({"colour": "red"}, "colour"),
        ({"attributes": [1]}, "attributes"),
        ({"customer": {}}, "customer"),
    ],
)
async def test_each_refusal_names_its_culprit(
    conn: AsyncConnection, settings: Settings, change: dict[str, Any], path: str
) -> None:
    result = await tell(conn, settings, visit(**change), visit(key="good"))
    assert (result.accepted, [reject.index for reject in result.rejected]) == (1, [0])
    assert result.rejected[0].problems[0].path == path


async def test_a_key_belongs_to_one_customer(conn: AsyncConnection, settings: Settings) -> None:
    await tell(conn, settings, visit())
    result = await tell(conn, settings, visit(customer={"external_id": "W2"}))
    assert result.accepted == 0
    assert "belongs to" in result.rejected[0].problems[0].message


async def test_not_even_an_object_is_refused_with_its_place(conn: AsyncConnection, settings: Settings) -> None:
    result = await tell(conn, settings, "event", 5, None, visit())
    assert (result.accepted, len(result.rejected)) == (1, 3)


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ({"field": "kind", "op": "eq", "value": "SHOP VISIT"}, 1),
        ({"field": "attributes.room", "op": "eq", "value": "KÜCHE"}, 1),
        ({"field": "attributes.minutes", "op": "gt", "value": 5}, 0),
        ({"field": "value", "op": "gte", "value": 2}, 1),
        ({"field": "campaign", "op": "eq", "value": "autumn"}, 1),
        ({"field": "campaign", "op": "empty"}, 0),
        ({"field": "at", "op": "within_last", "value": "P3D"}, 1),
    ],
)
async def test_rules_can_ask_about_them(
    conn: AsyncConnection, settings: Settings, where: dict[str, Any], members: int
) -> None:
    await conn.execute(insert(campaign_names), {"campaign_id": 7, "name": "Autumn", "name_folded": "autumn"})
    more = {"value": 2, "campaign": "Autumn", "attributes": {"room": "Küche", "minutes": 5}}
    await tell(conn, settings, visit(**more))
    assert await count(conn, {"has": "events", "where": where}, context_at(NOW, settings)) == members
