"""Two records of one person become one: everything moves, the old id stays as an alias."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, exists, false, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_orders
from customers.bulk import put, take_turn
from customers.changes import EVERYTHING, note_changed
from customers.engagement import ENGAGEMENT
from customers.known import COLUMNS
from customers.models import activity, contact_addresses, customers, standing_consents
from customers.people import customer_row
from customers.ratings import fold_ratings
from customers.resolving import load_customers
from customers.spread import lookup_tables, person_tables
from runtime.database import metadata
from runtime.errors import Conflict, NotFound

LEAVE = "leave"
"""`info={"merge": LEAVE}` on a table about people: no row of it moves; its own room draws the conclusions."""
STAY = "stay"
"""`info={"merge": STAY}` on a table about people: rows that the other already has stay with the old id.

`info={"stays_with": ("messages", ("run_id", "step"))}`: rows about a record that stays, by those columns, stay with it.
"""

_FOLD_ACTIVITY = text(f"""
    UPDATE activity SET last_contacted_at = greatest(activity.last_contacted_at, gone.last_contacted_at),
        last_opened_at = greatest(activity.last_opened_at, gone.last_opened_at),
        last_clicked_at = greatest(activity.last_clicked_at, gone.last_clicked_at),
        last_replied_at = greatest(activity.last_replied_at, gone.last_replied_at),
        engaged_until = {ENGAGEMENT.joined_sql("activity.engaged_until", "gone.engaged_until")}
    FROM activity gone WHERE activity.customer_id = :keep AND gone.customer_id = :lose
""")  # noqa: S608 -- put together from our own words
_STAND = text("""
    INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
    SELECT DISTINCT ON (channel, purpose) customer_id, channel, purpose, granted, at, source, source_folded
    FROM (
        SELECT :keep AS customer_id, channel, purpose, granted, at, source, source_folded
        FROM standing_consents WHERE customer_id IN (:keep, :lose)
    ) both_people
    ORDER BY channel, purpose, at DESC, granted
    ON CONFLICT (customer_id, channel, purpose) DO UPDATE SET granted = excluded.granted, at = excluded.at,
        source = excluded.source, source_folded = excluded.source_folded
""")

# A suppression of `keep` that ended makes room for the same one of `lose` that stands longer.
_LET_STAND = text("""
    DELETE FROM suppressions ended USING suppressions standing
    WHERE ended.customer_id = :keep AND standing.customer_id = :lose
        AND ended.channel = standing.channel AND ended.reason = standing.reason
        AND coalesce(ended.expires_at, 'infinity') < coalesce(standing.expires_at, 'infinity')
""")
# How often somebody wants to be written to: their later word, whichever record has it.
_LET_WISH = text("""
    DELETE FROM frequency_wishes earlier USING frequency_wishes later
    WHERE earlier.customer_id = :keep AND later.customer_id = :lose AND earlier.at < later.at
""")

_HOLD = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('person:' || CAST(:person AS bigint), 0))")
_HOLD_ALL = text("""
    SELECT pg_advisory_xact_lock_shared(hashtextextended('person:' || person, 0))
    FROM unnest(CAST(:people AS bigint[])) AS person ORDER BY person
