"""Standing membership: who belongs as of a segment's last evaluation, and who entered and left with it.

An evaluation looks only at those for whom the answer can have changed since the one before: customers whose records
changed in what the rule asks about (customers/changes.py), and those who cross (segments/crossing.py). It looks at
everyone the first time, when the rule or what its words mean has changed, and when most would have to be looked at
anyway. Either way it is one transaction: it happens as a whole or not at all, and two of one segment never at once.

What it could not see yet (transactions that had not ended when it began) the next one looks at: each evaluation keeps
the snapshot of the database that it began with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Select, Table, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds
from customers.changes import ERASED, NEWS
from runtime.clock import local_date
from segments import engine
from segments.context import EvaluationContext
from segments.crossing import Asks, asks, crossing
from segments.engine import Prepared
from segments.fingerprint import fingerprint
from segments.models import segment_members, segments
from segments.scratch import keep_ids
from segments.states import State, keep_size, keep_state, state_of

LONGEST = 900.0  # seconds that a statement with a pattern may take
_SHARE = 0.05  # of all customers: to look at more of them one by one costs more than to look at everyone
_FEW = 5_000
_MANY = 10_000


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation came to. `number`: 1 the first of its segment. `looked_at`: None: everyone."""

    number: int
    size: int
    entered: int
    left: int
    looked_at: int | None


@dataclass(frozen=True)
class _Task:
    """One evaluation under way. `before`: the state that the last one left, None for the first."""

    segment_id: int
    rule: Any
    context: EvaluationContext
    prepared: Prepared
    asks: Asks
    fingerprint: str
    snapshot: str
    before: State | None

    @property
    def number(self) -> int:
        return 1 if self.before is None else self.before.evaluation + 1

    @property
    def by_rule(self) -> bool:
        return self.before is not None and self.before.fingerprint != self.fingerprint


@dataclass(frozen=True)
class _Changes:
    """What the log holds since the last evaluation."""

    any: bool
    everyone: bool
    erased: bool


@dataclass(frozen=True)
class _Some:
    """Those to be looked at: their number, and a table of their ids."""

    number: int
    table: Table


NOBODY = _Some(0, Table("nobody", MetaData()))


async def evaluate(
    conn: AsyncConnection, segment_id: int, context: EvaluationContext, *, full: bool = False
) -> Evaluated | None:
    """Bring a segment's standing membership, feed, size and history up to date; `full`: by looking at everyone.

    None where the segment is gone. Raises Invalid where its rule can no longer be evaluated. The transaction is to do
    nothing else: a snapshot does not tell what its own transaction changes.
    """
    began = time.monotonic()
    task = await _begin(conn, segment_id, replace(context, pattern_seconds=LONGEST))
    if task is None:
        return None
    changes = await _changes(conn, task)
    scope = None if full or not _follows(task, changes) else await _affected(conn, task, changes)
    entered, left = (0, 0) if scope is NOBODY else await _move(conn, task, scope)
    size = await _size(conn, task, changes, scope, entered - left)
    done = Evaluated(task.number, size, entered, left, None if scope is None else scope.number)
    await _keep(conn, task, done, round((time.monotonic() - began) * 1000))
    return done


async def fingerprints(conn: AsyncConnection, timezone: str) -> dict[int, str]:
    """What the rule of each segment means now."""
    rules = {row.id: row.rule for row in await conn.execute(select(segments.c.id, segments.c.rule))}
    kinds = await attribute_kinds(conn)
    return {number: fingerprint(number, rules, kinds, timezone) for number in rules}


async def exclude_others(conn: AsyncConnection, segment_id: int) -> None:
    """Until this transaction ends nobody else evaluates the segment; who is doing so is waited for."""
    await conn.execute(_EXCLUDE_OTHERS, {"segment": f"segment {segment_id}"})


async def _begin(conn: AsyncConnection, segment_id: int, context: EvaluationContext) -> _Task | None:
    await exclude_others(conn, segment_id)
    snapshot = await conn.scalar(_SNAPSHOT)  # before anything is read: what it shows is the least that will be seen
    rule = await conn.scalar(select(segments.c.rule).where(segments.c.id == segment_id))
    if rule is None or snapshot is None:
        return None
    known = await fingerprints(conn, context.timezone)
    prepared = await engine.prepare(conn, rule, context)
    before = await state_of(conn, segment_id, hold=True)  # or what it did not see yet could be purged meanwhile
    hangs_on = asks(prepared.rule, prepared.evaluation)
    return _Task(segment_id, rule, context, prepared, hangs_on, known[segment_id], snapshot, before)


async def _changes(conn: AsyncConnection, task: _Task) -> _Changes:
    if task.before is None or task.before.snapshot is None:
        return _Changes(any=True, everyone=True, erased=False)
    row = (await conn.execute(_CHANGES, {**_since(task), "erased": ERASED})).one()
    return _Changes(row.rows > 0, row.everyone, row.erased)


def _follows(task: _Task, changes: _Changes) -> bool:
    """Whether this evaluation can go on from the one before it."""
    before = task.before
    if before is None or before.snapshot is None or task.by_rule or changes.everyone:
        return False
    # Transactions are numbered anew where a database was restored from a dump: the log then says nothing.
    return _oldest(before.snapshot) <= _oldest(task.snapshot)


