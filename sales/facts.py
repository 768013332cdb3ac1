"""The records behind a salesperson's score, one common table expression a part; scores count them, evidence lists
them.

Each gives rows of (salesperson, customer_id, item, at, counts, amount): what was looked at, and whether it counts.
"Own" are the customers that a salesperson looks after now. Bound: `start` and `end` of the month, `now`.

- coverage: homes (a household, else the customer alone) known by the end of the month; counts: an appliance is on
  record.
- freshness: homes with an appliance on record; counts: one of their records was made, confirmed or changed within the
  18 months before the end of the month.
- response: follow-ups given in the month, but those that are open and not yet due; counts: done in time.
- conversion: customers who clicked (machines left out) or were followed up in the month; counts: they ordered within
  30 days after.
- margin: the month's completed or partly refunded orders; counts: the cost of some item is known; amount: gross margin.
- satisfaction: the month's ratings (counts: 4 of 5, 7 of 10 or better) and ratings of visits (4 of 5 or better);
  complaints, and unsubscribes and spam reports within 7 days after a follow-up, never count.
- growth: homes known by the end of the month; counts: they came in it.
"""

from __future__ import annotations

from customers.surveys import CSAT, NPS, PASSIVE_FROM, SATISFIED_FROM

PARTS = ("coverage", "freshness", "response", "conversion", "margin", "satisfaction", "growth")
MATCHED = ("conversion", "margin")
"""Parts that are compared with matched households (sales/matching.py)."""

OWN = """
    own AS MATERIALIZED (
        SELECT id AS customer_id, salesperson, coalesce('h' || household_id, 'c' || id) AS home, created_at
        FROM customers WHERE merged_into IS NULL AND salesperson IS NOT NULL AND created_at < :end
    )
"""
OWN_OF_ONE = OWN.replace("AND created_at", "AND salesperson = :code AND created_at")
_AMONG, _MINE = "/* among */", "/* mine */"  # where the records of one salesperson are narrowed down
_NOTHING = "CAST(NULL AS timestamptz) AS at"
_NO_AMOUNT = "CAST(NULL AS numeric) AS amount"
BOUGHT = "status IN ('completed', 'partly_refunded')"

_COVERAGE = f"""
    SELECT own.salesperson, min(own.customer_id) AS customer_id, '' AS item, {_NOTHING},
        bool_or(known.customer_id IS NOT NULL) AS counts, {_NO_AMOUNT}
    FROM own
    LEFT JOIN (SELECT DISTINCT customer_id FROM appliances WHERE created_at < :end {_AMONG}) known USING (customer_id)
    GROUP BY own.salesperson, own.home
"""  # noqa: S608 -- our own words

_FRESHNESS = f"""
    SELECT own.salesperson, min(own.customer_id) AS customer_id, '' AS item, max(known.at) AS at,
        max(known.at) >= CAST(:end AS timestamptz) - interval '18 months' AS counts, {_NO_AMOUNT}
    FROM own JOIN (
        SELECT customer_id, max(greatest(created_at, updated_at)) AS at FROM appliances
        WHERE created_at < :end {_AMONG} GROUP BY 1
    ) known USING (customer_id)
    GROUP BY own.salesperson, own.home
"""  # noqa: S608

_RESPONSE = f"""
    SELECT salesperson, customer_id, 'follow-up ' || id AS item, coalesce(closed_at, given_at) AS at,
        state = 'done' AND closed_at <= due_at AS counts, {_NO_AMOUNT}
    FROM follow_ups
    WHERE given_at >= :start AND given_at < :end AND NOT (state = 'open' AND due_at > :now) {_MINE}
"""  # noqa: S608

