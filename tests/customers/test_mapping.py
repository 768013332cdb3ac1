from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from customers.imports.guess import guess_mapping
from customers.imports.mapping import CellFault, fit, load_mapping, read_mapping
from customers.imports.targets import KINDS, check_target, targets_of
from customers.imports.transforms import TRANSFORMS, make_step
from customers.values import Context
from runtime.errors import Invalid

CHINA = Context(ZoneInfo("Asia/Shanghai"), "CN")


def mapped(kind: str, columns: Any, header: list[str], cells: list[str], **more: Any) -> dict[str, Any]:
    plan = fit(read_mapping({"kind": kind, "columns": columns, **more}), header, CHINA)
    return plan.record(cells)


def test_columns_constants_and_templates_fill_a_record() -> None:
    columns = {
        "external_id": {"column": "No", "transform": "integer"},
        "email": {"template": "c{No}@example.com"},
        "name": "Name",
        "city": {"value": "西安"},
        "attributes.floor": {"column": "Floor", "transform": "integer"},
        "identities.wechat": "WeChat",
        "consents.email": {"value": True},
        "tags": {"column": "Tags", "transform": {"split": ";"}},
    }
    header = ["No", "Name", "Floor", "WeChat", "Tags"]
    assert mapped("customers", columns, header, ["17850.0", " Ann ", "5", "wx1", "a; b"]) == {
        "external_id": 17850,
        "email": "c17850@example.com",
        "name": "Ann",
        "city": "西安",
        "attributes": {"floor": 5},
        "identities": [{"kind": "wechat", "value": "wx1"}],
        "consents": [{"channel": "email", "purpose": "marketing", "granted": True, "source": "import"}],
        "tags": ["a", "b"],
    }
    empty = mapped("customers", columns, header, [""] * 5)
    assert set(empty) == {"city", "consents"}  # an empty cell says nothing, and no template is half filled


@pytest.mark.parametrize(
    ("transform", "cell", "expected"),
    [
        ("integer", "17850.0", 17850),
        ("integer", "１２", 12),
        ("decimal", "1,234.50", Decimal("1234.50")),
        ({"decimal": ","}, "1.234,50", Decimal("1234.50")),
        ("date", "2024年3月5日", date(2024, 3, 5)),
        ({"date": "%d.%m.%Y"}, "05.03.2024", date(2024, 3, 5)),
        ({"datetime": {"format": "%d/%m/%Y %H:%M", "zone": "Europe/London"}}, "05/07/2024 12:00",
         datetime(2024, 7, 5, 11, tzinfo=UTC)),
        ({"datetime": {"zone": "UTC"}}, "2024/3/5 12:00", datetime(2024, 3, 5, 12, tzinfo=UTC)),
        ("datetime", "2024/3/5 12:00", datetime(2024, 3, 5, 4, tzinfo=UTC)),
        ("lower", "ABC", "abc"),
        (["lower", {"map": {"m": "male"}, "else": None}], "M", "male"),
        (["lower", {"map": {"m": "male"}, "else": None}], "X", None),
        ({"starts_with": {"C": "cancelled", "CR": "refunded"}, "else": "completed"}, "CR12", "refunded"),
        ({"starts_with": {"C": "cancelled"}, "else": "completed"}, "536365", "completed"),
        ({"starts_with": {"C": "cancelled"}}, "536365", None),
        ({"split": "/"}, "a / b//", ["a", "b"]),
    ],
)  # fmt: skip
def test_transforms(transform: Any, cell: str, expected: Any) -> None:
    assert make_step(transform, CHINA, "t")(cell) == expected


@pytest.mark.parametrize(
    ("transform", "cell", "word"),
    [
        ("integer", "17850.5", "whole"),
        ({"date": "%d.%m.%Y"}, "2024-03-05", "does not fit"),
        ({"map": {"m": "male"}}, "x", "none of 'm'"),
        ({"decimal": ","}, "abc", "not a number"),
    ],
)
def test_a_cell_that_does_not_fit_names_its_column(transform: Any, cell: str, word: str) -> None:
    columns = {"external_id": "No", "attributes.x": {"column": "X", "transform": transform}}
    with pytest.raises(CellFault, match=word) as caught:
        mapped("customers", columns, ["No", "X"], ["1", cell])
    assert caught.value.column == "X"


