"""Who may be one person, and what a merge of two would come to."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from customers.comparing import alike, compare
from customers.duplicates import NAME, duplicate_groups, people_in
from customers.merging import merge
from customers.reading import get_customer
from runtime.errors import Conflict, NotFound
from tests.customers.door import NOW, Door

WANG: dict[str, Any] = {"external_id": "A", "name": "Wang Li", "phone": "13800138000", "city": "西安", "address": "1-1"}


async def groups(door: Door, *, namesakes: bool) -> set[tuple[str, str, tuple[int, ...]]]:
    found = (await door.conn.execute(select(duplicate_groups(namesakes=namesakes)))).all()
    assert len({one.key for one in found}) == len(found)
    assert all(one.people == len(one.ids) for one in found)
    return {(one.kind, one.value, tuple(one.ids)) for one in found}


async def test_namesakes_who_share_one_more_thing_are_found(door: Door) -> None:
    await door(
        "customers",
        WANG,
        {"external_id": "B", "name": "wang li", "phone": "13800138000"},  # the same person
        {"external_id": "C", "name": "Zhang", "phone": "13800138000"},  # the spouse
        {"external_id": "D", "name": "ＷＡＮＧ LI", "address": "1-1"},
        {"external_id": "E", "name": "Wang Li", "address": "2-2"},
        {"external_id": "F", "address": "1-1"},
        {"external_id": "G", "name": "", "address": ""},
        {"external_id": "H", "name": "", "address": ""},
    )
    phone = ("phone", "+8613800138000")
    assert await groups(door, namesakes=True) == {(*phone, (1, 2)), (NAME, "1-1", (1, 4))}
    assert await groups(door, namesakes=False) == {(*phone, (1, 2, 3))}
    rows = (await door.conn.execute(select(duplicate_groups()))).all()
    assert {number: row.external_id for number, row in (await people_in(door.conn, rows)).items()} == {
        1: "A", 2: "B", 4: "D",
    }  # fmt: skip
    await merge(door.conn, 1, 2, now=NOW)
    await merge(door.conn, 1, 4, now=NOW)
    assert await groups(door, namesakes=True) == set()


async def test_the_likeliest_come_first(door: Door) -> None:
    await door(
        "customers",
        WANG,
        {"external_id": "B", "name": "Wang Li", "city": "西安"},  # no address told
        {"external_id": "C", "name": "Zhang", "phone": "13800138000"},
        {"external_id": "D", "name": "Wang Li", "phone": "13800138000", "address": "1-1"},
        {"external_id": "E", "name": "Wang Li", "city": "咸阳"},
        {"external_id": "F", "name": "Wang Li", "address": "9-9"},
    )
    assert await alike(door.conn, 1) == [4, 3, 2]
    assert await alike(door.conn, 5) == []


async def test_a_comparison_tells_what_a_merge_does(door: Door) -> None:
    await door(
        "customers",
        {**WANG, "attributes": {"floor": 1}},
        {"external_id": "B", "name": "W. Li", "phone": "13900139000", "email": "w@example.com",
         "attributes": {"floor": 2, "pets": "cat"}},
    )  # fmt: skip
    await door("orders", {"number": "1", "customer": {"external_id": "B"}, "ordered_at": "2026-01-01", "amount": 5})
    found = await compare(door.conn, 1, 2)
    assert {one.field: (one.kept, one.lost) for one in found.differences if one.forgotten} == {
        "name": ("Wang Li", "W. Li"), "floor": (1, 2),
    }  # fmt: skip
    assert {one.field for one in found.differences if not one.forgotten} == {"external_id", "phone"}
    assert [*found.gained] == ["email", "pets"]
    assert found.counts["orders"] == (0, 1)
    await merge(door.conn, 1, 2, now=NOW)
    merged = await get_customer(door.conn, 1)
    for one in found.differences:
        now = merged.get(one.field, merged["attributes"].get(one.field))
        assert now == one.kept
        known = [each["value"] for each in (*merged["identities"], *merged["addresses"])]
        assert (one.lost in known) is not one.forgotten
    assert merged["email"] == "w@example.com"
    with pytest.raises(Conflict):
        await compare(door.conn, 1, 2)
    with pytest.raises(NotFound):
        await compare(door.conn, 1, 77)