_CONVERSION = f"""
    WITH signs AS MATERIALIZED (
        SELECT customer_id, at FROM events
        WHERE kind = 'clicked' AND NOT machine AND run_id IS NOT NULL AND at >= :start AND at < :end {_AMONG}
        UNION ALL
        SELECT customer_id, closed_at FROM follow_ups
        WHERE state = 'done' AND closed_at >= :start AND closed_at < :end {_AMONG}
    )
    SELECT own.salesperson, own.customer_id, coalesce(bought.number, '') AS item, coalesce(bought.at, signed.at) AS at,
        bought.at IS NOT NULL AS counts, bought.amount
    FROM own
    JOIN (SELECT customer_id, min(at) AS at FROM signs GROUP BY 1) signed USING (customer_id)
    LEFT JOIN (
        SELECT customer_id, (array_agg(number ORDER BY ordered_at))[1] AS number, min(ordered_at) AS at,
            sum(amount - refunded) AS amount
        FROM orders o
        WHERE {BOUGHT} AND ordered_at > :start {_AMONG} AND EXISTS (
            SELECT FROM signs s WHERE s.customer_id = o.customer_id
            AND o.ordered_at > s.at AND o.ordered_at <= s.at + interval '30 days')
        GROUP BY 1
    ) bought USING (customer_id)
"""  # noqa: S608

_MARGIN = f"""
    SELECT own.salesperson, own.customer_id, o.number AS item, o.ordered_at AS at, o.margin IS NOT NULL AS counts,
        o.margin AS amount
    FROM own JOIN orders o USING (customer_id)
    WHERE o.{BOUGHT} AND o.ordered_at >= :start AND o.ordered_at < :end {_AMONG}
"""  # noqa: S608

_SATISFACTION = f"""
    SELECT own.salesperson, said.customer_id, said.item, said.at, said.counts, {_NO_AMOUNT}
    FROM own JOIN (
        SELECT customer_id, survey || ' ' || key AS item, at,
            score >= CASE survey WHEN '{NPS.name}' THEN {PASSIVE_FROM} WHEN '{CSAT.name}' THEN {SATISFIED_FROM} END
                AS counts
        FROM ratings WHERE counts AND at >= :start AND at < :end {_AMONG}
        UNION ALL
        SELECT customer_id, 'visit ' || number, coalesce(completed_at, visited_at),
            satisfaction >= {SATISFIED_FROM}
        FROM service_visits
        WHERE satisfaction IS NOT NULL AND kind_folded IS DISTINCT FROM 'complaint'
          AND coalesce(completed_at, visited_at) >= :start AND coalesce(completed_at, visited_at) < :end {_AMONG}
        UNION ALL
        SELECT customer_id, 'complaint ' || number, requested_at, false FROM service_visits
        WHERE kind_folded = 'complaint' AND requested_at >= :start AND requested_at < :end {_AMONG}
        UNION ALL
        SELECT e.customer_id, e.kind || ' ' || e.key, e.at, false FROM events e
        WHERE e.kind IN ('unsubscribed', 'complained') AND NOT e.machine AND e.at >= :start AND e.at < :end {_AMONG}
          AND EXISTS (SELECT FROM follow_ups f WHERE f.customer_id = e.customer_id AND f.state = 'done'
              AND f.closed_at <= e.at AND f.closed_at > e.at - interval '7 days')
    ) said USING (customer_id)
"""  # noqa: S608

_GROWTH = f"""
    SELECT own.salesperson, min(own.customer_id) AS customer_id, '' AS item, min(own.created_at) AS at,
        min(own.created_at) >= :start AS counts, {_NO_AMOUNT}
    FROM own GROUP BY own.salesperson, own.home
"""  # noqa: S608

RECORDS = {
    "coverage": _COVERAGE,
    "freshness": _FRESHNESS,
    "response": _RESPONSE,
    "conversion": _CONVERSION,
    "margin": _MARGIN,
    "satisfaction": _SATISFACTION,
    "growth": _GROWTH,
}


def _of_one(records: str) -> str:
    """Their salesperson is a constant: PostgreSQL knows nothing of how many of `own` a comparison leaves."""
    narrowed = records.replace(_AMONG, "AND customer_id = ANY (ARRAY(SELECT customer_id FROM own))")
    named = narrowed.replace("SELECT own.salesperson", "SELECT CAST(:code AS text) AS salesperson")
    return named.replace(_MINE, "AND salesperson = :code")


RECORDS_OF_ONE = {part: _of_one(records) for part, records in RECORDS.items()}
"""The same for the salesperson `code` alone, with OWN_OF_ONE: as quick as their customers are few."""
