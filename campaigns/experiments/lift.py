"""What a campaign sold beyond those who were held out: all orders of both groups, whatever led to them.

The groups are alike but for the message: the holdout is drawn by a hash among those who could have been written to.
Except where people share an address, or a household that gets one message: of those to be written to only the first is
counted (campaigns/respect/household.py), of those held out each one, whose mates may have got the message besides. So
where many share, the groups are not quite alike, and the lift is to be read with care.
Orders count from when a run was frozen until WINDOW_DAYS later, for who was in several runs from the first to the end
of the last. An interval that holds zero says that nothing is proved; few buyers, or so few people held out that hardly
any of them would have bought, say nothing at all. Revenue a head takes more people than the share of buyers, since a
few large orders sway it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.attribution import COUNTING
from campaigns.experiments.statistics import Interval, Share, Sums, difference, mean_needs, newcombe
from campaigns.respect.holdouts import GLOBAL_HOLDOUT, HOLDOUT, SEGMENT_HOLDOUT

HELD_OUT = (HOLDOUT, SEGMENT_HOLDOUT, GLOBAL_HOLDOUT)
FEWEST_BUYERS = 10  # in both groups together
FEWEST_EXPECTED = 5  # in the smaller group, if the message did nothing (Cochran 1954)
LEVEL = 0.95
WINDOW_DAYS = 30  # orders count so long, whatever led to them: another length than the windows of attribution


@dataclass(frozen=True)
class Group:
    """Those who got a message, or those who were held out, and what they bought."""

    people: int = 0
    buyers: int = 0
    orders: int = 0
    revenue: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0

    @property
    def bought(self) -> Share:
        return Share(self.buyers, self.people)

    @property
    def spent(self) -> Sums:
        return Sums(self.people, self.revenue, self.squares)

    def to_json(self) -> dict[str, Any]:
        return {
            "people": self.people,
            "buyers": self.buyers,
            "orders": self.orders,
            "revenue": f"{self.revenue:.2f}",
            "buyer_rate": self.bought.rate,
            "orders_per_head": self.orders / self.people if self.people else 0.0,
            "revenue_per_head": self.spent.mean,
        }


@dataclass(frozen=True)
class Lift:
    """`buyers`: the difference between the shares of buyers; `revenue`: that of revenue per head; both at LEVEL."""

    sent: Group
    held_out: Group

    @property
    def buyers(self) -> Interval:
        return newcombe(self.sent.bought, self.held_out.bought, LEVEL)

    @property
    def revenue(self) -> Interval:
        return difference(self.sent.spent, self.held_out.spent, LEVEL)

    @property
    def relative(self) -> float | None:
        """How many buyers more, as a share of those that there would have been anyway; None without any such."""
        anyway = self.held_out.bought.rate
        return self.buyers.value / anyway if anyway else None

    @property
    def smaller(self) -> int:
        """How many people the smaller group has, mostly those held out."""
        return min(self.sent.people, self.held_out.people)

    @property
    def people_needed(self) -> int | None:
        """How many the smaller group must have at least for its buyers to say anything; None while too few bought."""
        buyers = self.sent.buyers + self.held_out.buyers
        if buyers < FEWEST_BUYERS:
            return None
        return math.ceil(FEWEST_EXPECTED * (self.sent.people + self.held_out.people) / buyers)

    @property
    def people_needed_for_revenue(self) -> int | None:
        """The same for revenue a head, by how unequal the buyers are."""
        one, other = self.sent, self.held_out
        if self.people_needed is None:
            return None
        both = Sums(one.people + other.people, one.revenue + other.revenue, one.squares + other.squares)
        return max(self.people_needed, mean_needs(both, one.cubes + other.cubes))

    @property
    def enough(self) -> bool:
        return self.people_needed is not None and self.smaller >= self.people_needed

    @property
    def enough_for_revenue(self) -> bool:
        return self.people_needed_for_revenue is not None and self.smaller >= self.people_needed_for_revenue

    @property
    def proved(self) -> bool:
        """Whether the share of buyers differs, one way or the other."""
        return self.enough and not self.buyers.low <= 0 <= self.buyers.high

    def to_json(self) -> dict[str, Any]:
        return {
            "days": WINDOW_DAYS,
            "level": LEVEL,
            "sent": self.sent.to_json(),
            "held_out": self.held_out.to_json(),
            "buyer_rate": vars(self.buyers),
            "revenue_per_head": vars(self.revenue),
            "relative": self.relative,
            "enough": self.enough,
            "people_needed": self.people_needed,
            "enough_for_revenue": self.enough_for_revenue,
            "people_needed_for_revenue": self.people_needed_for_revenue,
            "proved": self.proved,
        }


async def lift(conn: AsyncConnection, campaign_id: int) -> Lift | None:
    """None where nobody was held out, or nothing was sent."""
    values = {"campaign": campaign_id, "held": list(HELD_OUT)}
    if not await conn.scalar(_ANY, values):
        return None
    groups = {
        row.sent: Group(row.people, row.buyers, int(row.orders), float(row.revenue), row.squares, row.cubes)
        for row in await conn.execute(_GROUPS, {**values, "days": WINDOW_DAYS})
    }
    return Lift(groups[True], groups[False]) if len(groups) == 2 else None


_ANY = text("""
    SELECT EXISTS (SELECT FROM messages JOIN runs ON runs.id = messages.run_id
        WHERE runs.campaign_id = :campaign AND messages.state = 'skipped'
          AND messages.reason = ANY (CAST(:held AS text[])))
""")

# One join, of each person with their orders by key: however few people the planner takes these for, nobody is looked
# for among all the others.
_GROUPS = text(f"""
    WITH people AS (
        SELECT m.customer_id, bool_or(m.sent_at IS NOT NULL) AS sent, min(r.frozen_at) AS since,
               max(r.frozen_at) + make_interval(days => :days) AS until
        FROM messages m JOIN runs r ON r.id = m.run_id
        WHERE m.campaign_id = :campaign
          AND (m.sent_at IS NOT NULL OR m.state = 'skipped' AND m.reason = ANY (CAST(:held AS text[])))
        GROUP BY m.customer_id
    ), bought AS (
        SELECT p.sent, count(o.customer_id) AS orders, sum(o.amount - o.refunded) AS revenue
        FROM people p LEFT JOIN orders o ON o.customer_id = p.customer_id AND {COUNTING}
         AND o.ordered_at >= p.since AND o.ordered_at < p.until
        GROUP BY p.customer_id, p.sent
    )
    SELECT sent, count(*) AS people, count(*) FILTER (WHERE orders > 0) AS buyers, sum(orders) AS orders,
           coalesce(sum(revenue), 0) AS revenue,
           coalesce(sum(CAST(revenue AS double precision) ^ 2), 0) AS squares,
           coalesce(sum(CAST(revenue AS double precision) ^ 3), 0) AS cubes
    FROM bought GROUP BY sent
""")  # noqa: S608 -- our own words
