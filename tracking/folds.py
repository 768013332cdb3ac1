"""What events say about a message and a person, written once: ingest folds new events by it, `recount` all of them.

A person who clicks, or views the mail in a browser, has opened it. Machines have their own columns and count for
nothing else. The engagement score: OPEN_POINTS for each message that a person opened, CLICK_POINTS more for each
that they clicked.
"""

from __future__ import annotations

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

# Over the person's messages.
SCORE_FOLD = f"nullif({OPEN_POINTS} * count(opened_at) + {CLICK_POINTS} * count(clicked_at), 0)"
