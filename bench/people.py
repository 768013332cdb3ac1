"""Files as an enterprise hands them over, the same for the same size: of the customers, some lines are odd, double, or
cannot be used."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

SEED = 20261122

MAPPINGS: dict[str, dict[str, Any]] = {
    "customers": {
        "columns": {
            "external_id": "客户编号",
            "name": "姓名",
            "phone": "手机",
            "email": "邮箱",
            "gender": "性别",
            "city": "城市",
            "district": "区县",
            "birthday": "生日",
            "tags": "标签",
            "attributes.level": "会员等级",
            "attributes.points": "积分",
            "consents.email": "同意邮件",
        }
    },
    "orders": {
        "columns": {
            "number": "订单号",
            "customer.external_id": "客户编号",
            "platform": "平台",
            "status": "状态",
            "ordered_at": "下单时间",
        },
        "items": {"sku": "货号", "name": "商品", "category": "品类", "quantity": "数量", "price": "单价"},
    },
    "appliances": {
        "columns": {
            "serial": "序列号",
            "customer.external_id": "客户编号",
            "category": "品类",
            "brand": "品牌",
            "model": "型号",
            "installed_on": "安装日期",
        }
    },
}
_FAMILIES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_NAMES = "伟芳娜敏静秀英丽强磊军洋勇艳杰娟涛明超兰霞平刚桂"
_CITIES = ("西安", "咸阳", "宝鸡", "渭南", "成都", "重庆", "北京", "上海", "兰州", "Xi'an")
_DISTRICTS = ("雁塔区", "碑林区", "未央区", "莲湖区", "长安区", "高新区", "曲江新区")
_TAGS = ("vip", "老客户", "空调", "净水", "团购", "样板间", "vip,老客户", "空调,净水", "")
_LEVELS = ("金卡", "银卡", "普通", "")
_PREFIXES = ("130", "135", "138", "139", "150", "158", "176", "181", "186", "189")
_PHONES = ("{}{}{}", "{}{}{}", "{} {} {}", "+86-{}-{}-{}", "86{}{}{}")
_GOODS = (
    ("空调", "格力", "KFR-35GW"),
    ("冰箱", "海尔", "BCD-520"),
    ("洗衣机", "小天鹅", "TG100"),
    ("净水器", "美的", "MRC1870"),
)
_ODD_PHONES = ("029-8{}{}", "(029) 8{} {}", "+1 650 253 {1}", "0086 29 8{} {}")


def write_people(path: Path, rows: int, seed: int = SEED) -> None:
    """Customers K00000000 …: of the lines 3 % have odd phones, 2 % name somebody whom an earlier one names, 1 % cannot
    be used."""
    _write(path, list(MAPPINGS["customers"]["columns"].values()), _people(rows, random.Random(seed)))


def write_orders(path: Path, rows: int, people: int, seed: int = SEED) -> None:
    """Orders of one item each, of some of these people."""
    mapping = MAPPINGS["orders"]
    header = [*mapping["columns"].values(), *mapping["items"].values()]
    _write(path, header, _orders(rows, people, random.Random(seed)))


def write_appliances(path: Path, rows: int, people: int, seed: int = SEED) -> None:
    """Appliances of some of these people."""
    _write(path, list(MAPPINGS["appliances"]["columns"].values()), _appliances(rows, people, random.Random(seed)))


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(lines)


def _orders(rows: int, people: int, chance: random.Random) -> Iterator[list[str]]:
    for number in range(rows):
        category, brand, model = chance.choice(_GOODS)
        day = f"{chance.randrange(2018, 2027)}-{chance.randrange(1, 11):02}-{chance.randrange(1, 29):02}"
        yield [
            f"D{number:08}", f"K{chance.randrange(people):08}", chance.choice(("天猫", "京东", "门店")),
            chance.choice(("已完成", "已完成", "已完成", "已取消")), f"{day} {chance.randrange(8, 22):02}:30:00",
            model, f"{brand}{category}", category, "1", str(chance.randrange(199, 9999)),
        ]  # fmt: skip


def _appliances(rows: int, people: int, chance: random.Random) -> Iterator[list[str]]:
    for number in range(rows):
        category, brand, model = chance.choice(_GOODS)
        day = f"{chance.randrange(2008, 2026)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        yield [f"S{number:08}", f"K{chance.randrange(people):08}", category, brand, model, day]


def _people(rows: int, chance: random.Random) -> Iterator[list[str]]:
    pick = chance.choice
    for number in range(rows):
        who = number
        odd = chance.random()
        if odd < 0.02 and number:
            who = number - 1 - chance.randrange(min(number, 50_000))
        middle, end = f"{chance.randrange(10_000):04}", f"{who % 10_000:04}"
        phone = pick(_PHONES).format(pick(_PREFIXES), middle, end)
        if 0.02 <= odd < 0.05:
            phone = pick(_ODD_PHONES).format(middle[1:], end)
        cells = [
            f"K{who:08}",
            pick(_FAMILIES) + pick(_NAMES) + (pick(_NAMES) if number % 3 else ""),
            phone,
            f"user{who * 7919 % 10_000_019}.{chance.randrange(100)}@{pick(('qq.com', '163.com', 'example.com'))}",
            pick(("男", "女", "")),
            pick(_CITIES),
            pick(_DISTRICTS),
            f"{chance.randrange(1950, 2006)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
            pick(_TAGS),
            pick(_LEVELS),
            str(chance.randrange(5000)),
            pick(("是", "是", "否", "")),
        ]
        if 0.05 <= odd < 0.06:
            yield _spoilt(cells, chance)
        else:
            yield cells


def _spoilt(cells: list[str], chance: random.Random) -> list[str]:
    """A line that cannot be used: a phone or an address that is none, or cells that are missing."""
    fault = chance.randrange(3)
    if fault == 0:
        return [*cells[:2], "12", *cells[3:]]
    if fault == 1:
        return [*cells[:3], "none@", *cells[4:]]
    return cells[:-2]