""")
_TAKE_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('person:' || CAST(:person AS bigint), 0))")


async def resolve(conn: AsyncConnection, customer_id: int) -> int:
    """The id under which a customer lives today. Raises NotFound."""
    found = await conn.scalar(
        select(func.coalesce(customers.c.merged_into, customers.c.id)).where(customers.c.id == customer_id)
    )
    if found is None:
        raise NotFound(f"there is no customer {customer_id}")
    return int(found)


async def held(conn: AsyncConnection, customer_id: int) -> int:
    """`resolve`, for whoever writes down what the person says: until the transaction ends nobody merges or erases them,
    so that nothing is left with an id that is gone. Raises NotFound."""
    while True:
        found = await resolve(conn, customer_id)
        await conn.execute(_HOLD, {"person": found})
        if await resolve(conn, customer_id) == found:
            return found


async def hold_all(conn: AsyncConnection, customer_ids: Collection[int]) -> None:
    """`held` for many at once; who is gone is nobody."""
    living = select(func.coalesce(customers.c.merged_into, customers.c.id)).where(customers.c.id.in_(customer_ids))
    before: set[int] | None = None
    while (found := set((await conn.execute(living)).scalars())) != before:
        await conn.execute(_HOLD_ALL, {"people": sorted(found)})
        before = found


async def take_alone(conn: AsyncConnection, customer_id: int) -> None:
    """Wait for those by whom a person is `held`, and keep others waiting until the transaction ends."""
    await conn.execute(_TAKE_ALONE, {"person": customer_id})


async def merge(conn: AsyncConnection, keep: int, lose: int, *, now: datetime) -> None:
    """Move all that `lose` has to `keep`, which keeps its own values and gets what it lacked; `lose` becomes an alias.

    Where both have the same fact (a message of the same run), the old id keeps its own, so that counts stay true.
    Raises NotFound, and Conflict for one and the same customer.
    """
    await take_turn(conn)
    keep, lose = await resolve(conn, keep), await resolve(conn, lose)
    if keep == lose:
        raise Conflict(f"customer {keep} cannot be merged with itself")
    for customer_id in sorted((keep, lose)):
        await take_alone(conn, customer_id)
    await _take_over_values(conn, keep, lose, now)
    await conn.execute(_FOLD_ACTIVITY, {"keep": keep, "lose": lose})
    await conn.execute(_STAND, {"keep": keep, "lose": lose})
    for table in (activity, standing_consents):
        await conn.execute(delete(table).where(table.c.customer_id == lose))
    for statement in (_LET_STAND, _LET_WISH):
        await conn.execute(statement, {"keep": keep, "lose": lose})
    for table in person_tables():
        if table.info.get("merge") != LEAVE:
            await _move(conn, table, keep, lose)
    for table in lookup_tables():
        await conn.execute(update(table).where(table.c.customer_id == lose).values(customer_id=keep))
    await conn.execute(update(customers).where(customers.c.merged_into == lose).values(merged_into=keep))
    await fold_orders(conn, [keep])
    await fold_ratings(conn, [keep])
    await note_changed(conn, EVERYTHING, [keep, lose])


def moves(table: Table) -> bool:
    """Whether all rows of a table about people go to the survivor, so that it knows no id of a merged customer."""
    return table.info.get("merge") != STAY and "stays_with" not in table.info


async def _take_over_values(conn: AsyncConnection, keep: int, lose: int, now: datetime) -> None:
    """Fill the gaps of `keep`, and leave nothing about the person at `lose`."""
    known = await load_customers(conn, [keep, lose])
    kept, gone = known[keep], known[lose]
    for name in COLUMNS:
        if kept.values[name] is None:
            kept.values[name] = gone.values[name]
    kept.tags = list(dict.fromkeys([*kept.tags, *gone.tags]))
    kept.attributes = {**gone.attributes, **kept.attributes}
    kept.household_id = kept.household_id or gone.household_id
    gone.values, gone.tags, gone.attributes, gone.household_id = dict.fromkeys(COLUMNS), [], {}, None
    await put(conn, customers, [customer_row(kept, now), customer_row(gone, now)])
    await conn.execute(update(customers).where(customers.c.id == lose).values(merged_into=keep))
    await conn.execute(
        update(contact_addresses)
        .where(
            contact_addresses.c.customer_id == lose,
            contact_addresses.c.kind.in_([kind for (kind, _), primary in kept.addresses.items() if primary]),
        )
        .values(is_primary=False)
    )


async def _move(conn: AsyncConnection, table: Table, keep: int, lose: int) -> None:
    names = [column.name for column in table.columns if column.name != "customer_id"]
    key = [column.name for column in table.primary_key if column.name != "customer_id"]
    leaving = (table.c.customer_id == lose, ~_stays(table, keep, lose))
    rows = select(literal(keep), *(table.c[name] for name in names)).where(*leaving)
    arrival = insert(table).from_select(["customer_id", *names], rows, include_defaults=False)
    moved = arrival.on_conflict_do_nothing().returning(*(table.c[name] for name in key)).cte("moved")
    gone = delete(table).where(*leaving)
    if table.info.get("merge") == STAY:
        gone = gone.where(*(table.c[name] == moved.c[name] for name in key))
    await conn.execute(gone.add_cte(moved))


def _stays(table: Table, keep: int, lose: int) -> ColumnElement[bool]:
    """Whether a row is about a record that both have and that therefore stays."""
    if "stays_with" not in table.info:
        return false()
    name, columns = table.info["stays_with"]
    old, new = metadata.tables[name].alias(), metadata.tables[name].alias()
    same = [each.c[column] == table.c[column] for each in (old, new) for column in columns]
    return exists().where(old.c.customer_id == lose, new.c.customer_id == keep, *same)
