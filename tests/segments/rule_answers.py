"""Every answer to a rule beside the reference's, and the smallest rule and rows for which one of them differs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from sqlalchemy import ARRAY, BigInteger, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import appliances, customers
from runtime.errors import HearthError
from segments import engine, looking
from segments.context import EvaluationContext
from segments.counting import countings
from segments.engine import Prepared
from segments.store import create_segment
from tests.segments.rule_reference import World, explained, member, speaking
from tests.segments.rule_worlds import Person, keep

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
        return [one["id"] for one in people or self.people if member(asked, one, self.world)]


Answer = Callable[[AsyncConnection, Case, Prepared], Awaitable[tuple[Any, Any]]]
"""What the engine says of a case, whose rule is also given as prepared once, and what the reference says."""


async def counted(conn: AsyncConnection, case: Case, _: Prepared) -> tuple[Any, Any]:
    return await engine.count(conn, case.rule, case.context), len(case.ids())


async def every_way(conn: AsyncConnection, case: Case, prepared: Prepared) -> tuple[Any, Any]:
    """Counted in each way that there is, of which `count` takes the cheapest; of all, or of a salesperson's own."""
    code = case.pick.choice([None, None, *(one["salesperson"] for one in case.people)])
    own = [one for one in case.people if code is None or one["salesperson"] == code]
    narrowing = [] if code is None else [customers.c.salesperson == code]
    ways = [*countings(prepared.rule, prepared.evaluation, narrowing)]
    found = (await conn.execute(select(*(way.scalar_subquery() for way in ways)))).one()
    return [*found], [len(case.ids(people=own)) if own else 0] * len(ways)


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
    return sorted(found), case.ids(people=some) if some else []


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
    expected = case.ids(people=own) if own else []
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
    """The appliances that made the rule hold."""
    condition = await engine.record_condition(conn, case.rule, case.context, "appliances")
    found: list[str] = []
    if condition is not None:
        found = sorted(set(await conn.scalars(select(appliances.c.number).where(condition))))
    expected: set[str] = set()
    for one in case.people:
        owned = one["records"]["appliances"]
        spoke = speaking(case.rule, one, case.world, "appliances")
        expected |= {f"{one['id']}-{place}" for place, row in enumerate(owned) if any(row is other for other in spoke)}
    return found, sorted(expected)


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
    among, among, among, sampled, narrowed, frozen, turned_round, stored, spoken_for, stepwise, overlapping,
)  # fmt: skip


def chosen(pick: Random) -> list[Answer]:
    """The answers that one rule is asked for: who, why, how many, and one more."""
    return [*ALWAYS, pick.choice(COUNTS), pick.choice(BY_TURNS)]


async def difference(conn: AsyncConnection, case: Case, answers: Sequence[Answer]) -> tuple[Answer, str] | None:
    """The first answer that is not what the reference says, or refused, or a fault; and both sides of it.

    After a fault the transaction is one to be rolled back.
    """
    prepared = None
    for answer in answers:
        pick = case.pick.getstate()
        try:
            prepared = prepared or await engine.prepare(conn, case.rule, case.context)
            found, expected = await answer(conn, case, prepared)
        except (DBAPIError, HearthError, AssertionError, LookupError, TypeError, ValueError) as error:
            found, expected = repr(error), "an answer"
        if found != expected:
            case.pick.setstate(pick)  # the same choices again
            return answer, f"{answer.__name__}: SQL says {found}, Python {expected}"
    return None


async def first_difference(conn: AsyncConnection, cases: Sequence[Case]) -> str | None:
    """The smallest case of the first difference among rules about the same world; one of the lesser answers to each."""

    async def told(case: Case, answer: Answer) -> str | None:
        async with _kept(conn, case):
            found = await difference(conn, case, [answer])
        return found[1] if found else None

    async with _kept(conn, cases[0]):
        for case in cases:
            found = await difference(conn, case, chosen(case.pick))
            if found is not None:
                break
        else:
            return None
    answer, said = found
    smallest = case
    while smaller := await _next(smallest, lambda other: told(other, answer)):
        smallest, said = smaller
    return f"{said}\n{_shown(smallest)}"


