from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func

from customers.models import orders
from customers.reading import SORTS, Search, find_customers, get_customer, list_customers
from customers.timeline import Looked, contribute, entry, newest, timeline
from runtime.errors import Invalid, NotFound
from tests.customers.door import Door

PEOPLE = [
    {"external_id": "A", "name": "王伟", "email": "wang@example.com", "phone": "13800138000", "salesperson": "S1"},
    {"external_id": "B", "name": "Ｌi 50%", "email": "li_x@example.com", "phone": "13800138000", "salesperson": "S2"},
    {"email": "zhao@example.com", "name": "赵伟", "identities": [{"kind": "wechat", "value": "wx1"}]},
]


async def test_a_whole_record(door: Door) -> None:
    await door("customers", {**PEOPLE[0], "consents": [{"channel": "email", "granted": True}]})
    await door("appliances", {"customer": {"external_id": "A"}, "serial": "S1", "category": "fridge"})
    await door("orders", {"customer": {"external_id": "A"}, "number": "1", "amount": 5, "ordered_at": "2026-01-01"})
    record = await get_customer(door.conn, 1)
    assert (record["id"], record["external_id"], record["phone"]) == (1, "A", "+8613800138000")
    assert [identity["kind"] for identity in record["identities"]] == ["email", "external_id"]
    assert [(one["channel"], one["granted"]) for one in record["consents"]] == [("email", True)]
    assert record["appliances"][0]["number"] == "S1"
    assert (record["activity"]["orders_count"], record["activity"]["total_spent"]) == (1, 5)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), ["wang", "li_x", "zhao"]),
        (Search(external_id="B"), ["li_x"]),
        (Search(email="WANG@example.com"), ["wang"]),
        (Search(phone="138 0013 8000"), ["wang", "li_x"]),
        (Search(phone="138 0013 8000", salesperson="S2"), ["li_x"]),
        (Search(q="伟"), ["wang", "zhao"]),
        (Search(q="LI 50%"), ["li_x"]),
        (Search(q="%"), ["li_x"]),
        (Search(q="li_"), ["li_x"]),
        (Search(q="13800138000"), ["wang", "li_x"]),
        (Search(q="A"), ["wang"]),
        (Search(q="nobody\0"), []),
        (Search(email="nonsense"), []),
        (Search(salesperson=""), []),
    ],
)
async def test_search(door: Door, search: Search, found: list[str]) -> None:
    await door("customers", *PEOPLE)
    page = await list_customers(door.conn, search, settings=door.settings)
    assert [record["email"].partition("@")[0] for record in page.items] == found
    assert page.next is None


async def test_pages_meet_without_gap(door: Door) -> None:
    await door("customers", *({"external_id": f"N{number}"} for number in range(7)))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await list_customers(door.conn, Search(), settings=door.settings, cursor=cursor, limit=3)
        seen += [record["external_id"] for record in page.items]
        cursor = page.next
    assert seen == [f"N{number}" for number in range(7)]
    assert cursor is None
    with pytest.raises(Invalid, match="cursor"):
        await list_customers(door.conn, Search(), settings=door.settings, cursor="1; DROP TABLE")


async def test_every_sort_key_sorts(door: Door) -> None:
    await door("customers", *PEOPLE)
    for column in SORTS.values():
        query = find_customers(Search(), door.settings).order_by(column)
        assert len((await door.conn.execute(query)).all()) == 3


async def test_a_stranger_and_somebody_elses_customer_are_not_found(door: Door) -> None:
    await door("customers", *PEOPLE)
    assert (await get_customer(door.conn, 1, salesperson="S1"))["external_id"] == "A"
    for customer, salesperson in ((99, None), (2, "S1"), (3, "")):
        with pytest.raises(NotFound):
            await get_customer(door.conn, customer, salesperson=salesperson)


