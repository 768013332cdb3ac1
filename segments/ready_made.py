"""Segments that are ready to be used: the trade's recipes, filled in with what this workspace has.

A recipe with a `per` is there once for each category of appliances in use, registered channel or large community.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, NotFound, Problem
from segments.models import segments
from segments.recipe_choices import Choice, choices, known_choice
from segments.recipe_words import TOLD
from segments.recipes import RECIPES, Recipe
from segments.vocabulary import LANGUAGES, Words

_LARGEST_NUMBER = 3_650
_UNSAID: tuple[tuple[str, Any], ...] = (("count", {"op": "gte", "value": 1}), ("where", {"all": []}))


@dataclass(frozen=True)
class ReadyMade:
    """A rule with its parameters filled in. `choice`: what it is for, where there are several (`Air conditioner`)
    under one `title`.

    `description` says who they are, `advice` when to use it and what to offer. `segment_id`: the kept segment of this
    very rule, None where there is none yet.
    """

    code: str
    intention: str
    parameters: Mapping[str, int | str]
    rule: Mapping[str, Any]
    title: Words
    name: Words
    description: Words
    advice: Words
    choice: Words | None
    segment_id: int | None = None


def said(words: Words, language: str) -> str:
    """The words in a language; English for one that is not there."""
    return words[LANGUAGES.index(language) if language in LANGUAGES else 0]


async def ready_made(conn: AsyncConnection, today: date) -> list[ReadyMade]:
    """All of them, with the usual parameters, those of one intention together. Communities are chosen as of `today`."""
    kept = await _kept(conn)
    offered: list[ReadyMade] = []
    for recipe in RECIPES:
        found: Sequence[Choice | None] = await choices(conn, recipe.per, today) if recipe.per else [None]
        offered += [_filled(recipe, recipe.parameters, choice, kept) for choice in found]
    return offered


async def written(conn: AsyncConnection, code: str, given: Mapping[str, str]) -> ReadyMade:
    """The one of that code with these parameters, the usual ones where they are not given; other keys are left aside.

    Raises NotFound for an unknown code, Invalid for a value that the workspace does not have.
    """
    recipe = next((one for one in RECIPES if one.code == code), None)
    if recipe is None:
        raise NotFound(f"there is no ready-made segment {code!r}")
    numbers = {name: _number(name, given.get(name), usual) for name, usual in recipe.parameters.items()}
    return _filled(recipe, numbers, await _chosen(conn, recipe, given), await _kept(conn))


async def _chosen(conn: AsyncConnection, recipe: Recipe, given: Mapping[str, str]) -> Choice | None:
    if recipe.per is None:
        return None
    name = recipe.per.parameter
    found = await known_choice(conn, recipe.per, given.get(name, ""))
    if found is None:
        raise Invalid(Problem(name, f"there is no {name} {given.get(name, '')!r}"))
    return found


def _number(name: str, given: str | None, usual: int) -> int:
    if given is None:
        return usual
    if not (given.isascii() and given.isdecimal() and len(given) < 6 and 0 < int(given) <= _LARGEST_NUMBER):
        raise Invalid(Problem(name, f"must be a whole number from 1 to {_LARGEST_NUMBER:,}"))
    return int(given)


def _filled(recipe: Recipe, numbers: Mapping[str, int], choice: Choice | None, kept: Mapping[str, int]) -> ReadyMade:
    own = {recipe.per.parameter: choice.value} if recipe.per and choice else {}
    rule = _fill(recipe.rule, {**numbers, **own})
    told = TOLD[recipe.code]
    name, description, advice = (
        _said(words, recipe, numbers, choice) for words in (told.name, told.description, told.advice)
    )
    return ReadyMade(
        code=recipe.code,
        intention=recipe.intention,
        parameters={**numbers, **own},
        rule=rule,
        title=told.title or name,
        name=name,
        description=description,
        advice=advice,
        choice=choice.words if choice else None,
        segment_id=kept.get(_canonical(rule)),
    )


def _said(words: Words, recipe: Recipe, numbers: Mapping[str, int], choice: Choice | None) -> Words:
    own = {recipe.per.parameter: choice.words} if recipe.per and choice else {}
    english, chinese = (
        text.format_map({**numbers, **{name: each[place] for name, each in own.items()}})
        for place, text in enumerate(words)
    )
    return english, chinese


def _fill(rule: Any, parameters: Mapping[str, int | str]) -> Any:
    """The rule with its parameters in place."""
    if isinstance(rule, dict):
        return {key: _fill(value, parameters) for key, value in rule.items()}
    if isinstance(rule, list):
        return [_fill(value, parameters) for value in rule]
    if not isinstance(rule, str):
        return rule
    whole = next((name for name in parameters if rule == f"{{{name}}}"), None)
    return parameters[whole] if whole else rule.format_map(parameters)


async def _kept(conn: AsyncConnection) -> dict[str, int]:
    """The oldest kept segment of each rule."""
    rows = await conn.execute(select(segments.c.id, segments.c.rule).order_by(segments.c.id.desc()))
    return {_canonical(row.rule): row.id for row in rows}


def _canonical(rule: Any) -> str:
    """The same for rules that differ in how they are written only: a group of one, a count that goes without saying."""
    return json.dumps(_plain(rule), sort_keys=True)


def _plain(rule: Any) -> Any:
    if isinstance(rule, list):
        return [_plain(one) for one in rule]
    if not isinstance(rule, dict):
        return rule
    plain = {key: _plain(value) for key, value in rule.items() if (key, value) not in _UNSAID}
    if len(plain) == 1:
        group, rules = next(iter(plain.items()))
        if group in ("all", "any") and len(rules) == 1:
            return rules[0]
    return plain
