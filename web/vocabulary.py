"""What a rule can ask, in words: for the builder's menus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from customers.fields import FIELDS as CUSTOMER_FIELDS
from runtime.registry import Field, Kind, Source
from segments.operators import AGGREGATES, OPERATORS, measure_operators
from segments.schema import ATTRIBUTES, REACHABLE, Schema
from segments.vocabulary import CHANNELS, FIELDS, LANGUAGES, RECORDS
from web.builder_words import (
    BUILDER_WORDS,
    DEFAULTS,
    FIRST,
    KIND_DEFAULTS,
    MONEY,
    REACH,
    SUBJECTS,
    UNITS,
    VERBS,
)
from web.i18n import N_, _, current_language

OPERATOR_LABELS: Mapping[str, str] = {
    "eq": N_("is"),
    "ne": N_("is not"),
    "in": N_("is one of"),
    "not_in": N_("is none of"),
    "contains": N_("contains"),
    "not_contains": N_("does not contain"),
    "starts_with": N_("starts with"),
    "ends_with": N_("ends with"),
    "matches": N_("matches the pattern"),
    "lt": N_("less than"),
    "lte": N_("at most"),
    "gt": N_("more than"),
    "gte": N_("at least"),
    "between": N_("between"),
    "before": N_("before"),
    "after": N_("after"),
    "on": N_("on"),
    "older_than": N_("longer ago than"),
    "within_last": N_("within the last"),
    "within_next": N_("within the next"),
    "not_within_last": N_("not within the last"),
    "anniversary_within_next": N_("anniversary within the next"),
    "is": N_("is"),
    "has_any": N_("has any of"),
    "has_all": N_("has all of"),
    "has_none": N_("has none of"),
    "empty": N_("is missing"),
    "not_empty": N_("is known"),
}

NUMBER_OPERATOR_LABELS: Mapping[str, str] = {"eq": N_("exactly"), "ne": N_("not exactly")}


def builder_vocabulary(schema: Schema, currency: str) -> dict[str, Any]:
    """All that the builder's menus offer, in the language of the request."""
    return {
        "fields": _customer_fields(schema, currency),
        "sources": [_source(source, currency) for source in schema.sources.values()],
        "operators": {kind.value: _operators(kind) for kind in Kind},
        "measures": {kind.value: _measures(kind) for kind in (Kind.NUMBER, Kind.DATE, Kind.INSTANT)},
        "aggregates": {name: sorted(kind.value for kind in kinds) for name, kinds in AGGREGATES.items()},
        "words": {name: _(text) for name, text in BUILDER_WORDS.items()},
    }


def field_label(name: str) -> str:
    """A field's name as people call it."""
    return _said(FIELDS[name]) if name in FIELDS else name


def records_label(name: str) -> str:
    """What the records of a source are called."""
    return _said(RECORDS[name][1:]) if name in RECORDS else name


def channel_label(name: str) -> str:
    return _said(CHANNELS[name]) if name in CHANNELS else name


def _customer_fields(schema: Schema, currency: str) -> list[dict[str, Any]]:
    """Grouped by what they are about, as `SUBJECTS` orders them."""
    own = {name: _field(found, currency) for name, found in CUSTOMER_FIELDS.items()}
    listed = [
        {**field, "group": _(subject)}
        for subject, names in SUBJECTS.items()
        for field in [*(own.pop(name) for name in names if name in own), *(_reach(schema) if subject == REACH else [])]
    ]
    custom = [
        {"name": ATTRIBUTES + key, "label": key, "kind": kind.value} for key, kind in sorted(schema.attributes.items())
    ]
    return listed + [{**field, "group": _("Fields of your own")} for field in [*own.values(), *custom]]


def _reach(schema: Schema) -> list[dict[str, Any]]:
    return [
        {
            "name": REACHABLE + name,
            "label": _("Reachable: %(channel)s", channel=channel_label(name)),
            "kind": Kind.YES_NO.value,
        }
        for name in schema.channels
    ]


def _source(source: Source, currency: str) -> dict[str, Any]:
    _one, *several = RECORDS.get(source.name, (source.name,) * 3)
    label = _said(several)
    return {
        "name": source.name,
        "label": label,
        "verb": _(VERBS[source.name]) if source.name in VERBS else label,
        "fields": [_field(found, currency) for found in source.fields.values()],
    }


def _field(found: Field, currency: str) -> dict[str, Any]:
    """What the builder must know of a field; `default`: the comparison that a new condition begins with."""
    unit = currency if found.name in MONEY else _(UNITS[found.name]) if found.name in UNITS else None
    wanted = DEFAULTS.get(found.name) or KIND_DEFAULTS[found.kind]
    return {
        "name": found.name,
        "label": field_label(found.name),
        "kind": found.kind.value,
        "default": dict(zip(("op", "value"), wanted, strict=False)),
        **({"unit": unit} if unit else {}),
    }


def _operators(kind: Kind) -> list[dict[str, str]]:
    return [
        {"name": name, "label": _operator_label(kind, name), "takes": takes.value}
        for name, takes in sorted(OPERATORS[kind].items(), key=lambda one: one[0] not in FIRST)
    ]


def _measures(kind: Kind) -> list[dict[str, str]]:
    return [
        {"name": name, "label": _operator_label(kind, name), "takes": takes.value}
        for name, takes in measure_operators(kind).items()
    ]


def _operator_label(kind: Kind, name: str) -> str:
    special = NUMBER_OPERATOR_LABELS if kind in (Kind.NUMBER, Kind.RANK) else {}
    return _(special.get(name) or OPERATOR_LABELS[name])


def _said(words: Sequence[str]) -> str:
    """English or Chinese, as a menu begins it."""
    said = words[LANGUAGES.index(current_language())]
    return said[:1].upper() + said[1:]
