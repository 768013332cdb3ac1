"""Every answer to a rule beside the reference's."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import ARRAY, BigInteger, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.registry import sources
from segments import engine, looking
from segments.context import EvaluationContext
from segments.counting import countings, shares
from segments.engine import Prepared
from segments.store import create_segment
from tests.segments.rule_reference import World, explained, member, speaking
from tests.segments.rule_worlds import Person

Rule = Any
SOAK = os.environ.get("HEARTH_SOAK") == "1"


@dataclass(frozen=True)
class Case:
    """A rule about the people of a world, whose rows are in the database."""

    rule: Rule
    people: list[Person]
    world: World
    pick: Random

    @property
    def context(self) -> EvaluationContext:
        return EvaluationContext(self.world.now, self.world.zone.key)

    @property
    def customers(self) -> list[Person]:
        """The people without aliases."""
        return [one for one in self.people if one["merged_into"] is None]

    def ids(self, rule: Rule = None, people: list[Person] | None = None) -> list[int]:
        """Who belongs by the reference (to this rule, of these people), in order."""
        asked = self.rule if rule is None else rule
        some = self.people if people is None else people
        return [one["id"] for one in some if member(asked, one, self.world)]


Answer = Callable[[AsyncConnection, Case, Prepared], Awaitable[tuple[Any, Any]]]
"""What the engine says of a case, whose rule is also given as prepared once, and what the reference says."""


async def counted(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    return await engine.count(conn, case.rule, case.context), len(case.ids())


async def every_way(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """Counted in each way that there is, of which `count` takes the cheapest; of all, or of a salesperson's own."""
    code = case.pick.choice([None, None, *(one["salesperson"] for one in case.people)])
    own = [one for one in case.people if code is None or one["salesperson"] == code]
    narrowing = [] if code is None else [customers.c.salesperson == code]
    highest = case.pick.choice([0, 1, *(one["id"] for one in case.people)])
    ways = [*countings(prepared.rule, prepared.evaluation, narrowing, among=shares(highest))]
    found = (await conn.execute(select(*(way.scalar_subquery() for way in ways)))).one()
    return [*found], [len(case.ids(people=own))] * len(ways)


