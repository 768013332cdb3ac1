from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import (
    activity,
    attribute_definitions,
    communities,
    consents,
    contact_addresses,
    customers,
    dealers,
    households,
    identities,
    salespeople,
    standing_consents,
)
from customers.results import UpsertResult
from customers.upsert import upsert
from runtime.settings import Settings
from tests.customers.door import NOW, Door

WANG = {
    "external_id": "A1",
    "name": "王 伟",
    "email": "Wang@Example.com",
    "phone": "138 0013 8000",
    "city": "西安",
    "community": "QJ-01",
    "address": "3号楼 2单元 501",
    "dealer": "D1",
    "salesperson": "S1",
    "birthday": "1980/2/29",
    "household_size": 3,
    "tags": ["VIP", "以旧换新"],
    "attributes": {"floor": 5, "pets": ["Cat"], "moved_in": "2020-01-02", "wechat_friend": True, "note": "Ｑuiet"},
    "identities": [{"kind": "wechat", "value": "wx_wang"}],
    "consents": [{"channel": "email", "purpose": "marketing", "granted": True, "source": "store"}],
}


async def row_of(door: Door, customer: int) -> Any:
    return await door.one(customers, customers.c.id == customer)


async def test_an_address_fits_its_index_whatever_folding_makes_of_it(door: Door) -> None:
    """Fifteen bytes of each of these signs, in no order that could be packed."""
    spread = [chr(0x3300 + (number * number * 37 + number * 11) % 88) for number in range(301)]
    result = await door("customers", {"external_id": "long", "address": "".join(spread[:300])})
    assert result.accepted == 1
    result = await door("customers", {"external_id": "longer", "address": "".join(spread)})
    [refused] = result.rejected
    assert [str(problem) for problem in refused.problems] == ["address: is longer than 300 characters"]


async def test_a_record_becomes_a_customer_with_all_it_says(door: Door, conn: AsyncConnection) -> None:
    result = await door("customers", WANG)
    assert (result.accepted, result.created, result.updated, result.unchanged) == (1, 1, 0, 0)
    row = await row_of(door, result.ids[0])
    assert (row["email"], row["phone"], row["name"]) == ("wang@example.com", "+8613800138000", "王 伟")
    assert row["birthday"].isoformat() == "1980-02-29"
    assert row["tags_folded"] == ["vip", "以旧换新"]
    assert row["attributes"] == {
        "floor": 5,
        "pets": ["Cat"],
        "moved_in": "2020-01-02",
        "wechat_friend": True,
        "note": "Ｑuiet",
    }
    assert row["attributes_folded"] == {"pets": ["cat"], "moved_in": "2020-01-02", "note": "quiet"}
    assert await door.count(activity) == await door.count(households) == await door.count(communities) == 1
    assert await door.count(dealers) == await door.count(salespeople) == 1
    kinds = dict((await conn.execute(select(attribute_definitions.c.key, attribute_definitions.c.kind))).all())
    assert kinds == {"floor": "number", "pets": "list", "moved_in": "date", "wechat_friend": "yes_no", "note": "text"}
    held = (await conn.execute(select(identities.c.kind, identities.c.value).order_by(identities.c.kind))).all()
    assert held == [("email", "wang@example.com"), ("external_id", "A1"), ("wechat", "wx_wang")]
    addresses = (await conn.execute(select(contact_addresses.c.kind, contact_addresses.c.is_primary))).all()
    assert sorted(addresses) == [("email", True), ("phone", True), ("wechat", True)]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("男", "male"), (" Male ", "male"), ("M", "male"), ("先生", "male"), ("女", "female"), ("F", "female"),
     ("女士", "female"), ("Ms.", "female"), ("Diverse", "Diverse"), ("未知", "未知")],
)  # fmt: skip
async def test_genders_are_known_by_their_usual_words(door: Door, said: str, kept: str) -> None:
    result = await door("customers", {"external_id": "A", "gender": said})
    assert (await row_of(door, result.ids[0]))["gender"] == kept


async def test_another_word_for_the_same_gender_changes_nothing(door: Door) -> None:
    await door("customers", {"external_id": "A", "gender": "female"})
    assert (await door("customers", {"external_id": "A", "gender": "女"})).unchanged == 1


