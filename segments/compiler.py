"""A rule's tree → one SQL condition on a row of `customers`, over bound values only.

Every part is compiled for an outcome that is wanted: `_says(node, True)` is TRUE exactly where the node holds,
`_says(node, False)` exactly where it does not; elsewhere they are FALSE or NULL, which a WHERE treats alike. So no
three-valued logic leaks, and plain comparisons stay plain for the planner.

Related records are asked in `EXISTS (… WHERE r.customer_id = customers.id)`; counts and aggregates in an EXISTS over
the records grouped by customer, which the planner turns into one grouped join. Where only few customers are asked about
(`Evaluation.few`), counts and aggregates are looked up for each of them instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Exists, Select, Table, and_, exists, false, literal, not_, or_, select, true
from sqlalchemy.sql.util import find_tables

from customers.models import customers
from customers.reachable import reachable
from runtime.registry import Field, Source
from segments.bucket import RULE, bucket_within
from segments.measures import fits_none, measured, only_whether
from segments.models import audience_members
from segments.operators import NEGATED
from segments.predicates import Condition, predicate
from segments.schema import PERSON, REACHABLE, Schema
from segments.tree import Bucket, FieldTest, Group, InAudience, InSegment, Related, Rule, tests


@dataclass(frozen=True)
class Evaluation:
    """What a rule is compiled against. `segments`: the rules of all segments that it refers to, of any depth.

    `few`: it will be asked about few customers (some thousand), so that nothing is to be computed for all of them.
    `within`: records are grouped only of customers whose ids lie above the first and not above the second (None: open).
    """

    now: datetime
    zone: ZoneInfo
    schema: Schema
    segments: Mapping[int, Rule] = field(default_factory=dict)
    few: bool = False
    within: tuple[int | None, int | None] = (None, None)


def compile_rule(
    rule: Rule, evaluation: Evaluation, *, wanted: bool = True, person: ColumnElement[int] = customers.c.id
) -> Condition:
    """A condition for `select(customers.c.id).where(…)` that keeps exactly the members (`wanted` False: all others).

    It may be NULL instead of FALSE: to turn a rule round, pass `wanted=False` or write `{"none": [rule]}`; never NOT.
    `person`: another column of customers' ids that the statement goes through; the rule must then ask for nothing that
    stands in `customers` itself (`table_of`).
    """
    return _says(rule, wanted, _Asked(evaluation, PERSON, person))


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
    """The rows that a part of the rule is about: the customers (PERSON), or the records of a `has`. `person`: their id,
    as the statement around has it."""

    evaluation: Evaluation
    source: Source
    person: ColumnElement[Any] = customers.c.id

    def has(self, *conditions: Condition) -> Exists:
        """Whether there is a row somewhere else that belongs to this person."""
        return exists().where(*conditions).correlate(self.person.table)


def _says(node: Rule, wanted: bool, asked: _Asked) -> Condition:
    if isinstance(node, Group):
        return _group(node, wanted, asked)
    if isinstance(node, FieldTest):
        return _field(node, wanted, asked)
    if isinstance(node, Related):
        return _related(node, wanted, asked)
    if isinstance(node, InSegment):
        return _says(asked.evaluation.segments[node.segment_id], wanted, asked)
    if isinstance(node, InAudience):
        return _in_audience(node, wanted, asked)
    return _in_bucket(node, wanted, asked)


def _group(node: Group, wanted: bool, asked: _Asked) -> Condition:
    every = (node.kind == "any") is not wanted
    wanted_of_each = wanted if node.kind != "none" else not wanted
    parts: list[Condition] = []
    elsewhere: dict[Table, list[Rule]] = {}
    for child in node.rules:
        table = table_of(child, asked.evaluation) if asked.source is PERSON else None
        if table is None or table is customers:
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
        return _reachable(node, wanted, asked)
    table = table_of(node, asked.evaluation) if asked.source is PERSON else None
    if table is None or table is customers:
        return _test(node, wanted, asked)
    return _on_own_table(node, table, wanted, asked)


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


def _reachable(node: FieldTest, wanted: bool, asked: _Asked) -> Condition:
    if node.op in NEGATED or node.op == "empty":  # it is never missing
        return true() if (node.op == "not_empty") is wanted else false()
    channel = asked.evaluation.schema.channels[node.name.removeprefix(REACHABLE)]
    holds = reachable(channel, asked.evaluation.now, asked.person)
    return holds if wanted is (node.operand is True) else not_(holds)


def table_of(node: Rule, evaluation: Evaluation) -> Table | None:
    """The one table with a row a customer (`customers`, `activity`) that all of a part's fields live in; else None."""
    if isinstance(node, Group):
        found = {table_of(child, evaluation) for child in node.rules}
        return found.pop() if len(found) == 1 else None
    place = evaluation.schema.field_of(PERSON, node.name) if isinstance(node, FieldTest) else None
    tables = find_tables(place.column, check_columns=True) if place else []
    return next((table for table in tables if isinstance(table, Table)), None)


