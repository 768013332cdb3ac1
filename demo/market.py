"""What Chinese homes own and buy: categories, brands with their rough market shares, sizes with power and price.

Shares are of the order that trade panels publish for 2021–2024; prices are shelf prices in CNY of a middle brand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """One size of appliance: part of the model code, how it is written on the shelf, watts and price in CNY."""

    code: str
    label: str
    watts: int
    price: int


@dataclass(frozen=True)
class Category:
    """`owned`: how often it is among a dealer's records, `most`: how many a home has, `life` and `warranty` in years,
    `consumable`: what falls due every so many months, `cost`: purchase price in per cent of the shelf price."""

    code: str
    short: str
    zh: str
    owned: int
    most: int
    life: int
    warranty: int
    cost: int
    brands: tuple[tuple[str, int], ...]
    sizes: tuple[Size, ...]
    consumable: tuple[str, int] | None = None
    installed: bool = True


@dataclass(frozen=True)
class Brand:
    """`name` as in the records, its Chinese name, the letters of its model codes, its price against a middle brand."""

    name: str
    zh: str
    short: str
    price: float


BRANDS: dict[str, Brand] = {
    brand.name: brand
    for brand in (
        Brand("Haier", "海尔", "HR", 1.05),
        Brand("Casarte", "卡萨帝", "CS", 1.95),
        Brand("Midea", "美的", "MD", 1.0),
        Brand("Gree", "格力", "GR", 1.1),
        Brand("Hisense", "海信", "HX", 0.95),
        Brand("AUX", "奥克斯", "AX", 0.8),
        Brand("TCL", "TCL", "TC", 0.85),
        Brand("Xiaomi", "小米", "MI", 0.75),
        Brand("Siemens", "西门子", "SM", 1.35),
        Brand("Bosch", "博世", "BS", 1.4),
        Brand("Panasonic", "松下", "PN", 1.2),
        Brand("Ronshen", "容声", "RS", 0.9),
        Brand("Meiling", "美菱", "ML", 0.85),
        Brand("Little Swan", "小天鹅", "LS", 1.0),
        Brand("Robam", "老板", "RB", 1.25),
        Brand("Fotile", "方太", "FT", 1.3),
        Brand("Vatti", "华帝", "VT", 0.95),
        Brand("A.O. Smith", "A.O.史密斯", "AS", 1.3),
        Brand("Rinnai", "林内", "RN", 1.2),
        Brand("Noritz", "能率", "NR", 1.15),
        Brand("Vanward", "万和", "WH", 0.8),
        Brand("Macro", "万家乐", "WJ", 0.85),
        Brand("Angel", "安吉尔", "AG", 1.05),
        Brand("Qinyuan", "沁园", "QY", 0.9),
        Brand("Canbo", "康宝", "KB", 0.8),
        Brand("Daikin", "大金", "DK", 1.6),
        Brand("Hitachi", "日立", "HT", 1.45),
    )
}

CATEGORIES: tuple[Category, ...] = (
    Category(
        "air_conditioner", "AC", "空调", 40, 4, 10, 6, 80,
        (("Gree", 33), ("Midea", 31), ("Haier", 14), ("Hisense", 7), ("AUX", 6), ("Xiaomi", 5), ("TCL", 4)),
        (Size("26GW", "1匹挂机", 780, 2399), Size("35GW", "1.5匹挂机", 1020, 2899), Size("50LW", "2匹柜机", 1550, 4999),
         Size("72LW", "3匹柜机", 2180, 6599)),
        ("清洗", 12),
    ),
    Category(
        "refrigerator", "RF", "冰箱", 15, 2, 10, 3, 82,
        (("Haier", 36), ("Midea", 13), ("Ronshen", 11), ("Casarte", 9), ("Siemens", 9), ("Hisense", 7), ("Meiling", 7),
         ("Bosch", 4), ("Panasonic", 4)),
        (Size("218", "218升三门", 110, 1799), Size("406", "406升十字", 140, 3299), Size("505", "505升法式", 160, 4999)),
        installed=False,
    ),
    Category(
        "washing_machine", "WM", "洗衣机", 13, 1, 8, 3, 81,
        (("Haier", 34), ("Little Swan", 26), ("Midea", 12), ("Siemens", 9), ("Casarte", 9), ("Panasonic", 6),
         ("Bosch", 4)),
        (Size("80", "8公斤波轮", 360, 1299), Size("100", "10公斤滚筒", 1900, 2799),
         Size("100H", "10公斤洗烘一体", 2000, 3999)),
    ),
    Category(
        "range_hood", "RH", "吸油烟机", 8, 1, 8, 5, 66,
        (("Robam", 30), ("Fotile", 28), ("Vatti", 12), ("Midea", 11), ("Haier", 9), ("Siemens", 6), ("Vanward", 4)),
        (Size("T19", "顶吸19立方", 210, 2699), Size("C21", "侧吸21立方", 230, 3199)),
        ("油网清洗", 12),
    ),
    Category(
        "gas_stove", "GS", "燃气灶", 7, 1, 8, 5, 64,
        (("Robam", 29), ("Fotile", 27), ("Vatti", 13), ("Midea", 10), ("Haier", 9), ("Vanward", 7), ("Macro", 5)),
        (Size("42", "4.2千瓦双灶", 4200, 1199), Size("52", "5.2千瓦双灶", 5200, 1799)),
    ),
    Category(
        "gas_water_heater", "GW", "燃气热水器", 7, 1, 14, 3, 70,
        (("Rinnai", 18), ("Vanward", 15), ("A.O. Smith", 15), ("Macro", 13), ("Haier", 13), ("Midea", 13),
         ("Noritz", 13)),
        (Size("JSQ25", "13升", 26000, 2099), Size("JSQ31", "16升", 32000, 2899)),
    ),
    Category(
        "electric_water_heater", "EW", "电热水器", 4, 1, 8, 6, 72,
        (("Haier", 35), ("Midea", 24), ("A.O. Smith", 19), ("Vanward", 10), ("Macro", 7), ("Siemens", 5)),
        (Size("60", "60升", 2200, 1299), Size("80", "80升", 3200, 1799)),
        ("镁棒", 24),
    ),
    Category(
        "dishwasher", "DW", "洗碗机", 3, 1, 15, 3, 72,
        (("Siemens", 29), ("Fotile", 21), ("Robam", 18), ("Midea", 17), ("Haier", 10), ("Vatti", 5)),
        (Size("10", "10套嵌入式", 1900, 4599), Size("15", "15套独嵌两用", 2000, 6299)),
        ("洗碗机滤网", 24),
    ),
    Category(
        "water_purifier", "WP", "净水器", 6, 1, 8, 1, 60,
        (("A.O. Smith", 24), ("Midea", 20), ("Angel", 16), ("Qinyuan", 14), ("Xiaomi", 14), ("Haier", 12)),
        (Size("R600", "600加仑反渗透", 85, 1999), Size("R1000", "1000加仑反渗透", 110, 2999)),
        ("滤芯", 12),
    ),
    Category(
        "disinfection_cabinet", "DC", "消毒柜", 2, 1, 8, 3, 68,
        (("Robam", 26), ("Fotile", 24), ("Canbo", 22), ("Vatti", 14), ("Midea", 14)),
        (Size("100", "100升嵌入式", 600, 1899),),
    ),
    Category(
        "dryer", "DR", "干衣机", 2, 1, 8, 3, 76,
        (("Haier", 30), ("Little Swan", 26), ("Midea", 14), ("Siemens", 14), ("Casarte", 10), ("Bosch", 6)),
        (Size("9", "9公斤热泵", 800, 3999), Size("10", "10公斤热泵", 850, 4999)),
        ("干衣机滤网", 12),
    ),
    Category(
        "central_air_conditioner", "CA", "中央空调", 1, 1, 18, 6, 74,
        (("Daikin", 30), ("Gree", 26), ("Midea", 22), ("Hitachi", 14), ("Haier", 8)),
        (Size("4", "4匹一拖三", 3600, 19800), Size("5", "5匹一拖四", 4500, 24800)),
        ("风口清洗", 12),
    ),
)  # fmt: skip
BY_CODE: dict[str, Category] = {category.code: category for category in CATEGORIES}


@dataclass(frozen=True)
class Accessory:
    """What is sold beside appliances; `fits`: the category that calls for it, None for anybody."""

    sku: str
    name: str
    brand: str
    category: str
    price: str
    cost: str | None
    fits: str | None = None


ACCESSORIES: tuple[Accessory, ...] = (
    Accessory("FL-WP-PPC", "净水器PP棉+活性炭复合滤芯", "A.O. Smith", "filter", "289.00", "138.00", "water_purifier"),
    Accessory("FL-WP-RO6", "净水器RO反渗透滤芯 600G", "Midea", "filter", "499.00", "235.00", "water_purifier"),
    Accessory("FL-RH-NET", "吸油烟机免洗油网一套", "Robam", "filter", "129.00", "52.00", "range_hood"),
    Accessory("FL-EW-MGR", "热水器镁棒", "Haier", "filter", "79.00", "21.00", "electric_water_heater"),
    Accessory("SV-AC-CLN", "空调深度清洗服务(挂机)", "Midea", "service", "149.00", "80.00", "air_conditioner"),
    Accessory("SV-RH-CLN", "吸油烟机拆洗服务", "Fotile", "service", "198.00", "110.00", "range_hood"),
    Accessory("SV-EXT-3Y", "延长保修三年", "Haier", "service", "299.00", None),
    Accessory("DW-SALT-2", "洗碗机专用盐+洗碗块", "Siemens", "accessory", "109.00", "61.00", "dishwasher"),
    Accessory("SA-RICE-4", "电饭煲4升IH", "Midea", "small_appliance", "399.00", "286.00"),
    Accessory("SA-KETT-1", "电热水壶1.7升", "Midea", "small_appliance", "129.00", "84.00"),
    Accessory("SA-FRYR-5", "空气炸锅5升", "Xiaomi", "small_appliance", "299.00", "214.00"),
    Accessory("SA-VACU-9", "无线吸尘器", "Haier", "small_appliance", "1299.00", "905.00"),
    Accessory("SA-HUMI-4", "加湿器4升", "Xiaomi", "small_appliance", "169.00", "108.00"),
)

PLATFORMS: tuple[tuple[str, int], ...] = (("门店", 46), ("京东", 24), ("天猫", 18), ("微信商城", 12))
PROVIDERS: tuple[tuple[str, float], ...] = (  # who comes to the door, and how pleased people are on the average
    ("陕西瑞诚家电服务", 4.6), ("西安速修到家", 4.2), ("雁塔恒信安装队", 4.4), ("未央顺达售后", 3.7),
)  # fmt: skip
