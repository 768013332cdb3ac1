"""A rule's tree → one SQL condition on a row of `customers`, over bound values only.

Every part is compiled for an outcome that is wanted: `_says(node, True)` is TRUE exactly where the node holds,
`_says(node, False)` exactly where it does not; elsewhere they are FALSE or NULL, which a WHERE treats alike. So no
three-valued logic leaks, and plain comparisons stay plain for the planner.

Related records are asked in `EXISTS (… WHERE r.customer_id = customers.id)`; counts and aggregates in an EXISTS over
the records grouped by customer, which the planner turns into one grouped join. Where only few customers are asked about
(`Evaluation.few`), counts and aggregates are looked up for each of them instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Exists, Select, Table, and_, exists, false, func, literal, not_, or_, select, true
from sqlalchemy.sql.util import find_tables

from customers.models import customers
from customers.reachable import reachable
from runtime.registry import Field, Kind, Source
from segments.bucket import RULE, bucket_sql
from segments.models import audience_members
from segments.operators import NEGATED
from segments.predicates import Condition, compare_number, compare_time, holds_for, predicate
from segments.schema import PERSON, REACHABLE, Schema
from segments.tree import Bucket, FieldTest, Group, InAudience, InSegment, Measure, Related, Rule, tests

_ZERO = Decimal(0)
_ONE = Decimal(1)


@dataclass(frozen=True)
class Evaluation:
    """What a rule is compiled against. `segments`: the rules of all segments that it refers to, of any depth.

    `few`: it will be asked about few customers (some thousand), so that nothing is to be computed for all of them.
    """

    now: datetime
    zone: ZoneInfo
    schema: Schema
    segments: Mapping[int, Rule] = field(default_factory=dict)
    few: bool = False


def compile_rule(rule: Rule, evaluation: Evaluation, *, wanted: bool = True) -> Condition:
    """A condition for `select(customers.c.id).where(…)` that keeps exactly the members (`wanted` False: all others).

    It may be NULL instead of FALSE: to turn a rule round, pass `wanted=False` or write `{"none": [rule]}`; never NOT.
    """
    return _says(rule, wanted, _Asked(evaluation, PERSON))


def matching_records(rule: Rule, source: Source, evaluation: Evaluation) -> Condition | None:
    """A condition on the records of `source` that made the rule hold: those that some `has` asks for, in segments too.

    None if the rule asks for none. What stands under `none`, or asks for no such record, is left out.
    """
    asked = _Asked(evaluation, source)
    asking = [related for related in _positive(rule, evaluation) if related.source == source.name]
    found = [and_(true(), *_records(related, asked)) for related in asking]
    return or_(*found) if found else None


def compile_where(where: Rule, source: Source, evaluation: Evaluation) -> Condition:
    """A condition on the records of `source` that keeps those that `where` describes; may be NULL for the others."""
    return _says(where, True, _Asked(evaluation, source))


@dataclass(frozen=True)
class _Asked:
    """The rows that a part of the rule is about: the customers (PERSON), or the records of a `has`."""

    evaluation: Evaluation
    source: Source


def _says(node: Rule, wanted: bool, asked: _Asked) -> Condition:
    if isinstance(node, Group):
        return _group(node, wanted, asked)
    if isinstance(node, FieldTest):
        return _field(node, wanted, asked)
    if isinstance(node, Related):
        return _related(node, wanted, asked.evaluation)
    if isinstance(node, InSegment):
        return _says(asked.evaluation.segments[node.segment_id], wanted, asked)
    if isinstance(node, InAudience):
        return _in_audience(node, wanted)
    return _in_bucket(node, wanted)


def _group(node: Group, wanted: bool, asked: _Asked) -> Condition:
    every = (node.kind == "any") is not wanted
    wanted_of_each = wanted if node.kind != "none" else not wanted
    parts: list[Condition] = []
    elsewhere: dict[Table, list[Rule]] = {}
    for child in node.rules:
        table = _table_of(child, asked)
        if table is None:
            parts.append(_says(child, wanted_of_each, asked))
        else:
            elsewhere.setdefault(table, []).append(child)
    kind: Literal["all", "any"] = "all" if every is wanted_of_each else "any"
    parts += [
        _on_own_table(Group(kind, tuple(children)), table, wanted_of_each, asked)
        for table, children in elsewhere.items()
    ]
    return and_(true(), *parts) if every else or_(false(), *parts)


def _field(node: FieldTest, wanted: bool, asked: _Asked) -> Condition:
    if asked.source is PERSON and node.name.startswith(REACHABLE):
        return _reachable(node, wanted, asked.evaluation)
    table = _table_of(node, asked)
    if table is not None:
        return _on_own_table(node, table, wanted, asked)
    return _test(node, wanted, asked)


def _test(node: FieldTest, wanted: bool, asked: _Asked) -> Condition:
    """A field test on the row at hand."""
    found = asked.evaluation.schema.field_of(asked.source, node.name)
    assert found is not None, node.name
    op = NEGATED.get(node.op, node.op)
    holds = predicate(found, op, node.operand, asked.evaluation.now, asked.evaluation.zone)
    if wanted is (op == node.op):
        return holds
    return not_(holds) if op == "empty" or _never_missing(found) else holds.is_not(True)


def _never_missing(found: Field) -> bool:
    """Whether the column is declared NOT NULL, so that plain NOT will do."""
    return getattr(found.column, "nullable", True) is False


def _reachable(node: FieldTest, wanted: bool, evaluation: Evaluation) -> Condition:
    if node.op in NEGATED or node.op == "empty":  # it is never missing
        return true() if (node.op == "not_empty") is wanted else false()
    channel = evaluation.schema.channels[node.name.removeprefix(REACHABLE)]
    holds = reachable(channel, evaluation.now)
    return holds if wanted is (node.operand is True) else not_(holds)


def _table_of(node: Rule, asked: _Asked) -> Table | None:
    """The one other table, with a row a customer, that all of a part's fields live in (`activity`); else None."""
    if asked.source is not PERSON:
        return None
    if isinstance(node, Group):
        found = {_table_of(child, asked) for child in node.rules}
        return found.pop() if len(found) == 1 else None
    if not isinstance(node, FieldTest):
        return None
    place = asked.evaluation.schema.field_of(PERSON, node.name)
    tables = find_tables(place.column, check_columns=True) if place else []
    return next((table for table in tables if isinstance(table, Table) and table is not customers), None)


