"""How a rule is said: what people are, do and own, and what marks a record, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Words = tuple[str, str]  # English, Chinese

PHRASES: Mapping[str, Words] = {
    "customers": ("Customers {rule}", "{rule}的客户"),
    "all_but": ("All customers {rule}", "{rule}的客户"),
    "everyone": ("All customers", "全部客户"),
    "nobody": ("Nobody", "没有客户"),
    "listed": (", ", "、"),
    "one_of": (" or ", "或"),
    "all_of": (" and ", "和"),
    "brackets": ("({rule})", "（{rule}）"),
    "quoted": ("“{value}”", "“{value}”"),
    "whose": ("whose {value}", "{value}"),
    "everybody": ("are customers", "任意"),
    "never": ("do not exist", "不存在"),
    "not": ("except those {rule}", "不满足（{rule}）"),
    "in_segment": ("in the segment {value}", "属于人群{value}"),
    "in_audience": ("on the list {value}", "在名单{value}中"),
    "bucket": ("in the buckets {low} to {high} of 10,000", "在 10000 个桶中的 {low} 到 {high}"),
    "reachable": ("who can be reached by {value}", "可通过{value}联系"),
    "not_reachable": ("who cannot be reached by {value}", "无法通过{value}联系"),
    "number_of": ("{number} {noun}", "{number}{noun}"),
}

# Said of the customer; `who …` and `whose …` open a clause, the rest stands directly behind "Customers".
ABOUT: Mapping[tuple[str, str], Words] = {
    ("city", "in"): ("in {value}", "在{value}"),
    ("city", "eq"): ("in {value}", "在{value}"),
    ("city", "not_in"): ("outside {value}", "不在{value}"),
    ("city", "ne"): ("outside {value}", "不在{value}"),
    ("community", "in"): ("living in {value}", "住在{value}"),
    ("community", "eq"): ("living in {value}", "住在{value}"),
    ("tags", "has_any"): ("tagged {value}", "带有标签{value}"),
    ("tags", "has_all"): ("tagged {value}", "同时带有标签{value}"),
    ("tags", "has_none"): ("not tagged {value}", "没有标签{value}"),
    ("created_at", "within_last"): ("who became customers in the last {value}", "最近{value}内建档"),
    ("created_at", "older_than"): ("who became customers more than {value} ago", "建档已超过{value}"),
    ("birthday", "anniversary_within_next"): ("who have their birthday in the next {value}", "未来{value}内过生日"),
    ("first_order_at", "within_last"): ("who first ordered in the last {value}", "最近{value}内首次下单"),
    ("first_order_at", "older_than"): ("who first ordered more than {value} ago", "首次下单已超过{value}"),
    ("last_order_at", "not_within_last"): ("who have not ordered in {value}", "{value}内没有下单"),
    ("last_order_at", "within_last"): ("who have ordered in the last {value}", "最近{value}内下过单"),
    ("last_order_at", "older_than"): ("who last ordered more than {value} ago", "上次下单已超过{value}"),
    ("last_order_at", "empty"): ("who have never ordered", "从未下单"),
    ("last_order_at", "not_empty"): ("who have ordered before", "下过单"),
    ("last_opened_at", "not_within_last"): ("who have not opened a message in {value}", "{value}内没有打开消息"),
    ("last_opened_at", "within_last"): ("who have opened a message in the last {value}", "最近{value}内打开过消息"),
    ("last_opened_at", "empty"): ("who have never opened a message", "从未打开消息"),
    ("last_clicked_at", "not_within_last"): ("who have not clicked in {value}", "{value}内没有点击"),
    ("last_clicked_at", "within_last"): ("who have clicked in the last {value}", "最近{value}内点击过"),
    ("last_clicked_at", "empty"): ("who have never clicked", "从未点击"),
    ("last_replied_at", "not_within_last"): ("who have not replied in {value}", "{value}内没有回复"),
    ("last_replied_at", "within_last"): ("who have replied in the last {value}", "最近{value}内回复过"),
    ("last_replied_at", "empty"): ("who have never replied", "从未回复"),
    ("last_contacted_at", "not_within_last"): ("who have not been contacted in {value}", "{value}内没有被联系"),
    ("last_contacted_at", "within_last"): ("who have been contacted in the last {value}", "最近{value}内被联系过"),
    ("last_contacted_at", "empty"): ("who have never been contacted", "从未被联系"),
}

# What marks a record: behind its name in English, before it in Chinese.
MARKS: Mapping[tuple[str, str], Words] = {
    ("installed_on", "older_than"): ("installed more than {value} ago", "安装已超过{value}"),
    ("installed_on", "within_last"): ("installed in the last {value}", "最近{value}内安装"),
    ("purchased_on", "older_than"): ("bought more than {value} ago", "购买已超过{value}"),
    ("purchased_on", "within_last"): ("bought in the last {value}", "最近{value}内购买"),
    ("warranty_until", "within_next"): ("whose warranty ends in the next {value}", "保修在未来{value}内到期"),
    ("expires_on", "within_next"): ("whose service life ends in the next {value}", "使用年限在未来{value}内到期"),
    ("next_consumable_due_on", "within_next"): ("with a consumable due in the next {value}", "未来{value}内要换耗材"),
    ("ordered_at", "within_last"): ("placed in the last {value}", "最近{value}内"),
    ("ordered_at", "older_than"): ("placed more than {value} ago", "{value}以前"),
    ("sent_at", "within_last"): ("sent in the last {value}", "最近{value}内发送"),
    ("opened_at", "not_empty"): ("that was opened", "打开过"),
    ("opened_at", "empty"): ("that was not opened", "未打开"),
    ("clicked_at", "not_empty"): ("that was clicked", "点击过"),
    ("clicked_at", "empty"): ("that was not clicked", "未点击"),
    ("at", "within_last"): ("in the last {value}", "最近{value}内"),
    ("visited_at", "within_last"): ("in the last {value}", "最近{value}内"),
    ("completed_at", "within_last"): ("completed in the last {value}", "最近{value}内完成"),
    ("requested_at", "within_last"): ("requested in the last {value}", "最近{value}内申请"),
    ("granted", "is"): ("that stands", "有效"),
    ("granted", "is_not"): ("that was refused or withdrawn", "已拒绝或撤回"),
}


@dataclass(frozen=True)
class Having:
    """How people have records of one kind: some, none; what one is called, and several."""

    some: Words
    none: Words
    one: Words
    several: Words


HAVING: Mapping[str, Having] = {
    "orders": Having(("have placed", "下过"), ("have placed no", "没有下过"), ("order", "订单"), ("orders", "订单")),
    "order_items": Having(("have bought", "买过"), ("have bought no", "没有买过"), ("item", "商品"), ("items", "商品")),
    "appliances": Having(("own", "拥有"), ("own no", "没有"), ("appliance", "家电"), ("appliances", "家电")),
    "service_visits": Having(
        ("have had", "有过"), ("have had no", "没有过"), ("service visit", "上门服务"), ("service visits", "上门服务")
    ),
    "messages": Having(
        ("have received", "收到过"), ("have received no", "没有收到过"), ("message", "消息"), ("messages", "消息")
    ),
    "events": Having(("have", "有"), ("have no", "没有"), ("event", "事件"), ("events", "事件")),
    "consents": Having(("have", "有"), ("have no", "没有"), ("consent", "授权"), ("consents", "授权")),
}

MEASURES: Mapping[str, Words] = {
    "sum": ("total {field} of {records}", "{records}的{field}总和"),
    "avg": ("average {field} of {records}", "{records}的平均{field}"),
    "min": ("smallest {field} of {records}", "{records}的最小{field}"),
    "max": ("largest {field} of {records}", "{records}的最大{field}"),
    "count": ("number of {records}", "{records}的数量"),
}

COUNTS: Mapping[str, Words] = {
    "eq": ("exactly {value}", "正好{value}个"),
    "ne": ("not exactly {value}", "并非{value}个"),
    "gte": ("at least {value}", "至少{value}个"),
    "gt": ("more than {value}", "多于{value}个"),
    "lte": ("at most {value}", "至多{value}个"),
    "lt": ("fewer than {value}", "少于{value}个"),
    "between": ("{low} to {high}", "{low}到{high}个"),
    "in": ("{value}", "{value}个"),
    "not_in": ("not {value}", "并非{value}个"),
}
