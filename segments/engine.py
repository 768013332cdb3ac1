"""Who belongs: count, page, sample, explanation and freeze of a rule, all from one compiler.

A rule is given as JSON: every verb parses it, loads the segments that it refers to, and raises Invalid with the path of
each culprit. Or it is given as `prepare` read it, once for many questions; its own context counts then. `salesperson`
(a code) narrows the answer to that salesperson's own customers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.errors import NotFound
from segments.compiler import Evaluation, compile_rule, matching_records
from segments.context import EXPANDED, EvaluationContext
from segments.counting import Share, cheapest, countings, groups_alone, shares
from segments.patterns import check_patterns, patterns, time_limit
from segments.predicates import Condition
from segments.references import load_references, written_out
from segments.rule import parse_rule
from segments.schema import load_schema
from segments.speed import full_speed
from segments.tree import Rule, conditions

Among = Select[tuple[int]] | Sequence[int]
"""Some customers by id: given, or found by a statement."""


@dataclass(frozen=True)
class Member:
    id: int
    external_id: str | None


@dataclass(frozen=True)
class Page:
    """Members by id; `next`: the cursor of the page behind, None at the end."""

    items: list[Member]
    next: int | None


@dataclass(frozen=True)
class Person:
    """A member as a sample shows it."""

    id: int
    external_id: str | None
    name: str | None
    city: str | None
    community: str | None
    salesperson: str | None


@dataclass(frozen=True)
class Held:
    """One condition about the customer, by its path in the rule, and whether it holds."""

    path: str
    holds: bool


@dataclass(frozen=True)
class Explanation:
    member: bool
    conditions: list[Held]


@dataclass(frozen=True)
class Prepared:
    """A rule read and ready to be compiled, with the segments that it refers to."""

    rule: Rule
    evaluation: Evaluation
    pattern_seconds: float

    @property
    def has_patterns(self) -> bool:
        return bool(patterns([self.rule, *self.evaluation.segments.values()]))

    def condition(self, node: Rule | None = None, *, few: bool = False) -> Condition:
        """For a WHERE over `customers`; FALSE or NULL for those who do not belong. `node`: of this part of the rule.

        `few`: for a statement that asks about few customers (`compiler.Evaluation`).
        """
        return compile_rule(self.rule if node is None else node, replace(self.evaluation, few=few))


async def prepare(conn: AsyncConnection, rule: object, context: EvaluationContext) -> Prepared:
    """Read a rule's JSON and what it refers to; what is prepared already stays as it is. Raises Invalid."""
    if isinstance(rule, Prepared):
        return rule
    schema = await load_schema(conn)
    tree = parse_rule(rule, schema, context.limits)
    await check_patterns(conn, patterns([tree]))
    referred = await load_references(conn, tree, schema)
    segments = {number: segment.rule for number, segment in referred.items()}
    evaluation = Evaluation(context.now, context.zone, schema, segments)
    return Prepared(tree, evaluation, context.pattern_seconds)


async def count(
    conn: AsyncConnection, rule: object, context: EvaluationContext, *, salesperson: str | None = None
) -> int:
    """How many customers belong."""
    prepared = await prepare(conn, rule, context)
    await full_speed(conn)
    among = await _shares(conn, prepared)
    ways = countings(prepared.rule, prepared.evaluation, _own(salesperson), among=among)
    async with limited(conn, prepared):
        return int((await conn.execute(await cheapest(conn, ways))).scalar_one())


async def members(
    conn: AsyncConnection,
    rule: object,
    context: EvaluationContext,
    *,
    cursor: int | None = None,
    limit: int = 100,
    salesperson: str | None = None,
) -> Page:
    """A page of the members in the order of their ids, behind the id `cursor`."""
    prepared = await prepare(conn, rule, context)
    statement = _of_members(select(customers.c.id, customers.c.external_id), prepared, salesperson)
    statement = statement.where(customers.c.id > literal(cursor or 0, BigInteger)).order_by(customers.c.id)
    async with limited(conn, prepared):
        rows = (await conn.execute(statement.limit(limit + 1))).all()
    items = [Member(row.id, row.external_id) for row in rows[:limit]]
    return Page(items, items[-1].id if len(rows) > limit else None)


async def sample(
    conn: AsyncConnection, rule: object, context: EvaluationContext, *, size: int = 10, salesperson: str | None = None
) -> list[Person]:
    """Some members, to be looked at: always the same ones."""
    prepared = await prepare(conn, rule, context)
    columns = (getattr(customers.c, name) for name in Person.__dataclass_fields__)
    statement = _of_members(select(*columns), prepared, salesperson).order_by(customers.c.id).limit(size)
    async with limited(conn, prepared):
        return [Person(**row._mapping) for row in await conn.execute(statement)]


