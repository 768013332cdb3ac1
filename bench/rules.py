# ruff: noqa: E501 -- SQL
"""The twelve reference rules: as JSON, as the best SQL that we know how to write by hand for PostgreSQL with the product's
tables and indexes, and as SQL over the bare facts for DuckDB, which has no rollups of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.market import AUDIENCE, SEGMENT


@dataclass(frozen=True)
class Reference:
    """One rule, asked three ways. `rollup`: our answer comes from a rollup, where DuckDB goes through the facts."""

    name: str
    rule: Mapping[str, Any]
    by_hand: str
    duckdb: str
    rollup: bool = False


def _field(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


OLD_GREE = {
    "has": "appliances",
    "where": {
        "all": [
            _field("category", "eq", "air_conditioner"),
            _field("brand", "eq", "Gree"),
            _field("installed_on", "older_than", "P8Y"),
        ]
    },
}
SENTENCE = {
    "all": [_field("city", "eq", "西安"), OLD_GREE, _field("last_order_at", "not_within_last", "P180D")],
}
"""Customers in Xi'an who own a Gree air conditioner installed more than 8 years ago and have not ordered in 180 days."""

IN_SEGMENT: Mapping[int, Mapping[str, Any]] = {SEGMENT: SENTENCE}
"""The segment that the last rule refers to."""

_ORDER_COUNTS = "status IN ('completed', 'partly_refunded')"
_GREE = "category_folded = 'air_conditioner' AND brand_folded = 'gree' AND installed_on <= DATE '2018-11-22'"
_NOW = "TIMESTAMPTZ '2026-11-22 04:00Z'"
_180_DAYS = "TIMESTAMPTZ '2026-05-26 04:00Z'"
_1_YEAR = "TIMESTAMPTZ '2025-11-22 04:00Z'"
_2_YEARS = "TIMESTAMPTZ '2024-11-22 04:00Z'"

