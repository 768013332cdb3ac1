"""Generated customers with all their records, generated rules, and how the rows get into the database.

Values come from small pools full of edges (unicode case, ties, leap days, the day's and the clock's turns), so that
rules and rows meet.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers import models as records
from runtime.registry import sources
from segments import models
from tests.segments.rule_reference import World, fold, shifted
from tracking import models as tracking

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/Helsinki", "Australia/Lord_Howe", "America/Sao_Paulo"]
NOWS = [
    datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
    datetime(2024, 2, 29, 16, 30, tzinfo=UTC),
    datetime(2026, 1, 29, 4, 0, tzinfo=UTC),  # 30 days before the last of February
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),  # New York's clock jumps
    datetime(2026, 11, 1, 5, 30, tzinfo=UTC),  # … and is turned back
    datetime(2025, 10, 4, 15, 30, 0, 1, tzinfo=UTC),  # Lord Howe's half hour
    datetime(2018, 11, 4, 2, 59, 59, 999_999, tzinfo=UTC),  # São Paulo skips midnight
    datetime(2023, 3, 31, 20, 0, tzinfo=UTC),
]
TEXTS = [
    "", "Xi'an", "XI'AN", "西安", "西", "ß", "SS", "ﬁn", "FIN", "İ", "i̇", "Σας", "ΣΑΣ", "a%b_c\\d", "A", "100%", "_",
    "Ｇｒｅｅ", "gree",
]  # fmt: skip
WORDS = ["gree", "Gree", "Midea", "", "GREE", "格力"]
CODES = ["S-1", "s-1", "", "S-1 ", "C_1", "c%"]
CENTS = [Decimal(text) for text in ("0", "0.1", "0.25", "1", "2", "3", "-1", "10.5")]
STATUSES = ["completed", "cancelled", "refunded", "partly_refunded", "pending"]
NUMBERS = [
    Decimal(text) for text in ("0", "0.1", "0.2", "0.3", "1", "2", "3", "-1", "100", "99.9999", "100.0001", "3000")
]
DURATIONS = ["P0D", "P1D", "P30D", "P1M", "P1Y", "P8Y", "P2W", "P1Y1M3D", "P365D"]
CLOCKS = ["PT6H", "PT36H", "P1DT12H", "PT0.000001S", "P1MT30M"]
PATTERNS = ["^X", "i'an$", "西", "[0-9]+", "^$", "a.b", "S{2}"]

TEXT_FIELDS = ["name", "email", "phone", "gender", "city", "district", "address", "platform", "language", "timezone"]
CODE_FIELDS = ["external_id", "community", "dealer", "salesperson"]
ACTIVITY_NUMBERS = [
    "engagement_score", "orders_count", "total_spent", "average_order_value", "gross_margin", "order_gap_days",
]  # fmt: skip
ACTIVITY_INSTANTS = [
    "first_order_at", "last_order_at", "next_order_expected_at", "last_opened_at", "last_clicked_at",
    "last_contacted_at", "last_replied_at",
]  # fmt: skip
RANKS = ["rfm.recency", "rfm.frequency", "rfm.monetary"]
ATTRIBUTES = {
    "size": "number", "colour": "text", "signed": "date", "seen": "instant", "vip": "yes_no", "likes": "list",
}  # fmt: skip

CUSTOMER_FIELDS = {
    **dict.fromkeys(TEXT_FIELDS, "text"),
    **dict.fromkeys(CODE_FIELDS, "code"),
    "household_size": "number",
    "birthday": "date",
    "created_at": "instant",
    "tags": "list",
    **dict.fromkeys(ACTIVITY_NUMBERS, "number"),
    **dict.fromkeys(ACTIVITY_INSTANTS, "instant"),
    **dict.fromkeys(RANKS, "number"),
    "reachable.email": "yes_no",
    **{f"attributes.{key}": kind for key, kind in ATTRIBUTES.items()},
}
_RECORD_FIELDS = {
    "orders": {
        "number": "code", "platform": "text", "status": "status", "amount": "number", "refunded": "number",
        "margin": "number", "ordered_at": "instant",
    },
    "order_items": {
        "sku": "code", "name": "text", "brand": "text", "category": "text", "platform": "text", "status": "status",
        "quantity": "number", "price": "number", "amount": "number", "ordered_at": "instant",
    },
    "appliances": {
        "category": "text", "brand": "text", "model": "text", "serial": "code", "source": "text",
        "power_watts": "number", "repairs_count": "number", "status": "use",
        "purchased_on": "date", "installed_on": "date",
        "warranty_until": "date", "expires_on": "date", "next_consumable_due_on": "date",
    },
    "service_visits": {
        "kind": "text", "status": "text", "provider": "text", "satisfaction": "number", "cost": "number",
        "requested_at": "instant", "visited_at": "instant", "completed_at": "instant",
    },
    "consents": {"channel": "channel", "purpose": "purpose", "source": "text", "granted": "yes_no", "at": "instant"},
    "messages": {
        "channel": "channel", "campaign": "text", "state": "state",
        "sent_at": "instant", "opened_at": "instant", "clicked_at": "instant",
    },
    "events": {
        "kind": "text", "campaign": "text", "channel": "channel", "link": "text", "value": "number", "at": "instant",
        "machine": "yes_no",
    },
}  # fmt: skip
RECORD_FIELDS = {source: fields for source, fields in _RECORD_FIELDS.items() if source in sources()}
NEVER_NULL = {
    "tags",
    "status", "amount", "refunded", "ordered_at", "quantity", "price", "repairs_count", "granted", "at", "channel",
    "purpose", "orders_count", "total_spent", "created_at", "machine", "state", "kind",
}  # fmt: skip
ROUNDED = {"engagement_score", "satisfaction", "power_watts"}  # columns of two decimals
WHOLE = {"household_size", "orders_count", "repairs_count", *RANKS}


def instants(now: datetime, zone: ZoneInfo) -> list[datetime]:
    """Instants at the edges: of now, of durations back and ahead, of local days."""
    today = now.astimezone(zone).date()
    edges = [now]
    for duration in [*DURATIONS, *CLOCKS]:
        edges += [shifted(now, duration, -1, zone), shifted(now, duration, +1, zone)]
    for day in days(now, zone):
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        edges += [midnight] if abs((day - today).days) < 3 else []
    tick = timedelta(microseconds=1)
    return [edge + step for edge in edges for step in (-tick, tick * 0, tick)]


def days(now: datetime, zone: ZoneInfo) -> list[date]:
    today = now.astimezone(zone).date()
    edges = [
        date(2024, 2, 29),
        date(2024, 2, 28),
        date(2023, 2, 28),
        date(2023, 3, 1),
        date(1992, 2, 29),
        date(1990, 12, 31),
    ]
    for duration in DURATIONS:
        edges += [shifted(today, duration, -1, zone), shifted(today, duration, +1, zone)]
    return [edge + timedelta(days=step) for edge in edges for step in (-1, 0, 1)]


class Pools:
    """The values that rows and operands are drawn from, for one moment and zone."""

    def __init__(self, world: World) -> None:
        self.instants = instants(world.now, world.zone)
        self.days = days(world.now, world.zone)
        self.lists = [[], ["gree"], ["Gree", "Midea"], ["ß"], ["SS", "GREE"], ["Midea", "Midea", ""]]
        self.values: dict[str, list[Any]] = {
            "text": TEXTS + WORDS,
            "code": CODES,
            "status": STATUSES,
            "use": ["in_use", "replaced", "disposed"],
            "state": ["queued", "sent", "delivered", "skipped"],
            "channel": ["email", "sms"],
            "purpose": ["marketing", "service"],
            "number": NUMBERS,
            "cents": CENTS,
            "whole": [0, 1, 2, 3, 4, 5],
            "date": self.days,
            "instant": self.instants,
            "yes_no": [True, False],
            "list": self.lists,
        }

    def value(self, rng: Random, name: str, kind: str) -> Any:
        """A value of a row."""
        if name not in NEVER_NULL and rng.random() < 0.2:
            return None
        return rng.choice(self.values["whole" if name in WHOLE else "cents" if name in ROUNDED else kind])

    def row(self, rng: Random, fields: dict[str, str]) -> dict[str, Any]:
        return {name: self.value(rng, name, kind) for name, kind in fields.items()}


def customer(rng: Random, pools: Pools) -> dict[str, Any]:
    """A customer with all they have."""
    plain = {name: kind for name, kind in CUSTOMER_FIELDS.items() if "." not in name or name in RANKS}
    row = pools.row(rng, plain)
    attributes = {key: pools.value(rng, key, kind) for key, kind in ATTRIBUTES.items()}
    row["attributes"] = {key: value for key, value in attributes.items() if value is not None}
    row["records"] = {
        source: [pools.row(rng, fields) for _ in range(rng.choice([0, 0, 1, 2, 3]))]
        for source, fields in RECORD_FIELDS.items()
    }
    standing = {(consent["channel"], consent["purpose"]): consent for consent in row["records"]["consents"]}
    row["records"]["consents"] = list(standing.values())
    row["addresses"] = rng.sample(ADDRESSES, rng.randrange(3))
    row["suppressions"] = [_suppression(rng, pools)] if rng.random() < 0.5 else []
    row["audiences"] = rng.choice([[], [1]])
    return row if rng.random() < 0.95 else without_row(row)


def _suppression(rng: Random, pools: Pools) -> dict[str, Any]:
    return {
        "channel": rng.choice(["email", "email", "sms"]),
        "address": rng.choice([None, "a@example.com", "b@example.com"]),
        "expires_at": expiry(rng, pools),
    }


def expiry(rng: Random, pools: Pools) -> datetime | None:
    return rng.choice([None, pools.instants[0], pools.instants[1], pools.instants[2]])  # about now


ADDRESSES = [
    {"kind": "email", "value": "a@example.com"},
    {"kind": "email", "value": "b@example.com"},
    {"kind": "phone", "value": "+8613800138000"},
]


def without_row(one: dict[str, Any]) -> dict[str, Any]:
    """The customer as one for whom no activity was ever kept."""
    return {**one, **dict.fromkeys([*ACTIVITY_NUMBERS, *ACTIVITY_INSTANTS, *RANKS]), "no_activity": True}


def field_tests(pools: Pools, name: str, kind: str, *, measured: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """A field test: an operator of the kind with a fitting value (as JSON)."""
    values = st.sampled_from(pools.values[kind])
    kind = {"status": "text", "channel": "text", "purpose": "text", "use": "text", "state": "text"}.get(kind, kind)
    number = values.map(str)
    if kind in ("text", "code"):
        offered = [
            *((op, values) for op in ("eq", "ne", "contains", "not_contains", "starts_with", "ends_with")),
            *((op, st.lists(values, min_size=1, max_size=4)) for op in ("in", "not_in")),
            ("matches", st.sampled_from(PATTERNS)),
        ]
    elif kind == "number":
        offered = [
            *((op, number) for op in ("eq", "ne", "lt", "lte", "gt", "gte")),
            *((op, st.lists(number, min_size=1, max_size=4)) for op in ("in", "not_in")),
            ("between", st.lists(number, min_size=2, max_size=2)),
        ]
    elif kind in ("date", "instant"):
        offered = _time_tests(pools, kind)
    elif kind == "yes_no":
        offered = [("is", st.booleans())]
    else:
        words = st.lists(st.sampled_from([*WORDS[:3], "ß", "ss"]), min_size=1, max_size=3)
        offered = [(op, words) for op in ("has_any", "has_all", "has_none")]
    with_value = [st.fixed_dictionaries({"op": st.just(op), "value": value}) for op, value in offered]
    without = [] if measured else [st.fixed_dictionaries({"op": st.sampled_from(["empty", "not_empty"])})]
    named = st.one_of(*with_value, *without)
    return named.map(lambda test: {"field": name, **test})


def _time_tests(pools: Pools, kind: str) -> list[tuple[str, Any]]:
    day = st.sampled_from(pools.days).map(date.isoformat)
    absolute = day if kind == "date" else day | st.sampled_from(pools.instants).map(datetime.isoformat)
    durations = st.sampled_from(DURATIONS if kind == "date" else DURATIONS + CLOCKS)
    relative = ("older_than", "within_last", "within_next", "not_within_last", "anniversary_within_next")
    return [
        *((op, absolute) for op in ("before", "after", "on")),
        ("between", st.lists(absolute, min_size=2, max_size=2)),
        *((op, durations) for op in relative),
    ]


def groups(children: st.SearchStrategy[Any], depth: int = 3) -> st.SearchStrategy[Any]:
    """`children`, alone or grouped."""
    grouped = children
    for _ in range(depth - 1):
        members = st.lists(grouped, max_size=4)
        grouped = st.one_of(
            children,
            *(st.fixed_dictionaries({kind: members}) for kind in ("all", "any", "none")),
        )
    return grouped


def rules(pools: Pools, *, references: bool = True) -> st.SearchStrategy[Any]:
    """Whole rules; with `references` to audience 1 and segments 1 and 2."""
    return groups(conditions(pools, references=references))


def conditions(pools: Pools, *, references: bool) -> st.SearchStrategy[Any]:
    plain = st.sampled_from(sorted(CUSTOMER_FIELDS.items())).flatmap(lambda item: field_tests(pools, *item))
    low_high = st.lists(st.sampled_from([0, 1, 4999, 5000, 9999]), min_size=2, max_size=2).map(sorted)
    bucket = low_high.map(lambda ends: {"bucket": {"from": ends[0], "to": ends[1]}})
    related = st.sampled_from(sorted(RECORD_FIELDS)).flatmap(lambda source: has(pools, source))
    chosen = [plain, plain, related, related, bucket]
    if references:
        chosen += [st.sampled_from([{"in_segment": 1}, {"in_segment": 2}, {"in_audience": 1}])]
    return st.one_of(chosen)


@st.composite
def has(draw: st.DrawFn, pools: Pools, source: str) -> dict[str, Any]:
    fields = sorted(RECORD_FIELDS[source].items())
    one = st.sampled_from(fields).flatmap(lambda item: field_tests(pools, *item))
    rule: dict[str, Any] = {"has": source}
    if draw(st.booleans()):
        rule["where"] = draw(groups(one, depth=2))
    measured = [(name, kind) for name, kind in fields if kind in ("number", "date", "instant")]
    wanted = draw(st.sampled_from(["", "count", "sum", "avg", "min", "max"]))
    numbers = [(name, kind) for name, kind in measured if kind == "number"]
    if wanted == "count":
        test = draw(field_tests(pools, "", "number", measured=True))
        rule["count"] = {"op": test["op"], "value": test["value"]}
    elif wanted in ("min", "max") and measured:
        rule[wanted] = draw(st.sampled_from(measured).flatmap(lambda item: field_tests(pools, *item, measured=True)))
    elif wanted in ("sum", "avg") and numbers:
        rule[wanted] = draw(st.sampled_from(numbers).flatmap(lambda item: field_tests(pools, *item, measured=True)))
    return rule


def settled(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The customers with ids, and the numbers that their orders are kept under."""
    for place, one in enumerate(people, 1):
        one["id"] = place * 7919
        for index, order in enumerate(one["records"].get("orders", [])):
            order["number"] = f"{one['id']}-{index}"
    return people


