"""Rules as sentences in the reader's language, everything called as people call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import communities, dealers, salespeople
from customers.reference import list_categories
from runtime.registry import channel_kinds
from segments.models import audiences, segments
from segments.words import Names, rule_in_words
from web.i18n import current_language
from web.names import names_of
from web.view import STATES, state_name
from web.words import EVENTS, GENDERS, VISITS, channel_name, event_name, gender_name, visit_name

CODED = {"community": communities, "dealer": dealers, "salesperson": salespeople}


async def names_in(conn: AsyncConnection, rules: Iterable[Any]) -> Names:
    """What the segments, lists, codes and stored words that these rules speak of are called."""
    told = list(rules)
    named = [{row.id: row.name for row in await conn.execute(select(t.c.id, t.c.name))} for t in (segments, audiences)]
    coded = {name: await names_of(conn, table, _values(told, name)) for name, table in CODED.items()}
    return Names(segments=named[0], audiences=named[1], values={**_stored_words(), **coded, **await _categories(conn)})


def sentence(rule: Any, names: Names) -> str:
    """The rule in words, in the language of the request."""
    return rule_in_words(rule, current_language(), names)


async def category_names(conn: AsyncConnection) -> dict[str, str]:
    """Appliance categories by code, as the reader calls them."""
    chinese = current_language() == "zh"
    return {one.code: (one.name_zh if chinese else None) or one.name for one in await list_categories(conn)}


async def _categories(conn: AsyncConnection) -> dict[str, dict[str, str]]:
    return {"category": await category_names(conn)}


def _stored_words() -> dict[str, Mapping[str, str]]:
    states = {state: state_name(state) for state in STATES}
    kinds = {**{kind: event_name(kind) for kind in EVENTS}, **{kind: visit_name(kind) for kind in VISITS}}
    return {
        "status": states,
        "state": states,
        "kind": kinds,
        "gender": {gender: gender_name(gender) for gender in GENDERS},
        "channel": {name: channel_name(name) for name in channel_kinds()},
    }


def _values(rules: Any, field: str) -> Iterator[str]:
    """The texts with which rules compare a field."""
    if isinstance(rules, list):
        for rule in rules:
            yield from _values(rule, field)
    elif isinstance(rules, dict):
        if rules.get("field") == field:
            value = rules.get("value")
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
        for nested in rules.values():
            yield from _values(nested, field) if isinstance(nested, list | dict) else ()
