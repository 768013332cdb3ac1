"""The records behind a salesperson's score, one common table expression a part; scores count them, evidence lists
them.

Each gives rows of (salesperson, customer_id, item, at, counts, amount): what was looked at, and whether it counts.
"Own" are the customers that a salesperson looks after now. Bound: `start` and `end` of the month.

- coverage: homes (a household, else the customer alone) known by the end of the month; counts: an appliance is on
record. - engagement: customers who were sent a message in the month; counts: they opened or clicked one of those,
machines left out. - conversion: customers who clicked in the month, machines left out; counts: they ordered within
30 days after a click. - margin: the month's completed or partly refunded orders; counts: the cost of some item is
known; amount: gross margin.
"""

from __future__ import annotations

PARTS = ("coverage", "engagement", "conversion", "margin")

OWN = """
    own AS (
        SELECT id AS customer_id, salesperson, coalesce('h' || household_id, 'c' || id) AS home
        FROM customers WHERE merged_into IS NULL AND salesperson IS NOT NULL AND created_at < :end
    )
"""

_COVERAGE = """
    SELECT own.salesperson, min(own.customer_id) AS customer_id, '' AS item,
        CAST(NULL AS timestamptz) AS at, bool_or(known.customer_id IS NOT NULL) AS counts, CAST(NULL AS numeric) AS
        amount
    FROM own
    LEFT JOIN (SELECT DISTINCT customer_id FROM appliances WHERE created_at < :end) known USING (customer_id)
    GROUP BY own.salesperson, own.home
"""

_ENGAGEMENT = """
    SELECT own.salesperson, own.customer_id, '' AS item, coalesce(sent.opened_at, sent.sent_at) AS at,
        sent.opened_at IS NOT NULL AS counts, CAST(NULL AS numeric) AS amount
    FROM own JOIN (
        SELECT customer_id, min(opened_at) AS opened_at, min(sent_at) AS sent_at FROM messages
        WHERE run_id IN (SELECT id FROM runs WHERE started_at < :end AND coalesce(finished_at, :start) >= :start)
          AND sent_at >= :start AND sent_at < :end
        GROUP BY customer_id
    ) sent USING (customer_id)
"""

_CONVERSION = """
    WITH clicks AS MATERIALIZED (
        SELECT customer_id, at FROM events
        WHERE kind = 'clicked' AND NOT machine AND run_id IS NOT NULL AND at >= :start AND at < :end
    )
    SELECT own.salesperson, own.customer_id, coalesce(bought.number, '') AS item, coalesce(bought.at, clicked.at) AS at,
        bought.at IS NOT NULL AS counts, bought.amount
    FROM own
    JOIN (SELECT customer_id, min(at) AS at FROM clicks GROUP BY 1) clicked USING (customer_id)
    LEFT JOIN (
        SELECT customer_id, (array_agg(number ORDER BY ordered_at))[1] AS number, min(ordered_at) AS at,
            sum(amount - refunded) AS amount
        FROM orders o
        WHERE status IN ('completed', 'partly_refunded') AND ordered_at > :start AND EXISTS (
            SELECT FROM clicks c WHERE c.customer_id = o.customer_id
            AND o.ordered_at > c.at AND o.ordered_at <= c.at + interval '30 days')
        GROUP BY 1
    ) bought USING (customer_id)
"""

_MARGIN = """
    SELECT own.salesperson, own.customer_id, o.number AS item, o.ordered_at AS at, o.margin IS NOT NULL AS counts,
        o.margin AS amount
    FROM own JOIN orders o USING (customer_id)
    WHERE o.status IN ('completed', 'partly_refunded') AND o.ordered_at >= :start AND o.ordered_at < :end
"""

RECORDS = {"coverage": _COVERAGE, "engagement": _ENGAGEMENT, "conversion": _CONVERSION, "margin": _MARGIN}