async def _next(case: Case, told: Callable[[Case], Awaitable[str | None]]) -> tuple[Case, str] | None:
    """A smaller case that still has a difference, and which."""
    for smaller in _smaller(case):
        said = await told(smaller)
        if said is not None:
            return smaller, said
    return None


@asynccontextmanager
async def _kept(conn: AsyncConnection, case: Case) -> AsyncIterator[None]:
    """The world's rows are in the database for the duration of the block."""
    savepoint = await conn.begin_nested()
    try:
        await keep(conn, case.people, case.world)
        yield
    finally:
        await savepoint.rollback()


def _smaller(case: Case) -> Iterator[Case]:
    for one in case.people[1:]:
        yield replace(case, people=[one])
    half = len(case.people) // 2
    if half:
        yield replace(case, people=case.people[:half])
        yield replace(case, people=case.people[half:])
    for place in range(len(case.people)) if len(case.people) < 8 else ():
        others = case.people[:place] + case.people[place + 1 :]
        yield replace(case, people=others)
    for rule in _smaller_rules(case.rule):
        yield replace(case, rule=rule)
    for number, rule in case.world.segments.items():
        for smaller in ({"all": []}, *_smaller_rules(rule)):
            if smaller != rule:
                yield replace(case, world=replace(case.world, segments={**case.world.segments, number: smaller}))
    if len(case.people) == 1:
        for person in _smaller_people(case.people[0]):
            yield replace(case, people=[person])


def _smaller_rules(rule: Rule) -> Iterator[Rule]:
    for kind in ("all", "any", "none"):
        for place, child in enumerate(rule.get(kind, [])):
            yield child
            rest = rule[kind][:place] + rule[kind][place + 1 :]
            yield {kind: rest}
            for smaller in _smaller_rules(child):
                yield {kind: [*rule[kind][:place], smaller, *rule[kind][place + 1 :]]}
    if "where" in rule:
        yield {key: value for key, value in rule.items() if key != "where"}
        for smaller in _smaller_rules(rule["where"]):
            yield {**rule, "where": smaller}
    value = rule.get("value")
    if isinstance(value, list) and len(value) > 1 and rule["op"] != "between":
        for item in value:
            yield {**rule, "value": [item]}


def _smaller_people(one: Person) -> Iterator[Person]:
    for source, rows in one["records"].items():
        for place in range(len(rows)):
            kept = rows[:place] + rows[place + 1 :]
            yield {**one, "records": {**one["records"], source: kept}}
    for name in ("addresses", "suppressions", "audiences"):
        for place in range(len(one[name])):
            yield {**one, name: one[name][:place] + one[name][place + 1 :]}
    for key in one["attributes"]:
        yield {**one, "attributes": {name: value for name, value in one["attributes"].items() if name != key}}


def _shown(case: Case) -> str:
    """What a case is about, without what its rules do not ask for."""
    rules = {"rule": case.rule, **{f"segment {number}": rule for number, rule in case.world.segments.items()}}
    told = [f"{name}: {json.dumps(rule, ensure_ascii=False)}" for name, rule in rules.items()]
    told.append(f"at {case.world.now} in {case.world.zone}, suppressed addresses: {case.world.suppressed_addresses}")
    words = set(re.findall(r'"([\w.]+)"', "\n".join(told)))
    told += [f"customer: {_asked_for(one, words)}" for one in case.people[:5]]
    return "\n".join([*told, f"and {len(case.people) - 5} more"] if len(case.people) > 5 else told)


def _asked_for(one: Person, words: set[str]) -> dict[str, Any]:
    always = {"id", "merged_into", "salesperson", "addresses", "suppressions", "audiences"}
    shown = {name: value for name, value in one.items() if name in words | always and value not in (None, [])}
    records = {source: rows for source, rows in one["records"].items() if rows and source in words}
    consents = {"consents": one["records"]["consents"]} if "reachable.email" in words else {}
    return {**shown, **records, **consents, "attributes": one["attributes"]}
