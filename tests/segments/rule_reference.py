"""RULES.md in plain Python: the same rule over the same rows, evaluated one by one, to compare the SQL with.

Written from the document and sharing no code with the room. A customer is a dict of its fields, with `merged_into`,
`tags`, `attributes` (JSON as it is stored), `records` ({source: [record, …]}), `addresses`, `suppressions`, `audiences`
(ids); None is missing.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]

EXACT = {"external_id", "number", "sku", "serial", "community", "dealer", "salesperson"}
POSITIVE = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "has_none": "has_any",
    "not_within_last": "within_last",
}


@dataclass
class World:
    """What a rule is evaluated in."""

    now: datetime
    zone: ZoneInfo
    segments: dict[int, Any] = field(default_factory=dict)
    suppressed_addresses: list[Row] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=lambda: {"email": "email"})

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()


def member(rule: Any, customer: Row, world: World) -> bool:
    """Whether the customer is a member: an alias of a merged one never is."""
    return customer["merged_into"] is None and belongs(rule, customer, world)


def explained(rule: Any, customer: Row, world: World) -> list[tuple[str, bool]]:
    """Each condition about the customer, by its JSON path, and whether it holds."""
    return [(path, belongs(condition, customer, world)) for path, condition in conditions(rule)]


def conditions(rule: Any, path: str = "") -> list[tuple[str, Any]]:
    """What stands in the rule's groups, in the order written, by JSON path."""
    for kind in ("all", "any", "none"):
        if kind in rule:
            before = f"{path}.{kind}" if path else kind
            parts = [conditions(child, f"{before}[{index}]") for index, child in enumerate(rule[kind])]
            return [found for part in parts for found in part]
    return [(path, rule)]


def belongs(rule: Any, customer: Row, world: World) -> bool:
    """What the rule says of a customer, or the `where` of a record."""
    for kind in ("all", "any", "none"):
        if kind in rule:
            said = [belongs(child, customer, world) for child in rule[kind]]
            return all(said) if kind == "all" else any(said) is (kind == "any")
    if "in_segment" in rule:
        return belongs(world.segments[rule["in_segment"]], customer, world)
    if "in_audience" in rule:
        return rule["in_audience"] in customer["audiences"]
    if "bucket" in rule:
        return bool(rule["bucket"]["from"] <= bucket_of(customer["id"]) <= rule["bucket"]["to"])
    if "has" in rule:
        return _related(rule, customer, world)
    return _field(rule, customer, world)


def bucket_of(customer_id: int) -> int:
    return int.from_bytes(hashlib.sha256(f"rule:{customer_id}".encode()).digest()[:8], "big") % 10_000


def _field(rule: Any, row: Row, world: World) -> bool:
    name: str = rule["field"]
    if name.startswith("reachable."):
        value: Any = _reachable(name.removeprefix("reachable."), row, world)
    else:
        value = _value(row, name, world)
    exact = name in EXACT or (
        name.startswith("attributes.") and name.removeprefix("attributes.") not in world.attributes
    )
    return _holds(value, rule["op"], rule.get("value"), world, exact)


def _value(row: Row, name: str, world: World) -> Any:
    if name == "engagement_score":
        return faded(row[name], world.now)
    if not name.startswith("attributes."):
        return row[name]
    key = name.removeprefix("attributes.")
    stored = row["attributes"].get(key)
    if key not in world.attributes and stored is not None:
        return stored if isinstance(stored, str) else json.dumps(stored)
    return typed(stored, world.attributes.get(key, "text"))


def faded(until: datetime | None, now: datetime) -> Decimal | None:
    """What a score is worth that will have fallen to one point at `until`: it halves every 90 days."""
    if until is None:
        return None
    return Decimal(2 ** ((until - now) / timedelta(days=90))).quantize(Decimal("0.01"), ROUND_HALF_UP)


def typed(stored: Any, kind: str) -> Any:
    """A stored attribute's value as one of `kind`; what is of another kind is missing."""
    if kind == "number":
        fits = isinstance(stored, int | float) and not isinstance(stored, bool)
        return Fraction(repr(stored)) if fits else None
    if kind in ("date", "instant"):
        return _moment(stored, kind) if isinstance(stored, str) else None
    return stored if type(stored) is {"text": str, "yes_no": bool, "list": list}[kind] else None


