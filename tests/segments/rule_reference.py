"""RULES.md in plain Python: the same rule over the same rows, evaluated one by one, to compare the SQL with.

Written from the document and sharing no code with the room. A customer is a dict of its fields, with `tags`,
`attributes`, `records` ({source: [record, …]}), `addresses`, `suppressions`, `audiences` (ids); None is missing.
"""

from __future__ import annotations

import calendar
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
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
    channels: dict[str, str] = field(default_factory=lambda: {"email": "email"})

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()


def belongs(rule: Any, customer: Row, world: World) -> bool:
    for kind in ("all", "any", "none"):
        if kind in rule:
            said = [belongs(child, customer, world) for child in rule[kind]]
            return all(said) if kind == "all" else any(said) is (kind == "any")
    if "in_segment" in rule:
        return belongs(world.segments[rule["in_segment"]], customer, world)
    if "in_audience" in rule:
        return rule["in_audience"] in customer["audiences"]
    if "bucket" in rule:
        digest = hashlib.sha256(f"rule:{customer['id']}".encode()).digest()
        return rule["bucket"]["from"] <= int.from_bytes(digest[:8], "big") % 10_000 <= rule["bucket"]["to"]
    if "has" in rule:
        return _related(rule, customer, world)
    return _field(rule, customer, world)


def _field(rule: Any, row: Row, world: World) -> bool:
    name: str = rule["field"]
    if name.startswith("reachable."):
        value: Any = _reachable(name.removeprefix("reachable."), row, world)
    elif name.startswith("attributes."):
        value = (row["attributes"] or {}).get(name.removeprefix("attributes."))
    else:
        value = row[name]
    return _holds(value, rule["op"], rule.get("value"), world, exact=name in EXACT)


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
        return _time(value, op, given, world)
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


def _time(value: Any, op: str, given: Any, world: World) -> bool:
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


def _related(rule: Any, customer: Row, world: World) -> bool:
    where = rule.get("where", {"all": []})
    asked = str(where) + str(rule)
    records = [
        record
        for record in customer["records"].get(rule["has"], [])
        if belongs(where, record, world) and (not record.get("machine") or "'machine'" in asked)
    ]
    for name in ("sum", "avg", "min", "max"):
        if name in rule:
            return _aggregate(name, rule[name], records, world)
    test = rule.get("count", {"op": "gte", "value": 1})
    return _holds(len(records), test["op"], test["value"], world)


def _aggregate(name: str, test: Any, records: list[Row], world: World) -> bool:
    values = [value for record in records if (value := _value(record, test["field"])) is not None]
    if name == "sum":
        return _holds(sum(map(Fraction, values), Fraction(0)), test["op"], test["value"], world)
    if not values:
        return False
    if name == "avg":
        return _holds(sum(map(Fraction, values), Fraction(0)) / len(values), test["op"], test["value"], world)
    return _holds(min(values) if name == "min" else max(values), test["op"], test["value"], world)


def _value(record: Row, name: str) -> Any:
    return record[name]


def _reachable(channel: str, customer: Row, world: World) -> bool:
    kind = world.channels[channel]
    consented = any(
        consent["channel"] == channel and consent["purpose"] == "marketing" and consent["granted"]
        for consent in customer["records"].get("consents", [])
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
