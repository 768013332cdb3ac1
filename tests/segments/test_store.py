"""Segments as they are kept: names, circles, what is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Conflict, Invalid, NotFound
from runtime.settings import Settings
from segments import uses
from segments.standing import evaluate
from segments.store import create_segment, delete_segment, segment, update_segment
from tests.segments.people import CONTEXT, city, make_people


@pytest.fixture
def used_by_campaign() -> Iterator[None]:
    async def users(_: AsyncConnection, segment_id: int) -> list[str]:
        return [f"campaign 7 of {segment_id}"]

    before = dict(uses._users)
    uses.register_segment_users("a test", users)
    yield
    uses._users.clear()
    uses._users.update(before)


async def test_create_change_and_delete(conn: AsyncConnection) -> None:
    made = await create_segment(conn, "  In   Xi'an ", city("西安"), description="d", by="anna")
    assert (made.name, made.rule, made.description, made.created_by) == ("In Xi'an", city("西安"), "d", "anna")
    changed = await update_segment(conn, made.id, rule=city("咸阳"))
    assert (changed.name, changed.rule) == (made.name, city("咸阳"))
    assert await update_segment(conn, made.id, name="In Xi'an") == await segment(conn, made.id)
    await delete_segment(conn, made.id)
    with pytest.raises(NotFound):
        await segment(conn, made.id)


@pytest.mark.parametrize(
    ("name", "rule", "said"),
    [
        ("", {"all": []}, "name: is missing"),
        ("x" * 201, {"all": []}, "name: has at most 200"),
        ("taken", {"all": []}, "name: there is a segment 'taken' already"),
        ("new", {"all": [{"field": "town", "op": "eq", "value": 1}]}, "all[0].field: unknown field 'town'"),
        ("new", {"in_segment": 99}, "in_segment: there is no segment 99"),
        ("new", {"field": "name", "op": "matches", "value": "a("}, "value: invalid regular expression"),
    ],
)
async def test_what_may_not_be_kept_is_named(conn: AsyncConnection, name: str, rule: Any, said: str) -> None:
    await create_segment(conn, "taken", {"all": []})
    with pytest.raises(Invalid) as refused:
        await create_segment(conn, name, rule)
    assert str(refused.value).startswith(said)


async def test_a_circle_is_refused_when_saved(conn: AsyncConnection) -> None:
    first = await create_segment(conn, "first", city("西安"))
    second = await create_segment(conn, "second", {"none": [{"in_segment": first.id}]})
    third = await create_segment(conn, "third", {"any": [{"in_segment": second.id}, city("咸阳")]})
    for closing in (first, second, third):
        with pytest.raises(Invalid) as refused:
            await update_segment(conn, first.id, rule={"all": [city("x"), {"any": [{"in_segment": closing.id}]}]})
        assert str(refused.value).startswith("all[1].any[0].in_segment: the segments refer to each other in a circle")
    assert (await segment(conn, first.id)).rule == city("西安")


@examples(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(seed=st.integers(0, 2**32))
async def test_whatever_is_saved_there_is_never_a_circle(conn: AsyncConnection, seed: int) -> None:
    """A change is refused exactly where the segment would be reached from itself."""
    rng = Random(seed)
    savepoint = await conn.begin_nested()
    refers: dict[int, set[int]] = {
        (await create_segment(conn, f"segment {number}", {"all": []})).id: set() for number in range(5)
    }
    for _ in range(12):
        own, wanted = rng.choice([*refers]), set(rng.sample([*refers], rng.randrange(1, 3)))
        reached = wanted | {far for near in wanted for far in _reached(near, refers)}
        try:
            rule = {"any": [city("x"), {"none": [{"in_segment": number} for number in wanted]}]}
            await update_segment(conn, own, rule=rule)
        except Invalid:
            assert own in reached, (own, wanted, refers)
        else:
            assert own not in reached, (own, wanted, refers)
            refers[own] = wanted
    await savepoint.rollback()


def _reached(start: int, refers: dict[int, set[int]]) -> set[int]:
    return refers[start].union(*(_reached(number, refers) for number in refers[start]))


async def test_two_changes_at_once_close_no_circle(db: Database) -> None:
    async with db.begin() as conn:
        ids = [(await create_segment(conn, name, {"all": []})).id for name in ("one", "other")]

    async def refer(own: int, other: int) -> bool:
        try:
            async with db.begin() as conn:
                await update_segment(conn, own, rule={"in_segment": other})
        except Invalid:
            return False
        return True

    done = await asyncio.gather(refer(ids[0], ids[1]), refer(ids[1], ids[0]))
    assert sorted(done) == [False, True]


async def test_size_counts_with_all_segments_written_out(conn: AsyncConnection) -> None:
    wide = await create_segment(conn, "wide", {"any": [city(str(number)) for number in range(150)]})
    twice = await create_segment(conn, "twice", {"any": [{"in_segment": wide.id}] * 10})
    with pytest.raises(Invalid, match="the rule has 3000 conditions"):
        await create_segment(conn, "too large", {"any": [{"in_segment": twice.id}] * 2})


async def test_what_is_in_use_is_not_deleted(conn: AsyncConnection) -> None:
    used = await create_segment(conn, "used", city("12"))
    user = await create_segment(conn, "user", {"all": [{"none": [{"in_segment": used.id}]}]})
    with pytest.raises(Conflict, match=rf"is used by segment {user.id} \(user\)"):
        await delete_segment(conn, used.id)
    await delete_segment(conn, user.id)
    await delete_segment(conn, used.id)


@pytest.mark.usefixtures("used_by_campaign")
async def test_rooms_above_are_asked_for_their_use(conn: AsyncConnection) -> None:
    made = await create_segment(conn, "used", {"all": []})
    with pytest.raises(Conflict, match=f"is used by campaign 7 of {made.id}"):
        await delete_segment(conn, made.id)


async def test_the_count_is_kept_until_the_rule_changes(conn: AsyncConnection, settings: Settings) -> None:
    await make_people(conn, settings, [{"external_id": "a", "city": "西安"}])
    made = await create_segment(conn, "x", city("西安"))
    assert made.count is None
    await evaluate(conn, made.id, CONTEXT)
    kept = await segment(conn, made.id)
    assert (kept.count, kept.counted_at) == (1, CONTEXT.now)
    assert (await update_segment(conn, made.id, rule=city("咸阳"))).count is None
