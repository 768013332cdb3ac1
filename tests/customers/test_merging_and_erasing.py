from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Text, cast, insert, select, update

from customers.bulk import among
from customers.consents import ConsentEntry, record_consents
from customers.erasing import erase
from customers.merging import merge, resolve
from customers.models import (
    activity,
    appliances,
    consents,
    contact_addresses,
    customers,
    erased,
    households,
    identities,
    import_rejects,
    imports,
    order_items,
    orders,
    record_numbers,
    standing_consents,
    suppressed_addresses,
    suppressions,
)
from customers.preferences import Frequency, Wishes, preferences_of, save_wishes
from customers.ranks import refresh_ranks
from customers.results import Consent
from customers.spread import lookup_tables, person_tables
from customers.suppressions import (
    Lift,
    SuppressedAddress,
    Suppression,
    lift,
    lift_address,
    suppress,
    suppress_addresses,
    suppressed_addresses_of,
    suppressions_of,
)
from customers.timeline import timeline
from runtime.database import metadata
from runtime.errors import Conflict, Invalid, NotFound
from tests.customers.door import NOW, Door

EMAIL = {"channel": "email", "source": "shop"}


async def two_records_of_one_person(door: Door) -> None:
    await door(
        "customers",
        {"external_id": "A", "name": "Wang", "phone": "13800138000", "tags": ["x"], "attributes": {"floor": 1}},
        {"email": "w@example.com", "name": "W.", "city": "西安", "phone": "13900139000", "tags": ["x", "y"],
         "attributes": {"floor": 2, "pets": "cat"}, "community": "Q", "address": "1-1"},
    )  # fmt: skip
    await door("orders", _order("1", {"external_id": "A"}, 10), _order("2", {"email": "w@example.com"}, 32))
    await door("appliances", *({"customer": who, "category": "fridge", "brand": "Haier"} for who in (
        {"external_id": "A"}, {"email": "w@example.com"})))  # fmt: skip
    await record_consents(door.conn, [_consent(1, granted=True, days=2), _consent(2, granted=False, days=1)], now=NOW)
    await door.conn.execute(update(activity).values(last_opened_at=NOW).where(activity.c.customer_id == 2))


def _order(number: str, who: Any, amount: int) -> Any:
    items = [{"sku": "s", "price": amount}]
    return {"customer": who, "number": number, "ordered_at": "2026-01-01", "items": items}


def _consent(customer: int, *, granted: bool, days: int) -> ConsentEntry:
    return ConsentEntry(customer, Consent("email", "marketing", granted, "shop", NOW - timedelta(days=days)))


async def test_a_merge_moves_everything_and_keeps_what_stands(door: Door) -> None:
    await two_records_of_one_person(door)
    await merge(door.conn, 1, 2, now=NOW)
    kept, gone = await door.all(customers)
    assert (kept["name"], kept["city"], kept["email"], kept["tags"]) == ("Wang", "西安", "w@example.com", ["x", "y"])
    assert kept["attributes"] == {"floor": 1, "pets": "cat"}
    assert (gone["merged_into"], gone["name"], gone["email"]) == (1, None, None)
    for table in person_tables():
        assert await door.count(table, table.c.customer_id == 2) == 0, table.name
    for table in lookup_tables():
        assert await door.count(table, table.c.customer_id == 2) == 0, table.name
    folded = await door.one(activity)
    assert (folded["orders_count"], folded["total_spent"], folded["last_opened_at"]) == (2, Decimal(42), NOW)
    assert await door.count(order_items) == 2
    assert await door.count(appliances) == 1  # the same fridge, known twice
    assert [row["granted"] for row in await door.all(standing_consents)] == [False]
    assert await door.count(consents) == 2
    primary = await door.all(contact_addresses, contact_addresses.c.is_primary)
    assert [row["value"] for row in primary] == ["w@example.com", "+8613800138000"]
    assert await resolve(door.conn, 2) == await resolve(door.conn, 1) == 1


