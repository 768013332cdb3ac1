"""What a record of each kind may say: field by field, with its reader; everything else is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from customers.addresses import read_email, read_phone
from customers.moments import read_date, read_instant
from customers.values import (
    Context,
    Reader,
    read_code,
    read_integer,
    read_line,
    read_number,
    read_street,
    read_text,
    read_word,
    read_yes_no,
    read_zone,
)
from runtime.errors import Problem


@dataclass(frozen=True)
class Schema:
    """The plain fields of one kind of record; `nested` ones are read by whoever knows their shape."""

    name: str
    fields: Mapping[str, Reader]
    required: Sequence[str] = ()
    nested: frozenset[str] = field(default_factory=frozenset)


def clean(record: Any, schema: Schema, context: Context, path: str = "") -> tuple[dict[str, Any], list[Problem]]:
    """The values that `record` gives, made plain, and everything wrong with it; nested fields are left out."""
    if not isinstance(record, dict):
        return {}, [Problem(path.rstrip("."), f"{schema.name}: expected an object")]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    readers = schema.fields
    for name, value in record.items():
        reader = readers.get(name)
        if reader is None:
            if name not in schema.nested:
                problems.append(Problem(f"{path}{name}", f"{schema.name} has no such field"))
            continue
        try:
            values[name] = reader(value, context)
        except ValueError as error:
            problems.append(Problem(f"{path}{name}", str(error)))
    for name in schema.required:
        if values.get(name) is None and not any(problem.path == f"{path}{name}" for problem in problems):
            problems.append(Problem(f"{path}{name}", "is required"))
    return values, problems


def at_least(reader: Reader, least: int) -> Reader:
    """The same reader, refusing numbers below `least`."""

    def read(value: Any, context: Context) -> Any:
        number = reader(value, context)
        if number is not None and number < least:
            raise ValueError(f"{number} is less than {least}")
        return number

    return read


def at_most(reader: Reader, most: int) -> Reader:
    """The same reader, refusing numbers above `most`."""

    def read(value: Any, context: Context) -> Any:
        number = reader(value, context)
        if number is not None and number > most:
            raise ValueError(f"{number} is more than {most}")
        return number

    return read


def rounded(reader: Reader, places: int) -> Reader:
    """The same reader of numbers, to so many decimals: what is stored is what was compared."""

    def read(value: Any, context: Context) -> Any:
        number = reader(value, context)
        return None if number is None else round(number, places)

    return read


def one_of(words: Mapping[str, str]) -> Reader:
    """A reader of a closed vocabulary; `words` maps each accepted spelling (lower case) to the word that is kept."""

    def read(value: Any, context: Context) -> str | None:
        word = read_word(value, context)
        if word is None:
            return None
        if word not in words:
            raise ValueError(f"{word[:40]!r} is none of {', '.join(dict.fromkeys(words.values()))}")
        return words[word]

    return read


def translated(words: Mapping[str, str], reader: Reader = read_code) -> Reader:
    """A reader of an open vocabulary: `words` maps the usual spellings to the usual word, others stay as they are."""

    def read(value: Any, context: Context) -> str | None:
        text = reader(value, context)
        return None if text is None else words.get(text.casefold(), text)

    return read


def _words(**spellings: str) -> dict[str, str]:
    return {
        spelling: word
        for word, others in spellings.items()
        for spelling in (word, word.replace("_", " "), *others.split())
    }


ORDER_STATUS = _words(
    completed="complete done paid shipped delivered 已完成 完成 交易成功 已付款 已发货 已签收",
    cancelled="canceled void 已取消 取消 交易关闭 已关闭",
    refunded="已退款 退款 退款成功 已退货",
    partly_refunded="部分退款",
    pending="open new unpaid 待付款 待处理 未付款 待发货",
)
APPLIANCE_STATUS = _words(
    in_use="active 在用 使用中 正常", replaced="已更换 已换新", disposed="scrapped 已报废 报废 已处理"
)
VISIT_KIND = _words(
    repair="维修 报修 修理", installation="install 安装", maintenance="保养 维护", cleaning="清洗", complaint="投诉"
)
VISIT_STATUS = _words(
    completed="complete done 已完成 完成",
    cancelled="canceled 已取消 取消",
    requested="open new 待处理 已申请",
    scheduled="已预约 已派单",
)
GENDER = _words(
    male="m m. man mr mr. 男 男性 男士 男生 先生",
    female="f f. woman mrs mrs. ms ms. miss 女 女性 女士 女生 小姐 太太",
)

CUSTOMER = Schema(
    "a customer",
    {
        "id": at_most(at_least(read_integer, 1), 2**63 - 1),
        "external_id": read_code,
        "name": read_line,
        "email": read_email,
        "phone": read_phone,
        "gender": translated(GENDER, read_line),
        "city": read_line,
        "district": read_line,
        "address": read_street,
        "platform": read_line,
        "language": read_code,
        "timezone": read_zone,
        "birthday": read_date,
        "household_size": at_most(at_least(read_integer, 0), 1000),
        "community": read_code,
        "dealer": read_code,
        "salesperson": read_code,
    },
    nested=frozenset({"identities", "addresses", "tags", "attributes", "consents"}),
)
CONSENT = Schema(
    "a consent",
    {
        "channel": read_word,
        "purpose": read_word,
        "granted": read_yes_no,
        "source": read_line,
        "at": read_instant,
        "text_version": read_line,
    },
    required=("channel", "granted"),
)
IDENTITY = Schema("an identity", {"kind": read_word, "value": read_code}, required=("kind", "value"))
ADDRESS = Schema(
    "an address",
    {"kind": read_word, "value": read_code, "is_primary": read_yes_no},
    required=("kind", "value"),
)
ORDER = Schema(
    "an order",
    {
        "number": read_code,
        "platform": read_line,
        "status": one_of(ORDER_STATUS),
        "ordered_at": read_instant,
        "delivered_at": read_instant,
        "amount": read_number,
        "refunded": at_least(read_number, 0),
    },
    required=("number",),
    nested=frozenset({"customer", "items"}),
)
ORDER_ITEM = Schema(
    "an item",
    {
        "sku": read_code,
        "name": read_text,
        "brand": read_line,
        "category": read_line,
        "quantity": read_number,
        "price": read_number,
        "cost": read_number,
    },
)
APPLIANCE = Schema(
    "an appliance",
    {
        "number": read_code,
        "serial": read_code,
        "category": read_line,
        "brand": read_line,
        "model": read_line,
        "source": read_line,
        "status": one_of(APPLIANCE_STATUS),
        "power_watts": rounded(at_most(at_least(read_number, 0), 10**9), 2),
        "purchased_on": read_date,
        "installed_on": read_date,
        "warranty_until": read_date,
        "next_consumable_due_on": read_date,
        "order_number": read_code,
    },
    nested=frozenset({"customer"}),
)
SERVICE_VISIT = Schema(
    "a service visit",
    {
        "number": read_code,
        "kind": translated(VISIT_KIND),
        "status": translated(VISIT_STATUS),
        "provider": read_line,
        "requested_at": read_instant,
        "visited_at": read_instant,
        "completed_at": read_instant,
        "satisfaction": rounded(at_most(at_least(read_number, 0), 99), 2),
        "cost": read_number,
        "appliance": read_code,
        "note": read_text,
    },
    nested=frozenset({"customer"}),
)


def _coded(name: str, **fields: Reader) -> Schema:
    return Schema(name, {"code": read_code, "name": read_line, **fields}, required=("code",))


COMMUNITY = _coded("a community", city=read_line, district=read_line, address=read_text)
DEALER = _coded("a dealer", phone=read_phone, city=read_line)
SALESPERSON = _coded("a salesperson", phone=read_phone, email=read_email, dealer=read_code, active=read_yes_no)
PRODUCT = _coded(
    "a product",
    category=read_line,
    brand=read_line,
    model=read_line,
    price=at_least(read_number, 0),
    cost=at_least(read_number, 0),
)
