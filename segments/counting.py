"""The ways to count the members of a rule, of which PostgreSQL names the cheapest.

"Who owns a Gree air conditioner" need not go through a million customers: `appliances` says it, and `customers` is
asked only for what stands there. So each part of a rule that only those fulfil who stand in some table by their id
opens a way of its own: through those people, asking them for the rest. And where few are left to be asked, their
records are looked up one by one instead of being grouped for all (`Evaluation.few`). Which of these is best depends on
the numbers; the planner knows them, and prices each way. "Has never ordered" is counted as all but those who have. And
where nothing but a grouping of records is asked, ranges of customers are counted side by side, since the planner groups
along an index in one process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    cast,
    distinct,
    exists,
    func,
    select,
    union,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.merging import moves
from customers.models import activity, customers
from customers.reachable import addressed, consenting
from segments.compiler import Evaluation, compile_rule, if_missing, on_rows, record_owners, table_of
from segments.measures import fits_none, only_whether
from segments.models import audience_members
from segments.predicates import Condition
from segments.schema import REACHABLE
from segments.tree import FieldTest, Group, InAudience, InSegment, Related, Rule, conditions

_MOST_WAYS = 4
_NEXT_TO_NOTHING = 3_000.0  # some milliseconds, in the planner's units
_LOOK_UPS = 0.3  # the planner prices each look-up as if it were the first to come by, and nothing in memory yet
_ALL_BUT = 0.4  # the planner takes it that no two records are of one customer
_WEIGHT = "weight"
_SHARES = 4  # two workers and the process itself, none of which is idle for long

Share = tuple[int | None, int | None]
"""The ids above the first and not above the second."""


@dataclass(frozen=True)
class _Part:
    """A part of the rule that must hold, or must not (`wanted`)."""

    node: Rule
    wanted: bool

    @property
    def rule(self) -> Rule:
        return self.node if self.wanted else Group("none", (self.node,))


@dataclass(frozen=True)
class _Way:
    """`people`: a SELECT of ids, each `once` or not, of those who fulfil some parts; `proper`: none of them is merged.
    `rest`: what is still to be asked of them, and `also` some condition on their id."""

    people: Select[Any] | CompoundSelect[Any]
    once: bool
    rest: Sequence[_Part]
    proper: bool = True
    also: Callable[[ColumnElement[int]], Condition] | None = None


async def cheapest(conn: AsyncConnection, statements: Iterator[Select[int]]) -> Select[int]:
    """The one that PostgreSQL would rather run; the first that costs next to nothing, or the only one there is."""
    best = next(statements)
    following = next(statements, None)
    if following is None:
        return best
    least = await _cost(conn, best)
    for statement in chain([following], statements):
        if least < _NEXT_TO_NOTHING:
            break
        cost = await _cost(conn, statement)
        if cost < least:
            best, least = statement, cost
    return best


def shares(highest: int) -> list[Share]:
    """All ids, those above `highest` too, in ranges of about the same size."""
    return list(pairwise([None, *(highest * place // _SHARES for place in range(1, _SHARES)), None]))


def countings(
    rule: Rule, evaluation: Evaluation, visible: Sequence[Condition] = (), *, among: Sequence[Share] = ()
) -> Iterator[Select[int]]:
    """`SELECT count(…)` of the members, in each way that there is: all with the same answer.

    `visible`: conditions on `customers` that narrow the answer. `among`: ranges that are all ids together.
    """
    parts = list(_parts(rule, True, evaluation))
    ways = list(islice(_ways(parts, evaluation), _MOST_WAYS))
    straight = [way for way in ways if not way.rest]
    if straight and not visible:
        yield _count(straight[0], evaluation, visible)
        if among and groups_alone(rule, evaluation):
            yield _side_by_side(parts, evaluation, among)
        return
    yield from _each(rule, ways, evaluation, visible)
    others = next(_ways(list(_parts(rule, False, evaluation)), evaluation), None)
    if others is not None and not others.rest and not visible:
        yield _all_but(_count(others, evaluation, visible)).execution_options(**{_WEIGHT: _ALL_BUT})
    if _groups(rule, evaluation):
        for statement in _each(rule, ways, replace(evaluation, few=True), visible):
            yield statement.execution_options(**{_WEIGHT: _LOOK_UPS})


def _each(
    rule: Rule, ways: Sequence[_Way], evaluation: Evaluation, visible: Sequence[Condition]
) -> Iterator[Select[int]]:
    yield select(func.count()).select_from(customers).where(compile_rule(rule, evaluation), *_proper(visible))
    yield from (_count(way, evaluation, visible) for way in ways)


def _count(way: _Way, evaluation: Evaluation, visible: Sequence[Condition]) -> Select[int]:
    people = _through(way, evaluation, visible)
    [person] = people.selected_columns
    return people.with_only_columns(func.count() if way.once else func.count(distinct(person)))


def groups_alone(rule: Rule, evaluation: Evaluation) -> bool:
    """Whether all that it asks for is a count or a sum over records of one kind."""
    match list(_parts(rule, True, evaluation)):
        case [_Part(Related(measure=measure), wanted)]:
            return not only_whether(measure) and wanted is not fits_none(measure)
    return False


def _side_by_side(parts: Sequence[_Part], evaluation: Evaluation, among: Sequence[Share]) -> Select[int]:
    ways = [(within, next(_by_records(parts, within))) for within in (replace(evaluation, within=one) for one in among)]
    each = union_all(*(_count(way, within, ()) for within, way in ways)).subquery("shares")
    return select(cast(func.sum(each.c[0]), BigInteger))


def _all_but(others: Select[int]) -> Select[int]:
    everyone = select(func.count()).select_from(customers).where(*_proper(()))
    return select(everyone.scalar_subquery() - others.scalar_subquery())


def _through(way: _Way, evaluation: Evaluation, visible: Sequence[Condition] | None = None) -> Select[Any]:
    """The SELECT of their ids who fulfil all parts; merged customers are left out where `visible` is given."""
    people = way.people.subquery()
    [person] = people.c
    rest = Group("all", tuple(part.rule for part in way.rest))
    if visible or _asks_customers(rest, evaluation):
        joined = people.join(customers, customers.c.id == person)
        found = select(customers.c.id).select_from(joined)
        proper = [] if visible is None else _proper(visible)
        person = customers.c.id
    else:
        found = select(person).select_from(people)
        proper = [] if visible is None or way.proper else [~_merged(person)]
    found = found.where(compile_rule(rest, evaluation, person=person), *proper)
    return found if way.also is None else found.where(way.also(person))


def _proper(visible: Sequence[Condition]) -> list[Condition]:
    return [customers.c.merged_into.is_(None), *visible]


def _merged(person: ColumnElement[int]) -> Condition:
    alias = customers.alias("merged")
    found = exists().where(alias.c.id == person, alias.c.merged_into.is_not(None))
    return found.correlate(person.table)


def _parts(node: Rule, wanted: bool, evaluation: Evaluation) -> Iterator[_Part]:
    """What must all be so for the rule to hold."""
    if isinstance(node, InSegment):
        yield from _parts(evaluation.segments[node.segment_id], wanted, evaluation)
    elif isinstance(node, Group) and (node.kind == "any") is not wanted:
        for part in _children(node, wanted):
            yield from _parts(part.node, part.wanted, evaluation)
    else:
        yield _Part(node, wanted)


def _children(group: Group, wanted: bool) -> list[_Part]:
    return [_Part(child, wanted if group.kind != "none" else not wanted) for child in group.rules]


def _ways(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    """Through those who fulfil one of the parts, the likely narrow ones first."""
    for opens in (_by_list, _by_records, _by_activity, _by_consent, _by_any):
        yield from opens(parts, evaluation)


def _by_list(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    for part in parts:
        if isinstance(part.node, InAudience) and part.wanted:
            row = audience_members.c
            listed = select(row.customer_id).where(row.audience_id == part.node.audience_id)
            yield _Way(listed, True, _without(parts, part))


def _by_records(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    for part in parts:
        node = part.node
        if isinstance(node, Related) and part.wanted is not fits_none(node.measure):
            once, proper = not only_whether(node.measure), moves(evaluation.schema.sources[node.source].table)
            yield _Way(record_owners(node, evaluation), once, _without(parts, part), proper)


def _by_activity(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    """By all that is asked of `activity`, unless somebody without a row there may belong."""
    asking = [part for part in parts if table_of(part.node, evaluation) is activity]
    together = Group("all", tuple(part.rule for part in asking))
    if asking and not if_missing(together):
        active = select(activity.c.customer_id).where(on_rows(together, activity, evaluation))
        yield _Way(active, True, _without(parts, *asking))


def _by_consent(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    for part in parts:
        node = part.node
        if not isinstance(node, FieldTest) or not node.name.startswith(REACHABLE) or node.op != "is":
            continue
        if part.wanted is (node.operand is True):
            channel = evaluation.schema.channels[node.name.removeprefix(REACHABLE)]
            there = partial(addressed, channel, evaluation.now)
            yield _Way(consenting(channel), True, _without(parts, part), also=there)


def _by_any(parts: Sequence[_Part], evaluation: Evaluation) -> Iterator[_Way]:
    """By the union of those whom each alternative has."""
    for part in parts:
        node = part.node
        if isinstance(node, Group) and table_of(node, evaluation) is None:
            alternatives = [_people(child, evaluation) for child in _children(node, part.wanted)]
            if len(alternatives) > 1:
                proper = all(each.proper for each in alternatives)
                people = union(*(each.people for each in alternatives))
                yield _Way(people, True, _without(parts, part), proper)


def _people(part: _Part, evaluation: Evaluation) -> _Way:
    """Those who fulfil `part` and nothing is left to ask of them, by its first way if it has one."""
    way = next(_ways(list(_parts(part.node, part.wanted, evaluation)), evaluation), None)
    if way is not None:
        return _Way(_through(way, evaluation), way.once, (), way.proper)
    everyone = select(customers.c.id).where(compile_rule(part.rule, evaluation), *_proper(()))
    return _Way(everyone, True, ())


def _without(parts: Sequence[_Part], *gone: _Part) -> list[_Part]:
    return [part for part in parts if part not in gone]


def _asks_customers(rule: Rule, evaluation: Evaluation) -> bool:
    """Whether some field of the rule stands in `customers`."""
    return any(
        _asks_customers(evaluation.segments[node.segment_id], evaluation)
        if isinstance(node, InSegment)
        else table_of(node, evaluation) is customers
        for node in conditions(rule)
    )


def _groups(rule: Rule, evaluation: Evaluation) -> bool:
    """Whether records are to be counted or summed for it."""
    return any(
        _groups(evaluation.segments[node.segment_id], evaluation)
        if isinstance(node, InSegment)
        else isinstance(node, Related) and not only_whether(node.measure)
        for node in conditions(rule)
    )


async def _cost(conn: AsyncConnection, statement: Select[int]) -> float:
    compiled = statement.compile(dialect=conn.dialect)
    plan = await conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}", compiled.params)
    weight: float = statement.get_execution_options().get(_WEIGHT, 1.0)
    return weight * float(plan.scalar_one()[0]["Plan"]["Total Cost"])
