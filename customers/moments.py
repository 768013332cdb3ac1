"""Dates and instants as people and programs write them; readers as in customers/values.py."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from customers.values import Context, kind_of, narrow, shown

_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_DATE = re.compile(
    r"(?P<year>\d{4})(?:(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})"
    r"|年\s*(?P<month2>\d{1,2})\s*月\s*(?P<day2>\d{1,2})\s*[日号]?"
    r"|(?P<month3>\d\d)(?P<day3>\d\d))"
)
_TIME = re.compile(
    r"(?P<half>上午|下午|AM|PM)?\s*(?P<hour>\d{1,2})[:时](?P<minute>\d{1,2})(?:(?::|分(?=\d))(?P<second>\d{1,2})秒?|分)?"
    r"(?:[.,](?P<fraction>\d{1,9}))?\s*(?P<half2>AM|PM)?\s*(?P<offset>Z|UTC|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)


def read_date(value: Any, context: Context) -> date | None:
    """A calendar day: `2024-03-05`, `2024/3/5`, `2024.3.5`, `2024年3月5日`, `20240305`; a time after it is left out."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return _plausible(value)
    text = _digits_text(value, "a date")
    if not text:
        return None
    iso = _ISO_DATE.fullmatch(text)
    if iso:
        return _day(iso[1], iso[2], iso[3], text)
    found = _split_date(text)
    if found is None:
        raise ValueError(_no_date(text, "a date like 2024-03-05 or 2024年3月5日"))
    day, rest = found
    if rest and _TIME.fullmatch(rest) is None:
        raise ValueError(_no_date(text, "a date like 2024-03-05 or 2024年3月5日"))
    return day


def read_instant(value: Any, context: Context) -> datetime | None:
    """An instant in UTC: RFC 3339, or a date with or without time as files write it, then in the workspace's zone."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _utc(value, context.zone)
    if isinstance(value, date):
        return _utc(datetime.combine(_plausible(value), time()), context.zone)
    text = _digits_text(value, "a time")
    if not text:
        return None
    try:
        return _utc(datetime.fromisoformat(text), context.zone)
    except (ValueError, OverflowError):
        return _written_instant(text, context.zone)


def _digits_text(value: Any, what: str) -> str:
    if isinstance(value, str):
        text = narrow(value)
        if len(text) > 60:
            raise ValueError(f"{shown(text)} is not {what}")
        return text
    raise ValueError(f"expected {what}, not {kind_of(value)}")


def _split_date(text: str) -> tuple[date, str] | None:
    found = _DATE.match(text)
    if found is None:
        return None
    parts = found.groupdict()
    month = parts["month"] or parts["month2"] or parts["month3"]
    day = parts["day"] or parts["day2"] or parts["day3"]
    rest = text[found.end() :]
    if rest[:1].isdigit():
        return None
    return _day(parts["year"], month, day, text), rest.removeprefix("T").strip()


def _written_instant(text: str, zone: ZoneInfo) -> datetime:
    fault = _no_date(text, "a time like 2024-03-05T14:30:00+08:00 or 2024/3/5 14:30")
    found = _split_date(text)
    if found is None:
        raise ValueError(fault)
    day, rest = found
    if not rest:
        return _utc(datetime.combine(day, time()), zone)
    clock = _TIME.fullmatch(rest)
    if clock is None:
        raise ValueError(fault)
    try:
        moment = datetime.combine(day, _clock_time(clock), _offset(clock["offset"]))
    except ValueError:
        raise ValueError(fault) from None
    return _utc(moment, zone)


def _clock_time(clock: re.Match[str]) -> time:
    hour = int(clock["hour"])
    half = (clock["half"] or clock["half2"] or "").upper()
    if half and not 1 <= hour <= 12:
        hour = hour if half in ("下午", "PM") else 99
    elif half in ("下午", "PM"):
        hour = hour % 12 + 12
    elif half:
        hour %= 12
    fraction = int((clock["fraction"] or "0").ljust(6, "0")[:6])
    return time(hour, int(clock["minute"]), int(clock["second"] or 0), fraction)


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.upper() in ("Z", "UTC"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _day(year: str, month: str, day: str, text: str) -> date:
    try:
        return _plausible(date(int(year), int(month), int(day)))
    except ValueError:
        raise ValueError(f"{shown(text)} is not a day of the calendar between 1900 and 2199") from None


def _plausible(day: date) -> date:
    if not 1900 <= day.year <= 2199:
        raise ValueError(f"{day.isoformat()} is not a day of the calendar between 1900 and 2199")
    return day


def _utc(moment: datetime, zone: ZoneInfo) -> datetime:
    _plausible(moment.date())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _no_date(text: str, expected: str) -> str:
    hint = "; a mapping can give its format" if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*", text) else ""
    return f"{shown(text)} is not {expected}{hint}"