async def test_the_old_id_and_identities_mean_the_merged_customer(door: Door) -> None:
    await two_records_of_one_person(door)
    await merge(door.conn, 1, 2, now=NOW)
    await door("customers", {"external_id": "C"})
    await merge(door.conn, 3, 1, now=NOW)
    assert [await resolve(door.conn, old) for old in (1, 2, 3)] == [3, 3, 3]
    result = await door("customers", {"id": 2, "gender": "m"}, {"external_id": "A", "email": "w@example.com"})
    assert (result.accepted, result.ids) == (2, [3, 3])
    with pytest.raises(Conflict, match="itself"):
        await merge(door.conn, 2, 3, now=NOW)
    with pytest.raises(NotFound):
        await merge(door.conn, 99, 3, now=NOW)


async def test_erasure_leaves_only_hashes(door: Door) -> None:
    await two_records_of_one_person(door)
    await door("customers", {"external_id": "B", "phone": "13900139000"})
    await merge(door.conn, 1, 2, now=NOW)
    await suppress(door.conn, [Suppression(1, "email", "bounced", NOW, address="w@example.com")])
    await suppress_addresses(
        door.conn,
        [
            SuppressedAddress("email", "w@example.com", "bounced", NOW),
            SuppressedAddress("phone", "+8613900139000", "complained", NOW),
        ],
    )
    await door.conn.execute(insert(imports).values(kind="customers", filename="x.csv"))
    for cells in (["W@Example.com", "Wang"], ["other@example.com", "w"]):
        await door.conn.execute(insert(import_rejects).values(import_id=1, line=2, reason="no", cells=cells))
    await erase(door.conn, 2)
    assert [row["external_id"] for row in await door.all(customers)] == ["B"]
    for table in (*person_tables(), *lookup_tables()):
        assert await door.count(table, among(table.c.customer_id, [1, 2])) == 0, table.name
    assert await door.count(households) == 0
    assert [row["kind"] for row in await door.all(suppressed_addresses)] == ["phone"]  # B has it as well
    assert await door.count(import_rejects) == 1
    assert await door.count(erased) == 4
    assert await _mentions(door, "w@example.com") == []


async def _mentions(door: Door, word: str) -> list[str]:
    """The columns, of whatever table, that hold the word."""
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    return [str(column) for column in columns if await door.count(column.table, cast(column, Text).contains(word))]


async def test_the_erased_are_not_imported_again(door: Door) -> None:
    await two_records_of_one_person(door)
    await door("customers", {"phone": "13700137000"})
    for customer in (1, 2, 3):
        await erase(door.conn, customer)
    result = await door(
        "customers",
        {"external_id": "A", "email": "new@example.com"},
        {"external_id": "Z", "email": "W@example.com"},
        {"phone": "137 0013 7000"},
        {"external_id": "Y", "phone": "13800138000"},  # somebody else at the same phone
    )
    assert [reject.index for reject in result.rejected] == [0, 1, 2]
    assert "erased" in result.rejected[0].problems[0].message
    order = await door("orders", _order("9", {"external_id": "A"}, 1))
    assert order.accepted == 0
    with pytest.raises(NotFound):
        await erase(door.conn, 1)


async def test_suppressions_stand_until_lifted_or_expired(door: Door) -> None:
    await door("customers", {"external_id": "A", "email": "a@example.com"})
    past, future = NOW - timedelta(days=1), NOW + timedelta(days=1)
    await suppress(
        door.conn,
        [
            Suppression(1, "email", "manual", past, expires_at=past),
            Suppression(1, "email", "bounced", past, expires_at=future, detail="5.1.1"),
            Suppression(1, "email", "unsubscribed", past),
            Suppression(1, "email", "unsubscribed", NOW),
        ],
    )
    standing = await suppressions_of(door.conn, 1, NOW)
    assert [(one.reason, one.at) for one in standing] == [("unsubscribed", NOW), ("bounced", past)]
    lifting = Lift("Mei", " asked for  it ", NOW)
    assert await lift(door.conn, 1, "email", lifting, reason="unsubscribed") == 1
    assert [await lift(door.conn, 1, "email", lifting) for _ in range(2)] == [1, 0]
    assert await suppressions_of(door.conn, 1, NOW) == []
    row = await door.one(suppressions, suppressions.c.reason == "bounced")
    assert (row["expires_at"], row["lifted_by"], row["lift_note"]) == (NOW, "Mei", "asked for it")
    told = [entry for entry in (await timeline(door.conn, 1)).items if entry.kind == "suppression_lifted"]
    assert [entry.data["reason"] for entry in told] == ["bounced", "unsubscribed"]
    await suppress(door.conn, [Suppression(1, "email", "bounced", NOW)])
    assert [(one.reason, one.lifted_by) for one in await suppressions_of(door.conn, 1, NOW)] == [("bounced", None)]
    await suppress_addresses(door.conn, [SuppressedAddress("email", "a@example.com", "bounced", NOW)])
    assert [one.value for one in await suppressed_addresses_of(door.conn, 1, NOW)] == ["a@example.com"]
    with pytest.raises(Invalid, match="note"):
        await lift_address(door.conn, "email", "a@example.com", Lift("Mei", " ", NOW))
    assert [await lift_address(door.conn, "email", "a@example.com", lifting) for _ in range(2)] == [True, False]
    assert await suppressed_addresses_of(door.conn, 1, NOW) == []


