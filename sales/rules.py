"""Rules of follow-ups: who (a segment rule), upon what signal, how soon, worth how much."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, NotFound, Problem
from sales.models import follow_up_rules
from segments.context import EvaluationContext
from segments.engine import prepare

EVENT, VISIT, RATING, STANDING = "event", "visit", "rating", "standing"
SIGNALS = (EVENT, VISIT, RATING, STANDING)
COMPLAINT = "complaint"
EVERYONE: Mapping[str, Any] = {"all": []}

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_BOUNDS = {"count": (1, 1_000), "within_days": (1, 365), "hours": (1, 24 * 60)}


@dataclass(frozen=True)
class Signal:
    """What turns a customer into a task.

    - event: a person's `count` events of the kind `event` within `within_days`; `campaign`, `link` (a part of it) and
      `category` (the event's own, or in its link) narrow them.
    - visit: a service visit (`visit`: of that kind; "" any but a complaint) requested `hours` ago that nobody made.
    - rating: a bad answer to a survey within `within_days`.
    - standing: nothing but the rule of who; opened as there is room.
    """

    kind: str = EVENT
    event: str = "clicked"
    campaign: str = ""
    link: str = ""
    category: str = ""
    count: int = 1
    within_days: int = 14
    visit: str = ""
    hours: int = 48


@dataclass(frozen=True)
class FollowUpRule:
    """`value`: what following up is worth, in the workspace's currency. `at_once`: whatever the day's room.

    `cool_down_days`: how long after one was closed the same reason opens none.
    """

    code: str
    name: str
    signal: Signal
    rule: Mapping[str, Any] = field(default_factory=lambda: EVERYONE)
    advice: str = ""
    value: Decimal = Decimal(100)
    due_hours: int = 24
    cool_down_days: int = 30
    at_once: bool = False
    active: bool = True


def _has(source: str, *where: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"has": source, "where": {"all": [{"field": "status", "op": "eq", "value": "in_use"}, *where]}}


READY_MADE: Sequence[FollowUpRule] = (
    FollowUpRule(
        "bad_rating",
        "Bad rating",
        Signal(RATING, within_days=14),
        advice="Apologise, listen, and say what will be done by when.",
        value=Decimal(800),
        due_hours=4,
        cool_down_days=0,
        at_once=True,
    ),
    FollowUpRule(
        "complaint",
        "Complaint not answered in time",
        Signal(VISIT, visit=COMPLAINT, hours=24),
        advice="Call today; a complaint that is answered keeps the household.",
        value=Decimal(800),
        due_hours=4,
        cool_down_days=0,
        at_once=True,
    ),
    FollowUpRule(
        "visit_overdue",
        "Service visit not made in time",
        Signal(VISIT, hours=48),
        advice="Ask the provider for a time, and tell the customer.",
        value=Decimal(400),
        due_hours=8,
        cool_down_days=0,
    ),
    FollowUpRule(
        "replacement",
        "Interest in a replacement",
        Signal(EVENT),
        rule=_has(
            "appliances",
            {
                "any": [
                    {"field": "installed_on", "op": "older_than", "value": "P8Y"},
                    {"field": "expires_on", "op": "within_next", "value": "P1Y"},
                    {"field": "expires_on", "op": "older_than", "value": "P1D"},
                    {"field": "repairs_count", "op": "gte", "value": 2},
                ]
            },
        ),
        advice="Offer a look at the old appliance and a trade-in price.",
        value=Decimal(1_500),
        due_hours=24,
    ),
    FollowUpRule(
        "warranty_ending",
        "Warranty ends, and they clicked",
        Signal(EVENT),
        rule=_has("appliances", {"field": "warranty_until", "op": "within_next", "value": "P60D"}),
        advice="Offer the check before the warranty ends, and an extension.",
        value=Decimal(300),
        due_hours=48,
    ),
    FollowUpRule(
        "filter_due",
        "Filter due, and they clicked",
        Signal(EVENT),
        rule=_has(
            "appliances",
            {
                "any": [
                    {"field": "next_consumable_due_on", "op": "within_next", "value": "P30D"},
                    {"field": "next_consumable_due_on", "op": "older_than", "value": "P1D"},
                ]
            },
        ),
        advice="Send the right filter, or a date for changing it.",
        value=Decimal(150),
        due_hours=48,
    ),
    FollowUpRule(
        "lost_order_risk",
        "May be lost",
        Signal(STANDING),
        rule={
            "all": [
                {"field": "orders_count", "op": "gte", "value": 2},
                {"field": "chance_active", "op": "lt", "value": 0.5},
                {"field": "last_order_at", "op": "within_last", "value": "P3Y"},
            ]
        },
        advice="Ask how the appliances are; they used to buy more often.",
        value=Decimal(600),
        due_hours=72,
        cool_down_days=120,
    ),
)
READY_CODES = frozenset(each.code for each in READY_MADE)


async def rules_of(conn: AsyncConnection) -> list[FollowUpRule]:
    """Every rule of the workspace: the ready-made ones as they were edited, then its own by name."""
    rows = await conn.execute(select(follow_up_rules).order_by(follow_up_rules.c.name))
    own = {row.code: _read(row) for row in rows}
    return [*(own.pop(each.code, each) for each in READY_MADE), *own.values()]


async def rule_of(conn: AsyncConnection, code: str) -> FollowUpRule:
    """One rule. Raises NotFound."""
    found = next((each for each in await rules_of(conn) if each.code == code), None)
    if found is None:
        raise NotFound(f"there is no follow-up rule {code[:60]!r}")
    return found


async def save_rule(conn: AsyncConnection, rule: FollowUpRule, context: EvaluationContext, now: datetime) -> None:
    """Keep a rule, new or changed; everybody is looked at again soon. Raises Invalid naming each culprit."""
    await check_rule(conn, rule, context)
    row = {**{each.name: getattr(rule, each.name) for each in fields(rule)}, "signal": asdict(rule.signal)}
    changed = {name: value for name, value in row.items() if name != "code"} | {"updated_at": now}
    kept = insert(follow_up_rules).values(**row, updated_at=now)
    await conn.execute(kept.on_conflict_do_update(index_elements=["code"], set_=changed))
    await conn.execute(text("UPDATE follow_up_states SET swept_at = NULL WHERE name = 'follow-ups'"))


async def drop_rule(conn: AsyncConnection, code: str) -> None:
    """Forget a rule of one's own, or what was changed of a ready-made one. Raises NotFound."""
    found = await conn.execute(delete(follow_up_rules).where(follow_up_rules.c.code == code))
    if not found.rowcount and code not in READY_CODES:
        raise NotFound(f"there is no follow-up rule {code[:60]!r}")


async def check_rule(conn: AsyncConnection, rule: FollowUpRule, context: EvaluationContext) -> None:
    """Raises Invalid naming each culprit by the field of a form."""
    signal = rule.signal
    wrong = [
        (not _CODE.fullmatch(rule.code), "code", "has 1 to 40 small letters, digits, - or _"),
        (not 1 <= len(rule.name.strip()) <= 100, "name", "must have 1 to 100 characters"),
        (signal.kind not in SIGNALS, "signal", f"must be one of {', '.join(SIGNALS)}"),
        (not 0 <= rule.value < 10**9, "value", "must be an amount of 0 or more"),
        (not 1 <= rule.due_hours <= 24 * 60, "due_hours", "must be from 1 to 1,440"),
        (not 0 <= rule.cool_down_days <= 3_650, "cool_down_days", "must be from 0 to 3,650"),
        (signal.kind == EVENT and not signal.event.strip(), "event", "is required"),
        *(
            (not low <= getattr(signal, name) <= high, name, f"must be from {low:,} to {high:,}")
            for name, (low, high) in _BOUNDS.items()
        ),
    ]
    problems = [Problem(name, said) for is_wrong, name, said in wrong if is_wrong]
    if problems:
        raise Invalid(problems)
    try:
        await prepare(conn, rule.rule, context)
    except Invalid as error:
        raise Invalid([replace(each, path=f"rule: {each.path}") for each in error.problems]) from None


def _read(row: Any) -> FollowUpRule:
    values = {name: value for name, value in row._mapping.items() if name != "updated_at"}
    return FollowUpRule(**{**values, "signal": Signal(**row.signal)})
