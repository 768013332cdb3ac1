"""What a rule can ask, in words: for the builder's menus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from customers.fields import FIELDS as CUSTOMER_FIELDS
from runtime.registry import Field, Kind, Source
from segments.operators import AGGREGATES, OPERATORS, measure_operators
from segments.schema import ATTRIBUTES, REACHABLE, Schema
from segments.vocabulary import CHANNELS, FIELDS, LANGUAGES, RECORDS
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
    "older_than": N_("more than … ago"),
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


def builder_vocabulary(schema: Schema) -> dict[str, Any]:
    """All that the builder's menus offer, in the language of the request."""
    return {
        "fields": _customer_fields(schema),
        "sources": [_source(source, schema) for source in schema.sources.values()],
        "operators": {kind.value: _operators(kind) for kind in Kind},
        "measures": {kind.value: _measures(kind) for kind in (Kind.NUMBER, Kind.DATE, Kind.INSTANT)},
        "aggregates": {name: sorted(kind.value for kind in kinds) for name, kinds in AGGREGATES.items()},
        "words": {name: _(text) for name, text in WORDS.items()},
    }


def field_label(name: str) -> str:
    """A field's name as people call it."""
    return _said(FIELDS[name]) if name in FIELDS else name


def channel_label(name: str) -> str:
    return _said(CHANNELS[name]) if name in CHANNELS else name


def _customer_fields(schema: Schema) -> list[dict[str, str]]:
    own = [_field(found) for found in CUSTOMER_FIELDS.values()]
    reach = [
        {
            "name": REACHABLE + name,
            "label": _("Reachable: %(channel)s", channel=channel_label(name)),
            "kind": Kind.YES_NO.value,
        }
        for name in schema.channels
    ]
    custom = [
        {"name": ATTRIBUTES + key, "label": key, "kind": kind.value} for key, kind in sorted(schema.attributes.items())
    ]
    return own + reach + custom


def _source(source: Source, schema: Schema) -> dict[str, Any]:
    _one, *several = RECORDS.get(source.name, (source.name,) * 3)
    return {"name": source.name, "label": _said(several), "fields": [_field(found) for found in source.fields.values()]}


def _field(found: Field) -> dict[str, str]:
    return {"name": found.name, "label": field_label(found.name), "kind": found.kind.value}


def _operators(kind: Kind) -> list[dict[str, str]]:
    return [
        {"name": name, "label": _operator_label(kind, name), "takes": takes.value}
        for name, takes in OPERATORS[kind].items()
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


WORDS: Mapping[str, str] = {
    "all": N_("All of these hold"),
    "any": N_("Any of these holds"),
    "none": N_("None of these holds"),
    "where_all": N_("of which all of these hold"),
    "where_any": N_("of which any of these holds"),
    "where_none": N_("of which none of these holds"),
    "add_field": N_("About the customer"),
    "add_related": N_("About what they have or did"),
    "add_group": N_("Group"),
    "add_segment": N_("Another segment"),
    "add_condition": N_("Condition"),
    "remove": N_("Remove"),
    "in_segment": N_("Belongs to the segment"),
    "in_audience": N_("Is on the uploaded list"),
    "bucket": N_("Permanent bucket (0 to 9999)"),
    "from": N_("from"),
    "to": N_("to"),
    "field": N_("Field"),
    "operator": N_("Comparison"),
    "measure": N_("How many"),
    "has": N_("Has"),
    "exists": N_("at least one"),
    "no_such": N_("none"),
    "count": N_("number of them"),
    "sum": N_("sum of"),
    "avg": N_("average of"),
    "min": N_("smallest"),
    "max": N_("largest"),
    "yes": N_("yes"),
    "no": N_("no"),
    "and": N_("and"),
    "D": N_("days"),
    "W": N_("weeks"),
    "M": N_("months"),
    "Y": N_("years"),
    "H": N_("hours"),
    "values": N_("several, separated by commas"),
    "empty_group": N_("No conditions yet: add one below."),
}
