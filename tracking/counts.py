"""How many of a run's or campaign's messages stand where, and who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem
from tracking.answers import like
from tracking.states import ARRIVED, State

MARKS = ("opened", "clicked", "complained", "unsubscribed", "machine_opened", "machine_clicked")


@dataclass(frozen=True)
class Counts:
    """The counts of API.md: `audience = queued + sending + sent + failed + skipped + cancelled + unknown`.

    `sent` includes delivered and bounced. `opened` and `clicked` count messages that a person opened or clicked, not
    the times; machines have their own.
    """

    audience: int = 0
    queued: int = 0
    sending: int = 0
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    unknown: int = 0
    opened: int = 0
    clicked: int = 0
    complained: int = 0
    unsubscribed: int = 0
    machine_opened: int = 0
    machine_clicked: int = 0
    skipped_reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, int]:
        """As API.md writes `counts`: without the reasons."""
        return {name: value for name, value in vars(self).items() if name != "skipped_reasons"}

    @property
    def finished(self) -> bool:
        """Nothing is left to do."""
        return self.queued == self.sending == 0


@dataclass(frozen=True)
class MessageRow:
    """One line of the answer to "who got what, when, what came of it, and why not"."""

    customer_id: int
    run_id: int
    step: int
    external_id: str | None
    name: str | None
    channel: str
    address: str | None
    state: State
    reason: str | None
    variant: int | None
    attempts: int
    not_before: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None
    complained_at: datetime | None
    opens: int
    clicks: int


async def count_states(conn: AsyncConnection, run_id: int) -> Counts:
    """The counts of one run; all zero for one without messages."""
    return (await _counted(conn, _COUNT_RUN, {"id": run_id})).get(run_id, Counts())


async def counts_by_run(conn: AsyncConnection, campaign_id: int) -> dict[int, Counts]:
    """The counts of each run of a campaign that has messages."""
    return await _counted(conn, _COUNT_CAMPAIGN, {"id": campaign_id})


async def counts_by_runs(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, dict[int, Counts]]:
    """The same of several campaigns, by campaign; one without messages is left out."""
    found: dict[int, dict[int, list[Any]]] = {}
    if campaign_ids:
        for row in await conn.execute(_COUNT_CAMPAIGNS, {"ids": list(campaign_ids)}):
            found.setdefault(row.campaign_id, {}).setdefault(row.whose, []).append(row)
    return {each: {run_id: _folded(rows) for run_id, rows in runs.items()} for each, runs in found.items()}


async def campaign_counts(conn: AsyncConnection, campaign_id: int) -> Counts:
    """The counts of a campaign over all its runs, as of one moment."""
    return total((await counts_by_run(conn, campaign_id)).values())


def total(counts: Any) -> Counts:
    """The sum of several Counts."""
    numbers: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for each in counts:
        numbers.update(each.numbers)
        reasons.update(each.skipped_reasons)
    return Counts(**numbers, skipped_reasons=dict(reasons))


async def messages_page(
    conn: AsyncConnection,
    campaign_id: int,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    *,
    answer: str | None = None,
) -> tuple[list[MessageRow], str | None]:
    """A page of a campaign's messages by customer, and the cursor of the next one.

    `state` "sent" includes delivered and bounced, as in the counts; `answer`: of those that a server answered like
    this (`tracking.answers.alike`). Raises Invalid for an unknown state or cursor.
    """
    customer, run, step = _position(cursor)
    after = {"customer": customer, "run": run, "step": step}
    wanted = {"states": _states(state), "answer": None if answer is None else like(answer)}
    rows = (await conn.execute(_PAGE, {"id": campaign_id, **wanted, **after, "limit": limit + 1})).all()
    items = [MessageRow(**{**row._mapping, "state": State(row.state)}) for row in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    return items, f"{last.customer_id}.{last.run_id}.{last.step}" if last else None


async def _counted(conn: AsyncConnection, statement: TextClause, values: dict[str, Any]) -> dict[int, Counts]:
    found: dict[int, list[Any]] = {}
    for row in await conn.execute(statement, values):
        found.setdefault(row.whose, []).append(row)
    return {whose: _folded(rows) for whose, rows in found.items()}


def _folded(rows: list[Any]) -> Counts:
    """One run's rows (state, reason, n, marks) as counts."""
    numbers: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for row in rows:
        numbers["audience"] += row.n
        numbers[row.state] += row.n
        if row.state in ARRIVED and row.state != State.SENT:
            numbers["sent"] += row.n
        if row.state == State.SKIPPED:
            reasons[row.reason or ""] += row.n
        for mark in MARKS:
            numbers[mark] += getattr(row, mark)
    return Counts(**numbers, skipped_reasons=dict(reasons))


def _states(state: str | None) -> list[str]:
    if state is None:
        return list(State)
    if state not in list(State):
        raise Invalid(Problem("state", f"unknown state {state!r}: one of {', '.join(State)}"))
    return sorted(ARRIVED) if state == State.SENT else [state]


def _position(cursor: str | None) -> tuple[int, int, int]:
    if cursor is None:
        return -1, -1, -1
    parts = cursor.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Invalid(Problem("cursor", "not a cursor that this list gave out"))
    customer, run, step = map(int, parts)
    return customer, run, step


_COUNTING = """
    SELECT campaign_id, run_id AS whose, state, CASE WHEN state = 'skipped' THEN reason END AS reason, count(*) AS n,
           count(opened_at) AS opened, count(clicked_at) AS clicked, count(complained_at) AS complained,
           count(unsubscribed_at) AS unsubscribed, count(machine_opened_at) AS machine_opened,
           count(machine_clicked_at) AS machine_clicked
    FROM messages WHERE {} GROUP BY 1, 2, 3, 4
"""
_COUNT_RUN = text(_COUNTING.format("run_id = :id"))
_COUNT_CAMPAIGN = text(_COUNTING.format("campaign_id = :id"))
_COUNT_CAMPAIGNS = text(_COUNTING.format("campaign_id = ANY (CAST(:ids AS bigint[]))"))

_PAGE = text("""
    SELECT m.customer_id, m.run_id, m.step, c.external_id, c.name, m.channel, m.address, m.state, m.reason, m.variant,
           m.attempts, m.not_before, m.sent_at, m.delivered_at, m.failed_at, m.opened_at, m.clicked_at,
           m.unsubscribed_at, m.complained_at, m.opens, m.clicks
    FROM messages m LEFT JOIN customers c ON c.id = m.customer_id
    WHERE m.campaign_id = :id AND m.state = ANY (CAST(:states AS text[]))
      AND (CAST(:answer AS text) IS NULL OR m.reason LIKE :answer)
      AND (m.customer_id, m.run_id, m.step) > (:customer, :run, :step)
    ORDER BY m.customer_id, m.run_id, m.step LIMIT :limit
""")
