"""Who crosses: whom the mere passing of time can bring into a segment or out of it.

A condition relative to now, or about a number that fades, compares a field with bounds that move as time passes.
Between two moments it can only turn for records whose field lies in what a bound has moved over: `installed_on`
"8 years ago or earlier" turns for the appliances installed between 8 years before the one moment and 8 years before the
other. Each such field has an index, so they are found without looking at anybody else. The bounds are those of an
evaluation (segments/bounds.py), month ends, leap days and the clocks of the time zone included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Select,
    Table,
    and_,
    any_,
    cast,
    extract,
    false,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.util import find_tables

from customers.changes import ACTIVITY, AUDIENCES, CONSENTS, CUSTOMERS, EVERYTHING, SUPPRESSIONS
from customers.models import activity, contact_addresses, order_items, orders, suppressed_addresses, suppressions
from customers.suppressions import DOMAIN, domain_of
from runtime.fading import Fading
from runtime.registry import Field, Kind
from segments.bounds import Bound, anniversary, window
from segments.compiler import Evaluation, compile_where
from segments.operators import NEGATED, OPERATORS, Takes
from segments.predicates import Condition, faded_bounds
from segments.schema import PERSON, REACHABLE
from segments.tree import Condition as Node
from segments.tree import FieldTest, InAudience, Measure, Related, Rule, conditions, tests

DAILY = "daily"
ALWAYS = "always"
_YEARLY = "anniversary_within_next"
_DAYS_OF_THE_YEAR = [month * 100 + day for month in range(1, 13) for day in range(1, 32)]


@dataclass(frozen=True)
class Asks:
    """What a rule's answer hangs on: words of `customers.changes`, and how it moves as time passes.

    `moves`: DAILY (dates), ALWAYS (instants), None: not by itself.
    """

    sources: frozenset[str]
    moves: str | None


def asks(rule: Rule, evaluation: Evaluation) -> Asks:
    """Of the rule and of the segments that it refers to."""
    nodes = list(_nodes(rule, evaluation))
    sources = {EVERYTHING}.union(*(_sources(node, evaluation) for node in nodes))
    paces = {pace for node in nodes for pace in _paces(node)}
    return Asks(frozenset(sources), ALWAYS if ALWAYS in paces else DAILY if paces else None)


def crossing(rule: Rule, before: Evaluation, after: Evaluation) -> Select[tuple[int]] | None:
    """SELECT of the customers for whom a condition may have turned between two moments; None: for nobody.

    Ids may repeat, and some of them do not turn after all: the compiler decides about each. Nobody is left out.
    """
    parts = [part for node in _nodes(rule, after) for part in _crossed(node, before, after)]
    if not parts:
        return None
    every = union_all(*parts).subquery("crossing")
    return select(every.c[0])


def _nodes(rule: Rule, evaluation: Evaluation) -> Iterator[Node]:
    """The conditions of the rule and of every segment that it refers to, of any depth, each once."""
    for each in (rule, *evaluation.segments.values()):
        yield from conditions(each)


def _sources(node: Node, evaluation: Evaluation) -> set[str]:
    if isinstance(node, Related):
        return {node.source}
    if isinstance(node, InAudience):
        return {AUDIENCES}
    if not isinstance(node, FieldTest):
        return set()
    if node.name.startswith(REACHABLE):
        return {CUSTOMERS, CONSENTS, SUPPRESSIONS}
    return {CUSTOMERS if _home(node, evaluation) is None else ACTIVITY}


def _paces(node: Node) -> Iterator[str]:
    if isinstance(node, FieldTest) and node.name.startswith(REACHABLE):
        yield ALWAYS  # suppressions end
    for test in _moving(node):
        yield DAILY if test.kind is Kind.DATE or test.op == _YEARLY else ALWAYS


def _moving(node: Node) -> Iterator[FieldTest | Measure]:
    """What of a condition is relative to now."""
    if isinstance(node, FieldTest) and _relative(node):
        yield node
    elif isinstance(node, Related):
        yield from (test for test in tests(node.where) if _relative(test))
        if _relative(node.measure):
            yield node.measure


def _relative(test: FieldTest | Measure) -> bool:
    return OPERATORS[test.kind].get(test.op) is Takes.DURATION or _fades(test)


def _fades(test: FieldTest | Measure) -> bool:
    """Whether it compares a number that fades by itself; only fields of the customers do."""
    found = PERSON.fields.get(test.name) if isinstance(test, FieldTest) else None
    return found is not None and found.fading is not None and test.operand is not None


def _crossed(node: Node, before: Evaluation, after: Evaluation) -> Iterator[Select[Any]]:
    if isinstance(node, FieldTest) and node.name.startswith(REACHABLE):
        yield from _released(before, after)
    elif isinstance(node, FieldTest):
        yield from _people_crossed(node, before, after)
    elif isinstance(node, Related):
        yield from _records_crossed(node, before, after)


def _people_crossed(node: FieldTest, before: Evaluation, after: Evaluation) -> Iterator[Select[Any]]:
    found = after.schema.field_of(PERSON, node.name)
    assert found is not None, node.name
    home = _home(node, after)
    for turned in _moved_over(found, node, before, after):
        yield select(PERSON.person if home is None else home.c.customer_id).where(turned)


def _records_crossed(node: Related, before: Evaluation, after: Evaluation) -> Iterator[Select[Any]]:
    """Whose records came to match `where` or ceased to, or carry a date that an aggregate is compared by."""
    source = after.schema.sources[node.source]
    for test in _moving(node):
        name = test.name if isinstance(test, FieldTest) else test.field
        found = after.schema.field_of(source, name or "")
        assert found is not None, name
        if found.column is order_items.c.ordered_at:  # repeats that of the order, which has the index
            for turned in _moved_over(replace(found, column=orders.c.ordered_at), test, before, after):
                yield select(orders.c.customer_id).where(turned)
            continue
        for turned in _moved_over(found, test, before, after):
            crossed = select(source.person).where(turned)
            if isinstance(test, FieldTest) and node.where is not None:
                then, now = (compile_where(node.where, source, each) for each in (before, after))
                crossed = crossed.where(func.coalesce(then, false()) != func.coalesce(now, false()))
            yield crossed


def _released(before: Evaluation, after: Evaluation) -> Iterator[Select[Any]]:
    """Whose suppression ended in between, their own or that of an address of theirs or of its domain."""
    low, high = sorted((before.now, after.now))
    if low == high:
        return
    ends, held = suppressed_addresses.c, contact_addresses.c
    yield select(suppressions.c.customer_id).where(_between(suppressions.c.expires_at, DateTime(True), low, high))
    yield (
        select(held.customer_id)
        .join_from(suppressed_addresses, contact_addresses, and_(held.kind == ends.kind, held.value == ends.value))
        .where(_between(ends.expires_at, DateTime(True), low, high))
    )
    yield (
        select(held.customer_id)
        .join_from(
            suppressed_addresses, contact_addresses, and_(ends.kind == DOMAIN, ends.value == domain_of(held.value))
        )
        .where(_between(ends.expires_at, DateTime(True), low, high))
    )


def _moved_over(field: Field, test: FieldTest | Measure, before: Evaluation, after: Evaluation) -> Iterator[Condition]:
    """Conditions on the field: the values of which `test` says another thing at the one moment than at the other."""
    op = NEGATED.get(test.op, test.op)
    if not _relative(test):
        return
    if field.fading is not None:
        yield from _faded_over(field, field.fading, op, test, before, after)
        return
    if op == _YEARLY:
        yield from _days_moved_over(field, test, before, after)
        return
    old, new = (window(test.kind, op, test.operand, each.now, each.zone) for each in (before, after))
    of_type = Date() if test.kind is Kind.DATE else DateTime(timezone=True)
    ends = [(old.low, new.low, not new.low_included), (old.high, new.high, new.high_included)]
    for one, other, upper in ends:
        if one is not None and other is not None and one != other:
            low, high = min(one, other), max(one, other)
            yield _between(field.column, of_type, low, high, upper=upper)


def _faded_over(
    field: Field, fading: Fading, op: str, test: FieldTest | Measure, before: Evaluation, after: Evaluation
) -> Iterator[Condition]:
    old, new = (faded_bounds(fading, op, test.operand, each.now) for each in (before, after))
    for one, other in zip(chain.from_iterable(old), chain.from_iterable(new), strict=True):
        if one != other:
            yield _between(field.column, DateTime(True), min(one, other), max(one, other), upper=False)


def _days_moved_over(
    field: Field, test: FieldTest | Measure, before: Evaluation, after: Evaluation
) -> Iterator[Condition]:
    old, new = (anniversary(test.operand, each.now, each.zone) for each in (before, after))
    turned = [day for day in _DAYS_OF_THE_YEAR if (day in old) is not (day in new)]
    if turned:
        day: ColumnElement[Any] = field.column
        if test.kind is Kind.INSTANT:
            day = cast(func.timezone(after.zone.key, field.column), Date)
        number = cast(extract("month", day) * 100 + extract("day", day), Integer)
        yield number == any_(literal(turned, ARRAY(Integer)))


def _between(column: ColumnElement[Any], of_type: Any, low: Bound, high: Bound, *, upper: bool = True) -> Condition:
    """From `low` to `high`; of the two ends the upper one is included, or else the lower one."""
    first, last = literal(low, of_type), literal(high, of_type)
    return and_(column > first, column <= last) if upper else and_(column >= first, column < last)


def _home(node: FieldTest, evaluation: Evaluation) -> Table | None:
    """The table with a row a customer where the field lives, if that is not `customers`."""
    found = evaluation.schema.field_of(PERSON, node.name)
    tables = find_tables(found.column, check_columns=True) if found else []
    return next((table for table in tables if table is activity), None)
