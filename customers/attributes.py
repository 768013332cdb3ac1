"""A workspace's own fields: typed by their definition, which the first value makes where there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import put_new
from customers.models import attribute_definitions
from customers.moments import read_date, read_instant
from customers.values import Context, Reader, read_number, read_text, read_texts, read_yes_no
from runtime.errors import Problem
from runtime.registry import Kind
from runtime.text import fold

_KEY = re.compile(r"[^\W\d]\w{0,63}")
_LIMIT = 200
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_READERS: Mapping[Kind, Reader] = {
    Kind.TEXT: read_text,
    Kind.NUMBER: read_number,
    Kind.DATE: read_date,
    Kind.INSTANT: read_instant,
    Kind.YES_NO: read_yes_no,
    Kind.LIST: read_texts,
}


async def attribute_kinds(conn: AsyncConnection) -> dict[str, Kind]:
    """The kind of each attribute that is defined."""
    rows = await conn.execute(select(attribute_definitions.c.key, attribute_definitions.c.kind))
    return {key: Kind(kind) for key, kind in rows}


async def define_attributes(conn: AsyncConnection, kinds: Mapping[str, Kind]) -> None:
    """Define those of `kinds` that are not yet; a definition that exists stays."""
    await put_new(conn, attribute_definitions, [{"key": key, "kind": kind.value} for key, kind in kinds.items()])


def read_attributes(
    given: Any, kinds: dict[str, Kind], context: Context, path: str
) -> tuple[dict[str, Any], list[Problem]]:
    """`given` as stored in JSON (numbers plain, dates and instants ISO, UTC); new keys enter `kinds`, inferred.

    A null value stays, as the wish to remove the attribute.
    """
    if given is None:
        return {}, []
    if not isinstance(given, dict) or len(given) > _LIMIT:
        return {}, [Problem(path, f"expected an object of at most {_LIMIT} attributes")]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        try:
            values[key] = read_attribute(key, value, kinds, context)
        except ValueError as error:
            problems.append(Problem(f"{path}.{key}", str(error)))
    return values, problems


def folded_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The texts and lists among stored attribute values, folded for comparing."""
    return {
        key: fold(value) if isinstance(value, str) else [fold(part) for part in value]
        for key, value in values.items()
        if isinstance(value, (str, list))
    }


def read_attribute(key: str, value: Any, kinds: dict[str, Kind], context: Context) -> Any:
    """One value as stored; a new key enters `kinds`. Raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError("an attribute's key is letters, digits and _, not beginning with a digit, at most 64")
    if value is None:
        return None
    kind = kinds.get(key) or _inferred(value)
    plain = _READERS[kind](value, context)
    kinds.setdefault(key, kind)
    return _stored(plain)


def _inferred(value: Any) -> Kind:
    if isinstance(value, bool):
        return Kind.YES_NO
    if isinstance(value, (int, float, Decimal)):
        return Kind.NUMBER
    if isinstance(value, list):
        return Kind.LIST
    if isinstance(value, datetime) or (isinstance(value, str) and _INSTANT.fullmatch(value)):
        return Kind.INSTANT
    if isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value)):
        return Kind.DATE
    return Kind.TEXT


def _stored(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat()
    return value
