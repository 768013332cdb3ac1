"""Uploaded lists: every line accounted for, matched by identity, each customer once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from customers.imports.uploads import append_chunk
from customers.models import customers, import_chunks
from customers.upsert import upsert
from runtime.errors import Conflict, Invalid, NotFound
from runtime.house import House
from segments import engine
from segments.audiences import Audience, audience, create_audience, enqueue_audience, lines_csv
from segments.context import context_at
from segments.matching import match_audience
from segments.models import audience_members

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
PEOPLE = [
    {"external_id": "a", "phone": "13800138000", "email": "A@example.com"},
    {"external_id": "b", "phone": "13900139000", "identities": [{"kind": "wechat", "value": "wx-b"}]},
    {"external_id": "c", "phone": "13900139000"},
]


async def uploaded(
    house: House, data: bytes, mapping: Any = None, name: str = "list", people: Any = PEOPLE
) -> Audience:
    """The list as it stands after its job ran."""
    async with house.database.begin() as conn:
        await upsert(conn, "customers", people, settings=house.settings, now=NOW)
        made = await create_audience(conn, name=name, filename="list.csv", mapping=mapping)
        assert made.import_id is not None
        for position, start in enumerate(range(0, len(data), 7)):
            await append_chunk(conn, made.import_id, position, data[start : start + 7])
        await enqueue_audience(conn, made.id)
    await match_audience(house, audience_id=made.id)
    async with house.database.connect() as conn:
        return await audience(conn, made.id)


async def external_ids(house: House, found: Audience) -> list[str | None]:
    async with house.database.connect() as conn:
        page = await engine.members(conn, {"in_audience": found.id}, context_at(NOW, house.settings))
    return [member.external_id for member in page.items]


def counts(found: Audience) -> tuple[int, int, int, int, int]:
    return found.rows, found.matched, found.unmatched, found.ambiguous, found.duplicates


async def test_one_phone_in_three_spellings_is_one_customer_once(house: House) -> None:
    file = "姓名,手机号\n张,138 0013 8000\n张,+86-138-0013-8000\n张,8613800138000\n".encode("gb18030")
    found = await uploaded(house, file)
    assert (found.state, counts(found)) == ("done", (3, 1, 0, 0, 2))
    assert await external_ids(house, found) == ["a"]


async def test_every_line_is_accounted_for_with_its_reason(house: House) -> None:
    file = (
        b"external_id,phone,email\n"
        b"a,,\n"  # matched
        b"nobody,,\n"  # unmatched
        b",13900139000,\n"  # two people share the phone
        b"c,13900139000,\n"  # … but here an identity tells which
        b",,a@EXAMPLE.com\n"  # the first line's customer
        b",not a phone,\n"
        b",,\n"
        b'"broken,,\n'
    )
    found = await uploaded(house, file)
    assert counts(found) == (7, 2, 3, 1, 1)
    assert await external_ids(house, found) == ["a", "c"]
    async with house.database.connect() as conn:
        told = "".join([piece async for piece in lines_csv(conn, found.import_id or 0)])
    assert "no customer is known by this" in told
    assert "2 customers are known by this" in told
    assert "the same customer as in line 2" in told
    assert "is not a phone number" in told


async def test_a_mapping_names_the_column(house: House) -> None:
    mapping = {"columns": {"identities.wechat": "who"}, "delimiter": ";"}
    found = await uploaded(house, b"who;x\nwx-b;1\nwx-?;2\n", mapping)
    assert counts(found) == (2, 1, 1, 0, 0)
    assert await external_ids(house, found) == ["b"]


async def test_two_identities_of_different_people_are_ambiguous(house: House) -> None:
    found = await uploaded(house, b"external_id,email\nb,a@example.com\n")
    assert counts(found) == (1, 0, 0, 1, 0)


async def test_merged_customers_match_the_one_who_stays(house: House) -> None:
    found = await uploaded(house, b"external_id\na\n")
    async with house.database.begin() as conn:
        ids = {row.external_id: row.id for row in await conn.execute(select(customers.c.id, customers.c.external_id))}
        await conn.execute(
            customers.update().where(customers.c.id == ids["c"]).values(merged_into=ids["a"], external_id=None)
        )
    again = await uploaded(house, b"id\n%d\n%d\n" % (ids["a"], ids["c"]), {"columns": {"id": "id"}}, "merged", [])
    assert (counts(found), counts(again)) == ((1, 1, 0, 0, 0), (2, 1, 0, 0, 1))


async def test_a_file_without_identity_fails_and_names_the_columns(house: House) -> None:
    found = await uploaded(house, b"colour,size\nred,3\n")
    assert found.state == "failed"
    assert "colour, size" in str(found.error)
    assert await external_ids(house, found) == []


async def test_running_again_changes_nothing_and_the_file_is_gone(house: House) -> None:
    found = await uploaded(house, b"external_id\na\nb\n")
    await match_audience(house, audience_id=found.id)
    async with house.database.connect() as conn:
        assert await audience(conn, found.id) == found
        assert await conn.scalar(select(func.count()).select_from(audience_members)) == 2
        assert await conn.scalar(select(func.count()).select_from(import_chunks)) == 0


async def test_a_stopping_worker_leaves_the_list_to_the_next(house: House) -> None:
    house.stopping.set()
    found = await uploaded(house, b"external_id\na\n")
    assert (found.state, found.rows) == ("running", 0)
    house.stopping.clear()
    await match_audience(house, audience_id=found.id)
    assert await external_ids(house, found) == ["a"]


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"columns": {"name": "n"}}, "columns.name"),
        ({"columns": {"email": "e"}, "group_by": "e"}, "group_by"),
        ({"kind": "orders", "columns": {"email": "e"}}, "kind"),
        ({"columns": {"emial": "e"}}, "columns.emial"),
        ("email", ""),
    ],
)
async def test_a_bad_mapping_is_refused_by_name(house: House, mapping: Any, path: str) -> None:
    async with house.database.begin() as conn:
        with pytest.raises(Invalid) as refused:
            await create_audience(conn, name="x", filename="f", mapping=mapping)
    assert [problem.path for problem in refused.value.problems] == [path], json.dumps(mapping)


async def test_names_are_taken_once(house: House) -> None:
    found = await uploaded(house, b"external_id\na\n")
    async with house.database.begin() as conn:
        for name in ("list", " ", "x" * 201):
            with pytest.raises(Invalid) as refused:
                await create_audience(conn, name=name, filename="f")
            assert refused.value.problems[0].path == "name"
        with pytest.raises(Conflict):
            await enqueue_audience(conn, found.id)
        with pytest.raises(NotFound):
            await audience(conn, 99)