def _moment(stored: str, kind: str) -> Any:
    if (len(stored) == 10) is not (kind == "date"):
        return None
    try:
        found = date.fromisoformat(stored) if kind == "date" else datetime.fromisoformat(stored)
    except ValueError:
        return None
    return None if isinstance(found, datetime) and found.tzinfo is None else found


def _holds(value: Any, op: str, given: Any, world: World, exact: bool = False) -> bool:
    if op in ("empty", "not_empty"):
        return (value is None or value in ("", [])) is (op == "empty")
    if op in POSITIVE:
        return not _holds(value, POSITIVE[op], given, world, exact)
    if value is None:
        return False
    if isinstance(value, bool):
        return value is given
    if isinstance(value, str):
        return _text(value, op, given, exact)
    if isinstance(value, list):
        return _list(value, op, given)
    if isinstance(value, date):
        return compare_time(value, op, given, world)
    return _number(Fraction(value), op, given)


def _text(value: str, op: str, given: Any, exact: bool) -> bool:
    plain = (lambda text: text) if exact else fold
    if op == "in":
        return plain(value) in [plain(item) for item in given]
    if op == "matches":
        return re.search(given, value) is not None
    have, asked = plain(value), plain(given)
    if op == "eq":
        return have == asked
    if op == "contains":
        return asked in have
    return have.startswith(asked) if op == "starts_with" else have.endswith(asked)


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _list(value: list[str], op: str, given: list[str]) -> bool:
    have, asked = {fold(item) for item in value}, {fold(item) for item in given}
    return bool(have & asked) if op == "has_any" else asked <= have


def _number(value: Fraction, op: str, given: Any) -> bool:
    if op == "between":
        return _fraction(given[0]) <= value <= _fraction(given[1])
    if op == "in":
        return value in [_fraction(item) for item in given]
    asked = _fraction(given)
    return {
        "eq": value == asked,
        "lt": value < asked,
        "lte": value <= asked,
        "gt": value > asked,
        "gte": value >= asked,
    }[op]


def _fraction(given: Any) -> Fraction:
    return Fraction(str(given))


def compare_time(value: Any, op: str, given: Any, world: World) -> bool:
    if op == "anniversary_within_next":
        return _anniversary(value, given, world)
    if op in ("older_than", "within_last", "within_next"):
        instant = isinstance(value, datetime)
        now: Any = world.now if instant else world.today
        if op == "older_than":
            return bool(value <= shifted(now, given, -1, world.zone))
        if op == "within_last":
            return bool(shifted(now, given, -1, world.zone) < value <= now)
        return bool(now <= value <= shifted(now, given, +1, world.zone))
    if op == "between":
        return _compared(value, given[0], world) >= 0 and _compared(value, given[1], world) <= 0
    sign = _compared(value, given, world)
    return {"before": sign < 0, "on": sign == 0, "after": sign > 0}[op]


def _compared(value: Any, given: str, world: World) -> int:
    """−1, 0, +1; with a bare date an instant counts by its local day."""
    asked: Any
    if len(given) == 10:
        asked = date.fromisoformat(given)
        value = value.astimezone(world.zone).date() if isinstance(value, datetime) else value
    else:
        asked = datetime.fromisoformat(given)
    return (value > asked) - (value < asked)


def _anniversary(value: Any, given: str, world: World) -> bool:
    day = value.astimezone(world.zone).date() if isinstance(value, datetime) else value
    last = shifted(world.now, given, +1, world.zone).astimezone(world.zone).date()
    for ahead in range(min((last - world.today).days, 366) + 1):
        then = world.today + timedelta(days=ahead)
        if (then.month, then.day) == (day.month, day.day):
            return True
        if (day.month, day.day, then.month, then.day) == (2, 29, 2, 28) and not calendar.isleap(then.year):
            return True
    return False


