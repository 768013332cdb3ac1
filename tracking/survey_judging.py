"""Person or machine: who answered a survey.

The decision, and why. A mail's link opens a page; only a POST from that page is an answer, so programs that fetch
every link answer nothing, whatever they call themselves. One tap must do for a person: the page therefore posts by
itself as soon as it is touched (pointer, key, scrolling), or once it has stood before somebody for three seconds;
a button does the same without scripts. What is left are machines that run scripts in a real browser. Those open all
links of a mail at once, or one answer after the other, which nobody does: where the page was not touched, such answers
are kept, flagged TOGETHER and count for nothing. The page does not repeat itself then, but shows its buttons, which
decide. To hold each answer until something confirms it would have lost those of the many who tap, look and leave.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.ratings import Asked, How, answers_to, disown
from tracking.machines import FAST, FASTEST_PERSON

TOGETHER = "together"  # links opened, or answers given, at once
CLICKED_AT_ONCE = 4  # different links of one message, within
AT_ONCE = timedelta(seconds=10)
ANSWERED_AT_ONCE = timedelta(seconds=5)  # two answers: the page alone waits for three seconds
IN_TURN = timedelta(minutes=10)  # three answers


async def machine_behind(
    conn: AsyncConnection,
    customer_id: int,
    asked: Asked,
    score: int,
    how: How,
    *,
    sent_at: datetime | None,
    now: datetime,
) -> str | None:
    """The word for the machine that gives this answer, None for what looks like a person; what the request says of
    itself (`tracking.machines`) was looked at before. Answers of the same machine until now are disowned."""
    if sent_at is None or now < sent_at + FASTEST_PERSON:
        return FAST
    if how is not How.SEEN:
        return None
    if await _links_clicked(conn, customer_id, asked, now) >= CLICKED_AT_ONCE:
        return TOGETHER
    others = [
        row
        for row in await answers_to(conn, customer_id, asked, alone=True)
        if row.how == How.SEEN and row.score != score and row.at > now - IN_TURN
    ]
    if not others or (others[0].at < now - ANSWERED_AT_ONCE and len({row.score for row in others}) < 2):
        return None
    await disown(conn, customer_id, asked, now - IN_TURN, TOGETHER)
    return TOGETHER


async def _links_clicked(conn: AsyncConnection, customer_id: int, asked: Asked, now: datetime) -> int:
    """How many different links of the message were fetched just now, whoever did it."""
    people = sorted({customer_id, asked.recipient})
    values = {"people": people, "run": asked.run_id, "step": asked.step, "since": now - AT_ONCE, "now": now}
    return int(await conn.scalar(_CLICKED, values) or 0)


_CLICKED = text("""
    SELECT count(DISTINCT link) FROM events
    WHERE customer_id = ANY(CAST(:people AS bigint[])) AND at > :since AND at <= :now AND run_id = :run AND step = :step
        AND kind = 'clicked'
""")
