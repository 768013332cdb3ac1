"""Whole generated rules are accepted; one that is broken in one place is refused with the path of that very place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import Invalid
from runtime.registry import Kind
from segments.rule import parse_rule
from segments.schema import Schema
from tests.segments.rule_answers import SOAK
from tests.segments.rule_fields import ATTRIBUTES
from tests.segments.rule_maker import SEGMENTS, THEMES, Maker
from tests.segments.rule_values import Pools, moments

SCHEMA = Schema(attributes={key: Kind(kind) for key, kind in ATTRIBUTES.items()})
SLOW = [HealthCheck.too_slow]  # on a machine that does much else
GROUPS = ("all", "any", "none")
MEASURES = ("count", "sum", "avg", "min", "max")
Rule = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A part of a rule: a group, a condition or a measure, with its path."""

    path: str
    node: Rule
    related: bool = False  # inside a `where`


def places(rule: Rule, path: str = "", related: bool = False) -> Iterator[Place]:
    yield Place(path, rule, related)
    for kind in GROUPS:
        for index, child in enumerate(rule.get(kind, [])):
            yield from places(child, join(path, f"{kind}[{index}]"), related)
    if "where" in rule:
        yield from places(rule["where"], join(path, "where"), True)
    for name in MEASURES:
        if isinstance(rule.get(name), dict):
            yield Place(join(path, name), rule[name], True)


def join(path: str, more: str) -> str:
    return f"{path}.{more}" if path and more else path or more


Break = tuple[Callable[[Place], bool], Callable[[Rule], Any], str]
"""Where it applies, what it does to the part, and the path below the part that is then told."""


def has(*keys: str) -> Callable[[Place], bool]:
    return lambda place: all(key in place.node for key in keys)


def op_of(*names: str) -> Callable[[Place], bool]:
    return lambda place: place.node.get("op") in names


def put(**values: Any) -> Callable[[Rule], Any]:
    return lambda node: node.update(values)


def group_of(place: Place) -> str | None:
    return next((kind for kind in GROUPS if kind in place.node), None)


def in_a_where(place: Place) -> bool:
    return place.related and group_of(place) == "all"


BREAKS: dict[str, Break] = {
    "a key too many": (lambda place: True, put(colour="red"), "colour"),
    "an unknown field": (has("field"), put(field="town"), "field"),
    "no field": (has("field"), put(field=None), "field"),
    "an attribute without a definition": (
        lambda place: "field" in place.node and not place.related, put(field="attributes.weight"), "field",
    ),
    "an unknown operator": (has("op"), put(op="gte_"), "op"),
    "no operator": (has("op"), lambda node: node.pop("op"), "op"),
    "an operator of another kind": (op_of("contains", "older_than", "is", "has_any"), put(op="lte"), "op"),
    "a text operator": (op_of("lt", "lte", "gt", "gte", "before", "on"), put(op="starts_with"), "op"),
    "no value": (has("value"), lambda node: node.pop("value"), "value"),
    "a value too many": (op_of("empty", "not_empty"), put(value=1), "value"),
    "an object as value": (has("value"), put(value={}), "value"),
    "null as value": (has("value"), put(value=None), "value"),
    "an empty list": (op_of("in", "not_in", "has_any", "has_all", "has_none"), put(value=[]), "value"),
    "no list": (op_of("in", "not_in", "has_any", "has_all", "has_none", "between"), put(value="x"), "value"),
    "three ends": (op_of("between"), lambda node: node["value"].append(node["value"][0]), "value"),
    "one bad end": (op_of("between"), lambda node: node["value"].__setitem__(1, []), "value[1]"),
    "a bad item": (op_of("in", "not_in", "has_any", "has_all"), lambda node: node["value"].insert(0, None), "value[0]"),
    "NUL": (op_of("contains", "starts_with", "ends_with", "matches"), put(value="a\0"), "value"),
    "NUL in a list": (op_of("has_any", "has_all", "has_none"), put(value=["a", "a\0"]), "value[1]"),
    "a pattern too long": (op_of("matches"), put(value="x" * 201), "value"),
    "not a number": (op_of("lt", "lte", "gt", "gte"), put(value=float("nan")), "value"),
    "infinity": (op_of("lt", "lte", "gt", "gte"), put(value=float("-inf")), "value"),
    "truth as a number": (op_of("lt", "lte", "gt", "gte"), put(value=True), "value"),
    "too many digits": (op_of("lt", "lte", "gt", "gte"), put(value=10**41), "value"),
    "thousands": (op_of("lt", "lte", "gt", "gte"), put(value="1,000"), "value"),
    "an exponent as text": (op_of("lt", "lte", "gt", "gte"), put(value="1e3"), "value"),
    "no such day": (op_of("before", "after", "on"), put(value="2026-02-30"), "value"),
    "a day of year 0": (op_of("before", "after", "on"), put(value="0000-01-01"), "value"),
    "a time without offset": (op_of("before", "after", "on"), put(value="2026-11-30T09:00:00"), "value"),
    "a negative duration": (op_of("older_than", "within_last", "within_next"), put(value="-P1D"), "value"),
    "an endless duration": (op_of("older_than", "within_last", "not_within_last"), put(value="P999999Y"), "value"),
    "a fraction of a year": (op_of("anniversary_within_next", "within_next"), put(value="P0.5Y"), "value"),
    "truth as text": (op_of("is"), put(value="true"), "value"),
    "records unknown": (has("has"), put(has="cars"), "has"),
    "records in a where": (in_a_where, lambda node: node["all"].insert(0, {"has": "orders"}), "all[0].has"),
    "a segment in a where": (in_a_where, lambda node: node["all"].insert(0, {"in_segment": 1}), "all[0].in_segment"),
    "no object": (lambda place: group_of(place) == "any", lambda node: node["any"].insert(0, 3), "any[0]"),
    "an empty object": (lambda place: group_of(place) == "none", lambda node: node["none"].insert(0, {}), "none[0]"),
    "a group that is none": (lambda place: group_of(place) == "all", put(all={}), "all"),
    "two kinds of group": (lambda place: group_of(place) == "all", put(none=[]), "none"),
    "a number as measure": (has("has", "count"), put(count=1), "count"),
    "two measures": (has("has", "count"), lambda node: node.update(max=node["count"]), "max"),
    "a sum of nothing": (has("has", "sum"), lambda node: node["sum"].pop("field"), "sum.field"),
    "a sum of words": (has("has", "sum"), lambda node: node["sum"].update(field=WORD[node["has"]]), "sum.field"),
    "an average of times": (has("has", "avg"), lambda node: node["avg"].update(field=TIME[node["has"]]), "avg.field"),
    "a count of none": (has("has", "count"), lambda node: node["count"].update(op="empty"), "count.op"),
    "no segment's id": (has("in_segment"), put(in_segment="1"), "in_segment"),
    "an id too large": (has("in_audience"), put(in_audience=2**63), "in_audience"),
    "a bucket too high": (has("bucket"), put(bucket={"from": 0, "to": 10_000}), "bucket.to"),
    "a bucket from above": (has("bucket"), put(bucket={"from": 2, "to": 1}), "bucket"),
    "a bucket without end": (has("bucket"), put(bucket={"from": 2}), "bucket.to"),
    "half a bucket": (has("bucket"), put(bucket={"from": 0.5, "to": 1}), "bucket.from"),
}  # fmt: skip
WORD = {
    "orders": "status", "order_items": "sku", "appliances": "brand", "service_visits": "kind", "messages": "state",
    "events": "kind", "consents": "purpose", "ratings": "provider",
}  # fmt: skip
TIME = {
    "orders": "ordered_at", "order_items": "ordered_at", "appliances": "installed_on", "service_visits": "visited_at",
    "messages": "sent_at", "events": "at", "consents": "at", "ratings": "at",
}  # fmt: skip