def _on_own_table(node: Rule, table: Table, wanted: bool, asked: _Asked) -> Condition:
    """A part about one other table, asked there in one go; a customer without a row has all its fields missing."""
    row = _Asked(asked.evaluation, Source(table.name, table, table.c.customer_id, PERSON.fields))
    without_row = _if_missing(node) is wanted
    there = exists().where(table.c.customer_id == customers.c.id, _says(node, wanted is not without_row, row))
    found = there.correlate(customers)
    return ~found if without_row else found


def _if_missing(node: Rule) -> bool:
    """What a part about fields says where all of them are missing."""
    if isinstance(node, Group):
        said = [_if_missing(child) for child in node.rules]
        return all(said) if node.kind == "all" else any(said) is (node.kind == "any")
    assert isinstance(node, FieldTest)
    return node.op == "empty" or (node.op in NEGATED and node.op != "not_empty")


def _related(node: Related, wanted: bool, evaluation: Evaluation) -> Condition:
    source = evaluation.schema.sources[node.source]
    asked = _Asked(evaluation, source)
    records = _records(node, asked)
    measure = node.measure
    none_fits = measure.name in ("count", "sum") and holds_for(_ZERO, measure.op, measure.operand)
    if measure.name == "count" and _only_whether(measure, none_fits):
        found = exists().where(source.person == customers.c.id, *records).correlate(customers)
    else:
        found = _exists_group(source, records, measure, not none_fits, asked)
    return found if wanted is not none_fits else ~found


