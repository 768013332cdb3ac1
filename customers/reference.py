"""Appliance categories: a workspace's own words for them, and how long such appliances serve (editable defaults)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ARRAY, Text, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, take_turn
from customers.changes import change_and_note
from customers.models import appliance_categories, appliances
from runtime.errors import Invalid, NotFound, Problem
from runtime.house import House
from runtime.jobs import defer, job
from runtime.text import fold

_LONGEST_SERVICE = 100
MANY = 20_000
"""Appliances of a category whose expiry is recomputed at once; of more, in a job."""

# Fractions of a year count in whole months: 14.5 years are 174 months. Dates clamp to the month's end.
_EXPIRE = """
    UPDATE appliances a SET expires_on = due.day
    FROM (
        SELECT a.customer_id, a.number, CAST(coalesce(a.installed_on, a.purchased_on)
            + make_interval(months => CAST(round(c.service_years * 12) AS int)) AS date) AS day
        FROM appliances a LEFT JOIN appliance_categories c ON c.code = a.category
        WHERE {which}
    ) due
    WHERE a.customer_id = due.customer_id AND a.number = due.number AND a.expires_on IS DISTINCT FROM due.day
"""
_EXPIRE_CATEGORY = _EXPIRE.format(which="a.category_folded = :category") + " RETURNING a.customer_id"
_EXPIRE_NUMBERS = text(_EXPIRE.format(which="a.customer_id = ANY(:ids) AND a.number = ANY(:numbers)")).bindparams(
    bindparam("numbers", type_=ARRAY(Text))
)

# A category of which a few thousand appliances have no due date has no consumables.
_IN_USE = """
    SELECT given.code FROM unnest(:codes, :words) AS given(code, word)
    WHERE EXISTS (
        SELECT FROM (
            SELECT a.next_consumable_due_on AS due FROM appliances a
            WHERE a.category_folded = given.word AND a.status = 'in_use' LIMIT 2000
        ) seen
        {which}
    )
"""
_TEXTS = (bindparam("codes", type_=ARRAY(Text)), bindparam("words", type_=ARRAY(Text)))
_OWNED = text(_IN_USE.format(which="")).bindparams(*_TEXTS)
_WITH_CONSUMABLES = text(_IN_USE.format(which="WHERE seen.due IS NOT NULL")).bindparams(*_TEXTS)


@dataclass(frozen=True)
class Category:
    """A category of appliances: `code` is what records hold; `source` says where `service_years` is from."""

    code: str
    name: str
    name_zh: str | None = None
    service_years: Decimal | None = None
    source: str | None = None


async def list_categories(conn: AsyncConnection) -> Sequence[Category]:
    """All categories, by code."""
    table = appliance_categories.c
    query = select(table.code, table.name, table.name_zh, table.service_years, table.source).order_by(table.code)
    return [Category(*row) for row in await conn.execute(query)]


async def categories_in_use(conn: AsyncConnection, *, with_consumables: bool = False) -> list[Category]:
    """Those of which somebody has an appliance in use (`with_consumables`: one with a due date), by code."""
    known = await list_categories(conn)
    words = {"codes": [one.code for one in known], "words": [fold(one.code) for one in known]}
    found = set((await conn.execute(_WITH_CONSUMABLES if with_consumables else _OWNED, words)).scalars())
    return [one for one in known if one.code in found]


async def save_category(conn: AsyncConnection, category: Category) -> bool:
    """Create or change a category; the expiry of its appliances follows, of very many in a job. Whether it is done.

    Raises Invalid.
    """
    years = category.service_years
    if years is not None and not 0 < years <= _LONGEST_SERVICE:
        raise Invalid(Problem("service_years", f"must be more than 0 and at most {_LONGEST_SERVICE}"))
    if not category.code.strip() or not category.name.strip():
        raise Invalid(Problem("code" if not category.code.strip() else "name", "is required"))
    statement = insert(appliance_categories).values(vars(category))
    await conn.execute(statement.on_conflict_do_update(index_elements=["code"], set_=vars(category)))
    return await _expire(conn, category.code)


async def delete_category(conn: AsyncConnection, code: str) -> bool:
    """Remove a category; its appliances keep their word for it and lose their expiry, as `save_category` tells.

    Raises NotFound.
    """
    gone = await conn.execute(delete(appliance_categories).where(appliance_categories.c.code == code))
    if not gone.rowcount:
        raise NotFound(f"there is no appliance category {code!r}")
    return await _expire(conn, code)


async def appliances_in(conn: AsyncConnection, codes: Collection[str]) -> dict[str, int]:
    """How many appliances there are of each of these categories, whatever became of them."""
    folded = {fold(code): code for code in codes}
    own = appliances.c.category_folded
    rows = await conn.execute(select(own, func.count()).where(among(own, folded)).group_by(own))
    return dict.fromkeys(codes, 0) | {folded[word]: number for word, number in rows}


@job("customers.expire_category")
async def expire_category_job(house: House, *, code: str) -> None:
    async with house.database.begin() as conn:
        await take_turn(conn)
        await change_and_note(conn, "appliances", _EXPIRE_CATEGORY, {"category": fold(code)})


async def _expire(conn: AsyncConnection, code: str) -> bool:
    """Let the expiry of a category's appliances follow; False: a job will."""
    await take_turn(conn)  # appliances that are being written reckon with the service life of before
    if (await appliances_in(conn, [code]))[code] > MANY:
        await defer(conn, expire_category_job, code=code)
        return False
    await change_and_note(conn, "appliances", _EXPIRE_CATEGORY, {"category": fold(code)})
    return True


async def category_words(conn: AsyncConnection) -> Mapping[str, str]:
    """Each way to say a category (code, English and Chinese name, folded) → its code."""
    words: dict[str, str] = {}
    for category in await list_categories(conn):
        for word in (category.name, category.name_zh, category.code):
            if word:
                words[fold(word) or ""] = category.code
    return words


async def refresh_expiry(conn: AsyncConnection, keys: Collection[tuple[int, str]]) -> None:
    """Recompute `expires_on` of the appliances with these (customer, number)."""
    if keys:
        ids, numbers = sorted({customer for customer, _ in keys}), sorted({number for _, number in keys})
        await conn.execute(_EXPIRE_NUMBERS, {"ids": ids, "numbers": numbers})
