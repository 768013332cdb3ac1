"""Single values as people and programs write them, made plain: text, codes, numbers, yes/no (moments.py: dates).

Every reader takes `(value, context)` and returns the plain value, or None for nothing (`None`, `""`); it raises
ValueError with a reason that can be shown. Strings may come from files (full-width digits, `¥1,234`), other types
from JSON.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
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
_STREET_LIMIT = 300
_NUMBER_LIMIT = Decimal(10) ** 12  # sums of many fit Numeric(18, 4)
_BREAK = re.compile(r"[\r\n\t]")
_HALVES = re.compile("[\ud800-\udfff]")
_CURRENCY = re.compile(r"^(?:[¥￥$€£]|CNY|RMB|USD|EUR|GBP)\s*|\s*(?:[¥￥$€£元]|CNY|RMB|USD|EUR|GBP)$", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d{1,2})?")
_PLAIN_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,4})?")
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
        raise ValueError(f"expected text, not {kind_of(value)}")
    if "\0" in text:
        raise ValueError("contains a NUL character")
    if len(text) > limit:
        raise ValueError(f"is longer than {limit} characters")
    if text.isascii():
        return text or None
    if _HALVES.search(text):
        raise ValueError("contains half of a character (an unpaired surrogate)")
    return unicodedata.normalize("NFC", text) or None


def read_street(value: Any, context: Context) -> str | None:
    """A postal address. Longer ones would not fit an index, where folding can make fifteen bytes of one sign."""
    return read_text(value, context, _STREET_LIMIT)


def read_line(value: Any, context: Context) -> str | None:
    """A short text: a name, a city. Longer ones would not fit an index."""
    return read_text(value, context, _CODE_LIMIT)


def read_code(value: Any, context: Context) -> str | None:
    """A code or number that is compared exactly: one line of at most 200 characters."""
    text = read_text(value, context, _CODE_LIMIT)
    if text is not None and not text.isalnum() and _BREAK.search(text):
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
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(number)


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
    raise ValueError(f"{shown(value)} is neither yes nor no")


def read_texts(value: Any, context: Context) -> list[str] | None:
    """A list of texts, or one text with commas, semicolons, `、` or `|` between them; repeated ones count once."""
    if value is None:
        return None
    if isinstance(value, str):
        value = re.split(r"[,;，；、|]", value)
    if not isinstance(value, list):
        raise ValueError(f"expected a list of texts, not {kind_of(value)}")
    if len(value) > 200:
        raise ValueError("has more than 200 entries")
    texts = (read_code(part, context) for part in value)
    return list(dict.fromkeys(text for text in texts if text))


def read_zone(value: Any, context: Context) -> str | None:
    """The name of a time zone like `Asia/Shanghai`."""
    name = read_code(value, context)
    if name is not None and not _is_zone(name):
        raise ValueError(f"{shown(name)} is not a time zone like Asia/Shanghai")
    return name


def narrow(text: str) -> str:
    """Full-width letters, digits and signs as their plain forms (NFKC), without surrounding space."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def shown(value: Any) -> str:
    """A value within a message: quoted and not too long."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "…")


def kind_of(value: Any) -> str:
    """What JSON calls a value's kind."""
    names = {dict: "an object", list: "a list", bool: "yes/no", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _number_of(value: Any) -> Decimal | None:
    if isinstance(value, str):
        text = value if _PLAIN_NUMBER.fullmatch(value) else _plain_number(value)
        return Decimal(text) if text else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(f"expected a number, not {kind_of(value)}")
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
        raise ValueError(f"{shown(value)} is not a number")
    try:
        Decimal(plain := text.replace(",", ""))
    except InvalidOperation:
        raise ValueError(f"{shown(value)} is not a number") from None
    return plain


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