async def paged(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """All members, page by page."""
    found: list[int] = []
    cursor = None
    while True:
        page = await engine.members(conn, prepared, case.context, cursor=cursor, limit=16)
        found += [one.id for one in page.items]
        cursor = page.next
        if cursor is None:
            return found, case.ids()


async def explanation(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """Which conditions decide, for somebody who belongs or, as often, for somebody who does not."""
    inside, belonging = case.ids(), case.pick.random() < 0.5
    asked = [one for one in case.customers if (one["id"] in inside) is belonging] or case.customers
    if not asked:
        return None, None
    one = case.pick.choice(asked)
    said = await engine.explain(conn, prepared, case.context, one["id"])
    found = (one["id"], said.member, [(held.path, held.holds) for held in said.conditions])
    return found, (one["id"], one["id"] in inside, explained(case.rule, one, case.world))


async def among(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """Some customers looked up one by one, given as ids or by a statement."""
    some = [one for one in case.people if case.pick.random() < 0.6]
    ids = [one["id"] for one in some]
    given: Any = ids
    if case.pick.random() < 0.5:
        given = select(func.unnest(literal(ids, ARRAY(BigInteger))))
    found = await engine.belonging(conn, prepared, case.context, given)
    return sorted(found), case.ids(people=some)


async def sampled(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """A sample is of members, and as large as asked where there are so many."""
    size = case.pick.choice([1, 3, 50])
    found = [one.id for one in await engine.sample(conn, prepared, case.context, size=size)]
    inside = case.ids()
    return (len(set(found)), set(found) <= set(inside)), (min(size, len(inside)), True)


async def narrowed(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """A salesperson's own, counted, listed, sampled and looked up."""
    code = case.pick.choice([one["salesperson"] for one in case.people if one["salesperson"]] or ["S"])
    own = [one for one in case.people if one["salesperson"] == code]
    expected = case.ids(people=own)
    number = await engine.count(conn, prepared, case.context, salesperson=code)
    page = await engine.members(conn, prepared, case.context, salesperson=code)
    shown = await engine.sample(conn, prepared, case.context, salesperson=code, size=100)
    every = [one["id"] for one in case.people]
    found = await engine.belonging(conn, prepared, case.context, every, salesperson=code)
    answers = (number, [one.id for one in page.items], sorted(one.id for one in shown), sorted(found))
    return answers, (len(expected), expected, expected, expected)


async def frozen(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    """A campaign's audience: written out, without those of two segments."""
    others = [{"in_segment": number} for number in case.world.segments]
    exclude = [await engine.expand(conn, rule) for rule in case.pick.sample(others, case.pick.randrange(3))]
    rule = await engine.expand(conn, case.rule)
    statement = await engine.freeze_select(conn, rule, case.context, exclude=exclude)
    left_out = {number for rule in exclude for number in case.ids(rule)}
    return sorted(await conn.scalars(statement)), [number for number in case.ids() if number not in left_out]


async def turned_round(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    """Everybody else, counted and looked up."""
    others = {"none": [case.rule]}
    asked = [one["id"] for one in case.people]
    found = await engine.belonging(conn, others, case.context, asked)
    return (await engine.count(conn, others, case.context), sorted(found)), (len(case.ids(others)), case.ids(others))


async def stored(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    """The rule as a segment, through the database's JSON."""
    savepoint = await conn.begin_nested()
    made = await create_segment(conn, "stored", case.rule)
    found = await engine.count(conn, {"in_segment": made.id}, case.context)
    await savepoint.rollback()
    return found, len(case.ids())


async def spoken_for(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    """The records that made the rule hold, of those sources that number their records."""
    found, expected = set(), set()
    for source in ("orders", "appliances", "service_visits"):
        condition = await engine.record_condition(conn, case.rule, case.context, source)
        if condition is not None:
            number = sources()[source].table.c.number
            found |= {(source, one) for one in await conn.scalars(select(number).where(condition))}
        for one in case.people:
            spoke = speaking(case.rule, one, case.world, source)
            places = [at for at, row in enumerate(one["records"][source]) if any(row is other for other in spoke)]
            expected |= {(source, f"{one['id']}-{place}") for place in places}
    return sorted(found), sorted(expected)


async def stepwise(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """The funnel: what is left after each condition at the top, what each finds alone, what it takes away."""
    found = await looking.funnel(conn, prepared, case.context)
    kind = next((key for key in ("all", "any", "none") if key in case.rule), None)
    rules = case.rule[kind] if kind else [case.rule]
    kind = kind or "all"
    expected = [
        (
            len(case.ids({kind: rules[: place + 1]})),
            len(case.ids(rule)),
            len(case.ids({kind: [*rules[:place], *rules[place + 1 :]]})),
        )
        for place, rule in enumerate(rules)
    ]
    steps = [(step.kept, step.alone, step.without) for step in found.steps]
    return (found.everyone, found.count, steps), (len(case.customers), len(case.ids()), expected)


async def overlapping(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """The rule beside a segment, and the estimate of what both have."""
    other = {"in_segment": case.pick.choice([*case.world.segments])}
    one, two = set(case.ids()), set(case.ids(other))
    found = await looking.overlap(conn, prepared, other, case.context)
    about = await looking.estimate(conn, {"all": [case.rule, other]}, case.context)
    answers = (found.only_a, found.both, found.only_b, about.count, about.exact)
    return answers, (len(one - two), len(one & two), len(two - one), len(one & two), True)


ALWAYS: tuple[Answer, ...] = (paged, explanation)
COUNTS: tuple[Answer, ...] = (counted, every_way)
BY_TURNS: tuple[Answer, ...] = (
    among, among, among, sampled, narrowed, frozen, turned_round, stored, spoken_for, spoken_for, stepwise, overlapping,
)  # fmt: skip


def chosen(pick: Random) -> list[Answer]:
    """The answers that one rule is asked for: who, why, how many, and one more."""
    return [*ALWAYS, pick.choice(COUNTS), pick.choice(BY_TURNS)]