async def keep(conn: AsyncConnection, people: list[dict[str, Any]], world: World) -> None:
    """Write the customers (with their `id`s) and all they have."""
    await _insert(conn, records.customers, [_customer_row(one) for one in people])
    kept = [one for one in people if not one.get("no_activity")]
    names = {name: name.replace("rfm.", "rfm_") for name in [*ACTIVITY_NUMBERS, *ACTIVITY_INSTANTS, *RANKS]}
    activity = [{"customer_id": one["id"], **{to: one[name] for name, to in names.items()}} for one in kept]
    await _insert(conn, records.activity, activity)
    await _records(conn, people)
    await _insert(conn, records.contact_addresses, [_of(one, row) for one in people for row in one["addresses"]])
    suppressions = [_of(one, {**row, "reason": "bounced"}) for one in people for row in one["suppressions"]]
    await _insert(conn, records.suppressions, suppressions)
    addresses = [
        {"kind": row["kind"], "value": row["address"], "reason": "bounced", "expires_at": row["expires_at"]}
        for row in world.suppressed_addresses
    ]
    await _insert(conn, records.suppressed_addresses, addresses)
    await _insert(conn, records.attribute_definitions, [{"key": key, "kind": kind} for key, kind in ATTRIBUTES.items()])
    await _insert(conn, models.audiences, [{"id": 1, "name": "list"}])
    members = [{"customer_id": one["id"], "audience_id": number} for one in people for number in one["audiences"]]
    await _insert(conn, models.audience_members, members)
    segments = [{"id": number, "name": f"s{number}", "rule": rule} for number, rule in world.segments.items()]
    await _insert(conn, models.segments, segments)


