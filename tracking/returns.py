"""What others report of a message becomes facts: an event, a move in the ledger, a suppression.

A message has one event for each thing that is reported of it (each class of bounce, the complaint, each reply), and
only a new event suppresses: reports that are repeated, late or in any other order end where they would once and in
order, and what a person lifted by hand stays lifted. The message's row is touched first, so that two who hear the same
report wait for each other.

Who is suppressed:
- hard bounce: the address, at once, until lifted;
- soft bounce or full mailbox: the address, once it bounced on SOFT_DAYS different days (UTC) within SOFT_WINDOW, for
  SOFT_REST;
- policy and content: nobody, since these are about us;
- complaint: the person over that channel, and the address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import EventKind
from channels.email.returns import BounceClass
from channels.registry import channel_named
from customers.bulk import among
from customers.changes import note_changed
from customers.models import suppressed_addresses
from customers.suppressions import SuppressedAddress, Suppression, in_force, suppress, suppress_addresses
from runtime.text import printable
from tracking.facts import Fact, FactKind, event_key
from tracking.ingest import store
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.return_order import put_in_order
from tracking.seen import MESSAGE
from tracking.states import State

SOFT_DAYS = 3
SOFT_WINDOW = timedelta(days=30)
SOFT_REST = timedelta(days=90)

BOUNCED = "bounced"
COMPLAINED = "complained"
_FACTS = frozenset({EventKind.BOUNCED, EventKind.COMPLAINED, EventKind.REPLIED})
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Report:
    """That `kind` happened to a message at `at` (aware, by the reporter's clock).

    Of kinds other than bounced, complained, delivered, replied, unsubscribed nothing is kept. `bounce`, `status`,
    `code`: of a bounce. `words`: what the other side said. `source`: who reported it. `id`: of a reply, the same
    however often it comes.
    """

    key: MessageKey
    kind: EventKind
    at: datetime
    bounce: BounceClass | None = None
    status: str = ""
    code: int | None = None
    words: str = ""
    source: str = "mail"
    id: str = ""

    @property
    def event_key(self) -> UUID:
        said = (self.key, str(self.kind), str(self.bounce or ""), self.id if self.kind is EventKind.REPLIED else "")
        return event_key(f"report:{said!r}")

    @property
    def attributes(self) -> dict[str, Any]:
        """The raw facts that the event keeps."""
        raw = {
            "class": self.bounce and str(self.bounce),
            "status": self.status,
            "code": self.code,
            "words": printable(self.words)[:_LONGEST],
            "source": self.source,
        }
        return {name: value for name, value in raw.items() if value}


async def apply_reports(conn: AsyncConnection, reports: Sequence[Report], now: datetime) -> int:
    """Take over what was reported; answers how many events are new. A report about a message that is not there is
    dropped."""
    known = list({report.event_key: report for report in sorted(reports, key=_newest_first)}.values())
    found = await _found(conn, known)
    told = [(known[row.place], row) for row in found]
    new = await _store_events(conn, [(report, row) for report, row in told if report.kind in _FACTS], now)
    moves = _moves(told, now)
    await record_outcomes(conn, moves)
    await put_in_order(conn, moves)
    await _complaints(conn, [row for report, row in told if report.kind is EventKind.COMPLAINED], known, now)
    await _suppress(conn, new, now)
    said = [report for report in known if report.kind is EventKind.UNSUBSCRIBED]
    await store(conn, [Fact(each.key, FactKind.UNSUBSCRIBED, each.at, source=each.source) for each in said], now)
    return len(new)


def _newest_first(report: Report) -> float:
    return -report.at.timestamp()


Told = tuple[Report, Row[Any]]


async def _found(conn: AsyncConnection, reports: Sequence[Report]) -> Sequence[Row[Any]]:
    """The messages that reports are about, by key: `place` of the report, where it stands, whose it is today."""
    if not reports:
        return []
    rows = (await conn.execute(_FIND, _arrays([report.key for report in reports]))).all()
    return sorted(rows, key=lambda row: (row.customer_id, row.run_id, row.step, row.place))


async def _store_events(conn: AsyncConnection, told: Sequence[Told], now: datetime) -> list[Told]:
    """Those that are new."""
    if not told:
        return []
    rows = [row for _, row in told]
    messages = _arrays(sorted({MessageKey(row.customer_id, row.run_id, row.step) for row in rows}))
    await conn.execute(_TOUCH, messages)
    values = {
        **_arrays([MessageKey(row.customer_id, row.run_id, row.step) for row in rows]),
        "at": [_moment(report, row, now) for report, row in told],
        "keys": [report.event_key for report, _ in told],
        "kinds": [str(report.kind) for report, _ in told],
        "attributes": [
            json.dumps({**report.attributes, "address": row.address}, ensure_ascii=False) for report, row in told
        ],
    }
    keys = set((await conn.execute(_INSERT, values)).scalars())
    new = [(report, row) for report, row in told if report.event_key in keys]
    await note_changed(conn, "events", {row.customer_id for _, row in new})
    return new


def _moves(told: Sequence[Told], now: datetime) -> list[Outcome]:
    """What moves in the ledger; its table of moves says that bounced comes after delivered."""
    states = {EventKind.DELIVERED: State.DELIVERED, EventKind.BOUNCED: State.BOUNCED}
    moved = [
        Outcome(
            MessageKey(row.customer_id, row.run_id, row.step),
            states[report.kind],
            _moment(report, row, now),
            reason=printable(report.words) or None,
        )
        for report, row in told
        if report.kind in states
    ]
    return sorted(moved, key=lambda each: each.state is State.BOUNCED)


async def _complaints(
    conn: AsyncConnection, rows: Sequence[Row[Any]], reports: Sequence[Report], now: datetime
) -> None:
    if not rows:
        return
    keys = [MessageKey(row.customer_id, row.run_id, row.step) for row in rows]
    at = [_moment(reports[row.place], row, now) for row in rows]
    moved = (await conn.execute(_COMPLAINED, {**_arrays(keys), "at": at})).scalars()
    await note_changed(conn, "messages", set(moved))


async def _suppress(conn: AsyncConnection, new: Sequence[Told], now: datetime) -> None:
    """What the new events mean for people and addresses."""
    complaints = [(report, row) for report, row in new if report.kind is EventKind.COMPLAINED]
    hard = [(report, row) for report, row in new if report.bounce is BounceClass.HARD]
    soft = [row for report, row in new if report.bounce in (BounceClass.SOFT, BounceClass.FULL)]
    people = [
        Suppression(row.person, row.channel, COMPLAINED, _moment(report, row, now), row.address)
        for report, row in complaints
    ]
    if people:
        await suppress(conn, people)
    gone = [_gone(BOUNCED, report, row, now) for report, row in hard if row.address]
    gone += [_gone(COMPLAINED, report, row, now) for report, row in complaints if row.address]
    await _suppress_free(conn, gone, now, lasting=True)
    await _suppress_free(conn, await _too_soft(conn, soft, now), now, lasting=False)


def _gone(reason: str, report: Report, row: Row[Any], now: datetime) -> SuppressedAddress:
    detail = printable(report.words)[:_LONGEST] or None
    return SuppressedAddress(_kind(row), row.address, reason, _moment(report, row, now), detail=detail)


async def _too_soft(conn: AsyncConnection, rows: Sequence[Row[Any]], now: datetime) -> list[SuppressedAddress]:
    """Addresses that bounced on too many days, to rest."""
    if not rows:
        return []
    kinds = {row.address: _kind(row) for row in rows if row.address}
    values = {
        "people": [row.customer_id for row in rows] + [row.person for row in rows],
        "addresses": [row.address for row in rows] * 2,
        "since": now - SOFT_WINDOW,
        "days": SOFT_DAYS,
    }
    detail = f"bounced on {SOFT_DAYS} days within {SOFT_WINDOW.days}"
    return [
        SuppressedAddress(kinds[address], address, BOUNCED, now, now + SOFT_REST, detail)
        for address in (await conn.execute(_SOFT_DAYS, values)).scalars()
    ]


async def _suppress_free(
    conn: AsyncConnection, entries: Sequence[SuppressedAddress], now: datetime, *, lasting: bool
) -> None:
    """Suppress what is not yet; a lasting one replaces one that would end, and nothing replaces a lasting one."""
    if not entries:
        return
    row = suppressed_addresses.c
    standing = select(row.kind, row.value).where(
        among(row.value, {entry.value for entry in entries}), in_force(suppressed_addresses, now)
    )
    if lasting:
        standing = standing.where(row.expires_at.is_(None))
    kept = {tuple(found) for found in await conn.execute(standing)}
    fresh = {(entry.kind, entry.value): entry for entry in entries if (entry.kind, entry.value) not in kept}
    if fresh:
        await suppress_addresses(conn, list(fresh.values()))


def _moment(report: Report, row: Row[Any], now: datetime) -> datetime:
    """The reporter's time as far as it can be: not before the message left, not after now."""
    at = min(report.at, now)
    return max(at, row.sent_at) if row.sent_at else at


def _kind(row: Row[Any]) -> str:
    return channel_named(row.channel).address_kind


def _arrays(keys: Sequence[MessageKey]) -> dict[str, Any]:
    return {
        "people": [key.customer_id for key in keys],
        "runs": [key.run_id for key in keys],
        "steps": [key.step for key in keys],
    }


_KEYS = "CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[])"
_AT_KEY = "m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step"

_FIND = text(f"""
    SELECT f.place - 1 AS place, m.customer_id, m.run_id, m.step, m.channel, m.address, m.sent_at,
           coalesce(owner.merged_into, owner.id) AS person
    FROM unnest({_KEYS}) WITH ORDINALITY AS f(customer_id, run_id, step, place)
    LEFT JOIN customers c ON c.id = f.customer_id
    JOIN messages m ON {MESSAGE}
    JOIN customers owner ON owner.id = m.customer_id
""")  # noqa: S608 -- put together from our own words

_TOUCH = text(f"""
    UPDATE messages m SET state = m.state FROM unnest({_KEYS}) AS f(customer_id, run_id, step) WHERE {_AT_KEY}
""")  # noqa: S608

_INSERT = text(f"""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, attributes)
    SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step,
           CAST(f.attributes AS jsonb)
    FROM unnest({_KEYS}, CAST(:at AS timestamptz[]), CAST(:keys AS uuid[]), CAST(:kinds AS text[]),
                CAST(:attributes AS text[]))
         AS f(customer_id, run_id, step, at, key, kind, attributes)
    JOIN messages m ON {_AT_KEY}
    WHERE NOT EXISTS (SELECT FROM events e WHERE e.customer_id = f.customer_id AND e.key = f.key)
    ON CONFLICT DO NOTHING
    RETURNING key
""")  # noqa: S608

_COMPLAINED = text(f"""
    UPDATE messages m SET complained_at = f.at
    FROM unnest({_KEYS}, CAST(:at AS timestamptz[])) AS f(customer_id, run_id, step, at)
    WHERE {_AT_KEY} AND m.complained_at IS NULL
    RETURNING m.customer_id
""")  # noqa: S608

_SOFT_DAYS = text("""
    SELECT f.address
    FROM (
        SELECT DISTINCT * FROM unnest(CAST(:people AS bigint[]), CAST(:addresses AS text[])) AS f(customer_id, address)
    ) f
    JOIN events e ON e.customer_id = f.customer_id AND e.at > :since AND e.kind = 'bounced' AND e.run_id IS NOT NULL
    WHERE e.attributes ->> 'class' IN ('soft', 'full') AND e.attributes ->> 'address' = f.address
    GROUP BY f.address
    HAVING count(DISTINCT CAST(e.at AT TIME ZONE 'UTC' AS date)) >= :days
""")