async def explain(
    conn: AsyncConnection,
    rule: object,
    context: EvaluationContext,
    customer_id: int,
    *,
    salesperson: str | None = None,
) -> Explanation:
    """Whether the customer belongs, and which conditions hold for them. Raises NotFound."""
    prepared = await prepare(conn, rule, context)
    asked = [prepared.rule, *conditions(prepared.rule)]
    columns = [func.coalesce(prepared.condition(node, few=True), False) for node in asked]
    statement = select(*(column.label(f"c{index}") for index, column in enumerate(columns))).where(
        customers.c.id == literal(customer_id, BigInteger), *visible(salesperson)
    )
    async with limited(conn, prepared):
        row = (await conn.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no customer {customer_id}")
    return Explanation(row[0], [Held(node.path, holds) for node, holds in zip(asked[1:], row[1:], strict=True)])


async def members_among(
    conn: AsyncConnection,
    rule: object,
    context: EvaluationContext,
    ids: Among,
    *,
    salesperson: str | None = None,
) -> Select[tuple[int]]:
    """`SELECT customers.id` of those of `ids` who belong; aliases of merged customers never do.

    For some thousand of them at most: each one's records are looked up. To be executed, or used in `INSERT … SELECT`;
    run it within `limited`, since the rule may hold patterns.
    """
    prepared = await prepare(conn, rule, context)
    asked = ids if isinstance(ids, Select) else select(func.unnest(literal(list(ids), ARRAY(BigInteger))))
    statement = select(customers.c.id).where(customers.c.id.in_(asked), prepared.condition(few=True))
    return statement.where(*visible(salesperson))


async def belonging(
    conn: AsyncConnection, rule: object, context: EvaluationContext, ids: Among, *, salesperson: str | None = None
) -> set[int]:
    """Which of `ids` belong, as `members_among` says."""
    prepared = await prepare(conn, rule, context)
    statement = await members_among(conn, prepared, context, ids, salesperson=salesperson)
    async with limited(conn, prepared):
        return set(await conn.scalars(statement))


async def freeze_select(
    conn: AsyncConnection, rule: object, context: EvaluationContext, *, exclude: Sequence[object] = ()
) -> Select[tuple[int]]:
    """`SELECT customers.id` of the members who belong to none of the rules `exclude`; rules may be written out.

    For `INSERT … SELECT`; more columns by `.add_columns`. Run it within `segments.patterns.time_limit`.
    """
    wide = replace(context, limits=EXPANDED)
    prepared = await prepare(conn, rule, wide)
    left_out = [await prepare(conn, other, wide) for other in exclude]
    statement = select(customers.c.id).where(prepared.condition(), *visible(None))
    return statement.where(*(compile_rule(other.rule, other.evaluation, wanted=False) for other in left_out))


async def expand(conn: AsyncConnection, rule: Mapping[str, Any]) -> Any:
    """The rule's JSON with every segment that it refers to written out: for a snapshot, read with limits EXPANDED."""
    schema = await load_schema(conn)
    return written_out(rule, await load_references(conn, parse_rule(rule, schema), schema))


async def record_condition(
    conn: AsyncConnection, rule: object, context: EvaluationContext, source: str
) -> Condition | None:
    """A condition on the records of `source` (`appliances`) that made the rule hold; None if it asks for none."""
    prepared = await prepare(conn, rule, replace(context, limits=EXPANDED))
    return matching_records(prepared.rule, prepared.evaluation.schema.sources[source], prepared.evaluation)


def _of_members(statement: Select[Any], prepared: Prepared, salesperson: str | None) -> Select[Any]:
    return statement.where(prepared.condition(), *visible(salesperson))


def visible(salesperson: str | None) -> list[Condition]:
    """Customers proper (no aliases of merged ones), and only the salesperson's own."""
    return [customers.c.merged_into.is_(None), *_own(salesperson)]


async def _shares(conn: AsyncConnection, prepared: Prepared) -> list[Share]:
    """Ranges of ids, where counting them side by side could be of use."""
    if not groups_alone(prepared.rule, prepared.evaluation):
        return []
    return shares(await conn.scalar(select(func.max(customers.c.id))) or 0)


def _own(salesperson: str | None) -> list[Condition]:
    return [] if salesperson is None else [customers.c.salesperson == salesperson]


@asynccontextmanager
async def limited(conn: AsyncConnection, prepared: Prepared) -> AsyncIterator[None]:
    """Statements about a rule run within: they are given up after a while where it holds a pattern (Invalid)."""
    if prepared.has_patterns:
        async with time_limit(conn, prepared.pattern_seconds):
            yield
    else:
        yield