@pytest.mark.parametrize(
    ("given", "path", "word"),
    [
        ([], "", "object"),
        ({"columns": {"email": "E"}, "kind": "cats"}, "kind", "customers, orders"),
        ({"columns": {"email": "E"}, "colums": {}}, "colums", "no such key"),
        ({"columns": {}}, "columns", "must be an object"),
        ({"columns": {"email": 5}}, "columns.email", "column's name"),
        ({"columns": {"email": {"columm": "E"}}}, "columns.email", "column's name"),
        ({"columns": {"emial": "E"}}, "columns.emial", "external_id"),
        ({"columns": {"attributes.": "E"}}, "columns.attributes.", "known"),
        ({"columns": {"email": "E"}, "items": {"sku": "S"}}, "items.sku", "no items"),
        ({"columns": {"email": "E"}, "delimiter": ",,"}, "delimiter", "one character"),
        ({"columns": {"email": "E"}, "encoding": 8}, "encoding", "text"),
        ({"columns": {"email": "Mail"}}, "columns.email", "there is no column 'Mail'; the file has: E, F, F"),
        ({"columns": {"email": "F"}}, "columns.email", "several columns"),
        ({"columns": {"name": "E"}}, "columns", 'the file has: E, F, F; map one, as {"columns": {"external_id": "E"'),
        ({"columns": {"email": {"template": "{X}@y"}}}, "columns.email", "'X'"),
        ({"columns": {"email": "E"}, "group_by": "G"}, "group_by", "'G'"),
        ({"columns": {"email": {"column": "E", "transform": "rot13"}}}, "columns.email.transform", "integer"),
        ({"columns": {"email": {"column": "E", "transform": {"map": 3}}}}, "columns.email.transform", "table"),
        ({"columns": {"email": {"column": "E", "transform": {"datetime": {"zone": "Mars"}}}}},
         "columns.email.transform", "Mars"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_names_the_culprit(given: Any, path: str, word: str) -> None:
    with pytest.raises(Invalid) as caught:
        fit(read_mapping(given, "customers"), ["E", "F", "F"], CHINA)
    problems = [(problem.path, problem.message) for problem in caught.value.problems]
    assert path in [where for where, _ in problems]
    assert any(word in message for _, message in problems), problems


def test_a_mapping_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    with pytest.raises(Invalid, match=r"m\.json: No such file"):
        load_mapping(path)
    path.write_text("{")
    with pytest.raises(Invalid, match=r"m\.json: is not JSON"):
        load_mapping(path)
    path.write_text(json.dumps({"columns": {"email": "E"}}), encoding="utf-8-sig")
    assert load_mapping(path, "customers").kind == "customers"


@pytest.mark.parametrize(
    ("kind", "header", "expected"),
    [
        (
            "customers",
            ["客户编号", "姓名", "手机号", "邮箱", "小区", "详细地址", "城市", "生日", "业务员", "经销商", "标签", "?"],
            ["external_id", "name", "phone", "email", "community", "address", "city", "birthday", "salesperson",
             "dealer", "tags"],
        ),
        (
            "customers",
            ["Customer ID", "Full Name", "E-mail", "Mobile", "Date of Birth", "Sales Rep", "Household Size"],
            ["external_id", "name", "email", "phone", "birthday", "salesperson", "household_size"],
        ),
        ("customers", ["id", "EMAIL"], ["email"]),
        (
            "appliances",
            ["客户编号", "手机", "品类", "品牌", "型号", "序列号", "购买日期", "安装日期", "保修截止", "状态", "功率"],
            ["customer.external_id", "customer.phone", "category", "brand", "model", "serial", "purchased_on",
             "installed_on", "warranty_until", "status", "power_watts"],
        ),
        (
            "appliances",
            ["customer.external_id", "number", "category", "install date"],
            ["customer.external_id", "number", "category", "installed_on"],
        ),
        (
            "orders",
            ["订单号", "客户编号", "姓名", "下单时间", "订单金额", "平台", "状态", "货号", "商品名称", "数量", "单价"],
            ["number", "customer.external_id", "customer.name", "ordered_at", "amount", "platform", "status"],
        ),
        (
            "service_visits",
            ["工单号", "客户编号", "服务类型", "状态", "服务商", "报修时间", "完成时间", "满意度", "费用", "备注"],
            ["number", "customer.external_id", "kind", "status", "provider", "requested_at", "completed_at",
             "satisfaction", "cost", "note"],
        ),
        ("salespeople", ["编号", "姓名", "手机", "门店"], ["code", "name", "phone", "dealer"]),
    ],
)  # fmt: skip
def test_the_usual_headers_are_understood(kind: str, header: list[str], expected: list[str]) -> None:
    mapping = guess_mapping(kind, header)
    assert list(mapping.columns) == expected
    if kind == "orders":
        assert list(mapping.items) == ["sku", "name", "quantity", "price"]


def test_a_header_that_says_nothing_is_refused_with_the_remedy() -> None:
    with pytest.raises(Invalid, match=r'the file has: foo, bar; map one, as {"columns": {"external_id": "foo"'):
        fit(guess_mapping("customers", ["foo", "bar"]), ["foo", "bar"], CHINA)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_can_be_mapped_by_its_own_name(kind: str) -> None:
    for target in targets_of(kind):
        assert check_target(kind, target.replace("…", "x")) is None
    plain = [target for target in targets_of(kind) if "…" not in target and target not in ("id", "customer.id")]
    assert set(guess_mapping(kind, plain).columns) | {"id", "customer.id", "customer.platform"} >= set(plain)


def test_every_transform_says_what_it_does() -> None:
    assert all(transform.help for transform in TRANSFORMS.values())
