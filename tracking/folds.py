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

_KINDS = ", ".join(f"'{kind}'" for kind in SEEN_KINDS)

# What was seen of each message, by its events and by those that were put away. `{of_events}` and `{of_past}` join or
# limit `e` and `p`, from their joins on.
SEEN_OF_MESSAGES = f"""
    SELECT customer_id, run_id, step, CAST(sum(opens) AS integer) AS opens, CAST(sum(clicks) AS integer) AS clicks,
        min(opened_at) AS opened_at, min(clicked_at) AS clicked_at, min(machine_opened_at) AS machine_opened_at,
        min(machine_clicked_at) AS machine_clicked_at
    FROM (
        SELECT e.customer_id, e.run_id, e.step, {MESSAGE_FOLD} FROM events e {{of_events}}
        WHERE e.run_id IS NOT NULL AND e.kind IN ({_KINDS}) GROUP BY 1, 2, 3
        UNION ALL
        SELECT p.customer_id, p.run_id, p.step, p.opens, p.clicks, p.opened_at, p.clicked_at, p.machine_opened_at,
            p.machine_clicked_at
        FROM past_folds p {{of_past}}
    ) parts
    GROUP BY 1, 2, 3
"""  # noqa: S608 -- put together from our own words

# The same of each person, under the id that they have now; `{which}` limits the customers `c`.
SEEN_OF_PEOPLE = f"""
    SELECT customer_id, max(last_opened_at) AS last_opened_at, max(last_clicked_at) AS last_clicked_at
    FROM (
        SELECT coalesce(c.merged_into, c.id) AS customer_id, {PERSON_FOLD}
        FROM events e JOIN customers c ON c.id = e.customer_id
        WHERE e.run_id IS NOT NULL AND e.kind IN ({_KINDS}) AND {{which}} GROUP BY 1
        UNION ALL
        SELECT coalesce(c.merged_into, c.id), p.last_opened_at, p.last_clicked_at
        FROM past_folds p JOIN customers c ON c.id = p.customer_id WHERE {{which}}
    ) parts
    GROUP BY 1
"""  # noqa: S608

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
