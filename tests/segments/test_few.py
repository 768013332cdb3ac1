"""Members found among some customers, inside a statement. (That these are the same as among all: test_agreement.)"""

from __future__ import annotations

from sqlalchemy import BigInteger, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from segments import engine
from segments.models import audience_members
from tests.segments.people import CONTEXT


async def test_in_a_statement(conn: AsyncConnection) -> None:
    ids = select(customers.c.id).order_by(customers.c.id)
    await conn.execute(insert(customers), [{"external_id": name} for name in "abc"])
    people = list(await conn.scalars(ids))
    chosen = select(customers.c.id).where(customers.c.id > people[0])
    rule = {"has": "orders", "sum": {"field": "amount", "op": "lte", "value": 0}}
    found = await engine.members_among(conn, rule, CONTEXT, chosen)
    kept = insert(audience_members).from_select(
        ["customer_id", "audience_id"], found.add_columns(literal(7, BigInteger))
    )
    await conn.execute(kept)
    assert set(await conn.scalars(select(audience_members.c.customer_id))) == set(people[1:])
    nobody: list[int] = []
    assert await engine.belonging(conn, rule, CONTEXT, nobody) == set()
