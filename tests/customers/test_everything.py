"""A copy of everything about a person, and its erasure, leave no table out: whatever tables there are."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    cast,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.erasing import erase
from customers.exporting import everything_about
from customers.merging import merge
from customers.models import (
    customers,
    erased,
    households,
    import_rejects,
    imports,
    signup_turns,
    signups,
    suppressed_addresses,
)
from customers.spread import lookup_tables, person_tables
from customers.suppressions import DOMAIN
from runtime.database import metadata
from runtime.errors import NotFound
from tests.customers.door import NOW, Door

WORD = "zhang.unmistakable@example.com"
KNOWN = {"customers", *(table.name for table in (*person_tables(), *lookup_tables()))}
NOBODYS = {erased.name, signup_turns.name, suppressed_addresses.name, households.name}
"""Lookups without a customer: keyed hashes, addresses that are exported and erased by their value, homes by who lives
there."""


def value_for(column: Column[Any]) -> Any:
    """Something for a column that has to have something, the telling word wherever text fits."""
    kind = column.type
    if isinstance(kind, Text):
        return WORD
    if isinstance(kind, ARRAY):
        return [WORD] if isinstance(kind.item_type, Text) else []
    plain: dict[type[Any], Any] = {
        Boolean: True,
        SmallInteger: 1,
        Integer: 1,
        BigInteger: 1,
        Numeric: 1,
        Float: 1.0,
        DateTime: NOW,
        Date: date(2026, 11, 22),
        JSONB: {"said": WORD},
        LargeBinary: b"x",
        UUID: "0e7d5f1c-8f5d-4a53-9a37-0c8b3c3c2f11",
    }
    return next(value for made, value in plain.items() if isinstance(kind, made))


def row_of(table: Table, customer_id: int) -> dict[str, Any]:
    wanted = [
        column
        for column in table.columns
        if not isinstance(column.identity, Identity)
        and column.computed is None
        and (isinstance(column.type, Text) or (not column.nullable and column.server_default is None))
    ]
    return {**{column.name: value_for(column) for column in wanted}, "customer_id": customer_id}


async def fill(conn: AsyncConnection, customer_id: int) -> None:
    """A row about the customer in each table that can have one."""
    await conn.execute(text("SET LOCAL session_replication_role = replica"))  # whatever a row refers to is not there
    for table in (*person_tables(), *lookup_tables()):
        for rule in table.constraints:
            if isinstance(rule, CheckConstraint):  # the word is not one of those that a column takes
                await conn.execute(text(f'ALTER TABLE "{table.name}" DROP CONSTRAINT "{rule.name}"'))
        own = select(func.count()).select_from(table).where(table.c.customer_id == customer_id)
        if not await conn.scalar(own):
            await conn.execute(insert(table).values(**row_of(table, customer_id)))


async def mentions(conn: AsyncConnection) -> list[str]:
    """The columns, of whatever table, that hold the word."""
    found = []
    for table in metadata.sorted_tables:
        for column in table.columns:
            read = func.encode(column, "escape") if isinstance(column.type, LargeBinary) else cast(column, Text)
            if await conn.scalar(select(func.count()).select_from(table).where(read.contains(WORD))):
                found.append(str(column))
    return found


def test_every_table_about_people_is_known_to_be_one() -> None:
    """A lookup without a customer is erased by nobody unless somebody thought of it."""
    lookups = {table.name for table in metadata.sorted_tables if table.info.get("spread") == "lookup"}
    assert lookups - KNOWN == NOBODYS
    people = {table.name for table in metadata.sorted_tables if table.info.get("spread") == "person"}
    assert people <= KNOWN


async def test_the_copy_has_a_part_of_each_table_and_erasure_leaves_none(door: Door) -> None:
    await door("customers", {"email": WORD, "name": "Zhang", "community": "Q", "address": WORD})
    await fill(door.conn, 1)
    await door.conn.execute(insert(suppressed_addresses).values(kind="email", value=WORD, reason="bounced"))
    await door.conn.execute(insert(suppressed_addresses).values(kind=DOMAIN, value="example.com", reason="manual"))
    pending = {"answers": {}, "topics": [], "version": 1, "proof": {}, "asked_at": NOW, "form_id": 7}
    await door.conn.execute(insert(signups).values(kind="email", value=WORD, **pending))
    await door.conn.execute(insert(imports).values(kind="customers", filename="x.csv"))
    await door.conn.execute(insert(import_rejects).values(import_id=1, line=2, reason="no", cells=[WORD]))
    mailbox, keys = metadata.tables["mailbox"], metadata.tables["idempotency_keys"]
    mail = {"received_at": NOW, "sender": "a@b.c", "recipient": WORD, "subject": "x", "raw": WORD.encode()}
    await door.conn.execute(insert(mailbox).values(mail))
    answer = {"token_id": 1, "path": "/", "key": "k", "body_hash": b"", "created_at": NOW}
    await door.conn.execute(insert(keys).values(**answer, response=f'{{"email":"{WORD}"}}'.encode()))

    found = await everything_about(door.conn, 1, NOW)
    assert set(found.tables) == KNOWN | {suppressed_addresses.name, households.name}
    assert {row["value"] for row in found.tables[suppressed_addresses.name]} == {WORD, "example.com"}
    assert found.tables["customers"][0]["name"] == "Zhang"
    assert not [name for rows in found.tables.values() for row in rows for name in row if name.endswith("_folded")]

    await erase(door.conn, 1)
    assert await mentions(door.conn) == []
    for table in (*person_tables(), *lookup_tables()):
        assert await door.count(table, table.c.customer_id == 1) == 0, table.name
    assert await door.count(customers) == 0
    assert [row["value"] for row in await door.all(suppressed_addresses)] == ["example.com"], "a domain is nobody's"
    with pytest.raises(NotFound):
        await everything_about(door.conn, 1, NOW)


async def test_the_copy_holds_what_was_merged_and_nothing_of_others(door: Door) -> None:
    await door("customers", {"email": WORD}, {"external_id": "B", "email": "b@example.com"}, {"email": "c@example.com"})
    await merge(door.conn, 1, 2, now=NOW)
    found = await everything_about(door.conn, 2, NOW)
    assert found.customer_id == 1
    assert {row["id"] for row in found.tables["customers"]} == {1, 2}
    assert {row["value"] for row in found.tables["contact_addresses"]} == {WORD, "b@example.com"}
    assert "c@example.com" not in str(found.to_json())
    assert datetime.fromisoformat(found.to_json()["exported_at"]) == NOW
