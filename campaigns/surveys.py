"""Surveys that are answered: what the page asks, and what becomes of an answer.

What is rated, the written rule: the record on whose day the campaign's date anchor wrote (a service visit, an order, an
appliance); without one, the latest service visit that was done in the 30 days before the message. Provider, category
and the customer's salesperson are kept as they are when the answer comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.audience import of_run
from campaigns.models import runs, snapshots
from customers.merging import held
from customers.models import customers
from customers.ratings import About, Answer, Asked, How, answers_to, comment_rating, record_rating
from customers.surveys import Survey
from runtime.errors import Invalid, Problem
from runtime.registry import sources
from runtime.settings import Settings
from segments import engine
from segments.context import context_at
from tracking.survey_judging import machine_behind
from tracking.survey_tokens import SurveyRef
from tracking.tracker import Standing, standing

RATED = ("service_visits", "orders", "appliances")


@dataclass(frozen=True)
class Question:
    """What the page shows. `answer` is the score that counts, None before; `before`: all that a person answered."""

    survey: Survey
    sender: str
    language: str | None
    sent_at: datetime | None
    answer: int | None
    before: frozenset[int]
    comment: str | None


async def question(conn: AsyncConnection, ref: SurveyRef) -> Question:
    """Raises NotFound where the message is gone."""
    message = await standing(conn, ref.key)
    said = await answers_to(conn, message.key.customer_id, _asked(ref))
    last = next((row for row in said if row.counts), None)
    run = await _run(conn, ref)
    language = await conn.scalar(select(customers.c.language).where(customers.c.id == message.key.customer_id))
    return Question(
        survey=ref.survey,
        sender="" if run is None else run.sender,
        language=language,
        sent_at=message.sent_at,
        answer=None if last is None else last.score,
        before=frozenset(row.score for row in said if row.machine_reason is None),
        comment=None if last is None else last.comment,
    )


async def answer(
    conn: AsyncConnection,
    ref: SurveyRef,
    score: int,
    how: How,
    *,
    machine: str | None,
    agent: str,
    settings: Settings,
    now: datetime,
) -> bool:
    """Keep an answer; whether it counts as a person's. `machine`: what the request says of itself.

    Raises NotFound where the message is gone, Invalid for a score that the survey does not have.
    """
    if score not in ref.survey.scores:
        raise Invalid(Problem("score", f"must be a number from {ref.survey.low} to {ref.survey.high}"))
    message, asked = await standing(conn, ref.key), _asked(ref)
    person = await held(conn, message.key.customer_id)
    machine = machine or await machine_behind(conn, person, asked, score, how, sent_at=message.sent_at, now=now)
    run = await _run(conn, ref)
    salesperson = await conn.scalar(select(customers.c.salesperson).where(customers.c.id == person))
    given = Answer(
        customer_id=person,
        asked=asked,
        score=score,
        at=now,
        how=how,
        machine=machine,
        agent=agent,
        campaign_id=None if run is None else run.campaign_id,
        channel=message.channel,
        salesperson=salesperson,
        about=await _about(conn, run, message, settings, now),
    )
    await record_rating(conn, given)
    return machine is None


async def comment(conn: AsyncConnection, ref: SurveyRef, words: str, *, now: datetime) -> bool:
    """Put words to the answer that counts; whether there is one. Raises NotFound where the message is gone."""
    message = await standing(conn, ref.key)
    return await comment_rating(conn, await held(conn, message.key.customer_id), _asked(ref), words, now)


def _asked(ref: SurveyRef) -> Asked:
    return Asked(ref.key.customer_id, ref.key.run_id, ref.key.step, ref.survey.name)


async def _run(conn: AsyncConnection, ref: SurveyRef) -> Any:
    """The row of the run that asked; None where its campaign was deleted."""
    statement = select(runs.c.campaign_id, runs.c.occurrence, snapshots.c.audience, snapshots.c.sender)
    joined = statement.join_from(runs, snapshots, snapshots.c.id == runs.c.snapshot_id)
    return (await conn.execute(joined.where(runs.c.id == ref.key.run_id))).one_or_none()


async def _about(conn: AsyncConnection, run: Any, message: Standing, settings: Settings, now: datetime) -> About:
    person, sent_at = message.key.customer_id, message.sent_at or now
    anchor = {} if run is None else run.audience.get("anchor", {})
    kind = str(anchor.get("has"))
    if run is not None and kind in RATED:
        number = await _anchored(conn, run, kind, anchor["field"], person, settings, sent_at)
        if number is not None:
            return await _described(conn, kind, person, number)
    number = await conn.scalar(_LATEST_VISIT, {"person": person, "sent_at": sent_at})
    return About() if number is None else await _described(conn, RATED[0], person, number)


async def _described(conn: AsyncConnection, kind: str, person: int, number: str) -> About:
    found = (await conn.execute(_DETAILS[kind], {"person": person, "number": number})).one()
    return About(kind, number, found.provider, found.category)


async def _anchored(
    conn: AsyncConnection, run: Any, kind: str, field: str, person: int, settings: Settings, sent_at: datetime
) -> str | None:
    """The record whose day the run was about; None where that changed since."""
    source = sources()[kind]
    about = of_run(run.audience, run.occurrence)["about"]
    fits = await engine.record_condition(conn, about, context_at(sent_at, settings), kind)
    table = source.table
    mine = select(table.c.number).where(table.c.customer_id == person, *([] if fits is None else [fits]))
    latest = mine.order_by(source.fields[field].column.desc(), table.c.number).limit(1)
    found: str | None = await conn.scalar(latest)
    return found


_LATEST_VISIT = text("""
    SELECT number FROM service_visits
    WHERE customer_id = :person AND coalesce(completed_at, visited_at) <= :sent_at
        AND coalesce(completed_at, visited_at) > CAST(:sent_at AS timestamptz) - interval '30 days'
    ORDER BY coalesce(completed_at, visited_at) DESC, number LIMIT 1
""")
_DETAILS = {
    "service_visits": text("""
        SELECT v.provider, a.category FROM service_visits v
        LEFT JOIN appliances a ON a.customer_id = v.customer_id AND a.number = v.appliance_number
        WHERE v.customer_id = :person AND v.number = :number
    """),
    "orders": text("""
        SELECT CAST(NULL AS text) AS provider, (
            SELECT category FROM order_items i WHERE i.customer_id = o.customer_id AND i.order_number = o.number
            ORDER BY amount DESC, position LIMIT 1
        ) AS category FROM orders o WHERE o.customer_id = :person AND o.number = :number
    """),
    "appliances": text("""
        SELECT CAST(NULL AS text) AS provider, category FROM appliances
        WHERE customer_id = :person AND number = :number
    """),
}
