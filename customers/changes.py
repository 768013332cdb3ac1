"""Whose records changed: a log that segments read, so that they look again at those customers and not at everyone.

Whatever writes something that a rule can ask about says so in the same transaction:

    await note_changed(conn, "appliances", ids)

The words are the names of the registered Sources, and those below. What only the passing of time changes is not noted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, Text, bindparam, func, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import changed_customers

CUSTOMERS = "customers"  # a customer's own fields and contact addresses
ACTIVITY = "activity"
CONSENTS = "consents"
SUPPRESSIONS = "suppressions"  # of a person, or of an address that they have
AUDIENCES = "audiences"  # what `in_audience` asks about
ERASED = "erased"  # with EVERYTHING: nothing is left of them, their memberships neither
EVERYTHING = "*"  # whatever a rule asks about: a customer is new, merged, erased

NEWS = """
    c.transaction >= CAST(CAST(pg_snapshot_xmin(CAST({snapshot} AS pg_snapshot)) AS text) AS bigint)
    AND NOT pg_visible_in_snapshot(CAST(CAST(c.transaction AS text) AS xid8), CAST({snapshot} AS pg_snapshot))
    AND c.sources && {sources}
"""
"""Whether a row `c` of changed_customers is news to whoever last looked with that snapshot, and of these sources."""


@dataclass(frozen=True)
class News:
    """Who changed since one last looked (None: perhaps everyone), and the snapshot from which to ask next time."""

    ids: frozenset[int] | None
    snapshot: str


async def news(conn: AsyncConnection, sources: Collection[str], seen: str | None) -> News:
    """What was noted of `sources` after the snapshot `seen`; nobody where one has not looked yet. What is read on the
    same connection from now on is at least as new as the answer's snapshot."""
    row = (await conn.execute(_NEWS, {"snapshot": seen, "sources": sorted(sources)})).one()
    return News(None if row.everyone else frozenset(row.ids), row.snapshot)


async def note_changed(
    conn: AsyncConnection, sources: str | Collection[str], ids: Collection[int] | Select[tuple[int]] | None
) -> None:
    """Note that something in `sources` changed for the customers `ids`: a collection, a SELECT of ids, None: everyone.

    One row a call, whatever their number; nothing for nobody. Ids of merged customers mean their survivors too.
    """
    named = [sources] if isinstance(sources, str) else sorted(sources)
    if isinstance(ids, Select):
        found = ids.subquery("changed")
        everyone = func.array_agg(found.c[0].distinct(), type_=ARRAY(BigInteger))
        rows = select(literal(named, ARRAY(Text)), everyone).having(func.count() > 0)
        await conn.execute(insert(changed_customers).from_select(["sources", "ids"], rows, include_defaults=False))
    elif ids is None or ids:
        listed = None if ids is None else f"{{{','.join(map(str, sorted(set(ids))))}}}"
        await conn.execute(_NOTE, {"sources": named, "ids": listed})


async def change_and_note(
    conn: AsyncConnection, sources: str | Collection[str], statement: str, values: Mapping[str, Any] | None = None
) -> int:
    """Run an UPDATE, INSERT or DELETE ending in `RETURNING …customer_id` and note those; how many rows it touched."""
    noting = text(_NOTING.format(statement=statement)).bindparams(bindparam("noted_sources", type_=ARRAY(Text)))
    given = {**(values or {}), "noted_sources": [sources] if isinstance(sources, str) else sorted(sources)}
    return int((await conn.execute(noting, given)).scalar_one())


_IS_NEWS = NEWS.format(snapshot=":snapshot", sources="CAST(:sources AS text[])")
_NEWS = text(f"""
    WITH found AS MATERIALIZED (SELECT c.ids FROM changed_customers c WHERE {_IS_NEWS})
    SELECT CAST(pg_current_snapshot() AS text) AS snapshot, EXISTS (SELECT FROM found WHERE ids IS NULL) AS everyone,
           ARRAY(SELECT DISTINCT given.id FROM found CROSS JOIN LATERAL unnest(found.ids) AS given(id)) AS ids
""")  # noqa: S608 -- put together from our own words
_NOTE = text("INSERT INTO changed_customers (sources, ids) VALUES (:sources, CAST(:ids AS bigint[]))")
_NOTING = """
    WITH changed AS ({statement}), noted AS (
        INSERT INTO changed_customers (sources, ids)
        SELECT :noted_sources, array_agg(DISTINCT customer_id) FROM changed HAVING count(*) > 0
    )
    SELECT count(*) FROM changed
"""
