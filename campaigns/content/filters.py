"""The filters of a template: Jinja's harmless ones, our own in place of those that can grow without limit, and what
mails need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal
from jinja2.filters import FILTERS as JINJA
from jinja2.runtime import Undefined

from campaigns.content.limits import LimitReached, within_text_limit
from campaigns.content.names import words

_TAKEN = words(
    "abs capitalize count e escape first float int last length list lower map max min reverse sort striptags string"
    " title trim truncate unique upper wordcount"
)
_OWN = words("d default date join money number replace round sum time urlencode")
FILTERS = frozenset([*_TAKEN, *_OWN])

_CSS = re.compile(r"[^\w\s#%.,+-]")


def filters_for(language: str, currency: str, timezone: str) -> Mapping[str, Callable[..., Any]]:
    """All filters, with dates and numbers as `language` writes them, instants shown in `timezone`."""
    locale = str(locale_of(language))
    zone = ZoneInfo(timezone)

    def show_date(value: Any, style: str = "medium") -> Any:
        """`medium`, `long` … or a pattern such as `yyyy-MM-dd`."""
        if type(value) is date:
            return _date_text(value, _pattern(style), locale)
        return value if _absent(value) else _date_text(_day(_local(value, zone)), _pattern(style), locale)

    def show_time(value: Any, style: str = "medium") -> Any:
        return value if _absent(value) else _time_text(_moment(_local(value, zone)), _pattern(style), locale)

    def money(value: Any, code: str = currency) -> Any:
        return value if _absent(value) else _money_text(_decimal(value), code, locale)

    def number(value: Any, decimals: int | None = None) -> Any:
        return value if _absent(value) else _number_text(_decimal(value), decimals, locale)

    own = {"date": show_date, "time": show_time, "money": money, "number": number}
    return {**{name: JINJA[name] for name in _TAKEN}, **_PLAIN, **own}


def locale_of(language: str) -> Locale:
    """The nearest locale that is known, else English."""
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


def _default(value: Any, fallback: Any = "", *_: Any) -> Any:
    """The fallback for what is missing or empty; zero is a value."""
    return fallback if _absent(value) or value == "" else value


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    if isinstance(values, str):
        raise LimitReached("join is for lists")
    items = [value.get(attribute) if attribute and isinstance(value, dict) else value for value in values]
    texts = [str(item) for item in items if not _absent(item)]
    if any(isinstance(item, (dict, list)) for item in items):
        raise LimitReached('records are joined by one of their fields: join(", ", attribute="model")')
    within_text_limit(sum(map(len, texts)) + len(texts) * len(separator))
    return str(separator).join(texts)


def _replace(value: Any, old: str, new: str, *_: Any) -> str:
    text, old, new = str(value), str(old), str(new)
    within_text_limit(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _round(value: Any, precision: int = 0) -> Any:
    return value if _absent(value) else round(_decimal(value), max(0, min(int(precision), 10)))


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    numbers = [value.get(attribute) if attribute and isinstance(value, dict) else value for value in values]
    return sum(_decimal(number) for number in numbers if not _absent(number))


def _urlencode(value: Any) -> str:
    text = str(value)
    within_text_limit(9 * len(text))
    return quote(text, safe="/", errors="replace")


def quote_value(value: Any) -> str:
    """A value as part of a path or query: nothing in it can end the one or begin the other."""
    return quote(str(value), safe="", errors="replace")


def css_value(value: Any) -> str:
    """A value inside a style: words, numbers, colours; nothing that ends a declaration or calls a function."""
    return _CSS.sub("", str(value))


_PLAIN: Mapping[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "urlencode": _urlencode,
    "_url": quote_value,
    "_css": css_value,
}


def _absent(value: Any) -> bool:
    return value is None or isinstance(value, Undefined)


def _local(value: Any, zone: ZoneInfo) -> date:
    if isinstance(value, str):
        value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone)
    if isinstance(value, date):
        return value
    raise LimitReached(f"{value!r} is no date")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise LimitReached(f"{value!r} is no number")
    try:
        found = Decimal(str(value)[:100])
    except InvalidOperation:
        raise LimitReached(f"{value!r} is no number") from None
    if not found.is_finite() or abs(found.adjusted()) > 30:
        raise LimitReached(f"{value!r} is too large a number")
    return found


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _moment(value: date) -> datetime:
    """Naive, the wall clock alone: equal instants of two zones must not share a place in the cache."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a day without a time


def _pattern(style: Any) -> str:
    if not isinstance(style, str) or len(style) > 64:
        raise LimitReached("a date's pattern is at most 64 characters, such as yyyy-MM-dd")
    return style


@lru_cache(maxsize=4096)
def _date_text(value: date, style: str, locale: str) -> str:
    return format_date(value, style, locale=locale)


@lru_cache(maxsize=4096)
def _time_text(value: datetime, style: str, locale: str) -> str:
    return format_datetime(value, style, locale=locale)


@lru_cache(maxsize=4096)
def _money_text(value: Decimal, code: str, locale: str) -> str:
    return format_currency(value, code, locale=locale)


@lru_cache(maxsize=4096)
def _number_text(value: Decimal, decimals: int | None, locale: str) -> str:
    if decimals is None:
        return format_decimal(value, locale=locale)
    places = max(0, min(int(decimals), 10))
    return format_decimal(round(value, places), format="#,##0" + ("." + "0" * places if places else ""), locale=locale)