def shifted(start: Any, duration: str, sign: int, zone: ZoneInfo) -> Any:
    """A date or an instant plus or minus an ISO duration: the calendar part on the local clock, the rest as time."""
    head, _, tail = duration[1:].partition("T")
    calendar_part = {unit: int(number) for number, unit in re.findall(r"(\d+)([YMWD])", head)}
    clock = {unit: float(number) for number, unit in re.findall(r"([\d.]+)([HMS])", tail)}
    months = 12 * calendar_part.get("Y", 0) + calendar_part.get("M", 0)
    days = 7 * calendar_part.get("W", 0) + calendar_part.get("D", 0)
    if not isinstance(start, datetime):
        return _months(start, sign * months) + timedelta(days=sign * days)
    if months or days:
        local = start.astimezone(zone)
        wall = _months(local.replace(tzinfo=None), sign * months) + timedelta(days=sign * days)
        start = wall.replace(tzinfo=zone, fold=local.fold).astimezone(UTC)
    passed = timedelta(hours=clock.get("H", 0), minutes=clock.get("M", 0), seconds=clock.get("S", 0))
    return start + sign * passed


def _months(day: Any, months: int) -> Any:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return day.replace(year=year, month=month + 1, day=min(day.day, calendar.monthrange(year, month + 1)[1]))


def matching(rule: Any, customer: Row, world: World) -> list[Row]:
    """The records that a `has` is about. What machines did counts only where the rule asks about machines."""
    where = rule.get("where", {"all": []})
    found = [record for record in customer["records"][rule["has"]] if belongs(where, record, world)]
    asked = "machine" in [condition["field"] for _, condition in conditions(where)]
    return [record for record in found if asked or not record.get("machine")]


def speaking(rule: Any, customer: Row, world: World, source: str, wanted: bool = True) -> list[Row]:
    """The records of `source` that spoke for membership: those of each `has` that asks for some, not under `none`."""
    for kind in ("all", "any", "none"):
        if kind in rule:
            towards = wanted is (kind != "none")
            return [found for child in rule[kind] for found in speaking(child, customer, world, source, towards)]
    if "in_segment" in rule:
        return speaking(world.segments[rule["in_segment"]], customer, world, source, wanted)
    nothing = {**customer, "records": {source: []}}
    if not wanted or rule.get("has") != source or _related(rule, nothing, world):
        return []
    return matching(rule, customer, world)


def _related(rule: Any, customer: Row, world: World) -> bool:
    records = matching(rule, customer, world)
    for name in ("sum", "avg", "min", "max"):
        if name in rule:
            return _aggregate(name, rule[name], records, world)
    test = rule.get("count", {"op": "gte", "value": 1})
    return _holds(len(records), test["op"], test["value"], world)


def _aggregate(name: str, test: Any, records: list[Row], world: World) -> bool:
    values = [value for record in records if (value := _value(record, test["field"], world)) is not None]
    if name == "sum":
        return _holds(sum(map(Fraction, values), Fraction(0)), test["op"], test["value"], world)
    if not values:
        return False
    if name == "avg":
        return _holds(sum(map(Fraction, values), Fraction(0)) / len(values), test["op"], test["value"], world)
    return _holds(min(values) if name == "min" else max(values), test["op"], test["value"], world)


def _reachable(channel: str, customer: Row, world: World) -> bool:
    kind = world.channels[channel]
    consented = any(
        consent["channel"] == channel and consent["purpose"] == "marketing" and consent["granted"]
        for consent in customer["records"]["consents"]
    )
    return consented and any(
        address["kind"] == kind and not _spoken_against(address, channel, customer, world)
        for address in customer["addresses"]
    )


def _spoken_against(address: Row, channel: str, customer: Row, world: World) -> bool:
    in_force = [
        row
        for row in [*customer["suppressions"], *world.suppressed_addresses]
        if row["expires_at"] is None or row["expires_at"] > world.now
    ]
    return any(
        (row.get("channel") == channel and row["address"] in (None, address["value"]))
        or (row.get("kind") == address["kind"] and row["address"] == address["value"])
        for row in in_force
    )
