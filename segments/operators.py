"""Which operators each kind of field has, and what kind of value each operator takes (RULES.md, "Operators")."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from runtime.registry import Kind


class Takes(StrEnum):
    """The shape of an operator's value; the kind of the field gives the type of its parts."""

    NOTHING = "nothing"
    ONE = "one"
    MANY = "many"  # a list of at least one
    PAIR = "pair"  # [low, high], both included
    PATTERN = "pattern"
    DURATION = "duration"
    TRUTH = "truth"


_ANY = {"empty": Takes.NOTHING, "not_empty": Takes.NOTHING}
_TEXT = {
    "eq": Takes.ONE,
    "ne": Takes.ONE,
    "in": Takes.MANY,
    "not_in": Takes.MANY,
    "contains": Takes.ONE,
    "not_contains": Takes.ONE,
    "starts_with": Takes.ONE,
    "ends_with": Takes.ONE,
    "matches": Takes.PATTERN,
}
_NUMBER = {
    "eq": Takes.ONE,
    "ne": Takes.ONE,
    "lt": Takes.ONE,
    "lte": Takes.ONE,
    "gt": Takes.ONE,
    "gte": Takes.ONE,
    "between": Takes.PAIR,
    "in": Takes.MANY,
    "not_in": Takes.MANY,
}
_TIME = {
    "before": Takes.ONE,
    "after": Takes.ONE,
    "on": Takes.ONE,
    "between": Takes.PAIR,
    "older_than": Takes.DURATION,
    "within_last": Takes.DURATION,
    "within_next": Takes.DURATION,
    "not_within_last": Takes.DURATION,
    "anniversary_within_next": Takes.DURATION,
}

OPERATORS: Mapping[Kind, Mapping[str, Takes]] = {
    Kind.TEXT: {**_TEXT, **_ANY},
    Kind.CODE: {**_TEXT, **_ANY},
    Kind.NUMBER: {**_NUMBER, **_ANY},
    Kind.RANK: {**_NUMBER, **_ANY},
    Kind.DATE: {**_TIME, **_ANY},
    Kind.INSTANT: {**_TIME, **_ANY},
    Kind.YES_NO: {"is": Takes.TRUTH, **_ANY},
    Kind.LIST: {"has_any": Takes.MANY, "has_all": Takes.MANY, "has_none": Takes.MANY, **_ANY},
}

NEGATED: Mapping[str, str] = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "has_none": "has_any",
    "not_within_last": "within_last",
    "not_empty": "empty",
}
"""Operators that hold exactly where another does not; a missing value therefore matches them (but not `not_empty`)."""

KNOWN: frozenset[str] = frozenset(operator for table in OPERATORS.values() for operator in table)

AGGREGATES: Mapping[str, frozenset[Kind]] = {
    "sum": frozenset({Kind.NUMBER}),
    "avg": frozenset({Kind.NUMBER}),
    "min": frozenset({Kind.NUMBER, Kind.DATE, Kind.INSTANT}),
    "max": frozenset({Kind.NUMBER, Kind.DATE, Kind.INSTANT}),
}


def measure_operators(kind: Kind) -> Mapping[str, Takes]:
    """The operators of a count or an aggregate over fields of `kind`: all but `empty` and `not_empty`."""
    return {name: takes for name, takes in OPERATORS[kind].items() if name not in _ANY}