REFERENCES: Sequence[Reference] = (
    Reference(
        "city",
        _field("city", "eq", "西安"),
        "SELECT count(*) FROM customers WHERE city_folded = '西安' AND merged_into IS NULL",
        "SELECT count(*) FROM customers WHERE city = '西安' AND merged_into IS NULL",
    ),
    Reference(
        "tags",
        _field("tags", "has_any", ["VIP", "净水"]),
        "SELECT count(*) FROM customers WHERE tags_folded && ARRAY['vip', '净水'] AND merged_into IS NULL",
        "SELECT count(*) FROM customers WHERE list_has_any(tags, ['vip', '净水']) AND merged_into IS NULL",
    ),
    Reference(
        "spent",
        _field("total_spent", "gte", 20_000),
        "SELECT count(*) FROM activity WHERE total_spent >= 20000",
        f"""SELECT count(*) FROM (SELECT customer_id FROM orders WHERE {_ORDER_COUNTS} GROUP BY customer_id
            HAVING sum(amount - refunded) >= 20000)""",
        rollup=True,
    ),
    Reference(
        "rfm",
        {"all": [_field(f"rfm.{name}", "gte", 4) for name in ("recency", "frequency", "monetary")]},
        "SELECT count(*) FROM activity WHERE rfm_recency >= 4 AND rfm_frequency >= 4 AND rfm_monetary >= 4",
        f"""WITH folded AS (SELECT max(ordered_at) AS last, count(*) AS n, sum(amount - refunded) AS spent FROM orders
                WHERE {_ORDER_COUNTS} GROUP BY customer_id),
            cut AS (SELECT quantile_disc(last, 0.6) AS last, quantile_disc(n, 0.6) AS n, quantile_disc(spent, 0.6) AS spent
                FROM folded)
            SELECT count(*) FROM folded, cut WHERE folded.last > cut.last AND folded.n > cut.n AND folded.spent > cut.spent
            """,
        rollup=True,
    ),
    Reference(
        "old Gree",
        OLD_GREE,
        f"SELECT count(DISTINCT customer_id) FROM appliances WHERE {_GREE}",
        f"SELECT count(DISTINCT customer_id) FROM appliances WHERE {_GREE}",
    ),
    Reference(
        "the sentence",
        SENTENCE,
        f"""SELECT count(*) FROM (SELECT DISTINCT customer_id FROM appliances WHERE {_GREE}) gree
            JOIN customers c ON c.id = customer_id AND city_folded = '西安' AND merged_into IS NULL
            JOIN activity a ON a.customer_id = c.id
                AND (last_order_at <= {_180_DAYS} OR last_order_at > {_NOW} OR last_order_at IS NULL)""",
        f"""SELECT count(*) FROM customers c WHERE city = '西安' AND merged_into IS NULL
            AND EXISTS (SELECT 1 FROM appliances WHERE customer_id = c.id AND {_GREE})
            AND NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id AND {_ORDER_COUNTS} AND ordered_at > {_180_DAYS})""",
    ),
    Reference(
        "often",
        {"has": "orders", "where": _field("ordered_at", "within_last", "P2Y"), "count": {"op": "gte", "value": 3}},
        f"""SELECT count(*) FROM (SELECT 1 FROM orders WHERE ordered_at > {_2_YEARS} AND ordered_at <= {_NOW}
            GROUP BY customer_id HAVING count(*) >= 3) often""",
        f"""SELECT count(*) FROM (SELECT customer_id FROM orders WHERE ordered_at > {_2_YEARS} AND ordered_at <= {_NOW}
            GROUP BY customer_id HAVING count(*) >= 3)""",
    ),
    Reference(
        "a year's sum",
        {
            "has": "orders",
            "where": {"all": [_field("ordered_at", "within_last", "P1Y"), _field("status", "eq", "completed")]},
            "sum": {"field": "amount", "op": "gt", "value": 5_000},
        },
        f"""SELECT count(*) FROM (SELECT 1 FROM orders WHERE ordered_at > {_1_YEAR} AND ordered_at <= {_NOW}
            AND status = 'completed' GROUP BY customer_id HAVING sum(amount) > 5000) much""",
        f"""SELECT count(*) FROM (SELECT customer_id FROM orders WHERE ordered_at > {_1_YEAR} AND ordered_at <= {_NOW}
            AND status = 'completed' GROUP BY customer_id HAVING sum(amount) > 5000)""",
    ),
    Reference(
        "reachable",
        _field("reachable.email", "is", True),
        f"""SELECT count(*) FROM standing_consents c
            WHERE channel = 'email' AND purpose = 'marketing' AND granted AND EXISTS (
                SELECT 1 FROM contact_addresses a WHERE a.customer_id = c.customer_id AND kind = 'email'
                AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.customer_id = a.customer_id AND s.channel = 'email'
                    AND (s.address IS NULL OR s.address = a.value) AND (s.expires_at IS NULL OR s.expires_at > {_NOW}))
                AND NOT EXISTS (SELECT 1 FROM suppressed_addresses p WHERE p.kind = 'email' AND p.value = a.value
                    AND (p.expires_at IS NULL OR p.expires_at > {_NOW})))""",
        f"""SELECT count(DISTINCT c.customer_id) FROM standing_consents c JOIN contact_addresses a USING (customer_id)
            WHERE c.channel = 'email' AND c.purpose = 'marketing' AND c.granted AND a.kind = 'email'
            AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.customer_id = c.customer_id AND s.channel = 'email'
                AND (s.address IS NULL OR s.address = a.value) AND (s.expires_at IS NULL OR s.expires_at > {_NOW}))
            AND NOT EXISTS (SELECT 1 FROM suppressed_addresses p WHERE p.kind = 'email' AND p.value = a.value
                AND (p.expires_at IS NULL OR p.expires_at > {_NOW}))""",
    ),
    Reference(
        "nothing yet",
        {"none": [{"has": "orders"}, {"has": "appliances"}]},
        """SELECT (SELECT count(*) FROM customers WHERE merged_into IS NULL)
            - (SELECT count(*) FROM (SELECT customer_id FROM orders UNION SELECT customer_id FROM appliances) has)""",
        """SELECT count(*) FROM customers c WHERE merged_into IS NULL
            AND NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id)
            AND NOT EXISTS (SELECT 1 FROM appliances WHERE customer_id = c.id)""",
    ),
    Reference(
        "address contains",
        _field("address", "contains", "花园"),
        "SELECT count(*) FROM customers WHERE address_folded LIKE '%花园%' AND merged_into IS NULL",
        "SELECT count(*) FROM customers WHERE address LIKE '%花园%' AND merged_into IS NULL",
    ),
    Reference(
        "nasty",
        {
            "all": [
                {
                    "any": [
                        {"in_segment": SEGMENT},
                        {"in_audience": AUDIENCE},
                        {"all": [_field("rfm.monetary", "gte", 4), _field("tags", "has_any", ["VIP"])]},
                    ]
                },
                {"bucket": {"from": 0, "to": 4_999}},
                {
                    "none": [
                        {
                            "has": "orders",
                            "where": {
                                "all": [
                                    _field("status", "in", ["cancelled", "refunded"]),
                                    _field("ordered_at", "within_last", "P2Y"),
                                ]
                            },
                            "count": {"op": "gte", "value": 2},
                        },
                        {
                            "has": "consents",
                            "where": {"all": [_field("channel", "eq", "sms"), _field("granted", "is", False)]},
                        },
                    ]
                },
                {
                    "has": "appliances",
                    "where": {
                        "any": [
                            _field("category", "in", ["air_conditioner", "refrigerator"]),
                            _field("repairs_count", "gte", 2),
                        ]
                    },
                    "count": {"op": "gte", "value": 2},
                },
                _field("city", "not_in", ["北京", "上海"]),
            ]
        },
        f"""WITH asked AS MATERIALIZED (
                SELECT customer_id FROM audience_members WHERE audience_id = {AUDIENCE}
                UNION SELECT c.id FROM customers c JOIN activity a ON a.customer_id = c.id AND a.rfm_monetary >= 4
                    WHERE c.tags_folded && ARRAY['vip']
                UNION SELECT c.id FROM (SELECT DISTINCT customer_id FROM appliances WHERE {_GREE}) gree
                    JOIN customers c ON c.id = customer_id AND city_folded = '西安'
                    JOIN activity a ON a.customer_id = c.id
                        AND (last_order_at <= {_180_DAYS} OR last_order_at > {_NOW} OR last_order_at IS NULL))
            SELECT count(*) FROM asked JOIN customers c ON c.id = asked.customer_id
            WHERE c.merged_into IS NULL AND (c.city_folded NOT IN ('北京', '上海') OR c.city_folded IS NULL)
            AND (SELECT count(*) FROM appliances a WHERE a.customer_id = c.id
                AND (category_folded IN ('air_conditioner', 'refrigerator') OR repairs_count >= 2)) >= 2
            AND NOT EXISTS (SELECT 1 FROM standing_consents s WHERE s.customer_id = c.id AND channel = 'sms' AND NOT granted)
            AND (SELECT count(*) FROM orders o WHERE o.customer_id = c.id AND status IN ('cancelled', 'refunded')
                AND ordered_at > {_2_YEARS} AND ordered_at <= {_NOW}) < 2
            AND mod(mod(('x' || encode(substring(sha256(convert_to('rule:' || c.id, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint
                # (-9223372036854775808), 10000) + 15808, 10000) <= 4999""",
        f"""WITH folded AS (SELECT customer_id, sum(amount - refunded) AS spent, max(ordered_at) AS last FROM orders
                WHERE {_ORDER_COUNTS} GROUP BY customer_id),
            cut AS (SELECT quantile_disc(spent, 0.6) AS spent FROM folded)
            SELECT count(*) FROM customers c LEFT JOIN folded f ON f.customer_id = c.id, cut
            WHERE merged_into IS NULL AND (city NOT IN ('北京', '上海') OR city IS NULL)
            AND (('0x' || substr(sha256('rule:' || c.id), 1, 16))::UBIGINT % 10000) <= 4999
            AND (EXISTS (SELECT 1 FROM audience_members m WHERE m.customer_id = c.id AND m.audience_id = {AUDIENCE})
                OR (f.spent > cut.spent AND list_has_any(c.tags, ['vip']))
                OR (city = '西安' AND EXISTS (SELECT 1 FROM appliances a WHERE a.customer_id = c.id AND {_GREE})
                    AND (f.last <= {_180_DAYS} OR f.last > {_NOW} OR f.last IS NULL)))
            AND (SELECT count(*) FROM orders o WHERE o.customer_id = c.id AND status IN ('cancelled', 'refunded')
                AND ordered_at > {_2_YEARS} AND ordered_at <= {_NOW}) < 2
            AND NOT EXISTS (SELECT 1 FROM standing_consents s WHERE s.customer_id = c.id AND channel = 'sms' AND NOT granted)
            AND (SELECT count(*) FROM appliances a WHERE a.customer_id = c.id
                AND (category_folded IN ('air_conditioner', 'refrigerator') OR repairs_count >= 2)) >= 2""",
    ),
)
