"""Rules as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.registry import Kind, sources
from segments.operators import OPERATORS
from segments.schema import PERSON
from segments.vocabulary import FIELDS, RECORDS
from segments.vocabulary import OPERATORS as SAID
from segments.words import Names, rule_in_words
from tests.segments.people import city

OLD_GREE = {
    "has": "appliances",
    "where": {
        "all": [
            {"field": "brand", "op": "in", "value": ["Gree", "Midea"]},
            {"field": "installed_on", "op": "older_than", "value": "P8Y"},
        ]
    },
}


@pytest.mark.parametrize(
    ("rule", "english", "chinese"),
    [
        ({"all": []}, "All customers", "全部客户"),
        ({"any": []}, "Nobody", "没有客户"),
        (city("西安"), "Customers: city is 西安", "城市是西安的客户"),
        (
            {"all": [city("西安"), OLD_GREE, {"field": "last_order_at", "op": "not_within_last", "value": "P180D"}]},
            "Customers: city is 西安 and has an appliance with brand is Gree or Midea and installation 8 years ago or"
            " earlier and no last order within the last 180 days",
            "城市是西安，且有（品牌是Gree或Midea，且安装日期在8 年以前）的家电，且最近180 天内没有最近下单的客户",
        ),
        (
            {"any": [{"all": [city("a"), city("b")]}, {"none": [{"in_segment": 3}]}]},
            "Customers: (city is a and city is b) or not (in the segment “VIP”)",
            "（城市是a，且城市是b），或不满足（属于人群“VIP”）的客户",
        ),
        (
            {"has": "orders", "sum": {"field": "amount", "op": "gt", "value": 3000}},
            "Customers: sum of amount of orders is more than 3000",
            "订单的金额总和大于3000的客户",
        ),
        ({"has": "orders", "count": {"op": "eq", "value": 0}}, "Customers: has no orders", "没有订单的客户"),
        (
            {"field": "reachable.email", "op": "is", "value": False},
            "Customers: not reachable by e-mail",
            "无法通过邮件联系的客户",
        ),
        (
            {"field": "total_spent", "op": "between", "value": [1, "2.5"]},
            "Customers: total spent is from 1 to 2.5",
            "累计消费在1到2.5之间的客户",
        ),
    ],
)
def test_sentences(rule: Any, english: str, chinese: str) -> None:
    names = Names(segments={3: "VIP"})
    assert rule_in_words(rule, "en", names) == english
    assert rule_in_words(rule, "zh", names) == chinese


def test_everything_that_a_rule_can_say_has_words() -> None:
    fields = {name for source in (PERSON, *sources().values()) for name in source.fields}
    assert fields <= FIELDS.keys()
    assert sources().keys() == RECORDS.keys()
    assert {name for kind in Kind for name in OPERATORS[kind]} <= SAID.keys()


def test_stored_values_are_said_as_people_call_them() -> None:
    names = Names(values={"status": {"in_use": "使用中"}})
    rule = {"has": "appliances", "where": {"field": "status", "op": "in", "value": ["in_use", "other"]}}
    assert rule_in_words(rule, "zh", names) == "有（状态是使用中或other）的家电的客户"
    assert rule_in_words({"field": "city", "op": "eq", "value": "in_use"}, "zh", names) == "城市是in_use的客户"