def _on_own_table(node: Rule, table: Table, wanted: bool, asked: _Asked) -> Condition:
    """A part about one other table, asked there in one go; a customer without a row has all its fields missing."""
    without_row = if_missing(node) is wanted
    there = on_rows(node, table, asked.evaluation, wanted=wanted is not without_row)
    found = asked.has(table.c.customer_id == asked.person, there)
    return ~found if without_row else found


def on_rows(node: Rule, table: Table, evaluation: Evaluation, *, wanted: bool = True) -> Condition:
    """A part whose fields all live in `table`, as a condition on its rows."""
    return _says(node, wanted, _Asked(evaluation, Source(table.name, table, table.c.customer_id, PERSON.fields)))


def if_missing(node: Rule) -> bool:
    """What a part about fields says where all of them are missing."""
    if isinstance(node, Group):
        said = [if_missing(child) for child in node.rules]
        return all(said) if node.kind == "all" else any(said) is (node.kind == "any")
    assert isinstance(node, FieldTest)
    return node.op == "empty" or (node.op in NEGATED and node.op != "not_empty")


def _related(node: Related, wanted: bool, asked: _Asked) -> Condition:
    if asked.evaluation.few or only_whether(node.measure):
        source = asked.evaluation.schema.sources[node.source]
        own = _matching(select(literal(1)), node, asked.evaluation).where(source.person == asked.person)
        found = own.correlate(asked.person.table).exists()
    else:
        owners = record_owners(node, asked.evaluation).subquery()
        found = asked.has(owners.c.customer_id == asked.person)
    return found if wanted is not fits_none(node.measure) else ~found


def record_owners(node: Related, evaluation: Evaluation) -> Select[tuple[int]]:
    """`SELECT customer_id` of those whose matching records measure as asked; where having none does too (`fits_none`):
    of those whose records do not. Once for each customer, but `only_whether` once for each matching record."""
    person = evaluation.schema.sources[node.source].person
    matching = _matching(select(person.label("customer_id")), node, evaluation)
    return matching if only_whether(node.measure) else matching.group_by(person)


def _matching(statement: Select[Any], node: Related, evaluation: Evaluation) -> Select[Any]:
    """`statement` over the matching records, as a group where it is to be measured."""
    source, measure = evaluation.schema.sources[node.source], node.measure
    found = statement.where(*_records(node, _Asked(evaluation, source)))
    if only_whether(measure):
        return found
    above, up_to = evaluation.within
    if above is not None:
        found = found.where(source.person > above)
    if up_to is not None:
        found = found.where(source.person <= up_to)
    field_asked = evaluation.schema.field_of(source, measure.field) if measure.field is not None else None
    column = field_asked.column if field_asked is not None else None
    if column is not None:
        found = found.where(column.is_not(None))
    holds = measured(measure, column, evaluation.now, evaluation.zone)
    return found.having(not_(holds) if fits_none(measure) else holds)


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
    return [] if fits_none(node.measure) else [node]


def _in_audience(node: InAudience, wanted: bool, asked: _Asked) -> Condition:
    members = audience_members.c
    found = asked.has(members.customer_id == asked.person, members.audience_id == node.audience_id)
    return found if wanted else ~found


def _in_bucket(node: Bucket, wanted: bool, asked: _Asked) -> Condition:
    found = bucket_within(RULE, asked.person, node.low, node.high)
    return found if wanted else not_(found)
