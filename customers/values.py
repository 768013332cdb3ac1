"""Single values as people and programs write them, made plain: text, codes, numbers, dates, instants, yes/no.

Every reader takes `(value, context)` and returns the plain value, or None for nothing (`None`, `""`); it raises
ValueError with a reason that can be shown. Strings may come from files (full-width digits, `¥1,234`), other types
from JSON.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Reader = Callable[[Any, "Context"], Any]


@dataclass(frozen=True)
class Context:
    """What reading needs to know of the workspace: the zone of times without offset, the country of phone numbers."""

    zone: ZoneInfo
    country: str


_TEXT_LIMIT = 2000
_CODE_LIMIT = 200
_NUMBER_LIMIT = Decimal(10) ** 12  # sums of many fit Numeric(18, 4)
_HALVES = re.compile("[\ud800-\udfff]")
_CURRENCY = re.compile(r"^(?:[¥￥$€£]|CNY|RMB|USD|EUR|GBP)\s*|\s*(?:[¥￥$€£元]|CNY|RMB|USD|EUR|GBP)$", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d{1,2})?")
_PLAIN_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,4})?")
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
_YES = frozenset({"true", "yes", "y", "1", "是", "有", "t", "on"})
_NO = frozenset({"false", "no", "n", "0", "否", "无", "f", "off"})


def read_text(value: Any, _: Context, limit: int = _TEXT_LIMIT) -> str | None:
    """Text without surrounding space, composed (NFC). Numbers become their decimal text."""
    if isinstance(value, str):
        text = value.strip()
    elif value is None:
        return None
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        text = str(value)
    else:
        raise ValueError(f"expected text, not {_kind_of(value)}")
    if "\0" in text:
        raise ValueError("contains a NUL character")
    if len(text) > limit:
        raise ValueError(f"is longer than {limit} characters")
    if text.isascii():
        return text or None
    if _HALVES.search(text):
        raise ValueError("contains half of a character (an unpaired surrogate)")
    return unicodedata.normalize("NFC", text) or None


def read_line(value: Any, context: Context) -> str | None:
    """A short text: a name, a city. Longer ones would not fit an index."""
    return read_text(value, context, _CODE_LIMIT)


def read_code(value: Any, context: Context) -> str | None:
    """A code or number that is compared exactly: one line of at most 200 characters."""
    text = read_text(value, context, _CODE_LIMIT)
    if text is not None and any(sign in text for sign in "\r\n\t"):
        raise ValueError("a code is one line")
    return text


def read_word(value: Any, context: Context) -> str | None:
    """A word of a vocabulary, lower-cased: a channel, a purpose, an identity's kind."""
    text = read_code(value, context)
    return None if text is None else text.casefold()


def read_number(value: Any, _: Context) -> Decimal | None:
    """A decimal number below 10^12, kept to four decimals: `1,234.50`, `¥1,234`, `１２`, `-3`, `(12.5)`."""
    if value is None:
        return None
    number = _number_of(value)
    if number is None:
        return None
    if not number.is_finite() or abs(number) >= _NUMBER_LIMIT:
        raise ValueError("is out of range")
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent >= -4 else number.quantize(Decimal("0.0001"))


def read_integer(value: Any, context: Context) -> int | None:
    """A whole number; `3.0` is 3."""
    number = read_number(value, context)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise ValueError(f"{_shown(value)} is not a whole number")
    return int(number)


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


def read_yes_no(value: Any, _: Context) -> bool | None:
    """`true`, `yes`, `1`, `是` and their opposites."""
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().casefold()
    if text in _YES:
        return True
    if text in _NO:
        return False
    if not text:
        return None
    raise ValueError(f"{_shown(value)} is neither yes nor no")


def read_texts(value: Any, context: Context) -> list[str] | None:
    """A list of texts, or one text with commas, semicolons, `、` or `|` between them; repeated ones count once."""
    if value is None:
        return None
    if isinstance(value, str):
        value = re.split(r"[,;，；、|]", value)
    if not isinstance(value, list):
        raise ValueError(f"expected a list of texts, not {_kind_of(value)}")
    if len(value) > 200:
        raise ValueError("has more than 200 entries")
    texts = (read_code(part, context) for part in value)
    return list(dict.fromkeys(text for text in texts if text))


def read_zone(value: Any, context: Context) -> str | None:
    """The name of a time zone like `Asia/Shanghai`."""
    name = read_code(value, context)
    if name is not None and not _is_zone(name):
        raise ValueError(f"{_shown(name)} is not a time zone like Asia/Shanghai")
    return name


def narrow(text: str) -> str:
    """Full-width letters, digits and signs as their plain forms (NFKC), without surrounding space."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def as_utc(moment: datetime, zone: ZoneInfo) -> datetime:
    """`moment` in UTC; without offset it is the zone's wall clock."""
    return _utc(moment, zone)


def _number_of(value: Any) -> Decimal | None:
    if isinstance(value, str):
        text = value if _PLAIN_NUMBER.fullmatch(value) else _plain_number(value)
        return Decimal(text) if text else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(f"expected a number, not {_kind_of(value)}")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _plain_number(value: str) -> str:
    text = _CURRENCY.sub("", narrow(value)).strip()
    if text.startswith("(") and text.endswith(")"):
        text = "-" + _CURRENCY.sub("", text[1:-1].strip())
    elif text.startswith("-"):
        text = "-" + _CURRENCY.sub("", text[1:].strip())
    if not text:
        return ""
    if len(text) > 60 or not _NUMBER.fullmatch(text) or not any(sign.isdigit() for sign in text):
        raise ValueError(f"{_shown(value)} is not a number")
    try:
        Decimal(plain := text.replace(",", ""))
    except InvalidOperation:
        raise ValueError(f"{_shown(value)} is not a number") from None
    return plain


def _digits_text(value: Any, what: str) -> str:
    if isinstance(value, str):
        text = narrow(value)
        if len(text) > 60:
            raise ValueError(f"{_shown(text)} is not {what}")
        return text
    raise ValueError(f"expected {what}, not {_kind_of(value)}")


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
        raise ValueError(f"{_shown(text)} is not a day of the calendar between 1900 and 2199") from None


def _plausible(day: date) -> date:
    if not 1900 <= day.year <= 2199:
        raise ValueError(f"{day.isoformat()} is not a day of the calendar between 1900 and 2199")
    return day


def _utc(moment: datetime, zone: ZoneInfo) -> datetime:
    _plausible(moment.date())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _no_date(text: str, expected: str) -> str:
    hint = "; a mapping can give its format" if re.fullmatch(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*", text) else ""
    return f"{_shown(text)} is not {expected}{hint}"


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "yes/no", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
