"""The dealer's books as the files that a dealer's programs write: Chinese headers, one line a record or order item.

Every cell is text; what is missing is an empty cell. Orders are written as item lines that repeat their order.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.dealer import Dealer
from demo.market import BY_CODE

Record = dict[str, Any]
Row = dict[str, str]

STATUS_ZH = {
    "completed": "已完成",
    "cancelled": "已取消",
    "refunded": "已退款",
    "partly_refunded": "部分退款",
    "pending": "待付款",
    "in_use": "在用",
    "replaced": "已更换",
    "disposed": "已报废",
    "scheduled": "已预约",
    "installation": "安装",
    "repair": "维修",
    "maintenance": "保养",
    "male": "男",
    "female": "女",
}


def customer_rows(dealer: Dealer) -> Iterator[Row]:
    """One line a customer; the consent columns give the last word on e-mail, and are empty for who was never asked."""
    names = {community["code"]: community["name"] for community in dealer.communities}
    for one in dealer.customers:
        last = one["consents"][-1] if one["consents"] else {}
        yield {
            "客户编号": one["external_id"],
            "姓名": one["name"],
            "性别": STATUS_ZH[one["gender"]],
            "生日": _cell(one["birthday"]),
            "手机": one["phone"],
            "邮箱": _cell(one["email"]),
            "城市": one["city"],
            "区县": one["district"],
            "小区编号": one["community"],
            "小区名称": names[one["community"]],
            "地址": one["address"],
            "家庭人数": _cell(one["household_size"]),
            "销售员": one["salesperson"],
            "经销商": one["dealer"],
            "平台": one["platform"],
            "标签": ";".join(one["tags"]),
            "邮件营销同意": "" if not last else "是" if last["granted"] else "否",
            "同意时间": _instant(last.get("at")),
            "同意来源": _cell(last.get("source")),
        }


def order_rows(dealer: Dealer) -> Iterator[Row]:
    """One line an item, its order's cells repeated."""
    for order in dealer.orders:
        head = {
            "订单号": order["number"],
            "客户编号": order["customer"]["external_id"],
            "平台": order["platform"],
            "状态": STATUS_ZH[order["status"]],
            "下单时间": _instant(order["ordered_at"]),
            "订单金额": order["amount"],
            "退款金额": order["refunded"],
        }
        for item in order["items"]:
            yield {
                **head,
                "商品编码": item["sku"],
                "商品名称": item["name"],
                "品牌": item["brand"],
                "品类": item["category"],
                "数量": str(item["quantity"]),
                "单价": item["price"],
                "成本": _cell(item["cost"]),
            }


def appliance_rows(dealer: Dealer) -> Iterator[Row]:
    for one in dealer.appliances:
        yield {
            "家电编号": one["number"],
            "序列号": _cell(one["serial"]),
            "客户编号": one["customer"]["external_id"],
            "品类": one["category"],
            "品类名称": BY_CODE[one["category"]].zh,
            "品牌": one["brand"],
            "型号": one["model"],
            "功率": _cell(one["power_watts"]),
            "购买日期": one["purchased_on"],
            "安装日期": _cell(one["installed_on"]),
            "保修到期": one["warranty_until"],
            "下次耗材更换": _cell(one["next_consumable_due_on"]),
            "状态": STATUS_ZH[one["status"]],
            "来源": one["source"],
            "订单号": _cell(one["order_number"]),
        }


def visit_rows(dealer: Dealer) -> Iterator[Row]:
    for one in dealer.service_visits:
        yield {
            "工单号": one["number"],
            "客户编号": one["customer"]["external_id"],
            "家电编号": one["appliance"],
            "服务类型": STATUS_ZH[one["kind"]],
            "状态": STATUS_ZH[one["status"]],
            "服务商": one["provider"],
            "报修时间": _instant(one["requested_at"]),
            "上门时间": _instant(one["visited_at"]),
            "完成时间": _instant(one["completed_at"]),
            "满意度": _cell(one["satisfaction"]),
            "费用": _cell(one["cost"]),
        }


ROWS: Mapping[str, Callable[[Dealer], Iterator[Row]]] = {
    "customers": customer_rows,
    "orders": order_rows,
    "appliances": appliance_rows,
    "service_visits": visit_rows,
}
"""The kinds of file that `hearth import` takes, in the order in which they are best read."""


def write_csv(path: Path, rows: Iterable[Row], *, encoding: str = "utf-8-sig", delimiter: str = ",") -> int:
    """Write `rows` with their keys as the header; answers how many."""
    lines = list(rows)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]) if lines else [], delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(lines)
    return len(lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _instant(value: str | None) -> str:
    """`2025-11-30T11:30:02+08:00` as the shop's clock shows it."""
    return "" if value is None else value[:19].replace("T", " ")
