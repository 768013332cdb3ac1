"""What campaigns can be about. A person's word on a topic stands in the consent ledger, over all channels at once:
whoever never said anything gets what they consented to, whoever unticked one gets nothing about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.models import standing_consents, topics
from runtime.errors import Invalid, NotFound, Problem
from runtime.text import printable

ALL_CHANNELS = "all"
"""In place of a channel: what is said of a topic counts for each."""

MOST = 50
_PURPOSE = "topic:"
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Topic:
    """`offered`: people can choose it; one that is not still holds for campaigns about it."""

    key: str
    name: str
    name_zh: str | None = None
    position: int = 0
    offered: bool = True


def purpose_of(key: str) -> str:
    """The ledger's purpose of a topic."""
    return _PURPOSE + key


def topic_of(purpose: str) -> str | None:
    """The topic of a ledger's purpose, None where it is about none."""
    return purpose.removeprefix(_PURPOSE) if purpose.startswith(_PURPOSE) else None


async def list_topics(conn: AsyncConnection, *, offered: bool = False) -> list[Topic]:
    """In the order in which people see them; `offered`: only those that they do see."""
    row = topics.c
    query = select(*(row[name] for name in Topic.__dataclass_fields__)).order_by(row.position, row.key)
    return [Topic(**found._mapping) for found in await conn.execute(query.where(row.offered) if offered else query)]


async def save_topic(conn: AsyncConnection, topic: Topic, *, new: bool) -> None:
    """Write a topic; a new one comes last. Raises Invalid by field, NotFound for one to change that is not there."""
    checked = _checked(topic)
    known = {one.key for one in await list_topics(conn)}
    if new and checked.key in known:
        raise Invalid(Problem("key", "there is such a topic already"))
    if new and len(known) >= MOST:
        raise Invalid(Problem("key", f"there are {MOST} topics already; nobody reads more"))
    if not new and checked.key not in known:
        raise NotFound(f"there is no topic {checked.key}")
    position = select(func.coalesce(func.max(topics.c.position), 0) + 1).scalar_subquery()
    changed = {"name": checked.name, "name_zh": checked.name_zh, "offered": checked.offered}
    if not new:
        await conn.execute(update(topics).where(topics.c.key == checked.key).values(changed))
        return
    row = insert(topics).values(key=checked.key, position=position, **changed).on_conflict_do_nothing()
    if (await conn.execute(row.returning(topics.c.key))).first() is None:  # somebody made it meanwhile
        raise Invalid(Problem("key", "there is such a topic already"))


async def topic_problems(conn: AsyncConnection, keys: Iterable[str], path: str) -> list[Problem]:
    """What is wrong with a choice of topics: those that are not there."""
    wanted = set(keys)
    if not wanted:
        return []
    known = set((await conn.execute(select(topics.c.key).where(among(topics.c.key, wanted)))).scalars())
    missing = sorted(wanted - known)
    return [Problem(path, f"unknown topic {', '.join(missing)}; make it first")] if missing else []


def declining(key: str) -> Select[tuple[int]]:
    """`SELECT customer_id` of those who want nothing about the topic, each once."""
    row = standing_consents.c
    said = select(row.customer_id).where(row.channel == ALL_CHANNELS, row.purpose == purpose_of(key))
    return said.where(row.granted.is_(False))


async def topics_declined_by(conn: AsyncConnection, customer_id: int) -> frozenset[str]:
    """The keys of the topics about which somebody wants nothing."""
    row = standing_consents.c
    said = select(row.purpose).where(
        row.customer_id == customer_id, row.channel == ALL_CHANNELS, row.granted.is_(False)
    )
    found: Sequence[str] = (await conn.execute(said)).scalars().all()
    return frozenset(key for purpose in found if (key := topic_of(purpose)) is not None)


def _checked(topic: Topic) -> Topic:
    problems = []
    if not _KEY.fullmatch(topic.key):
        problems.append(Problem("key", "must have 1 to 40 small letters, digits, - and _"))
    name, name_zh = (" ".join(printable(given or "").split()) for given in (topic.name, topic.name_zh))
    if not 1 <= len(name) <= _LONGEST_NAME:
        problems.append(Problem("name", f"must have 1 to {_LONGEST_NAME} characters"))
    if len(name_zh) > _LONGEST_NAME:
        problems.append(Problem("name_zh", f"must have at most {_LONGEST_NAME} characters"))
    if problems:
        raise Invalid(problems)
    return Topic(topic.key, name, name_zh or None, topic.position, topic.offered)