async def test_the_same_again_changes_nothing(door: Door) -> None:
    await door("customers", WANG)
    before = await row_of(door, 1)
    result = await door("customers", WANG, now=NOW + timedelta(days=1))
    assert (result.created, result.updated, result.unchanged) == (0, 0, 1)
    assert await row_of(door, 1) == before
    assert await door.count(consents) == 1


async def test_lines_of_one_batch_apply_one_after_the_other(door: Door) -> None:
    result = await door(
        "customers",
        {"external_id": "A1", "city": "西安"},
        {"external_id": "A1", "email": "a@example.com", "city": "咸阳"},
        {"email": "A@example.com", "name": "An"},
        {"email": "a@example.com", "name": "An"},
    )
    assert (result.created, result.updated, result.unchanged) == (1, 2, 1)
    assert set(result.ids) == {result.ids[0]}
    row = await row_of(door, result.ids[0])
    assert (row["city"], row["name"], row["email"]) == ("咸阳", "An", "a@example.com")


async def test_what_is_not_said_stays_and_null_removes(door: Door) -> None:
    await door("customers", WANG)
    result = await door("customers", {"external_id": "A1", "city": None, "email": None, "attributes": {"floor": None}})
    assert result.updated == 1
    row = await row_of(door, result.ids[0])
    assert (row["city"], row["city_folded"], row["email"], row["name"]) == (None, None, None, "王 伟")
    assert "floor" not in row["attributes"]
    assert await door.count(contact_addresses) == 2
    assert (await door("customers", {"email": "wang@example.com"})).ids == result.ids  # it still says who they are


@pytest.mark.parametrize(
    ("records", "path", "words"),
    [
        ([{"external_id": "A", "email": "b@example.com"}], "", ["customer 1", "customer 2", "'A'", "b@example.com"]),
        ([{"external_id": "C", "email": "b@example.com"}], "email", ["customer 2", "'B'", "'C'"]),
        ([{"phone": "13800138000"}], "phone", ["2 customers", "'A'", "'B'"]),
        ([{"name": "nobody"}], "", ["external_id, email, phone"]),
        ([{"external_id": "A", "birthday": "30.2.1980"}], "birthday", ["30.2.1980"]),
        ([{"external_id": "A", "shoe_size": 4}], "shoe_size", ["no such field"]),
        ([{"external_id": "A", "identities": [{"kind": "We Chat", "value": "x"}]}], "identities[0].value", ["we chat"]),
        ([{"external_id": "A", "consents": [{"channel": "email"}]}], "consents[0].granted", ["required"]),
        ([{"external_id": "A", "attributes": {"no blanks": 1}}], "attributes.no blanks", ["letters"]),
        ([{"id": 99, "name": "x"}], "id", ["99"]),
        (["nonsense"], "", ["expected an object"]),
    ],
)
async def test_refused_records_name_the_culprit(door: Door, records: list[Any], path: str, words: list[str]) -> None:
    await door(
        "customers",
        {"external_id": "A", "email": "a@example.com", "phone": "13800138000"},
        {"external_id": "B", "email": "b@example.com", "phone": "13800138000"},
    )
    result = await door("customers", *records, {"external_id": "A"})
    assert (result.accepted, len(result.rejected)) == (1, 1)
    problem = result.rejected[0].problems[0]
    assert (result.rejected[0].index, problem.path) == (0, path)
    assert all(word in problem.message for word in words), problem.message


async def test_a_couple_shares_a_phone_and_nobody_is_merged(door: Door) -> None:
    result = await door(
        "customers",
        {"external_id": "A", "phone": "13800138000"},
        {"external_id": "B", "phone": "13800138000"},
    )
    assert result.created == 2


async def test_a_phone_alone_finds_its_one_holder(door: Door) -> None:
    first = await door(
        "customers", {"phone": "13800138000", "name": "Li"}, {"phone": "+86 138 0013 8000", "city": "西安"}
    )
    assert (first.created, first.updated) == (1, 1)
    assert (await door("customers", {"phone": "138-0013-8000"})).ids == first.ids[:1]