def _of(one: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return {"customer_id": one["id"], **row}


async def _records(conn: AsyncConnection, people: list[dict[str, Any]]) -> None:
    tables = {
        "orders": records.orders,
        "order_items": records.order_items,
        "appliances": records.appliances,
        "service_visits": records.service_visits,
        "consents": records.standing_consents,
        "messages": tracking.messages,
        "events": tracking.events,
    }
    campaigns = {name: number for number, name in enumerate(TEXTS + WORDS, 1)}
    named = [{"campaign_id": number, "name": name, "name_folded": fold(name)} for name, number in campaigns.items()]
    await _insert(conn, tracking.campaign_names, named)
    for source, table in tables.items():
        if source not in RECORD_FIELDS:
            continue
        rows = [
            _record_row(_of(one, row), table, f"{one['id']}-{index}", index, campaigns)
            for one in people
            for index, row in enumerate(one["records"][source])
        ]
        await _insert(conn, table, rows)


def _record_row(
    row: dict[str, Any], table: Table, number: str, index: int, campaigns: dict[str, int]
) -> dict[str, Any]:
    keys = {"number": number, "order_number": number, "position": index, "run_id": index, "step": 0}
    found = {**row, **{name: value for name, value in keys.items() if name in table.c}}
    if table.name == "events":
        found["key"] = f"00000000-0000-0000-0000-{index:012d}"
    if "campaign_id" in table.c:
        found["campaign_id"] = campaigns.get(row["campaign"], 0)
    return _folded({name: value for name, value in found.items() if name in table.c}, table)


def _customer_row(one: dict[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in one.items() if name in records.customers.c}
    row["tags_folded"] = [fold(tag) for tag in row["tags"]]
    row["attributes"] = {key: _plain(value) for key, value in one["attributes"].items()}
    row["attributes_folded"] = {
        key: fold(value) if isinstance(value, str) else [fold(item) for item in value]
        for key, value in row["attributes"].items()
        if isinstance(value, str | list)
    }
    return _folded(row, records.customers)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _folded(row: dict[str, Any], table: Table) -> dict[str, Any]:
    twins = {f"{name}_folded": value for name, value in row.items() if f"{name}_folded" in table.c}
    return row | {
        name: fold(value) if isinstance(value, str) else value for name, value in twins.items() if name not in row
    }


async def _insert(conn: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        await conn.execute(insert(table), rows)