async def test_a_merge_lets_the_suppression_stand_that_stands_longer(door: Door) -> None:
    await two_records_of_one_person(door)
    past, future = NOW - timedelta(days=1), NOW + timedelta(days=1)
    await suppress(door.conn, [
        Suppression(1, "email", "bounced", past, expires_at=past), Suppression(2, "email", "bounced", past),
        Suppression(1, "email", "manual", past), Suppression(2, "email", "manual", past, expires_at=future),
        Suppression(1, "email", "complained", past, expires_at=future),
        Suppression(2, "email", "complained", past, expires_at=past),
    ])  # fmt: skip
    await merge(door.conn, 1, 2, now=NOW)
    standing = await suppressions_of(door.conn, 1, NOW)
    ends = {one.reason: one.expires_at for one in standing}
    assert ends == {"bounced": None, "manual": None, "complained": future}


async def test_ranks_follow_the_cut_points(door: Door) -> None:
    await door("customers", {"external_id": "never bought"})
    spent = [10, 20, 20, 30, 40, 50, 60, 70, 80, 100]
    await door("orders", *(_order(str(n), {"external_id": f"C{n}"}, amount) for n, amount in enumerate(spent)))
    await refresh_ranks(door.conn)
    rows = await door.conn.execute(
        select(activity.c.rfm_monetary, activity.c.rfm_frequency).order_by(activity.c.customer_id)
    )
    ranks = rows.all()
    assert [rank for rank, _ in ranks] == [None, 1, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    assert {rank for _, rank in ranks} == {None, 1}  # all bought once: nobody is above a cut point
    assert await refresh_ranks(door.conn) == 0
    await door("orders", {"number": "9", "customer": {"external_id": "C9"}, "status": "cancelled"})
    await refresh_ranks(door.conn)
    assert (await door.one(activity, activity.c.customer_id == 11))["rfm_monetary"] is None


async def test_numbers_and_identities_have_one_owner_each(door: Door) -> None:
    await two_records_of_one_person(door)
    assert {row["customer_id"] for row in await door.all(identities)} == {1, 2}
    assert [row["value"] for row in await door.all(record_numbers)] == ["1", "2"]
    assert [row["ordered_at"] for row in await door.all(orders)] == [datetime(2025, 12, 31, 16, tzinfo=UTC)] * 2


@pytest.mark.parametrize("later", [1, 2])
async def test_the_later_wish_for_a_frequency_outlives_a_merge(door: Door, later: int) -> None:
    await door("customers", {"external_id": "A"}, {"external_id": "B"})
    for customer, most in ((1, 3), (2, 1)):
        wishes = Wishes(frequency=Frequency(most, "week"), frequency_given=True)
        days = 1 if customer == later else 9
        await save_wishes(door.conn, customer, wishes, source="page", now=NOW - timedelta(days=days))
    await merge(door.conn, 1, 2, now=NOW)
    found = await preferences_of(door.conn, 1, NOW)
    assert found.frequency == Frequency(3 if later == 1 else 1, "week")
