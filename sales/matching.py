"""What households like a salesperson's own bring elsewhere, so that a rich district earns no free points.

Indirect standardisation over strata: Cochran, "The Effectiveness of Adjustment by Subclassification in Removing Bias in
Observational Studies", Biometrics 24 (1968), 295-313; the ratio of what was observed to what was expected as in Breslow
and Day, "Statistical Methods in Cancer Research" II (1987), ch. 2. A customer's stratum is their city, what they spent
in the two years before the month (nothing, below, from the median of spenders) and the age of their oldest appliance
in use (none known, up to 5, up to 8 years, more): facts of before the month, which the salesperson did not make in it.
What is expected of a customer is the mean of the *other* salespeople's customers of the stratum; where these are fewer
than FEWEST, of the same spending and age in any city; where these are too few, of all others. Matched are observed
traits alone: what else differs between districts stays in the numbers. Where even all others are too few for somebody,
nobody is compared and the month is measured plainly (`Part.method`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sales.facts import BOUGHT, OWN, RECORDS

FEWEST = 30


@dataclass(frozen=True)
class Match:
    """What `people` customers did (orders, or margin), and what was expected; None: there are too few others."""

    people: int
    actual: Decimal
    expected: Decimal | None


async def matches(conn: AsyncConnection, values: Mapping[str, datetime]) -> dict[tuple[str, str], Match]:
    """By part and salesperson's code, for the parts of sales.facts.MATCHED; `values`: start, end, now."""
    rows = await conn.execute(_MATCH, {**values, "fewest": FEWEST})
    return {(row.part, row.salesperson): Match(row.people, row.actual, _known(row)) for row in rows}


def _known(row: Any) -> Decimal | None:
    return None if row.unmatched else row.expected


_MATCH = text(f"""
    WITH {OWN}, spent AS MATERIALIZED (
        SELECT customer_id, sum(amount - refunded) AS amount FROM orders
        WHERE {BOUGHT} AND ordered_at < :start AND ordered_at >= CAST(:start AS timestamptz) - interval '2 years'
        GROUP BY 1
    ), middle AS (
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) AS amount FROM spent
    ), aged AS (
        SELECT customer_id, min(coalesce(installed_on, purchased_on)) AS since FROM appliances
        WHERE status = 'in_use' AND created_at < :end GROUP BY 1
    ), traits AS MATERIALIZED (
        SELECT own.customer_id, own.salesperson, coalesce(c.city_folded, '') AS city,
            CASE WHEN spent.amount IS NULL THEN 0 WHEN spent.amount < middle.amount THEN 1 ELSE 2 END AS spending,
            CASE WHEN aged.since IS NULL THEN 0
                WHEN aged.since > CAST(:start AS timestamptz) - interval '5 years' THEN 1
                WHEN aged.since > CAST(:start AS timestamptz) - interval '8 years' THEN 2 ELSE 3 END AS age
        FROM own JOIN customers c ON c.id = own.customer_id CROSS JOIN middle
        LEFT JOIN spent ON spent.customer_id = own.customer_id LEFT JOIN aged ON aged.customer_id = own.customer_id
    ), measured AS (
        SELECT 'conversion' AS part, traits.*, CAST(CAST(done.counts AS int) AS numeric) AS did
        FROM traits JOIN ({RECORDS["conversion"]}) done USING (customer_id)
        UNION ALL
        SELECT 'margin', traits.*, coalesce(done.margin, 0)
        FROM traits LEFT JOIN (
            SELECT customer_id, sum(margin) AS margin FROM orders
            WHERE {BOUGHT} AND ordered_at >= :start AND ordered_at < :end GROUP BY 1
        ) done USING (customer_id)
    ), cells AS (
        SELECT part, salesperson, city, spending, age, count(*) AS n, sum(did) AS did FROM measured
        GROUP BY 1, 2, 3, 4, 5
    ), others AS (
        SELECT part, salesperson, n, did,
            sum(n) OVER alike - n AS alike_n, sum(did) OVER alike - did AS alike_did,
            sum(n) OVER anywhere - sum(n) OVER own_anywhere AS anywhere_n,
            sum(did) OVER anywhere - sum(did) OVER own_anywhere AS anywhere_did,
            sum(n) OVER everybody - sum(n) OVER own_all AS all_n,
            sum(did) OVER everybody - sum(did) OVER own_all AS all_did
        FROM cells
        WINDOW alike AS (PARTITION BY part, city, spending, age), anywhere AS (PARTITION BY part, spending, age),
            own_anywhere AS (PARTITION BY part, spending, age, salesperson),
            everybody AS (PARTITION BY part), own_all AS (PARTITION BY part, salesperson)
    )
    SELECT part, salesperson, CAST(sum(n) AS int) AS people, sum(did) AS actual, bool_or(all_n < :fewest) AS unmatched,
        round(sum(n * CASE WHEN alike_n >= :fewest THEN alike_did / alike_n
            WHEN anywhere_n >= :fewest THEN anywhere_did / anywhere_n
            WHEN all_n >= :fewest THEN all_did / all_n END), 6) AS expected
    FROM others GROUP BY part, salesperson
""")  # noqa: S608 -- put together from our own words