def _only_whether(measure: Measure, none_fits: bool) -> bool:
    """Whether the count decides nothing but "some" or "none"."""
    rising = measure.op in ("gt", "gte", "ne")
    falling = measure.op in ("lt", "lte", "eq")
    one_fits = holds_for(_ONE, measure.op, measure.operand)
    return (rising and not none_fits and one_fits) or (falling and none_fits and not one_fits)


def _exists_group(
    source: Source, records: Sequence[Condition], measure: Measure, wanted: bool, asked: _Asked
) -> Exists:
    """Whether the customer's matching records, as a group, measure as `wanted`, which no records never do."""
    measured = [*records]
    if measure.field is not None:
        found = asked.evaluation.schema.field_of(source, measure.field)
        assert found is not None
        measured.append(found.column.is_not(None))
        holds = _aggregate(measure, found.column, asked.evaluation)
    else:
        holds = _numbers(func.count(), measure)
    fits = holds if wanted else not_(holds)
    if asked.evaluation.few:
        return (
            select(literal(1))
            .where(source.person == customers.c.id, *measured)
            .having(fits)
            .correlate(customers)
            .exists()
        )
    grouped: Select[Any] = select(source.person.label("customer_id")).where(*measured).group_by(source.person)
    groups = grouped.having(fits).subquery()
    return exists().where(groups.c.customer_id == customers.c.id).correlate(customers)


def _aggregate(measure: Measure, column: ColumnElement[Any], evaluation: Evaluation) -> Condition:
    if measure.name == "avg":  # sum against bound × count: exact, where a quotient would be rounded
        return _numbers(func.sum(column), measure, func.count(column))
    aggregate: ColumnElement[Any] = getattr(func, measure.name)(column)
    if measure.kind is Kind.NUMBER:
        return _numbers(aggregate, measure)
    op = NEGATED.get(measure.op, measure.op)
    holds = compare_time(aggregate, measure.kind, op, measure.operand, evaluation.now, evaluation.zone)
    return holds if op == measure.op else not_(holds)


def _numbers(value: ColumnElement[Any], measure: Measure, times: Any = None) -> Condition:
    op = NEGATED.get(measure.op, measure.op)
    holds = compare_number(value, op, measure.operand, times)
    return holds if op == measure.op else not_(holds)


def _records(node: Related, asked: _Asked) -> list[Condition]:
    """Which records of the source match: `where`, and the source's own narrowing unless the rule asks about it."""
    source = asked.source
    parts = [] if node.where is None else [_says(node.where, True, asked)]
    mentioned = {test.name for test in tests(node.where)} | {node.measure.field}
    if source.where is not None and not mentioned & source.unless_asked:
        parts.append(source.where)
    return parts


def _positive(node: Rule, evaluation: Evaluation, wanted: bool = True) -> list[Related]:
    """The `has` conditions whose records speak for membership."""
    if isinstance(node, Group):
        towards = wanted if node.kind != "none" else not wanted
        return [found for child in node.rules for found in _positive(child, evaluation, towards)]
    if isinstance(node, InSegment):
        return _positive(evaluation.segments[node.segment_id], evaluation, wanted)
    if not isinstance(node, Related) or not wanted:
        return []
    none_fits = node.measure.name in ("count", "sum") and holds_for(_ZERO, node.measure.op, node.measure.operand)
    return [] if none_fits else [node]


def _in_audience(node: InAudience, wanted: bool) -> Condition:
    members = audience_members.c
    found = exists().where(members.customer_id == customers.c.id, members.audience_id == node.audience_id)
    return found.correlate(customers) if wanted else ~found.correlate(customers)


def _in_bucket(node: Bucket, wanted: bool) -> Condition:
    found = bucket_sql(RULE, customers.c.id).between(node.low, node.high)
    return found if wanted else not_(found)