def refusals(rule: Any) -> list[str]:
    try:
        parse_rule(rule, SCHEMA)
    except Invalid as invalid:
        return [problem.path for problem in invalid.problems]
    return []


def generated(pick: Random) -> Rule:
    world = moments(Random(pick.getrandbits(32)))
    pools = Pools(world, Random(pick.getrandbits(32)), [5])
    return Maker(pick, pools, pick.choice(THEMES), SEGMENTS).rule()


@settings(max_examples=5_000 if SOAK else 300, deadline=None, suppress_health_check=SLOW)
@given(st.randoms(use_true_random=False))
def test_generated_rules_are_accepted(pick: Random) -> None:
    assert refusals(generated(pick)) == []


@pytest.mark.parametrize("name", BREAKS)
@settings(max_examples=100 if SOAK else 15, deadline=None, suppress_health_check=SLOW)
@given(pick=st.randoms(use_true_random=True))
def test_the_path_is_that_of_the_culprit(name: str, pick: Random) -> None:
    applies, change, below = BREAKS[name]
    for _ in range(400):  # until a rule has a place for it
        rule = copy.deepcopy(generated(pick))
        fitting = [place for place in places(rule) if applies(place)]
        if fitting:
            break
    else:
        raise AssertionError(f"no generated rule had a place for {name}")
    place = pick.choice(fitting)
    change(place.node)
    assert refusals(rule) == [join(place.path, below)], rule


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_eleventh_group_is_named(pick: Random, in_where: int) -> None:
    """Groups of a `where` count on from those around it."""
    rule: Rule = {"field": "amount", "op": "gt", "value": 1}
    inner = outer = ""
    for _ in range(in_where):
        kind = pick.choice(GROUPS)
        rule, inner = {kind: [rule]}, join(f"{kind}[0]", inner)
    rule = {"has": "orders", "where": rule}
    for _ in range(10 - in_where):
        kind = pick.choice(GROUPS)
        rule, outer = {kind: [rule]}, join(f"{kind}[0]", outer)
    assert refusals(rule) == []
    deepest = join(join(outer, "where"), inner.rpartition(".")[0])
    assert refusals({"any": [rule]}) == [join("any[0]", deepest)]


@settings(deadline=None, suppress_health_check=SLOW)
@given(st.integers(0, 250), st.integers(0, 250))
def test_the_condition_after_two_hundred_is_named(plain: int, in_where: int) -> None:
    amount = {"field": "amount", "op": "gt", "value": 1}
    city = {"field": "city", "op": "eq", "value": "x"}
    rule = {"all": [*[city] * plain, {"has": "orders", "where": {"any": [amount] * in_where}}]}
    expected = [f"all[{plain}].where.any[{199 - plain}]"] if plain + 1 + in_where > 200 else []
    if plain >= 200:
        expected = ["all[200]"]
    assert refusals(rule) == expected
