"""Answers to surveys: kept for ever; the last one of a person to a message counts, machines' never do.

Two folds come of them, rebuilt by `hearth db recount`: `ratings.counts`, and in `activity` the last CSAT answer
(`last_rating`), the time of the last answer of any kind (`last_rated_at`) and the NPS group of the last NPS answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, change_and_note, note_changed
from customers.models import ratings
from customers.surveys import NPS, PASSIVE_FROM, PROMOTER_FROM
from runtime.errors import Conflict
from runtime.text import fold, printable

RATINGS = "ratings"  # the word of customers/changes.py
MOST_ANSWERS = 100  # to one survey of one message
LONGEST_COMMENT = 2_000


class How(StrEnum):
    """How an answer was given."""

    SEEN = "seen"  # the page, tapped open with the answer in its address, stood before somebody for a while
    TOUCHED = "touched"  # they touched that page
    BUTTON = "button"  # they pressed a button


@dataclass(frozen=True)
class Asked:
    """One survey of one message. `recipient`: the customer's id to which it went, also after a merge."""

    recipient: int
    run_id: int
    step: int
    survey: str


@dataclass(frozen=True)
class About:
    """What was rated: a record of the customer (`kind` names its Source), and who and what it involves."""

    kind: str | None = None
    number: str | None = None
    provider: str | None = None
    category: str | None = None


@dataclass(frozen=True)
class Answer:
    """An answer of `customer_id`, who lives under that id today. `machine`: the word for the machine that gave it,
    None for a person."""

    customer_id: int
    asked: Asked
    score: int
    at: datetime
    how: How
    machine: str | None = None
    agent: str = ""
    campaign_id: int | None = None
    channel: str | None = None
    salesperson: str | None = None
    about: About = About()

    @property
    def key(self) -> UUID:
        said = repr((self.asked, self.score, self.at.timestamp(), self.machine))
        return UUID(bytes=hashlib.sha256(said.encode()).digest()[:16])


async def record_rating(conn: AsyncConnection, answer: Answer) -> bool:
    """Keep an answer; whether it says anything new: a person's last one given again does not, nor a machine's second.

    A comment of before stays with the person's last answer. Raises Conflict past MOST_ANSWERS.
    """
    said = await answers_to(conn, answer.customer_id, answer.asked, alone=True)
    standing = next((row for row in said if row.counts), None)
    if answer.machine is None:
        repeated = standing is not None and standing.score == answer.score
    else:
        repeated = any(row.score == answer.score for row in said if row.machine_reason is not None)
    if repeated:
        return False
    if len(said) >= MOST_ANSWERS:
        raise Conflict("this survey was answered too often")
    await conn.execute(insert(ratings).values(_row(answer, standing if answer.machine is None else None)))
    await note_changed(conn, RATINGS, [answer.customer_id])
    await fold_ratings(conn, [answer.customer_id])
    return True


async def comment_rating(conn: AsyncConnection, customer_id: int, asked: Asked, comment: str, now: datetime) -> bool:
    """Set the comment of the person's last answer (empty: none); whether there is such an answer."""
    words = printable(comment).strip()[:LONGEST_COMMENT] or None
    values = {**_where(customer_id, asked), "comment": words, "folded": fold(words), "now": now}
    return await change_and_note(conn, RATINGS, _COMMENT, values) > 0


async def disown(conn: AsyncConnection, customer_id: int, asked: Asked, since: datetime, machine: str) -> None:
    """Answers that nobody touched the page for, from `since` on, were a machine's after all."""
    values = {**_where(customer_id, asked), "since": since, "machine": machine}
    if await change_and_note(conn, RATINGS, _DISOWN, values):
        await fold_ratings(conn, [customer_id])


async def answers_to(conn: AsyncConnection, customer_id: int, asked: Asked, *, alone: bool = False) -> list[Row[Any]]:
    """What was answered to one survey of one message, the last first. `alone`: until the transaction ends, nobody else
    answers it."""
    values = _where(customer_id, asked)
    if alone:
        said = repr(asked).encode()
        lock = int.from_bytes(hashlib.sha256(said).digest()[:8], "big", signed=True)
        await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    return list((await conn.execute(_ANSWERS, values)).all())


async def fold_ratings(conn: AsyncConnection, ids: Collection[int] | None = None) -> int:
    """Recompute what counts and what activity says of the ratings of these customers (None: of all); how many rows
    differed."""
    if ids is None:
        return await change_and_note(conn, RATINGS, _COUNT_ALL) + await change_and_note(conn, ACTIVITY, _FOLD_ALL)
    if not ids:
        return 0
    values = {"ids": sorted(ids)}
    counted = await change_and_note(conn, RATINGS, _COUNT_SOME, values)
    return counted + await change_and_note(conn, ACTIVITY, _FOLD_SOME, values)


