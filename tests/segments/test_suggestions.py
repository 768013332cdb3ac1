"""Values from the data, for forms."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid
from runtime.settings import Settings
from segments.suggestions import suggest
from tests.segments.people import appliance, make_people, make_records


async def offered(conn: AsyncConnection, *asked: str | None, salesperson: str | None = None) -> list[tuple[str, int]]:
    source, field, *prefix = asked
    assert field is not None
    found = await suggest(conn, source, field, *(part or "" for part in prefix), salesperson=salesperson)
    return [(one.value, one.count) for one in found]


async def test_the_commonest_values_with_how_often(conn: AsyncConnection, settings: Settings) -> None:
    people = [
        {
            "external_id": "a",
            "city": "西安",
            "tags": ["VIP", "new"],
            "attributes": {"colour": "Red"},
            "salesperson": "S1",
        },
        {"external_id": "b", "city": "西安", "tags": ["vip"], "attributes": {"colour": "red"}},
        {"external_id": "c", "city": "Xi_an"},
        {"external_id": "d"},
    ]
    await make_people(conn, settings, people)
    owned = [appliance("a", "1", "Gree", "x", "2020-01-01"), appliance("b", "2", "GREE", "x", "2020-01-01")]
    await make_records(conn, settings, "appliances", owned)
    assert await offered(conn, None, "city") == [("西安", 2), ("Xi_an", 1)]
    assert await offered(conn, None, "city", "XI_") == [("Xi_an", 1)]
    assert await offered(conn, None, "city", "%") == []
    assert [count for _, count in await offered(conn, None, "tags")] == [2, 1]
    assert [count for _, count in await offered(conn, None, "attributes.colour", "re")] == [2]
    assert [count for _, count in await offered(conn, "appliances", "brand", "gre")] == [2]
    assert await offered(conn, None, "salesperson") == [("S1", 1)]
    assert await offered(conn, None, "city", salesperson="S1") == [("西安", 1)]
    assert await offered(conn, "appliances", "brand", salesperson="S1") == [("Gree", 1)]


async def test_a_value_is_spelt_as_most_spell_it(conn: AsyncConnection, settings: Settings) -> None:
    people = [{"external_id": str(number), "city": "Xianyang" if number else "XIANYANG"} for number in range(3)]
    await make_people(conn, settings, [*people, {"external_id": "x", "city": "Weinan"}])
    assert await offered(conn, None, "city") == [("Xianyang", 3), ("Weinan", 1)]


async def test_no_names_no_numbers(conn: AsyncConnection) -> None:
    for field in ("name", "phone", "total_spent", "reachable.email", "birthday"):
        assert await offered(conn, None, field) == []
    for source, field, path in (("cars", "x", "source"), ("orders", "city", "field"), (None, "town", "field")):
        with pytest.raises(Invalid) as refused:
            await suggest(conn, source, field)
        assert refused.value.problems[0].path == path


async def test_every_text_field_can_be_asked(conn: AsyncConnection) -> None:
    for source, field in (
        (None, "gender"),
        ("messages", "campaign"),
        ("events", "attributes.agent"),
        ("orders", "status"),
    ):
        assert await offered(conn, source, field) == []
