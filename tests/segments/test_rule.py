"""What is refused, and that each refusal names its culprit by its path in the rule."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import Invalid
from runtime.registry import Kind
from segments.rule import parse_rule
from segments.schema import Schema
from segments.tree import conditions

SCHEMA = Schema(attributes={"size": Kind.NUMBER, "colour": Kind.TEXT})
CITY = {"field": "city", "op": "eq", "value": "西安"}


def refusals(rule: Any) -> list[str]:
    try:
        parse_rule(rule, SCHEMA)
    except Invalid as invalid:
        return [str(problem) for problem in invalid.problems]
    return []


def field(name: str, op: str, *value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, **({"value": value[0]} if value else {})}


FIELDS_OF_RULES_MD = {
    None: "external_id name email phone gender city district address community platform language timezone dealer"
    " salesperson household_size engagement_score orders_count total_spent average_order_value gross_margin"
    " order_gap_days birthday created_at first_order_at last_order_at next_order_expected_at last_opened_at"
    " last_clicked_at last_contacted_at last_replied_at last_rating last_rated_at nps_group"
    " reachable.email tags rfm.recency rfm.frequency rfm.monetary attributes.size",
    "orders": "number platform status amount refunded margin ordered_at delivered_at",
    "order_items": "sku name brand category platform status quantity price amount ordered_at",
    "appliances": "category brand model serial status source power_watts repairs_count purchased_on installed_on"
    " warranty_until expires_on next_consumable_due_on",
    "service_visits": "kind status provider satisfaction cost requested_at visited_at completed_at",
    "messages": "channel campaign state sent_at opened_at clicked_at",
    "events": "kind campaign channel link value at attributes.anything machine",
    "consents": "channel purpose source granted at",
    "ratings": "survey channel provider category comment salesperson score at",
}


@pytest.mark.parametrize(("source", "names"), FIELDS_OF_RULES_MD.items())
def test_every_field_of_the_document_is_known(source: str | None, names: str) -> None:
    tests = {"all": [field(name, "not_empty") for name in names.split()]}
    rule = tests if source is None else {"has": source, "where": tests}
    assert refusals(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"all": []},
        {"any": [{"none": []}]},
        CITY,
        field("total_spent", "between", ["1.5", 3]),
        field("rfm.recency", "in", [4, 5]),
        field("last_order_at", "older_than", "PT6H"),
        field("last_order_at", "between", ["2026-01-01", "2026-01-31T12:00:00+08:00"]),
        field("birthday", "anniversary_within_next", "P1M2W"),
        field("name", "matches", "x" * 200),
        {"has": "orders"},
        {"has": "orders", "count": {"op": "eq", "value": 0}},
        {"has": "orders", "max": {"field": "ordered_at", "op": "older_than", "value": "P180D"}},
        {"in_segment": 12},
        {"in_audience": 7},
        {"bucket": {"from": 0, "to": 9999}},
    ],
)
def test_what_the_language_says_is_accepted(rule: Any) -> None:
    assert refusals(rule) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        # the document's own example
        (
            {
                "all": [
                    CITY,
                    CITY,
                    {"has": "orders", "where": {"all": [field("amount", "gte_", 1)]}},
                ]
            },
            ["all[2].where.all[0].op: unknown operator 'gte_'"],
        ),
        # shape
        ([], ["must be an object"]),
        ({}, ["an empty object is no rule"]),
        ({"every": []}, ["every: unknown key 'every'"]),
        ({"all": {}}, ["all: must be a list"]),
        ({"all": [1]}, ["all[0]: must be an object"]),
        ({"all": [], "any": []}, ["any: unknown key 'any'"]),
        ({"all": [{**CITY, "case": True}]}, ["all[0].case: unknown key 'case'"]),
        # fields and operators
        (field("town", "eq", "x"), ["field: unknown field 'town'"]),
        (field("reachable.pigeon", "is", True), ["field: unknown field 'reachable.pigeon'"]),
        (field("attributes.weight", "eq", 1), ["field: unknown field 'attributes.weight'"]),
        (field("attributes.", "eq", 1), ["field: unknown field 'attributes.'"]),
        ({"field": 3, "op": "eq", "value": 1}, ["field: must be the name"]),
        ({"field": "city", "value": "x"}, ["op: is missing"]),
        (field("city", "gte", "x"), ["op: operator 'gte' does not apply to text"]),
        ({"field": "city", "op": ["eq"], "value": "x"}, ["op: unknown operator ['eq']"]),
        (field("town", "like", "x"), ["field: unknown field 'town'", "op: unknown operator 'like'"]),
        (field("city", "empty", "x"), ["value: 'empty' takes no value"]),
        (field("city", "eq"), ["value: is missing"]),
        # values
        (field("city", "eq", 3), ["value: must be a text, not a number"]),
        (field("city", "eq", None), ["value: must be a text, not null"]),
        (field("city", "eq", "a\0b"), ["value: holds a character"]),
        (field("city", "eq", "\ud800"), ["value: holds a character"]),
        (field("city", "in", []), ["value: the list is empty"]),
        (field("city", "in", "x"), ["value: must be a list"]),
        (field("city", "in", ["x", 3]), ["value[1]: must be a text"]),
        (field("name", "matches", "x" * 201), ["value: a pattern has at most 200"]),
        (field("total_spent", "eq", True), ["value: must be a number"]),
        (field("total_spent", "eq", "12,5"), ["value: '12,5' is not a number"]),
        (field("total_spent", "eq", "1e3"), ["value: '1e3' is not a number"]),
        (field("total_spent", "eq", float("nan")), ["value: must be a finite number"]),
        (field("total_spent", "eq", float("inf")), ["value: must be a finite number"]),
        (field("total_spent", "gt", "9" * 41), ["value: a number has at most 40 digits"]),
        (field("total_spent", "between", [1]), ["value: must be a list of two"]),
        (field("total_spent", "between", [1, "x"]), ["value[1]: 'x' is not a number"]),
        (field("birthday", "on", "2026-02-30"), ["value: there is no day 2026-02-30"]),
        (field("birthday", "on", "30.11.2026"), ["value: '30.11.2026' is not a date"]),
        (field("birthday", "on", "2026-11-30T00:00:00Z"), ["is not a date"]),
        (field("birthday", "older_than", "PT6H"), ["value: PT6H: a date takes no hours"]),
        (field("birthday", "older_than", "8 years"), ["value: '8 years' is not a duration"]),
        (field("birthday", "older_than", "-P8Y"), ["value: '-P8Y' is not a duration"]),
        (field("birthday", "older_than", "P"), ["value: 'P' is not a duration"]),
        (field("birthday", "older_than", "P1.5Y"), ["value: 'P1.5Y' is not a duration"]),
        (field("birthday", "older_than", "P1001Y"), ["value: P1001Y is longer than"]),
        (field("last_order_at", "older_than", "P1DT"), ["value: 'P1DT' is not a duration"]),
        (field("last_order_at", "after", "2026-11-30T09:00:00"), ["value: 2026-11-30T09:00:00 needs an offset"]),
        (field("last_order_at", "after", "2026-11-30T25:00:00Z"), ["value: there is no time"]),
        (field("last_order_at", "after", "0001-01-01T00:00:00+14:00"), ["value: there is no time"]),
        (field("last_order_at", "after", 3), ["value: a number is not a date or a time"]),
        (field("reachable.email", "is", "yes"), ["value: must be true or false"]),
        (field("tags", "has_any", "x"), ["value: must be a list"]),
        # related records
        ({"has": "cars"}, ["has: unknown records 'cars'; there are appliances, "]),
        ({"has": "customers"}, ["has: unknown records 'customers'"]),
        ({"has": "orders", "where": {"has": "orders"}}, ["where.has: 'has' cannot stand in a where"]),
        ({"has": "orders", "where": field("city", "eq", "x")}, ["where.field: unknown field 'city'"]),
        ({"has": "orders", "where": field("attributes.size", "eq", 1)}, ["where.field: unknown field"]),
        ({"has": "orders", "count": {"op": "gte"}}, ["count.value: is missing"]),
        ({"has": "orders", "count": {"op": "empty"}}, ["count.op: operator 'empty' does not apply"]),
        ({"has": "orders", "count": {"op": "gte", "value": 1, "x": 1}}, ["count.x: unknown key 'x'"]),
        ({"has": "orders", "count": 3}, ["count: must be an object"]),
        (
            {"has": "orders", "count": {"op": "gte", "value": 1}, "sum": {"field": "amount", "op": "gt", "value": 1}},
            ["sum: only one of count, sum, avg, min, max"],
        ),
        ({"has": "orders", "sum": {"op": "gt", "value": 1}}, ["sum.field: is missing"]),
        ({"has": "orders", "sum": {"field": "status", "op": "gt", "value": 1}}, ["sum.field: sum does not apply"]),
        ({"has": "orders", "avg": {"field": "ordered_at", "op": "gt", "value": 1}}, ["avg.field: avg does not"]),
        ({"has": "orders", "min": {"field": "ordered_at", "op": "gt", "value": 1}}, ["min.op: operator 'gt' does"]),
        # membership and chance
        ({"in_segment": "12"}, ["in_segment: must be an id"]),
        ({"in_segment": True}, ["in_segment: must be an id"]),
        ({"in_audience": 2**63}, ["in_audience: must be an id"]),
        ({"in_audience": 7, "where": {}}, ["where: unknown key 'where'"]),
        ({"bucket": {"from": 5, "to": 4}}, ["bucket: from 5 is greater than to 4"]),
        ({"bucket": {"from": 0, "to": 10_000}}, ["bucket.to: must be a whole number from 0 to 9999"]),
        ({"bucket": {"from": 0}}, ["bucket.to: must be a whole number"]),
        ({"bucket": {"from": 0, "to": 1, "of": 2}}, ["bucket.of: unknown key 'of'"]),
        # all of them at once
        (
            {"all": [field("town", "eq", 1), CITY, {"any": [field("city", "in", [])]}]},
            ["all[0].field: unknown field 'town'", "all[2].any[0].value: the list is empty"],
        ),
    ],
)
def test_a_refusal_names_its_culprit(rule: Any, said: list[str]) -> None:
    found = refusals(rule)
    assert len(found) == len(said), found
    for one, expected in zip(found, said, strict=True):
        assert expected in one
        assert one.startswith(expected) or ":" not in expected.split()[0], found


def nested(depth: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"all": [CITY]}
    for _ in range(depth - 1):
        rule = {"any": [rule]}
    return rule


def test_groups_nest_to_depth_ten() -> None:
    assert refusals(nested(10)) == []
    assert refusals(nested(11)) == ["any[0]" + ".any[0]" * 9 + ": groups nest to depth 10"]
    assert len(refusals(nested(900))) == 1


def test_a_rule_has_at_most_two_hundred_conditions() -> None:
    assert refusals({"all": [CITY] * 200}) == []
    assert refusals({"all": [CITY] * 5000}) == ["all[200]: a rule has at most 200 conditions"]
    inside = {"has": "orders", "where": {"any": [field("amount", "gt", 1)] * 199}}
    assert refusals(inside) == []
    assert len(refusals({"all": [inside, CITY]})) == 1


def test_conditions_are_listed_by_path() -> None:
    rule = {
        "all": [CITY, {"none": [{"has": "orders", "where": {"all": [field("amount", "gt", 1)]}}]}, {"in_segment": 1}]
    }
    assert [node.path for node in conditions(parse_rule(rule, SCHEMA))] == ["all[0]", "all[1].none[0]", "all[2]"]
