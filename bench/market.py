# ruff: noqa: E501 -- SQL with Chinese words, each sign of which counts twice
"""The people of a large firm as SQL: every value is drawn from a hash of its customer's number, so that any scale, any
order and any server gives the same ones. Skewed as real books are: a few cities, brands and buyers make most of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
"""The moment at which the data was "exported": nothing is later, and rules are asked at it."""

PEOPLE = 1_000_000  # at scale 1; orders and appliances follow: three and two and a half of each on the average
ALIAS_EVERY = 251  # this one was merged into the one before
SEGMENT, AUDIENCE = 1, 1
"""The ids of the one segment and the one uploaded list."""

CITIES = {
    "西安": 180,
    "咸阳": 62,
    "宝鸡": 41,
    "渭南": 38,
    "汉中": 27,
    "榆林": 26,
    "延安": 19,
    "安康": 15,
    "商洛": 11,
    "铜川": 8,
    "北京": 55,
    "上海": 58,
    "广州": 44,
    "深圳": 46,
    "成都": 49,
    "重庆": 42,
    "武汉": 33,
    "郑州": 31,
    "杭州": 29,
    "南京": 26,
    "苏州": 21,
    "天津": 19,
    "长沙": 18,
    "青岛": 14,
    "济南": 13,
    "合肥": 12,
    "福州": 11,
    "厦门": 9,
    "昆明": 10,
    "南昌": 8,
    "太原": 9,
    "兰州": 9,
    "沈阳": 9,
    "大连": 7,
    "哈尔滨": 7,
    "长春": 6,
    "石家庄": 8,
    "贵阳": 6,
    "南宁": 6,
    "银川": 5,
}
SURNAMES = dict(zip("李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", range(79, 19, -3), strict=True))
GIVEN = dict(zip("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红鹏辉宇", range(60, 30, -1), strict=True))
TAGS = {
    "老客户": 14,
    "VIP": 5,
    "以旧换新": 9,
    "新房装修": 8,
    "已回访": 22,
    "价格敏感": 12,
    "母婴": 6,
    "商用": 2,
    "投诉过": 3,
    "清洗服务": 7,
    "延保": 6,
    "团购": 5,
    "业主群": 11,
    "转介绍": 4,
    "会员日": 9,
    "净水": 5,
    "地暖": 3,
    "中央空调": 4,
}
PLATFORMS = {"JD": 30, "Tmall": 26, "Store": 24, "Douyin": 12, "Pinduoduo": 8}
CATEGORIES = {
    "air_conditioner": 30,
    "refrigerator": 16,
    "washing_machine": 15,
    "range_hood": 8,
    "gas_stove": 8,
    "dryer": 3,
    "electric_water_heater": 6,
    "gas_water_heater": 7,
    "dishwasher": 3,
    "disinfection_cabinet": 2,
    "television": 2,
}
BRANDS = {
    "Gree": 24,
    "Midea": 22,
    "Haier": 20,
    "Hisense": 7,
    "TCL": 5,
    "AUX": 5,
    "Siemens": 4,
    "Robam": 4,
    "Fotile": 4,
    "Little Swan": 3,
    "Casarte": 2,
}
STATUSES = {"completed": 88, "cancelled": 5, "refunded": 3, "partly_refunded": 2, "pending": 2}
LEVELS = {"bronze": 55, "silver": 28, "gold": 13, "platinum": 4}
SALESPEOPLE_PER_MILLION = 1_650  # 500 to 700 households each
COMMUNITIES_PER_MILLION = 2_600


def draw(number: int, of: str = "n") -> str:
    """A float from 0 up to 1, the `number`-th that belongs to `of`."""
    return f"((hashint8extended({of}, {number}) & 1073741823)::float8 / 1073741824)"


def pick(weights: Mapping[str, int], number: int, of: str = "n") -> str:
    """One of the words, by weight."""
    total, sums, place = sum(weights.values()), [], 0
    for weight in list(weights.values())[:-1]:
        place += weight
        sums.append(f"{place / total:.9f}")
    words = ", ".join(f"'{word}'" for word in weights)
    return f"(ARRAY[{words}])[1 + width_bucket({draw(number, of)}, ARRAY[{', '.join(sums)}]::float8[])]"


_NOW = f"TIMESTAMPTZ '{NOW.isoformat()}'"
_TODAY = f"DATE '{NOW.date().isoformat()}'"
_CREATED = f"({_NOW} - power({draw(1)}, 1.3) * INTERVAL '3000 days')"
_OWN = f"n % {ALIAS_EVERY} <> 0"
_NUMBERS = "generate_series(1::bigint, :people) n"
_PHONE = "'+861' || (3000000000 + n * 6997 % 7000000000)::text"
_EMAIL = "'u' || n || (ARRAY['@qq.example', '@163.example', '@mail.example'])[1 + n % 3]"

CUSTOMERS = f"""
    INSERT INTO customers (id, external_id, name, name_folded, email, email_folded, phone, phone_folded, gender,
        gender_folded, city, city_folded, district, district_folded, address, address_folded, platform, platform_folded,
        language, language_folded, birthday, household_size, community, dealer, salesperson, tags, tags_folded,
        attributes, attributes_folded, merged_into, created_at, updated_at)
    OVERRIDING SYSTEM VALUE
    SELECT n, 'C' || to_char(n, 'FM00000000'), name, name, email, email, phone, phone, gender, gender, city, city,
        district, district, address, address, platform, lower(platform), 'zh', 'zh', birthday, household_size,
        'X' || place, 'D' || seller % 120, 'S' || seller, tags, lower(tags::text)::text[], attributes, attributes, NULL,
        created, created
    FROM (
        SELECT n, {pick(SURNAMES, 2)} || {pick(GIVEN, 3)} || CASE WHEN {draw(4)} < 0.6 THEN {pick(GIVEN, 5)} ELSE '' END
                AS name,
            CASE WHEN {draw(6)} < 0.8 THEN {_EMAIL} END AS email, CASE WHEN {draw(7)} < 0.9 THEN {_PHONE} END AS phone,
            CASE WHEN {draw(8)} < 0.42 THEN '女' WHEN {draw(8)} < 0.85 THEN '男' END AS gender, city,
            CASE WHEN {draw(9)} < 0.8 THEN (ARRAY['高新区', '雁塔区', '未央区', '碑林区', '莲湖区', '长安区'])[1 + place % 6] END
                AS district,
            CASE WHEN {draw(10)} < 0.85 THEN (ARRAY['曲江花园', '翰林苑', '明月府', '阳光城', '锦绣花园', '桃园新村', '书院里',
                '龙湖国际'])[1 + place % 8] || place || '号院' || n % 30 || '栋' || n % 4 || '单元' || n % 3300 END AS address,
            CASE WHEN {draw(11)} < 0.9 THEN {pick(PLATFORMS, 12)} END AS platform,
            CASE WHEN {draw(13)} < 0.5 THEN DATE '1950-01-01' + (power({draw(14)}, 0.8) * 20500)::int END AS birthday,
            CASE WHEN {draw(15)} < 0.6 THEN 1 + ({draw(16)} * {draw(17)} * 7)::int END AS household_size, place,
            CASE WHEN {draw(18)} < 0.97 THEN seller END AS seller, {_CREATED} AS created,
            CASE WHEN {draw(19)} < 0.4 THEN '{{}}' ELSE ARRAY(SELECT DISTINCT tag FROM unnest(ARRAY[{pick(TAGS, 20)},
                CASE WHEN {draw(21)} < 0.5 THEN {pick(TAGS, 22)} END, CASE WHEN {draw(23)} < 0.25 THEN {pick(TAGS, 24)} END]
                ) tag WHERE tag IS NOT NULL) END AS tags,
            CASE WHEN {draw(25)} < 0.35 THEN jsonb_build_object('level', {pick(LEVELS, 26)},
                'floor_area', (45 + power({draw(27)}, 2) * 200)::int) ELSE '{{}}' END AS attributes
        FROM (
            SELECT n, city, (power({draw(30)}, 1.3) * :communities)::int AS place,
                ({draw(31)} * :salespeople)::int AS seller
            FROM (SELECT n, {pick(CITIES, 32)} AS city FROM {_NUMBERS} WHERE {_OWN}) at_home
        ) settled
    ) person
