"""What events say about a message and a person, written once: ingest folds new events by it, `recount` all of them.

A person who clicks, or views the mail in a browser, has opened it. Machines have their own columns and count for
nothing else. The engagement score: OPEN_POINTS for each message that a person opened, from when they first did;
CLICK_POINTS more for each that they clicked. All of them fade (customers/engagement.py).
"""

from __future__ import annotations

from customers.engagement import ENGAGEMENT

OPEN_POINTS = 1
CLICK_POINTS = 3

SEEN_KINDS = ("opened", "viewed", "clicked")

# Columns of an aggregate over rows of (kind, at, machine), all of SEEN_KINDS, of one message.
MESSAGE_FOLD = """
    count(*) FILTER (WHERE NOT machine AND kind <> 'clicked') AS opens,
    count(*) FILTER (WHERE NOT machine AND kind = 'clicked') AS clicks,
    min(at) FILTER (WHERE NOT machine) AS opened_at,
    min(at) FILTER (WHERE NOT machine AND kind = 'clicked') AS clicked_at,
    min(at) FILTER (WHERE machine AND kind <> 'clicked') AS machine_opened_at,
    min(at) FILTER (WHERE machine AND kind = 'clicked') AS machine_clicked_at
"""

# The same over those of one person.
PERSON_FOLD = """
    max(at) FILTER (WHERE NOT machine) AS last_opened_at,
    max(at) FILTER (WHERE NOT machine AND kind = 'clicked') AS last_clicked_at
"""

# What each of a person's messages earned: an open, and a click.
EARNED = (
    ENGAGEMENT.earned_sql(OPEN_POINTS, "opened_at"),
    ENGAGEMENT.earned_sql(CLICK_POINTS, "clicked_at"),
)

# `engaged_until` of those of the customers `which` who ever answered, rebuilt from their messages: those of a merged
# one that stayed with the old id too.
SCORES = f"""
    SELECT customer_id, {ENGAGEMENT.sum_sql("until", "top")} AS engaged_until
    FROM (
        SELECT coalesce(c.merged_into, c.id) AS customer_id, earned.until,
            max(earned.until) OVER (PARTITION BY coalesce(c.merged_into, c.id)) AS top
        FROM messages m JOIN customers c ON c.id = m.customer_id
        CROSS JOIN LATERAL (VALUES ({EARNED[0]}), ({EARNED[1]})) AS earned(until)
        WHERE m.opened_at IS NOT NULL AND earned.until IS NOT NULL AND {{which}}
    ) points
    GROUP BY customer_id
"""  # noqa: S608 -- put together from our own words
