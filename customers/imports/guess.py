"""A mapping guessed from the header, where none is given: the usual names in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from customers.imports.mapping import Entry, FileMapping
from customers.imports.targets import OWNED, targets_of
from runtime.text import fold

_SIGNS = re.compile(r"[\s_\-./:：（）()#*\[\]【】]+")

# Names as they stand in files, folded and without signs. A field's own name is always one of its names.
_NAMES: Mapping[str, str] = {
    "external_id": "customerid custid customerno customernumber customercode clientid memberid userid 客户编号 客户号"
    " 客户id 客户代码 会员编号 会员号 会员id 会员卡号 用户编号 用户id 顾客编号",
    "name": "fullname customername customer client contact contactname 姓名 客户姓名 客户名称 客户 顾客姓名 用户姓名"
    " 联系人 会员姓名 名字",
    "email": "emailaddress mail 邮箱 电子邮箱 邮件 电子邮件 邮箱地址 邮件地址",
    "phone": "mobile mobilephone cell cellphone phonenumber mobilenumber telephone tel 手机 手机号 手机号码 电话"
    " 联系电话 电话号码 移动电话 客户电话 联系方式",
    "gender": "sex 性别",
    "city": "town 城市 市 所在城市",
    "district": "county 区 区县 城区 行政区",
    "address": "streetaddress street homeaddress 地址 详细地址 住址 家庭地址 收货地址 安装地址",
    "community": "compound estate neighbourhood neighborhood 小区 小区名称 社区 楼盘 小区编号",
    "language": "lang 语言",
    "timezone": "tz 时区",
    "birthday": "dateofbirth dob birthdate 生日 出生日期 出生年月",
    "household_size": "familysize 家庭人数 家庭人口 人口",
    "salesperson": "salesrep salesman rep accountmanager 销售 销售员 业务员 导购 导购员 客户经理 销售员编号 销售人员",
    "dealer": "store shop branch 经销商 门店 店铺 经销商编号 门店编号",
    "platform": "channel source 平台 渠道 来源 来源渠道 购买渠道 销售平台",
    "tags": "labels tag 标签 客户标签",
    "number": "",
    "status": "state 状态",
    "ordered_at": "orderdate orderedon date orderedat orderdatetime invoicedate purchasedate 下单时间 订单时间 下单日期"
    " 订单日期 购买时间 成交时间 交易时间",
    "delivered_at": "deliverydate delivereddate deliveredon deliveredat 送达时间 送达日期 送货时间 送货日期"
    " 签收时间 签收日期",
    "amount": "total ordertotal totalamount orderamount 金额 订单金额 总金额 实付金额 总价 合计 成交金额",
    "refunded": "refund refundamount refundedamount 退款 退款金额",
    "sku": "skucode stockcode itemcode productcode 商品编码 商品编号 货号 产品编码 商品代码",
    "quantity": "qty count 数量 件数 购买数量",
    "price": "unitprice 单价 价格 商品单价",
    "cost": "unitcost 成本 成本价 费用 维修费用 服务费用",
    "category": "type productcategory appliancetype 品类 类别 家电类型 产品类别 产品品类 家电 电器类型 产品类型",
    "brand": "make manufacturer 品牌",
    "model": "modelno modelnumber 型号 产品型号 机型",
    "serial": "serialno serialnumber sn 序列号 机身号 机号 产品序列号 条码",
    "power_watts": "power watts wattage 功率 额定功率",
    "purchased_on": "purchasedate purchasedat dateofpurchase boughton 购买日期 购机日期 购买时间 购机时间",
    "installed_on": "installdate installationdate installedat dateofinstallation 安装日期 安装时间",
    "warranty_until": "warranty warrantyend warrantydate warrantyexpiry 保修截止 保修期至 保修到期 质保到期"
    " 保修截止日期",
    "order_number": "orderno ordernumber orderid 订单号 订单编号",
    "kind": "visittype servicetype type 服务类型 类型 工单类型 服务项目",
    "provider": "serviceprovider technician 服务商 维修商 服务网点 师傅 工程师",
    "requested_at": "requestdate requestedon createdat 报修时间 申请时间 报修日期 预约时间",
    "visited_at": "visitdate servicedate 上门时间 上门日期 服务日期 服务时间",
    "completed_at": "completeddate completiondate finishedat 完成时间 完成日期 完工时间",
    "satisfaction": "rating score 满意度 评分",
    "appliance": "applianceno appliancenumber serial serialno serialnumber 家电编号 设备编号 序列号 机身号",
    "note": "notes remark remarks comment description 备注 说明 问题描述",
    "code": "id no 编号 编码 代码",
    "active": "enabled 在职 启用",
}
_NUMBERS: Mapping[str, str] = {
    "orders": "orderno ordernumber orderid order invoiceno invoice 订单号 订单编号 单号 订单id 交易单号",
    "appliances": "applianceno applianceid appliancenumber 家电编号 设备编号 电器编号",
    "service_visits": "visitno visitnumber visitid ticket ticketno workorder workorderno 工单号 服务单号 工单编号 单号",
}


def guess_mapping(kind: str, header: Sequence[str]) -> FileMapping:
    """The mapping that the header suggests; a column whose name says nothing is left out. Orders get one item per line
    where there are item columns."""
    found: dict[str, Entry] = {}
    items: dict[str, Entry] = {}
    names, item_names = _names(kind), _item_names() if kind == "orders" else {}
    for column in header:
        plain = _plain(column)
        if (target := names.get(plain)) and target not in found:
            found[target] = Entry(column)
        elif (target := item_names.get(plain)) and target not in items:
            items[target] = Entry(column)
    return FileMapping(kind, found, items if {"sku", "quantity", "price"} & set(items) else {})


def _names(kind: str) -> dict[str, str]:
    """Plain column name → target; the record's own fields before those of its customer."""
    own = [target for target in targets_of(kind) if "…" not in target]
    names: dict[str, str] = {}
    for target in own:
        head, _, last = target.rpartition(".")
        if head == "customer" and last in ("id", "platform"):
            continue
        for name in (target, *_spellings(kind, target, last)):
            names.setdefault(_plain(name), target)
        if head == "customer" or (kind == "customers" and last != "id"):
            for name in (last, f"customer {last}"):
                names.setdefault(_plain(name), target)
    if kind in OWNED:
        names[_plain("客户")] = names["name"] = "customer.name"
    names.pop("id", None) if kind in ("customers", *OWNED) else None
    return names


def _spellings(kind: str, target: str, last: str) -> list[str]:
    if target == "number":
        return _NUMBERS.get(kind, "").split()
    return _NAMES.get(last, "").split()


def _item_names() -> dict[str, str]:
    extra = {"name": "productname itemname product item 商品 商品名称 产品名称 品名"}
    names: dict[str, str] = {}
    for target in targets_of("orders.items"):
        for name in (target, f"item {target}", *extra.get(target, _NAMES.get(target, "")).split()):
            names.setdefault(_plain(name), target)
    return names


def _plain(column: str) -> str:
    return _SIGNS.sub("", fold(column) or "")