"""
ALIASES = f"""
    INSERT INTO customers (id, external_id, merged_into, created_at) OVERRIDING SYSTEM VALUE
    SELECT n, NULL, n - 1, {_CREATED} FROM {_NUMBERS} WHERE NOT {_OWN}
"""
ACTIVITY = f"""
    INSERT INTO activity (customer_id, last_contacted_at, last_opened_at, last_clicked_at, engaged_until)
    SELECT n, contacted, CASE WHEN {draw(41)} < 0.5 THEN contacted + INTERVAL '3 hours' END,
        CASE WHEN {draw(41)} < 0.12 THEN contacted + INTERVAL '4 hours' END, {_NOW} + log(2, (0.01 + {draw(42)} * 100)::numeric)::float8 * INTERVAL '90 days'
    FROM (SELECT n, CASE WHEN {draw(43)} < 0.7 THEN {_NOW} - power({draw(40)}, 2) * INTERVAL '700 days' END AS contacted
          FROM {_NUMBERS} WHERE {_OWN}) written_to
"""
ADDRESSES = f"""
    INSERT INTO contact_addresses (customer_id, kind, value, is_primary, created_at)
    SELECT n, kind, value, true, {_CREATED}
    FROM (SELECT n FROM {_NUMBERS} WHERE {_OWN}) own CROSS JOIN LATERAL (VALUES
        ('email', CASE WHEN {draw(6)} < 0.8 THEN {_EMAIL} END), ('phone', CASE WHEN {draw(7)} < 0.9 THEN {_PHONE} END)
    ) known(kind, value) WHERE value IS NOT NULL
