"""Custom attributes as typed columns: expressions over a JSONB column.

Values are checked against their definition when they are written (JSON numbers, true/false, text, ISO dates, RFC 3339
times, lists of text). What was written under an earlier definition and does not fit the present one counts as missing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Numeric,
    Text,
    case,
    cast,
    func,
    null,
)
from sqlalchemy.dialects.postgresql import JSONB

from runtime.registry import Field, Kind, Source

# Exact, so that the cast behind it never fails: month lengths, leap years, no year 0000; digits are those of ASCII,
# which \d is not in every collation.
_DATE = (
    r"(?!0000)([0-9]{4}-(01|03|05|07|08|10|12)-(0[1-9]|[12][0-9]|3[01])|[0-9]{4}-(04|06|09|11)-(0[1-9]|[12][0-9]|30)"
    r"|[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_DAY = f"^{_DATE}$"
_INSTANT = f"^{_DATE}[T ]{_TIME}$"


def attribute_field(source: Source, key: str, kind: Kind) -> Field:
    """The field `attributes.<key>` of `source`, of the defined kind."""
    raw = source.attributes
    assert raw is not None
    folded = None if kind is Kind.CODE else source.table.c.get(f"{getattr(raw, 'name', '')}_folded")
    column = _typed(raw, key, kind)
    return Field(f"attributes.{key}", kind, column, None if folded is None else _typed(folded, key, kind))


def _typed(raw: ColumnElement[Any], key: str, kind: Kind) -> ColumnElement[Any]:
    text = func.jsonb_extract_path_text(raw, key, type_=Text)
    value = func.jsonb_extract_path(raw, key, type_=JSONB)
    if kind is Kind.NUMBER:
        return _where_json(value, "number", cast(text, Numeric))
    if kind is Kind.YES_NO:
        return _where_json(value, "boolean", cast(text, Boolean))
    if kind is Kind.LIST:
        return _where_json(value, "array", value)
    if kind is Kind.TEXT:
        return _where_json(value, "string", text)
    if kind is Kind.DATE:
        return case((text.regexp_match(_DAY), cast(text, Date)), else_=null())
    if kind is Kind.INSTANT:
        return case((text.regexp_match(_INSTANT), cast(text, DateTime(timezone=True))), else_=null())
    return text  # a raw fact: whatever came, as text


def _where_json(value: ColumnElement[Any], type_name: str, typed: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.jsonb_typeof(value) == type_name, typed), else_=null())