async def fill_timeline(door: Door) -> None:
    who = {"customer": {"external_id": "A"}}
    same = "2026-03-01T00:00:00Z"
    await door("customers", {"external_id": "A", "consents": [{"channel": "email", "granted": False, "at": same}]})
    await door("orders", *({**who, "number": f"{n}", "amount": n, "ordered_at": same} for n in range(4)))
    await door("service_visits", {**who, "number": "V", "kind": "repair", "completed_at": "2026-04-01T00:00:00Z"})
    await door("appliances", {**who, "number": "P", "category": "fridge", "installed_on": "2026-01-05"})


async def test_the_timeline_shows_the_newest_first_and_pages_over_equal_times(door: Door) -> None:
    await fill_timeline(door)
    whole = await timeline(door.conn, 1)
    kinds = [item.kind for item in whole.items]
    assert kinds == ["service_visit", "consent_withdrawn", *["order"] * 4, "appliance_installed"]
    assert (whole.items[1].channel, whole.items[1].data["purpose"]) == ("email", "marketing")
    assert whole.next is None
    for limit in (1, 2, 3):
        paged: list[Any] = []
        page = await timeline(door.conn, 1, limit=limit)
        paged += page.items
        while page.next is not None:
            page = await timeline(door.conn, 1, cursor=page.next, limit=limit)
            paged += page.items
        assert paged == list(whole.items)
    for cursor in ("x", "2026-13-01T00:00:00Z~1", "2026-03-01T00:00:00Z~-1"):
        with pytest.raises(Invalid, match="cursor"):
            await timeline(door.conn, 1, cursor=cursor)


async def test_a_room_contributes_to_timelines(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from customers import timeline as module

    monkeypatch.setattr(module, "_contributions", {})
    await fill_timeline(door)

    def doubled(customer_id: int, before: Any, limit: int) -> Any:
        query = entry(orders.c.ordered_at, "again", func.to_jsonb(orders.c.items_count))
        mine = query.select_from(orders).where(orders.c.customer_id == customer_id, orders.c.ordered_at <= before)
        return newest(mine, orders.c.ordered_at, limit)

    assert (await timeline(door.conn, 1)).items == []
    contribute("again", doubled)
    contribute("again", doubled)  # replaces itself
    assert [item.kind for item in (await timeline(door.conn, 1)).items] == ["again"] * 4


@pytest.mark.parametrize(
    ("looked", "kinds"),
    [
        (Looked(kinds=frozenset({"order"})), ["order"] * 4),
        (Looked(kinds=frozenset({"consent_withdrawn", "service_visit"})), ["service_visit", "consent_withdrawn"]),
        (Looked(kinds=frozenset({"consent_granted"})), []),
        (Looked(kinds=frozenset({"unheard of"})), []),
        (Looked(channel="email"), ["consent_withdrawn"]),
        (Looked(q="MARKET"), ["consent_withdrawn"]),
        (Looked(q="status"), []),  # a name, no value
        (Looked(q='%_"\\'), []),
        (Looked(kinds=frozenset({"order"}), q="marketing"), []),
    ],
)
async def test_a_timeline_is_looked_through(door: Door, looked: Looked, kinds: list[str]) -> None:
    await fill_timeline(door)
    for limit in (1, 2, 50):
        found: list[Any] = []
        page = await timeline(door.conn, 1, looked, limit=limit)
        found += page.items
        while page.next is not None:
            page = await timeline(door.conn, 1, looked, cursor=page.next, limit=limit)
            found += page.items
        assert [item.kind for item in found] == kinds


async def test_a_timeline_of_some_days(door: Door) -> None:
    await fill_timeline(door)
    whole = (await timeline(door.conn, 1)).items
    newest_at, oldest_at = whole[0].at, whole[-1].at
    inner = (await timeline(door.conn, 1, Looked(since=oldest_at + timedelta(seconds=1), until=newest_at))).items
    assert list(inner) == [item for item in whole if oldest_at < item.at < newest_at]