"""
CONSENTS = f"""
    INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
    SELECT n, channel, 'marketing', granted, {_CREATED}, 'import', 'import'
    FROM (SELECT n FROM {_NUMBERS} WHERE {_OWN}) own CROSS JOIN LATERAL (VALUES
        ('email', {draw(6)} < 0.8 AND {draw(50)} < 0.92, {draw(51)} < 0.93),
        ('sms', {draw(7)} < 0.9 AND {draw(52)} < 0.85, {draw(53)} < 0.9)
    ) said(channel, asked, granted) WHERE asked
"""
SUPPRESSIONS = f"""
    INSERT INTO suppressions (customer_id, channel, reason, at)
    SELECT n, 'email', (ARRAY['unsubscribed', 'bounced', 'complained', 'manual'])[1 + n % 4], {_NOW} - INTERVAL '90 days'
    FROM {_NUMBERS} WHERE {_OWN} AND {draw(60)} < 0.015
"""
SUPPRESSED_ADDRESSES = f"""
    INSERT INTO suppressed_addresses (kind, value, reason, at, expires_at)
    SELECT 'email', {_EMAIL}, 'bounced', {_NOW} - INTERVAL '200 days', CASE WHEN n % 2 = 0 THEN {_NOW} - INTERVAL '9 days' END
    FROM {_NUMBERS} WHERE {_OWN} AND {draw(61)} < 0.003