async def test_a_phone_shared_within_the_batch_is_ambiguous(door: Door) -> None:
    result = await door(
        "customers",
        {"external_id": "A", "phone": "13800138000"},
        {"external_id": "B", "phone": "13800138000"},
        {"phone": "13800138000"},
    )
    assert (result.created, [reject.index for reject in result.rejected]) == (2, [2])


async def test_another_main_address_leaves_the_old_one_as_a_second(door: Door, conn: AsyncConnection) -> None:
    await door("customers", {"external_id": "A", "email": "old@example.com"})
    assert (await door("customers", {"external_id": "A", "email": "new@example.com"})).updated == 1
    rows = (await conn.execute(select(contact_addresses.c.value, contact_addresses.c.is_primary))).all()
    assert sorted(rows) == [("new@example.com", True), ("old@example.com", False)]
    assert (await door("customers", {"email": "old@example.com", "name": "An"})).ids == [1]


async def test_an_undated_consent_never_overrides_a_withdrawal(door: Door, conn: AsyncConnection) -> None:
    grant = {"external_id": "A", "consents": [{"channel": "email", "granted": True, "source": "import"}]}
    withdrawal = {"external_id": "A", "consents": [{"channel": "email", "granted": False, "source": "page"}]}
    assert (await door("customers", grant)).created == 1
    assert (await door("customers", withdrawal, now=NOW + timedelta(days=1))).updated == 1
    assert (await door("customers", grant, now=NOW + timedelta(days=2))).unchanged == 1
    dated = {"channel": "email", "granted": True, "source": "form", "at": (NOW + timedelta(days=3)).isoformat()}
    later = NOW + timedelta(days=4)
    assert (await door("customers", {"external_id": "A", "consents": [dated]}, now=later)).updated == 1
    assert (await door("customers", {"external_id": "A", "consents": [dated]}, now=later)).unchanged == 1
    standing = (await conn.execute(select(standing_consents.c.granted, standing_consents.c.source))).one()
    assert standing == (True, "form")
    assert await door.count(consents) == 3


async def test_an_older_dated_consent_enters_the_ledger_but_does_not_stand(door: Door, conn: AsyncConnection) -> None:
    entries = [
        {"channel": "sms", "granted": False, "source": "b", "at": "2026-03-01T00:00:00Z"},
        {"channel": "sms", "granted": True, "source": "a", "at": "2026-02-01T00:00:00Z"},
    ]
    await door("customers", {"external_id": "A", "consents": entries})
    assert (await conn.execute(select(standing_consents.c.granted))).scalar_one() is False
    assert await door.count(consents) == 2


async def test_our_own_id_names_a_customer_and_may_change_the_external_id(door: Door) -> None:
    made = await door("customers", {"email": "a@example.com"})
    result = await door(
        "customers", {"id": made.ids[0], "external_id": "A9"}, {"id": made.ids[0], "external_id": "A10"}
    )
    assert result.updated == 2
    assert (await row_of(door, made.ids[0]))["external_id"] == "A10"


async def test_coded_records(door: Door, conn: AsyncConnection) -> None:
    await door("customers", {"external_id": "A", "salesperson": "S1"})
    record = {"code": "S1", "name": "Zhang", "phone": "13900139000", "dealer": "D7"}
    result = await door("salespeople", record, {"name": "no code"}, {"code": "S2", "active": False})
    assert (result.created, result.updated, len(result.rejected)) == (1, 1, 1)
    assert (await door("salespeople", record)).unchanged == 1
    rows = (await conn.execute(select(salespeople.c.code, salespeople.c.active).order_by(salespeople.c.code))).all()
    assert rows == [("S1", True), ("S2", False)]
    assert (await conn.execute(select(dealers.c.code))).scalars().all() == ["D7"]


async def test_two_batches_at_once_make_nobody_twice(settings: Settings, db: Any) -> None:
    import asyncio

    async def batch() -> UpsertResult:
        async with db.begin() as conn:
            records = [{"email": f"c{number}@example.com", "community": "Q"} for number in range(50)]
            return await upsert(conn, "customers", records, settings=settings, now=NOW)

    results = await asyncio.gather(*(batch() for _ in range(4)))
    assert sorted(result.created for result in results) == [0, 0, 0, 50]
