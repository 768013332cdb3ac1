"""Ratings: all are kept, the last one of a person counts, machines' never; folds are what a plain reading gives."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.erasing import erase
from customers.merging import merge
from customers.models import activity, changed_customers, ratings
from customers.ratings import (
    LONGEST_COMMENT,
    MOST_ANSWERS,
    RATINGS,
    About,
    Answer,
    Asked,
    How,
    answers_to,
    comment_rating,
    disown,
    fold_ratings,
    record_rating,
)
from customers.surveys import SURVEYS, nps_group
from runtime.errors import Conflict
from tests.tracking.people_with_mail import make_people

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
CSAT = "csat"


def answer(person: int, score: int, minute: int = 0, survey: str = CSAT, run: int = 1, **more: Any) -> Answer:
    asked = Asked(person, run, 0, survey)
    return Answer(person, asked, score, AT + timedelta(minutes=minute), more.pop("how", How.TOUCHED), **more)


async def said_of(conn: AsyncConnection, person: int) -> tuple[Any, ...]:
    row = activity.c
    found = await conn.execute(
        select(row.last_rating, row.last_rated_at, row.nps_group).where(row.customer_id == person)
    )
    return tuple(found.one())


async def rows_of(conn: AsyncConnection, person: int) -> list[Any]:
    row = ratings.c
    return list(await conn.execute(select(ratings).where(row.customer_id == person).order_by(row.at)))


async def test_the_last_answer_counts_and_all_are_kept(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    for minute, score in enumerate((4, 4, 5, 2)):
        assert await record_rating(conn, answer(person, score, minute)) is (minute != 1)
    assert [(row.score, row.counts) for row in await rows_of(conn, person)] == [(4, False), (5, False), (2, True)]
    assert await said_of(conn, person) == (2, AT + timedelta(minutes=3), None)
    noted = (await conn.execute(select(changed_customers.c.sources, changed_customers.c.ids))).all()
    assert {tuple(row.ids) for row in noted if RATINGS in row.sources} == {(person,)}


async def test_surveys_and_messages_stand_apart(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    await record_rating(conn, answer(person, 9, 1, "nps"))
    await record_rating(conn, answer(person, 3, 2))
    await record_rating(conn, answer(person, 5, 3, run=2))
    assert all(row.counts for row in await rows_of(conn, person))
    assert await said_of(conn, person) == (5, AT + timedelta(minutes=3), "promoter")


async def test_machines_count_for_nothing_and_do_not_pile_up(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    for minute in range(30):
        await record_rating(conn, answer(person, 1 + minute % 5, minute, machine="scanner"))
    assert [row.score for row in await rows_of(conn, person)] == [1, 2, 3, 4, 5]
    assert await said_of(conn, person) == (None, None, None)
    assert await record_rating(conn, answer(person, 1, 60))
    await record_rating(conn, answer(person, 5, 61, machine="scanner"))
    assert await said_of(conn, person) == (1, AT + timedelta(minutes=60), None)


async def test_answers_that_nobody_touched_can_be_disowned(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    await record_rating(conn, answer(person, 4, 0))
    for minute, score in ((10, 1), (11, 2)):
        await record_rating(conn, answer(person, score, minute, how=How.SEEN))
    await disown(conn, person, Asked(person, 1, 0, CSAT), AT + timedelta(minutes=5), "together")
    assert [row.machine_reason for row in await rows_of(conn, person)] == [None, "together", "together"]
    assert (await said_of(conn, person))[0] == 4


async def test_a_comment_stays_with_the_last_answer(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    asked = Asked(person, 1, 0, CSAT)
    assert not await comment_rating(conn, person, asked, "too early", AT)
    await record_rating(conn, answer(person, 2))
    assert await comment_rating(conn, person, asked, " \0Came late\ud800 " + "x" * 3000, AT)
    await record_rating(conn, answer(person, 3, 1))
    last = (await answers_to(conn, person, asked))[0]
    assert last.score == 3
    assert last.comment.startswith("\\0Came late")
    assert len(last.comment) == LONGEST_COMMENT


async def test_there_is_an_end_to_answering(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    for minute in range(MOST_ANSWERS):
        await record_rating(conn, answer(person, 1 + minute % 2, minute))
    with pytest.raises(Conflict):
        await record_rating(conn, answer(person, 5, 500))


def plain(rows: list[Any]) -> tuple[Any, ...]:
    """Last rating, last time and NPS group, read slowly."""
    last: dict[tuple[Any, ...], Any] = {}
    for row in sorted(rows, key=lambda row: (row.at, row.key)):
        if row.machine_reason is None:
            last[row.recipient, row.run_id, row.step, row.survey] = row
    standing = sorted(last.values(), key=lambda row: (row.at, row.key))
    assert {(row.at, row.key) for row in standing} == {(row.at, row.key) for row in rows if row.counts}
    csat = [row.score for row in standing if row.survey == CSAT]
    nps = [row.score for row in standing if row.survey == "nps"]
    at = standing[-1].at if standing else None
    return csat[-1] if csat else None, at, nps_group(nps[-1]) if nps else None


async def test_after_any_history_the_folds_are_what_a_plain_reading_gives(conn: AsyncConnection) -> None:
    rng = random.Random(11)
    people = await make_people(conn, 6)
    for _ in range(150):
        survey = rng.choice(list(SURVEYS.values()))
        await record_rating(
            conn,
            answer(
                rng.choice(people),
                rng.choice(survey.scores),
                rng.randrange(10_000),
                survey.name,
                rng.randrange(1, 4),
                machine=rng.choice([None, None, "tool"]),
                how=rng.choice(list(How)),
            ),
        )
    await merge(conn, people[0], people[1], now=AT)
    await erase(conn, people[2])
    left = [people[0], *people[3:]]
    assert await rows_of(conn, people[1]) == await rows_of(conn, people[2]) == []
    for person in left:
        assert await said_of(conn, person) == plain(await rows_of(conn, person))
    assert await fold_ratings(conn) == 0
    await conn.execute(update(ratings).values(counts=text("NOT counts")))
    await conn.execute(update(activity).values(last_rating=1, nps_group="passive"))
    assert await fold_ratings(conn) > 0
    for person in left:
        assert await said_of(conn, person) == plain(await rows_of(conn, person))


async def test_what_was_rated_is_kept(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    about = About("service_visits", "V1", "Kühl & Co", "air_conditioner")
    await record_rating(conn, answer(person, 5, about=about, salesperson="s1", agent="a\0b", channel="email"))
    [row] = await rows_of(conn, person)
    assert (row.about, row.about_number, row.provider_folded, row.category, row.salesperson) == (
        *("service_visits", "V1", "kühl & co", "air_conditioner"),
        "s1",
    )