"""
# 28 in 100 never bought; the others' number of orders falls off exponentially, about three for each customer on the whole.
ORDERS = f"""
    INSERT INTO orders (customer_id, number, platform, platform_folded, status, ordered_at, amount, refunded, margin,
        items_count)
    SELECT n, number, platform, lower(platform), status, ordered_at, amount, CASE status WHEN 'refunded' THEN amount
        WHEN 'partly_refunded' THEN round(amount / 5, 2) ELSE 0 END, CASE WHEN n % 7 > 0 THEN round(amount * 0.22, 2) END, 1
    FROM (
        SELECT n, 'A' || to_char(m, 'FM0000000000') AS number, {pick(PLATFORMS, 80, "m")} AS platform,
            {pick(STATUSES, 81, "m")} AS status,
            greatest({_CREATED}, {_NOW} - power({draw(82, "m")}, 1.6) * INTERVAL '2200 days') AS ordered_at,
            round((CASE WHEN {draw(83, "m")} < 0.45 THEN 39 + 500 * {draw(84, "m")}
                ELSE 900 + 2400 * -ln(1 - {draw(84, "m")}) END)::numeric, 2) AS amount
        FROM (SELECT n, n * 64 + k AS m FROM {_NUMBERS}, generate_series(1, CASE WHEN {draw(70)} < 0.28 THEN 0
              ELSE least(60, 1 + floor(3.65 * -ln(1 - {draw(71)})))::int END) k WHERE {_OWN}) numbered
    ) placed
"""
# 36 in 100 have none on record; two in three of those who have one have several.
APPLIANCES = f"""
    INSERT INTO appliances (customer_id, number, serial, category, category_folded, brand, brand_folded, model,
        model_folded, source, source_folded, status, power_watts, repairs_count, purchased_on, installed_on,
        warranty_until, expires_on, next_consumable_due_on)
    SELECT n, 'P' || to_char(m, 'FM0000000000'), 'SN' || m, category, category, brand, lower(brand), model, lower(model),
        'import', 'import', status, watts, repairs, bought, installed, bought + 730, CAST(coalesce(installed, bought)
        + make_interval(months => CAST(round(service_years * 12) AS int)) AS date), due
    FROM (
        SELECT n, m, {pick(CATEGORIES, 90, "m")} AS category, {pick(BRANDS, 91, "m")} AS brand,
            (ARRAY['KFR-35GW', 'BCD-520W', 'TG100V', 'CXW-200', 'JSQ30'])[1 + m % 5] AS model,
            CASE WHEN {draw(92, "m")} < 0.88 THEN 'in_use' WHEN {draw(92, "m")} < 0.97 THEN 'replaced' ELSE 'disposed' END
                AS status, 60 + m % 2500 AS watts, ({draw(93, "m")} * {draw(94, "m")} * 4)::int AS repairs, bought,
            CASE WHEN {draw(95, "m")} < 0.95 THEN bought + (m % 20)::int END AS installed,
            CASE WHEN {draw(96, "m")} < 0.2 THEN {_TODAY} + (m % 400)::int - 100 END AS due
        FROM (SELECT n, m, {_TODAY} - (power({draw(97, "m")}, 1.2) * 5100)::int AS bought
              FROM (SELECT n, n * 64 + k AS m FROM {_NUMBERS}, generate_series(1, CASE WHEN {draw(72)} < 0.36 THEN 0
                    ELSE least(30, 1 + floor(3.4 * -ln(1 - {draw(73)})))::int END) k WHERE {_OWN}) numbered) dated
    ) owned LEFT JOIN appliance_categories ON code = category
"""
CODES = """
    INSERT INTO salespeople (code, name, dealer)
    SELECT 'S' || n, '销售' || n, 'D' || n % 120 FROM generate_series(0, :salespeople) n;
    INSERT INTO dealers (code, name) SELECT 'D' || n, '经销商' || n FROM generate_series(0, 119) n;
    INSERT INTO communities (code, name) SELECT 'X' || n, '小区' || n FROM generate_series(0, :communities) n;
    INSERT INTO attribute_definitions (key, kind) VALUES ('level', 'text'), ('floor_area', 'number')
"""
LISTS = f"""
    INSERT INTO audiences (id, name, state) OVERRIDING SYSTEM VALUE VALUES ({AUDIENCE}, '展会', 'done');
    INSERT INTO audience_members (customer_id, audience_id)
    SELECT n, {AUDIENCE} FROM {_NUMBERS} WHERE {_OWN} AND {draw(98)} < 0.06
"""
