"""Uploaded lists: every line accounted for, matched by identity, each customer once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text

from customers.erasing import erase
from customers.imports.uploads import append_chunk, rejects_csv
from customers.merging import merge
from customers.models import consents, customers, import_chunks, import_rejects
from customers.reading import Search, list_customers
from customers.upsert import upsert
from runtime.errors import Conflict, Invalid, NotFound
from runtime.house import House
from segments import engine
from segments.audiences import (
    LINE_KINDS,
    Audience,
    audience,
    create_audience,
    delete_audience,
    enqueue_audience,
    look_again,
    reasons,
    rename_audience,
)
from segments.context import context_at
from segments.matching import match_audience, match_audience_again
from segments.models import audience_members, audiences
from segments.store import create_segment
from segments.strangers import ListConsent
from tests.waiting import until

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
PEOPLE = [
    {"external_id": "a", "phone": "13800138000", "email": "A@example.com"},
    {"external_id": "b", "phone": "13900139000", "identities": [{"kind": "wechat", "value": "wx-b"}]},
    {"external_id": "c", "phone": "13900139000"},
]


async def uploaded(
    house: House,
    data: bytes,
    mapping: Any = None,
    name: str = "list",
    people: Any = PEOPLE,
    consent: ListConsent | None = None,
) -> Audience:
    """The list as it stands after its job ran."""
    async with house.database.begin() as conn:
        await upsert(conn, "customers", people, settings=house.settings, now=NOW)
        made = await create_audience(conn, name=name, filename="list.csv", mapping=mapping, consent=consent)
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
        told = "".join([piece async for piece in rejects_csv(conn, found.import_id or 0)])
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
        ({"columns": {"email": "e"}, "header": "no"}, "header"),
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


async def test_of_two_who_take_a_name_at_once_one_is_told(house: House) -> None:
    async with house.database.begin() as first:
        await create_audience(first, name="Fair", filename="f")
        second = asyncio.create_task(_created(house, "Fair"))
        await until(lambda: _somebody_waits(house))
    with pytest.raises(Invalid, match="there is an audience 'Fair' already"):
        await second


async def _created(house: House, name: str) -> Audience:
    async with house.database.begin() as conn:
        return await create_audience(conn, name=name, filename="f")


async def _somebody_waits(house: House) -> bool:
    async with house.database.connect() as conn:
        return bool(await conn.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


FAIR = ListConsent("Fair 2026", "I agree to offers by e-mail")
NEWCOMERS = (
    "客户编号,姓名,手机,邮箱\n"
    "a,甲,,\n"  # known
    ",乙,139 1111 2222,new@example.com\n"  # becomes a customer
    ",乙,+86-139-1111-2222,\n"  # … and is named again
    ",,,NEW@example.com\n"  # … and again
    "z9,丙,,\n"  # by an external id alone
    ",丁,12,\n"  # cannot be read
    ",,13900139000,\n"  # shared by two
)


async def person(house: House, email: str) -> Mapping[str, Any]:
    async with house.database.connect() as conn:
        found = await list_customers(conn, Search(email=email), settings=house.settings)
    assert len(found.items) == 1, found.items
    return found.items[0]


async def test_unknown_people_become_customers_with_the_stated_consent(house: House) -> None:
    found = await uploaded(house, NEWCOMERS.encode("gb18030"), consent=FAIR)
    assert (counts(found), found.created) == ((7, 3, 1, 1, 2), 2)
    assert await external_ids(house, found) == ["a", None, "z9"]
    newcomer = await person(house, "new@example.com")
    assert (newcomer["name"], newcomer["phone"]) == ("乙", "+8613911112222")
    told = [(one["channel"], one["granted"], one["source"]) for one in newcomer["consents"]]
    assert told == [("email", True, "Fair 2026")]
    async with house.database.connect() as conn:
        kept = (await conn.execute(select(consents.c.text_version, consents.c.source))).all()
    assert kept == [("I agree to offers by e-mail", "Fair 2026")]  # z9 has no address: there is no channel to agree to


async def test_channels_may_be_named(house: House) -> None:
    await uploaded(house, b"external_id\nz9\n", consent=ListConsent("Fair", None, ("email",)))
    async with house.database.connect() as conn:
        assert (await conn.execute(select(consents.c.channel, consents.c.text_version))).all() == [("email", None)]


async def test_whoever_said_no_is_not_made_reachable(house: House) -> None:
    said_no = {"channel": "email", "purpose": "marketing", "granted": False, "source": "shop"}
    people = [{"external_id": "n", "email": "no@example.com", "consents": [said_no]}]
    await uploaded(house, b"email\nno@example.com\n", people=people, consent=FAIR)
    assert [one["granted"] for one in (await person(house, "no@example.com"))["consents"]] == [False]


async def test_erased_people_stay_erased_and_are_named(house: House) -> None:
    await uploaded(house, b"email\na@example.com\n")
    async with house.database.begin() as conn:
        await erase(conn, (await person(house, "a@example.com"))["id"])
    found = await uploaded(house, b"email\na@example.com\nb2@example.com\n", name="again", people=[], consent=FAIR)
    assert (counts(found), found.created) == ((2, 1, 1, 0, 0), 1)
    async with house.database.connect() as conn:
        assert [(one.reason, one.lines) for one in await reasons(conn, found.import_id or 0)] == [
            ("this person was erased at their own request and is not taken in again", 1)
        ]


async def test_lines_of_the_erased_are_forgotten_however_their_phone_was_written(house: House) -> None:
    file = b"phone\n13800138000\n138 0013 8000\n+86-138-0013-8000\n(86)138.0013.8000\n13911112222\n"
    found = await uploaded(house, file)
    assert counts(found)[0] == 5
    async with house.database.begin() as conn:
        await erase(conn, (await person(house, "a@example.com"))["id"])
        kept = (await conn.execute(select(import_rejects.c.cells))).scalars().all()
    assert kept == [["13911112222"]]


async def test_what_a_killed_job_had_created_is_counted_once(house: House) -> None:
    """Its people are known the second time: they match, and `created` says that they came from this list."""
    async with house.database.begin() as conn:
        made = await create_audience(conn, name="x", filename="x.csv", consent=FAIR)
        await append_chunk(conn, made.import_id or 0, 0, b"email\nn1@example.com\nn2@example.com\n")
        await enqueue_audience(conn, made.id)
        made_already = [{"email": "n1@example.com"}]
        await upsert(conn, "customers", made_already, settings=house.settings, now=NOW)
        await conn.execute(audiences.update().values(created=1))
    await match_audience(house, audience_id=made.id)
    async with house.database.connect() as conn:
        found = await audience(conn, made.id)
    assert (counts(found), found.created) == ((2, 2, 0, 0, 0), 2)


async def test_who_came_later_is_found_by_looking_again(house: House) -> None:
    found = await uploaded(house, b"external_id,phone\na,\nlate,\nlater,\nlate,\n,13900139000\n,12\n")
    assert counts(found) == (6, 1, 4, 1, 0)
    async with house.database.begin() as conn:
        ids = await upsert(conn, "customers", [{"external_id": "late"}], settings=house.settings, now=NOW)
        b, c = [
            row.id for row in await conn.execute(select(customers.c.id).where(customers.c.external_id.in_(["b", "c"])))
        ]
        await merge(conn, b, c, now=NOW)
        await look_again(conn, found.id)
        with pytest.raises(Conflict):
            await look_again(conn, found.id)
    await match_audience_again(house, audience_id=found.id)
    async with house.database.connect() as conn:
        after = await audience(conn, found.id)
        members = set((await conn.execute(select(audience_members.c.customer_id))).scalars())
        kept = [(one.kind, one.lines) for one in await reasons(conn, found.import_id or 0)]
    assert (after.state, counts(after)) == ("done", (6, 3, 2, 0, 1))
    assert {*ids.ids, b} < members
    assert sorted(kept) == [("unmatched", 1), ("unreadable", 1)]


async def test_a_list_that_a_bug_stops_is_not_running_for_ever(house: House) -> None:
    found = await uploaded(house, b"external_id\na\nnobody\n")
    async with house.database.begin() as conn:
        await look_again(conn, found.id)
    assert match_audience.given_up is not None
    assert match_audience_again.given_up is not None
    await match_audience_again.given_up(house, ZeroDivisionError("a bug"), audience_id=found.id)
    async with house.database.connect() as conn:
        assert await audience(conn, found.id) == found, "it stands as it did"
    await match_audience.given_up(house, ZeroDivisionError("a bug"), audience_id=found.id)
    async with house.database.connect() as conn:
        failed = await audience(conn, found.id)
    assert (failed.state, "ZeroDivisionError: a bug" in str(failed.error)) == ("failed", True)


async def test_lists_are_renamed_and_deleted_with_all_their_lines(house: House) -> None:
    found = await uploaded(house, b"external_id\na\nnobody\n")
    async with house.database.begin() as conn:
        await create_audience(conn, name="other", filename="f")
        assert (await rename_audience(conn, found.id, " New  name ")).name == "New name"
        assert (await rename_audience(conn, found.id, "New name")).name == "New name"
        with pytest.raises(Invalid):
            await rename_audience(conn, found.id, "other")
        await delete_audience(conn, found.id)
        with pytest.raises(NotFound):
            await audience(conn, found.id)
        for table in (audience_members, import_rejects):
            assert await conn.scalar(select(func.count()).select_from(table)) == 0


async def test_a_list_in_use_is_not_deleted(house: House) -> None:
    found = await uploaded(house, b"external_id\na\n")
    async with house.database.begin() as conn:
        rule = {"any": [{"none": [{"in_audience": found.id}]}]}
        segment = await create_segment(conn, "Not of the fair", rule)
        with pytest.raises(Conflict, match=rf"segment {segment.id} \(Not of the fair\)"):
            await delete_audience(conn, found.id)


async def test_a_list_that_is_deleted_while_it_is_matched_stays_so(house: House) -> None:
    async with house.database.begin() as conn:
        await upsert(conn, "customers", PEOPLE, settings=house.settings, now=NOW)
        made = await create_audience(conn, name="x", filename="x.csv")
        await append_chunk(conn, made.import_id or 0, 0, b"external_id\na\n")
        await enqueue_audience(conn, made.id)
        await delete_audience(conn, made.id)
    await match_audience(house, audience_id=made.id)
    async with house.database.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(audience_members)) == 0


async def test_lines_are_downloaded_by_what_became_of_them(house: House) -> None:
    file = "external_id,说明\na,=1+2\na,@SUM(A1)\nzz,+1+2\n,13800138000\n".encode()
    found = await uploaded(house, file)
    async with house.database.connect() as conn:
        told = {
            name: "".join([piece async for piece in rejects_csv(conn, found.import_id or 0, kinds)])
            for name, kinds in {**LINE_KINDS, "all": ()}.items()
        }
    assert {name: text.count("\r\n") - 1 for name, text in told.items()} == {
        "unmatched": 2,
        "ambiguous": 0,
        "duplicates": 1,
        "all": 3,
    }
    assert "'@SUM(A1)" in told["duplicates"]
    assert "'+1+2" in told["unmatched"]


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-16", ","), ("utf-8-sig", ";"), ("utf-16-le", "\t"), ("gb18030", "\t"), ("big5", "|")],
)
async def test_files_are_read_as_they_come(house: House, encoding: str, delimiter: str) -> None:
    rows = [("姓名", "手機", "備註"), ("張三", "138 0013 8000", '"兩\n行"'), ("張三", "１３８００１３８０００", "")]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    found = await uploaded(house, text.encode(encoding), {"columns": {"phone": "手機"}})
    assert (found.error, counts(found)) == (None, (2, 1, 0, 0, 1))
