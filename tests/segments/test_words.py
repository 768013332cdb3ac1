"""Rules as sentences."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from runtime.registry import Kind, sources
from segments.operators import OPERATORS
from segments.schema import PERSON
from segments.vocabulary import FIELDS, LANGUAGES, RECORDS
from segments.vocabulary import OPERATORS as SAID
from segments.words import Names, rule_in_words
from tests.segments.people import city
from tests.segments.rule_maker import Maker
from tests.segments.rule_reference import World
from tests.segments.rule_values import Pools

OLD_GREE = {
    "has": "appliances",
    "where": {
        "all": [
            {"field": "brand", "op": "in", "value": ["Gree", "Midea"]},
            {"field": "installed_on", "op": "older_than", "value": "P8Y"},
        ]
    },
}


LONG_AGO = {"field": "last_order_at", "op": "not_within_last", "value": "P180D"}
MALE = {"field": "gender", "op": "eq", "value": "男"}
VIP = {"in_segment": 3}


@pytest.mark.parametrize(
    ("rule", "english", "chinese"),
    [
        ({"all": []}, "All customers", "全部客户"),
        ({"any": []}, "Nobody", "没有客户"),
        (city("西安"), "Customers in 西安", "在西安的客户"),
        (
            {"all": [city("西安"), OLD_GREE, LONG_AGO]},
            "Customers in 西安 who own a Gree or Midea appliance installed more than 8 years ago and have not ordered"
            " in 180 days",
            "在西安，拥有安装已超过 8 年的 Gree 或 Midea 家电，且 180 天内没有下单的客户",
        ),
        (
            {"all": [OLD_GREE, city("a"), VIP, MALE]},
            "Customers in a and in the segment “VIP” who own a Gree or Midea appliance installed more than 8 years ago"
            " and whose gender is 男",
            "拥有安装已超过 8 年的 Gree 或 Midea 家电，在 a，属于人群“VIP”，且性别是男的客户",
        ),
        (
            {"any": [{"all": [city("a"), MALE]}, {"none": [VIP]}]},
            "Customers (in a whose gender is 男) or who are not in the segment “VIP”",
            "（在 a，且性别是男），或不满足（属于人群“VIP”）的客户",
        ),
        (
            {"all": [MALE, {"any": [LONG_AGO, VIP]}, {"none": [VIP, LONG_AGO]}]},
            "Customers whose gender is 男 and (who have not ordered in 180 days or in the segment “VIP”), except those"
            " in the segment “VIP” or who have not ordered in 180 days",
            "性别是男，（180 天内没有下单，或属于人群“VIP”），且不满足（属于人群“VIP”，或 180 天内没有下单）的客户",
        ),
        (
            {"none": [LONG_AGO]},
            "All customers except those who have not ordered in 180 days",
            "不满足（180 天内没有下单）的客户",
        ),
        (
            {"has": "orders", "sum": {"field": "amount", "op": "gt", "value": 3000}},
            "Customers whose total amount of orders is more than 3000",
            "订单的金额总和大于 3000 的客户",
        ),
        (
            {"has": "orders", "count": {"op": "eq", "value": 0}},
            "Customers who have placed no order",
            "没有下过订单的客户",
        ),
        (
            {**OLD_GREE, "count": {"op": "gte", "value": 2}},
            "Customers who own at least 2 Gree or Midea appliances installed more than 8 years ago",
            "拥有至少 2 个安装已超过 8 年的 Gree 或 Midea 家电的客户",
        ),
        (
            {"has": "appliances", "where": {"field": "expires_on", "op": "older_than", "value": "P0D"}},
            "Customers who own an appliance whose end of service life is today or earlier",
            "拥有使用年限到期不晚于今天的家电的客户",
        ),
        (
            {"field": "reachable.email", "op": "is", "value": False},
            "Customers who cannot be reached by e-mail",
            "无法通过邮件联系的客户",
        ),
        (
            {"field": "total_spent", "op": "between", "value": [1, "2.5"]},
            "Customers whose total spent is from 1 to 2.5",
            "累计消费在 1 到 2.5 之间的客户",
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
    chinese = Names(values={"status": {"in_use": "使用中"}, "category": {"tv": "电视"}})
    english = Names(values={"status": {"in_use": "In use"}, "category": {"tv": "TV", "hood": "Range hood"}})
    rule = {"has": "appliances", "where": {"field": "status", "op": "in", "value": ["in_use", "other"]}}
    assert rule_in_words(rule, "zh", chinese) == "拥有状态是使用中或 other 的家电的客户"
    assert rule_in_words(rule, "en", english) == "Customers who own an appliance whose status is in use or other"
    named = {"has": "appliances", "where": {"field": "category", "op": "in", "value": ["tv", "hood"]}}
    assert rule_in_words(named, "en", english) == "Customers who own a TV or range hood"
    assert rule_in_words({"field": "district", "op": "eq", "value": "in_use"}, "zh", chinese) == "区县是 in_use 的客户"


def test_the_sentence_of_the_issue() -> None:
    where = [
        {"field": "category", "op": "in", "value": ["air_conditioner"]},
        {"field": "brand", "op": "in", "value": ["Gree"]},
        {"field": "installed_on", "op": "older_than", "value": "P8Y"},
    ]
    rule = {"all": [city("Xi'an"), {"has": "appliances", "where": {"all": where}}, LONG_AGO]}
    assert rule_in_words(rule, "en", Names(values={"category": {"air_conditioner": "Air conditioner"}})) == (
        "Customers in Xi'an who own a Gree air conditioner installed more than 8 years ago and have not ordered in"
        " 180 days"
    )
    assert rule_in_words(rule, "zh", Names(values={"category": {"air_conditioner": "空调"}})) == (
        "在 Xi'an，拥有安装已超过 8 年的 Gree 空调，且 180 天内没有下单的客户"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_has_words(language: str) -> None:
    pick = Random(3)
    world = World(datetime(2026, 11, 22, 8, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
    maker = Maker(pick, Pools(world, pick, [5_000]), segments=(1,))
    for rule in [maker.rule() for _ in range(400)]:
        said = rule_in_words(rule, language)
        assert not re.search(r"{[a-z]+}", said)
        assert "\0" not in said
