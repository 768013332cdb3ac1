"""What the ready-made segments are called, who they are, and what to do with them, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segments.vocabulary import Words


@dataclass(frozen=True)
class Told:
    """`description`: who they are. `advice`: when to use it and what to offer. Parameters stand in braces.

    `title`: what those of one recipe are called together, where there are several.
    """

    name: Words
    description: Words
    advice: Words
    title: Words | None = None


INTENTIONS: Mapping[str, Words] = {
    "replacement": ("Replacement", "换新"),
    "service": ("Consumables and service", "耗材与服务"),
    "warranty": ("Warranty", "保修"),
    "growth": ("Growth", "增长"),
    "risk": ("Customers at risk", "流失风险"),
    "reach": ("Reach", "触达"),
}

TOLD: Mapping[str, Told] = {
    "replacement_due": Told(
        ("Due for replacement: {category}", "该换新了：{category}"),
        (
            "They own one in use whose service life has ended or ends within {days} days.",
            "家中在用的这类家电已到或将在 {days} 天内到达使用年限。",
        ),
        (
            "Offer a trade-in with removal of the old one before it fails: whoever replaces in a hurry buys next door.",
            "在旧机坏掉之前推以旧换新，包拆旧机：急着换的人往往就近买别家的。",
        ),
        title=("Due for replacement", "该换新了"),
    ),
    "old_and_repaired": Told(
        ("Old and often repaired", "又旧又常修"),
        (
            "They own an appliance in use for {years} years or more that was repaired at least {repairs} times.",
            "家中有用了 {years} 年以上、至少修过 {repairs} 次的家电。",
        ),
        (
            "Set the next repair bill against the price of a new one: right after a repair it convinces.",
            "把下一次维修费和新机价格摆在一起算账，趁刚修完时报价最有说服力。",
        ),
    ),
    "community_day": Told(
        ("Old appliances in {community}", "{community}的老家电"),
        (
            "They live there and own an appliance whose service life ends within {days} days or has ended.",
            "住在该小区，家中有家电已到或将在 {days} 天内到达使用年限。",
        ),
        (
            "Enough of them at one gate make a trade-in day: one van, one installer, a price for the whole community.",
            "同一小区人数够多，就能办以旧换新进小区：一辆车、一位安装师傅、一个团购价。",
        ),
        title=("Old appliances in one community", "一个小区的老家电"),
    ),
    "consumable_due": Told(
        ("Filter or care due: {category}", "滤芯或保养到期：{category}"),
        (
            "The next filter, rod or cleaning of an appliance in use is due within {days} days.",
            "在用家电的滤芯、镁棒或清洗将在 {days} 天内到期。",
        ),
        (
            "Remind two weeks ahead with a link to the right part; fitting included sells better than a discount.",
            "提前两周提醒并附上对应耗材的下单链接；包上门更换比打折更好卖。",
        ),
        title=("Filter or care due", "滤芯或保养到期"),
    ),
    "consumable_overdue": Told(
        ("Filter or care overdue", "滤芯或保养已过期"),
        (
            "The filter, rod or cleaning of an appliance in use has been due for {days} days or longer.",
            "在用家电的滤芯、镁棒或清洗已过期 {days} 天以上。",
        ),
        (
            "They missed the reminder: let the salesperson call, and say what an old filter does to the water.",
            "提醒没起作用，让销售人员打电话，讲清滤芯过期对水质的影响。",
        ),
    ),
    "warranty_ending": Told(
        ("Warranty ending", "即将过保"),
        ("The warranty of an appliance in use ends within {days} days.", "在用家电将在 {days} 天内过保。"),
        (
            "Offer a free check while repairs still cost nothing, and the extended warranty with the result.",
            "趁还在保修期内送一次免费检查，检查完顺势推荐延保。",
        ),
    ),
    "warranty_ended": Told(
        ("Out of warranty lately", "刚过保"),
        ("The warranty of an appliance in use ended within the last {days} days.", "在用家电在最近 {days} 天内过保。"),
        (
            "Sell the yearly service plan now: the first repair at one's own cost is what they fear.",
            "现在推年度保养套餐：他们最怕第一次自费维修。",
        ),
    ),
    "new_customers": Told(
        ("New this month", "本月新客"),
        ("Their first order was within the last {days} days.", "首次下单在最近 {days} 天内。"),
        (
            "Say thank you, register the appliance for its warranty and introduce the salesperson by name.",
            "先道谢，再引导登记保修，并介绍专属销售人员。",
        ),
    ),
    "no_follow_up": Told(
        ("Three months after a purchase, no follow-up", "购买满三个月未回访"),
        (
            "They bought three to four months ago; since then nobody wrote to them or came by.",
            "三到四个月前下过单，此后既没有联系过，也没有上门过。",
        ),
        (
            "Ask how it works before offering anything: a good answer becomes a review, a bad one a visit.",
            "先问用得怎么样，别急着推销：满意的请他评价，不满意的安排上门。",
        ),
    ),
    "best_customers": Told(
        ("Best customers", "高价值客户"),
        ("They bought lately, and for more than most others.", "最近买过，而且买得比大多数客户都多。"),
        (
            "Show them new models first and ask for a recommendation: a discount is wasted on who comes anyway.",
            "新品让他们先看，请他们介绍朋友；本来就会来的人，打折是浪费。",
        ),
    ),
    "one_purchase": Told(
        ("Bought once", "只买过一次"),
        (
            "One order only, more than {days} days ago and less than two years.",
            "只下过一单，距今超过 {days} 天、不到两年。",
        ),
        (
            "Offer what goes with the appliance that they have: the second order is what makes a customer.",
            "推荐与已购家电配套的产品：第二单才算真正的客户。",
        ),
    ),
    "clicks_does_not_buy": Told(
        ("Clicks and does not buy", "常点击但没下单"),
        (
            "They clicked in a message within the last {days} days and have not ordered for half a year.",
            "最近 {days} 天内点击过消息，但半年内没有下单。",
        ),
        (
            "They are looking: let the salesperson call with a price, today rather than next week.",
            "正在比价：让销售人员今天就打电话报价，别等下周。",
        ),
    ),
    "birthday": Told(
        ("Birthday soon", "即将过生日"),
        ("Their birthday is within the next {days} days.", "生日在未来 {days} 天内。"),
        (
            "A wish and a small service, such as a free cleaning: it opens the door without selling.",
            "送上祝福和一次小服务，比如免费清洗：不推销也能进门。",
        ),
    ),
    "at_risk": Told(
        ("At risk: quieter than usual", "有流失风险：比平时安静"),
        (
            "They ordered at least {orders} times, and by their own rhythm the next order is {days} days late.",
            "至少下过 {orders} 单，按自己的节奏，下一单已经晚了 {days} 天。",
        ),
        (
            "Ask what they lack before they are gone: what they bought last is the best reason to get in touch.",
            "趁还没走先问缺什么：上次买的东西就是最好的话题。",
        ),
    ),
    "lapsed": Told(
        ("Lapsed", "沉睡客户"),
        ("They have bought, and not within the last {years} years.", "买过东西，但最近 {years} 年没有再买。"),
        (
            "Come with service rather than with a catalogue: a free check shows what stands in the home today.",
            "带着服务去，不要带着目录去：一次免费检查就知道家里现在用什么。",
        ),
    ),
    "unhappy_with_repair": Told(
        ("Unhappy with a repair", "维修不满意"),
        (
            "They rated a repair of the last {days} days with {satisfaction} or less.",
            "最近 {days} 天内对维修的评分不超过 {satisfaction} 分。",
        ),
        (
            "Call, do not write, and leave them out of every offer until it is settled.",
            "打电话，不要发消息；问题解决前，不要给他们发任何促销。",
        ),
    ),
    "never_contacted": Told(
        ("Never contacted", "从未联系过"),
        ("No message was ever sent to them.", "从来没有给他们发过消息。"),
        (
            "Begin with who you are and how to say no; an offer comes with the second message.",
            "第一条只介绍自己、说明如何退订，第二条再谈优惠。",
        ),
    ),
    "reachable": Told(
        ("Reachable by {channel}", "可通过{channel}联系"),
        (
            "They have an address, consented, and nothing speaks against it.",
            "有联系地址、已授权，且没有任何禁止联系的记录。",
        ),
        (
            "The largest audience that you may write to: begin a campaign here and narrow it down.",
            "这是允许联系的最大人群：从这里开始，再逐步缩小范围。",
        ),
        title=("Reachable by channel", "各渠道可联系"),
    ),
    "not_reachable": Told(
        ("Not reachable by {channel}", "无法通过{channel}联系"),
        (
            "The address or the consent is missing, or something speaks against it.",
            "缺少联系地址或授权，或有禁止联系的记录。",
        ),
        (
            "Give the list to the salespeople: the next visit is the moment to ask for address and consent.",
            "把名单交给销售人员：下次上门时补登联系方式和授权。",
        ),
        title=("Not reachable by channel", "各渠道无法联系"),
    ),
}