async def _affected(conn: AsyncConnection, task: _Task, changes: _Changes) -> _Some | None:
    """For whom the answer can have changed; None: for so many that everyone is looked at."""
    assert task.before is not None
    after = task.prepared.evaluation
    crossed = crossing(task.prepared.rule, replace(after, now=task.before.evaluated_at), after)
    parts: list[Select[Any]] = [] if crossed is None else [crossed]
    if changes.any:
        parts.append(select(_CHANGED.bindparams(**_since(task)).columns(_ID).subquery("changed")))
    if not parts:
        return NOBODY
    every = union_all(*parts).subquery("gathered")
    async with engine.limited(conn, task.prepared):
        table = await keep_ids(conn, "affected", select(every.c[0]).distinct())
    number = int(await conn.scalar(select(func.count()).select_from(table)) or 0)
    if number == 0:
        return NOBODY
    few = number <= _FEW or number <= _SHARE * await _customers(conn)
    return _Some(number, table) if few else None


async def _move(conn: AsyncConnection, task: _Task, scope: _Some | None) -> tuple[int, int]:
    """Let enter who belongs and leave who does not, among some or (None) all; how many each."""
    if scope is None:
        belong = await engine.freeze_select(conn, task.prepared, task.context)
    else:
        belong = await engine.members_among(conn, task.prepared, task.context, select(scope.table.c.id))
    async with engine.limited(conn, task.prepared):
        await keep_ids(conn, "belonging", belong)
    values = {"segment": task.segment_id, "number": task.number, "now": task.context.now, "by_rule": task.by_rule}
    within = "" if scope is None else "AND m.customer_id IN (SELECT id FROM affected)"
    statement = _MOVE.format(within=within, told="" if task.number == 1 else _TOLD)
    row = (await conn.execute(text(statement), values)).one()
    if row.entered + row.gone > _MANY:  # autovacuum would come by and by, and plans are bad until then
        await conn.execute(text("ANALYZE segment_members"))
    return row.entered, row.gone


async def _size(conn: AsyncConnection, task: _Task, changes: _Changes, scope: _Some | None, difference: int) -> int:
    """Counted where the last size does not tell: memberships of erased people went without a word."""
    if task.before is not None and scope is not None and not changes.erased:
        return task.before.size + difference
    of_segment = segment_members.c.segment_id == task.segment_id
    return int(await conn.scalar(select(func.count()).select_from(segment_members).where(of_segment)) or 0)


async def _keep(conn: AsyncConnection, task: _Task, done: Evaluated, milliseconds: int) -> None:
    now = task.context.now
    state = {
        "segment_id": task.segment_id,
        "evaluation": done.number,
        "evaluated_at": now,
        "tried_at": now,
        "size": done.size,
        "fingerprint": task.fingerprint,
        "snapshot": task.snapshot,
        "sources": sorted(task.asks.sources),
        "moves": task.asks.moves,
        "milliseconds": milliseconds,
    }
    await keep_state(conn, state, task.rule)
    entered = 0 if task.before is None else done.entered  # the first one finds who belongs: nobody entered
    day = local_date(now, task.context.timezone)
    await keep_size(conn, task.segment_id, day, now, done.size, entered=entered, left=done.left, by_rule=task.by_rule)


def _since(task: _Task) -> dict[str, Any]:
    assert task.before is not None
    return {"snapshot": task.before.snapshot, "sources": sorted(task.asks.sources)}


def _oldest(snapshot: str) -> int:
    """The oldest transaction that was still going: `xmin:xmax:xip,…`."""
    return int(snapshot.partition(":")[0])


async def _customers(conn: AsyncConnection) -> float:
    """About how many there are."""
    return float(await conn.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'customers'::regclass")) or 0)


_ID: Column[int] = Column("id", BigInteger)
_EXCLUDE_OTHERS = text("SELECT pg_advisory_xact_lock(hashtextextended(:segment, 0))")
_SNAPSHOT = text("SELECT CAST(pg_current_snapshot() AS text)")

_NEWS = NEWS.format(snapshot=":snapshot", sources="CAST(:sources AS text[])")
_CHANGES = text(f"""
    SELECT count(*) AS rows, coalesce(bool_or(c.ids IS NULL), false) AS everyone,
        coalesce(bool_or(:erased = ANY (c.sources)), false) AS erased
    FROM changed_customers c WHERE {_NEWS}
""")  # noqa: S608 -- put together from our own words
# Ids of merged customers, and their survivors'.
_CHANGED = text(f"""
    SELECT given.id FROM changed_customers c CROSS JOIN LATERAL unnest(c.ids) AS given(id) WHERE {_NEWS}
    UNION
    SELECT old.merged_into FROM changed_customers c CROSS JOIN LATERAL unnest(c.ids) AS given(id)
    JOIN customers old ON old.id = given.id AND old.merged_into IS NOT NULL WHERE {_NEWS}
""")  # noqa: S608

_MOVE = """
    WITH come AS (
        INSERT INTO segment_members (customer_id, segment_id, since)
        SELECT b.id, :segment, :now FROM belonging b
        WHERE NOT EXISTS (SELECT FROM segment_members m WHERE m.customer_id = b.id AND m.segment_id = :segment)
        RETURNING customer_id
    ), gone AS (
        DELETE FROM segment_members m WHERE m.segment_id = :segment {within}
            AND NOT EXISTS (SELECT FROM belonging b WHERE b.id = m.customer_id)
        RETURNING customer_id
    ) {told}
    SELECT (SELECT count(*) FROM come) AS entered, (SELECT count(*) FROM gone) AS gone
"""
_TOLD = """, told AS (
        INSERT INTO segment_changes (customer_id, segment_id, evaluation, at, entered, by_rule)
        SELECT customer_id, :segment, :number, :now, true, :by_rule FROM come
        UNION ALL
        SELECT customer_id, :segment, :number, :now, false, :by_rule FROM gone
    )
"""
