"""The first answer to a rule that is not the reference's, told by the smallest rule and rows that still have it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import HearthError
from segments import engine
from tests.segments.rule_answers import Answer, Case, Rule, chosen
from tests.segments.rule_worlds import Person, keep


async def first_difference(conn: AsyncConnection, cases: Sequence[Case]) -> str | None:
    """The smallest case of the first difference among rules about the same world, and both sides of it."""
    async with _kept(conn, cases[0]):
        for case in cases:
            found = await difference(conn, case, chosen(case.pick))
            if found is not None:
                break
        else:
            return None
    answer, said = found
    state = case.pick.getstate()

    async def told(smaller: Case) -> str | None:
        smaller.pick.setstate(state)
        async with _kept(conn, smaller):
            found = await difference(conn, smaller, [answer])
        return found[1] if found else None

    smallest = case
    while smaller := await _next(smallest, told):
        smallest, said = smaller
    return f"{said}\n{_shown(smallest)}"


async def difference(conn: AsyncConnection, case: Case, answers: Sequence[Answer]) -> tuple[Answer, str] | None:
    """The first answer that is not what the reference says, or refused, or a fault; and both sides of it.

    After a fault the transaction is one to be rolled back. The case's choices are then again those of that answer.
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
            case.pick.setstate(pick)
            return answer, f"{answer.__name__}: SQL says {found}, Python {expected}"
    return None


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