def _row(answer: Answer, before: Row[Any] | None) -> dict[str, Any]:
    asked, about = answer.asked, answer.about
    return {
        "customer_id": answer.customer_id,
        "at": answer.at,
        "key": answer.key,
        "survey": asked.survey,
        "score": answer.score,
        "comment": None if before is None else before.comment,
        "comment_folded": None if before is None else before.comment_folded,
        "commented_at": None if before is None else before.commented_at,
        "how": str(answer.how),
        "machine_reason": answer.machine,
        "user_agent": printable(answer.agent)[:500] or None,
        "recipient": asked.recipient,
        "run_id": asked.run_id,
        "step": asked.step,
        "campaign_id": answer.campaign_id,
        "channel": answer.channel,
        "about": about.kind,
        "about_number": about.number,
        "provider": about.provider,
        "provider_folded": fold(about.provider),
        "category": about.category,
        "category_folded": fold(about.category),
        "salesperson": answer.salesperson,
    }


def _where(customer_id: int, asked: Asked) -> dict[str, Any]:
    return {"customer": customer_id, **vars(asked)}


_MINE = """
    customer_id = :customer AND recipient = :recipient AND run_id = :run_id AND step = :step AND survey = :survey
"""
_ANSWERS = text(f"""
    SELECT at, key, score, counts, comment, comment_folded, commented_at, how, machine_reason FROM ratings WHERE {_MINE}
    ORDER BY at DESC, key DESC
""")  # noqa: S608 -- our own words
_COMMENT = f"""
    UPDATE ratings SET comment = :comment, comment_folded = :folded, commented_at = :now WHERE {_MINE} AND counts
    RETURNING customer_id
"""  # noqa: S608
_DISOWN = f"""
    UPDATE ratings SET machine_reason = :machine
    WHERE {_MINE} AND how = '{How.SEEN}' AND machine_reason IS NULL AND at >= :since RETURNING customer_id
"""  # noqa: S608

_COUNT = """
    UPDATE ratings SET counts = folded.counts
    FROM (
        SELECT customer_id, at, key, machine_reason IS NULL AND row_number() OVER (
            PARTITION BY customer_id, recipient, run_id, step, survey, machine_reason IS NULL ORDER BY at DESC, key DESC
        ) = 1 AS counts
        FROM ratings r {which}
    ) folded
    WHERE ratings.customer_id = folded.customer_id AND ratings.at = folded.at AND ratings.key = folded.key
        AND ratings.counts <> folded.counts
    RETURNING ratings.customer_id
"""
_FOLD = f"""
    UPDATE activity SET last_rating = folded.last_rating, last_rated_at = folded.last_rated_at,
        nps_group = folded.nps_group
    FROM (
        SELECT a.customer_id, max(r.at) AS last_rated_at,
            (array_agg(r.score ORDER BY r.at DESC, r.key DESC) FILTER (WHERE r.survey = 'csat'))[1] AS last_rating,
            CASE WHEN bool_or(r.survey = '{NPS.name}') THEN CASE
                WHEN (array_agg(r.score ORDER BY r.at DESC, r.key DESC) FILTER (WHERE r.survey = '{NPS.name}'))[1]
                    >= {PROMOTER_FROM} THEN 'promoter'
                WHEN (array_agg(r.score ORDER BY r.at DESC, r.key DESC) FILTER (WHERE r.survey = '{NPS.name}'))[1]
                    >= {PASSIVE_FROM} THEN 'passive' ELSE 'detractor' END END AS nps_group
        FROM activity a LEFT JOIN ratings r ON r.customer_id = a.customer_id AND r.counts
        {{which}} GROUP BY a.customer_id
    ) folded
    WHERE activity.customer_id = folded.customer_id
        AND (activity.last_rating, activity.last_rated_at, activity.nps_group)
            IS DISTINCT FROM (folded.last_rating, folded.last_rated_at, folded.nps_group)
    RETURNING activity.customer_id
"""  # noqa: S608
_COUNT_SOME = _COUNT.format(which="WHERE r.customer_id = ANY(CAST(:ids AS bigint[]))")
_COUNT_ALL = _COUNT.format(which="")
_FOLD_SOME = _FOLD.format(which="WHERE a.customer_id = ANY(CAST(:ids AS bigint[]))")
_FOLD_ALL = _FOLD.format(which="")
