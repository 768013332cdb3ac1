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

Where campaigns of the month held people out by lot, the margin is lift, not only rank. A customer's arm is what the
first such campaign drew for them, whatever came later (by intention to treat): written to, or held out. Who was written
to is compared with the others' who were; and what is expected of them is brought down to what they would have brought
unwritten to, by the combined ratio over all strata (Cochran, "Sampling Techniques", 3rd ed. 1977, sec. 6.11)

    share = sum of what the held-out brought / sum over them of the mean of those of their stratum who were written to

one number for the whole house: strata apart would be too few, and a rich district has a rich stratum on both sides.
Held-out customers are the yardstick, and in nobody's own numbers. It is done where at least FEWEST of the held-out
bought something, so that its standard error is below a fifth by their number; else it is left out. Where only few
others are of the same arm, all others are the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.respect.holdouts import GLOBAL_HOLDOUT, HOLDOUT, SEGMENT_HOLDOUT
from sales.facts import BOUGHT, OWN, RECORDS

FEWEST = 30


@dataclass(frozen=True)
class Match:
    """What `people` customers did (orders, or margin), and what was expected; None: there are too few others. `share`:
    of what those bring who are written to, what the held-out do; None: that is not known."""

    people: int
    actual: Decimal
    expected: Decimal | None
    share: Decimal | None = None


async def matches(conn: AsyncConnection, values: Mapping[str, datetime]) -> dict[tuple[str, str], Match]:
    """By part and salesperson's code, for the parts of sales.facts.MATCHED; `values`: start, end, now."""
    rows = await conn.execute(_MATCH, {**values, "fewest": FEWEST, "held": [GLOBAL_HOLDOUT, SEGMENT_HOLDOUT, HOLDOUT]})
    return {(row.part, row.salesperson): Match(row.people, row.actual, _known(row), row.share) for row in rows}


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
    ), drawn AS MATERIALIZED (
        SELECT DISTINCT ON (m.customer_id) m.customer_id,
            CASE WHEN m.state = 'skipped' THEN 'held' ELSE 'written' END AS arm
        FROM messages m JOIN runs r ON r.id = m.run_id
        WHERE r.occurrence >= :start AND r.occurrence < :end
          AND (m.state <> 'skipped' OR m.reason = ANY (CAST(:held AS text[])))
          AND EXISTS (SELECT FROM messages h WHERE h.run_id = r.id AND h.state = 'skipped'
              AND h.reason = ANY (CAST(:held AS text[])))
        ORDER BY m.customer_id, r.occurrence, r.id
    ), measured AS (
        SELECT 'conversion' AS part, traits.*, '' AS arm, CAST(CAST(done.counts AS int) AS numeric) AS did
        FROM traits JOIN ({RECORDS["conversion"]}) done USING (customer_id)
        UNION ALL
        SELECT 'margin', traits.*, coalesce(drawn.arm, ''), coalesce(done.margin, 0)
        FROM traits LEFT JOIN drawn USING (customer_id) LEFT JOIN (
            SELECT customer_id, sum(margin) AS margin FROM orders
            WHERE {BOUGHT} AND ordered_at >= :start AND ordered_at < :end GROUP BY 1
        ) done USING (customer_id)
    ), allowed AS (
        SELECT count(*) >= :fewest AS lift FROM measured WHERE arm = 'held' AND did > 0
    ), cells AS (
        SELECT part, salesperson, CASE WHEN lift THEN arm ELSE '' END AS arm, city, spending, age, count(*) AS n,
            sum(did) AS did
        FROM measured CROSS JOIN allowed GROUP BY 1, 2, 3, 4, 5, 6
    ), others AS (
        SELECT part, salesperson, arm, n, did,
            sum(n) OVER alike - n AS alike_n, sum(did) OVER alike - did AS alike_did,
            sum(n) OVER anywhere - sum(n) OVER own_anywhere AS anywhere_n,
            sum(did) OVER anywhere - sum(did) OVER own_anywhere AS anywhere_did,
            sum(n) OVER everybody - sum(n) OVER own_all AS all_n,
            sum(did) OVER everybody - sum(did) OVER own_all AS all_did,
            sum(n) FILTER (WHERE arm <> 'held') OVER whole
                - coalesce(sum(n) FILTER (WHERE arm <> 'held') OVER own_whole, 0) AS whole_n,
            sum(did) FILTER (WHERE arm <> 'held') OVER whole
                - coalesce(sum(did) FILTER (WHERE arm <> 'held') OVER own_whole, 0) AS whole_did,
            sum(n) FILTER (WHERE arm = 'written') OVER stratum AS written_n,
            sum(did) FILTER (WHERE arm = 'written') OVER stratum AS written_did,
            sum(n) FILTER (WHERE arm = 'written') OVER stratum_anywhere AS written_anywhere_n,
            sum(did) FILTER (WHERE arm = 'written') OVER stratum_anywhere AS written_anywhere_did
        FROM cells
        WINDOW alike AS (PARTITION BY part, arm, city, spending, age),
            anywhere AS (PARTITION BY part, arm, spending, age),
            own_anywhere AS (PARTITION BY part, arm, spending, age, salesperson),
            everybody AS (PARTITION BY part, arm), own_all AS (PARTITION BY part, arm, salesperson),
            whole AS (PARTITION BY part), own_whole AS (PARTITION BY part, salesperson),
            stratum AS (PARTITION BY part, city, spending, age),
            stratum_anywhere AS (PARTITION BY part, spending, age)
    ), lifted AS (
        SELECT sum(did) / nullif(sum(like_them), 0) AS share FROM (
            SELECT did, n * CASE WHEN written_n >= :fewest THEN written_did / written_n
                WHEN written_anywhere_n >= :fewest THEN written_anywhere_did / written_anywhere_n END AS like_them
            FROM others WHERE arm = 'held'
        ) held WHERE like_them IS NOT NULL
    )
    SELECT part, salesperson, CAST(sum(n) AS int) AS people, sum(did) AS actual,
        bool_or(greatest(all_n, whole_n) < :fewest) AS unmatched,
        round(sum(n * CASE WHEN arm = 'written' THEN coalesce(share, 1) ELSE 1 END
            * CASE WHEN alike_n >= :fewest THEN alike_did / alike_n
                WHEN anywhere_n >= :fewest THEN anywhere_did / anywhere_n
                WHEN all_n >= :fewest THEN all_did / all_n
                WHEN whole_n >= :fewest THEN whole_did / whole_n END), 6) AS expected,
        round(max(CASE WHEN arm = 'written' THEN share END), 4) AS share
    FROM others CROSS JOIN lifted WHERE arm <> 'held' GROUP BY part, salesperson
""")  # noqa: S608 -- put together from our own words
