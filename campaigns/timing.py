"""When within a run each message may go: recipients' own time, their best hour, spread over a window.

The members of a run fall into slots, each with a time of its own, and every batch is of one slot: it is loaded once.

The written rules.
- Own time (`recipient_local_time`): the schedule's wall-clock time, on the clock of each recipient's zone; without a
  known zone, on the schedule's. A time in the gap of a clock put forward is the first instant after it, one that comes
  twice is its first coming. The run starts when the easternmost clocks (UTC+14) show that time. Whose time passed
  before the run was frozen: sent at once where it passed by at most the campaign's `catch_up_hours`, else at the same
  time of the next day there. A zone that is changed after the freeze moves nothing.
- Best hour (`send_time_optimisation`): of the hours that begin within the window (the workspace's clock), the one with
  the most points from the person's own opens and clicks of the last year, machines left out (points as for the
  engagement score; on a tie the hour used last); without any, the audience's best hour; without that, the start.
- Spread (`spread_over`): in equal steps from that time on, by a hash of the customer; steps of a minute, or longer ones
  where there would be too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    SmallInteger,
    Subquery,
    Text,
    case,
    cast,
    extract,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine

from campaigns.due import ON_TIME, Schedule
from campaigns.options import Options
from campaigns.respect.clocks import instant_of
from customers.models import customers
from runtime.errors import Problem
from segments.bucket import bucket_sql
from tracking.folds import CLICK_POINTS, OPEN_POINTS
from tracking.models import events

EASTERNMOST = timedelta(hours=14)
MOST_SLOTS = 300  # of all recipients' times together; a batch of each and they are still soon worked off
LOOKED_BACK = timedelta(days=365)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LARGE = 2**31 - 1
_Instant = DateTime(timezone=True)


@dataclass(frozen=True)
class Start:
    """Of a run: its due time, the zone of its schedule, and `now`, when it is frozen."""

    run_id: int
    occurrence: datetime
    zone: str
    now: datetime


@dataclass(frozen=True)
class Slots:
    """`times` by the number of the slot (None: at once); `number`, the slot of a member, is a column over `members`, a
    SELECT of `customers.id`."""

    times: tuple[datetime | None, ...]
    members: Select[Any]
    number: ColumnElement[int]

    @property
    def planned(self) -> Select[Any]:
        """SELECT id, slot, not_before (NULL: at once)."""
        not_before = _nth(self.times, self.number, _Instant) if any(self.times) else cast(null(), _Instant)
        return self.members.add_columns(self.number.label("slot"), not_before.label("not_before"))

    def until(self, now: datetime) -> datetime:
        """The latest time of all."""
        return max([now, *(time for time in self.times if time is not None)])


@dataclass(frozen=True)
class Timetable:
    """The batches of a run by slot: those of slot n begin at `firsts[n]` and are `counts[n]`."""

    run_id: int
    firsts: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, run_id: int, people: Sequence[int], size: int) -> Timetable:
        """For so many `people` in each slot, about `size` messages a batch."""
        counts = [max(1, -(-number // size)) if number else 0 for number in people]
        firsts = [sum(counts[:place]) for place in range(len(counts))]
        return cls(run_id, tuple(firsts), tuple(counts))

    @property
    def batches(self) -> int:
        return max(1, sum(self.counts))

    def group(self, member: Any) -> ColumnElement[int]:
        """What decides the batch. `member`: columns with a `slot`."""
        slot: ColumnElement[int] = member.slot
        return slot

    def batch(self, customer_id: ColumnElement[int], slot: ColumnElement[int]) -> ColumnElement[int]:
        drawn = bucket_sql(f"batch:{self.run_id}:", customer_id, _LARGE)
        return _nth(self.firsts, slot) + drawn % func.greatest(_nth(self.counts, slot), 1, type_=Integer)

    def variant(self, slot: ColumnElement[int]) -> ColumnElement[Any]:
        """None: there is no experiment."""
        return cast(null(), SmallInteger)


def timed(options: Options) -> bool:
    """Whether the messages of a run fall into slots at all."""
    return bool(options.recipient_local_time or options.send_time_optimisation or options.spread_over)


def conflicts(schedule: Schedule, options: Options) -> list[Problem]:
    """What of a campaign's timing contradicts the rest of it."""
    found = []
    own, best = options.recipient_local_time, options.send_time_optimisation is not None
    if own and schedule == Schedule():
        found.append(("recipient_local_time", "needs a schedule: a time of day that all clocks will show"))
    if own and schedule.anchor is not None and schedule.anchor.hourly:
        found.append(("recipient_local_time", "cannot stand beside hours, which are the same everywhere"))
    if own and best:
        found.append(("send_time_optimisation", "cannot be had together with a time that each one's own clock shows"))
    if timed(options) and options.experiment is not None:
        name = "recipient_local_time" if own else "send_time_optimisation" if best else "spread_over"
        found.append((name, "cannot stand beside an experiment, whose variants go out side by side"))
    if options.deadline is not None and options.tested is not None and options.deadline <= options.tested.wait_hours:
        found.append(("deadline", "would come before the test of the experiment is decided"))
    if options.deadline is not None and options.deadline < _hours_at_most(options):
        found.append(("deadline", "would come before the last are due: the best hour and the spread take longer"))
    return [Problem(f"options.{name}", message) for name, message in found]


def lead(options: Options, due: datetime, timezone: str) -> timedelta:
    """How much ahead of a due time its run starts."""
    if not options.recipient_local_time:
        return timedelta(0)
    return max(timedelta(0), EASTERNMOST - (due.astimezone(ZoneInfo(timezone)).utcoffset() or timedelta(0)))


async def slots(conn: AsyncConnection, options: Options, members: Select[tuple[int]], start: Start) -> Slots:
    """The slots of a run's members, a SELECT of `customers.id`. Where nothing is `timed` there is one."""
    if options.recipient_local_time:
        found = await _by_zone(conn, options, members, start)
    elif options.send_time_optimisation is not None:
        found = await _by_hour(conn, options, members, start)
    else:
        found = Slots((None,), members, literal(0, Integer))
    return found if options.spread_over is None else _spread(found, options.spread_over, start)


async def timetable(conn: AsyncConnection, found: Slots, run_id: int, size: int) -> Timetable:
    """How many members each slot has, cut into batches of about `size`."""
    asked = found.members.add_columns(found.number.label("slot")).subquery("asked")
    rows = await conn.execute(select(asked.c.slot, func.count()).group_by(asked.c.slot))
    people = {row[0]: row[1] for row in rows}
    return Timetable.of(run_id, [people.get(slot, 0) for slot in range(len(found.times))], size)


def own_time(start: Start, zone: str | None, catch_up: timedelta) -> datetime | None:
    """When the recipients in `zone` are due (None: at once), by the rule above."""
    face = start.occurrence.astimezone(ZoneInfo(start.zone)).replace(tzinfo=None, fold=0)
    there = _zone(zone) or ZoneInfo(start.zone)
    due = instant_of(face, there)
    if due > start.now:
        return due
    if start.now - due <= max(catch_up, ON_TIME):
        return None
    while due <= start.now:
        face += _DAY
        due = instant_of(face, there)
    return due


def hours(start: datetime, window: timedelta, zone: ZoneInfo) -> dict[int, datetime]:
    """The instants within a window at which the clock of `zone` comes to show each hour, that of `start` itself first;
    of an hour that comes twice, the first."""
    start = moment = start.astimezone(UTC)
    found: dict[int, datetime] = {}
    while moment < start + window:
        shown = moment.astimezone(zone)
        found.setdefault(shown.hour, moment)
        moment += _HOUR - timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
    return found


def _hours_at_most(options: Options) -> float:
    """For how long after the start of a run some of it may be planned, by its options alone."""
    window = 0.0 if options.send_time_optimisation is None else options.send_time_optimisation["window_hours"]
    return window + (options.spread_over or 0.0) / 60


async def _by_zone(conn: AsyncConnection, options: Options, members: Select[tuple[int]], start: Start) -> Slots:
    zones = list(await conn.scalars(select(customers.c.timezone).distinct().where(customers.c.timezone.is_not(None))))
    catch_up = timedelta(hours=options.catch_up_hours)
    due = {zone: own_time(start, zone, catch_up) for zone in [None, *sorted(zones)]}
    times = sorted(set(due.values()), key=lambda time: time or start.now)
    place = {time: number for number, time in enumerate(times)}
    known = [zone for zone in due if zone is not None]
    numbers = [place[due[zone]] for zone in known]
    own = _nth(numbers, func.array_position(literal(known, ARRAY(Text)), customers.c.timezone, type_=Integer) - 1)
    return Slots(tuple(times), members, func.coalesce(own, place[due[None]], type_=Integer))


async def _by_hour(conn: AsyncConnection, options: Options, members: Select[tuple[int]], start: Start) -> Slots:
    assert options.send_time_optimisation is not None
    window = timedelta(hours=options.send_time_optimisation["window_hours"])
    found = hours(start.now, window, ZoneInfo(start.zone))
    times = tuple(None if time == start.now else time for time in found.values())
    slot_of = {hour: number for number, hour in enumerate(found)}
    habits = _habits(members, start, list(found))
    by_hour = select(habits.c.hour).group_by(habits.c.hour)
    by_points = by_hour.order_by(func.sum(habits.c.points).desc(), habits.c.hour)
    best = await conn.scalar(by_points.limit(1))
    chosen = (
        select(habits.c.customer_id, habits.c.hour)
        .ext(distinct_on(habits.c.customer_id))
        .order_by(habits.c.customer_id, habits.c.points.desc(), habits.c.last.desc())
        .subquery("chosen")
    )
    number = case(slot_of, value=chosen.c.hour, else_=slot_of.get(-1 if best is None else best, 0))
    return Slots(times, members.outerjoin(chosen, chosen.c.customer_id == customers.c.id), number)


def _spread(found: Slots, minutes: float, start: Start) -> Slots:
    """Each slot in equal steps, few enough of them."""
    count = max(1, min(round(minutes), MOST_SLOTS // len(found.times)))
    steps = [timedelta(minutes=minutes) * number / count for number in range(count)]
    times = tuple(_after(time, step, start.now) for time in found.times for step in steps)
    drawn = bucket_sql(f"spread:{start.run_id}:", customers.c.id, count)
    return Slots(times, found.members, found.number * count + drawn)


def _habits(members: Select[tuple[int]], start: Start, among: Sequence[int]) -> Subquery:
    """Points a member and hour of the day, with when it was last."""
    hour = cast(extract("hour", func.timezone(start.zone, events.c.at)), Integer)
    points = case({"opened": OPEN_POINTS, "clicked": CLICK_POINTS}, value=events.c.kind)
    return (
        select(
            events.c.customer_id,
            hour.label("hour"),
            func.sum(points).label("points"),
            func.max(events.c.at).label("last"),
        )
        .where(events.c.customer_id.in_(members))
        .where(events.c.kind.in_(["opened", "clicked"]), events.c.machine.is_(False))
        .where(events.c.at > start.now - LOOKED_BACK, events.c.at <= start.now, hour.in_(among))
        .group_by(events.c.customer_id, hour)
        .subquery("habits")
    )


def _after(time: datetime | None, step: timedelta, now: datetime) -> datetime | None:
    return time if not step else (time or now) + step


def _nth(values: Sequence[Any], place: ColumnElement[int], of: TypeEngine[Any] | None = None) -> ColumnElement[Any]:
    """The value at a place that starts at 0. In brackets: PostgreSQL takes no subscript of a cast."""
    kind = ARRAY(of or Integer())
    found: ColumnElement[Any] = Grouping(cast(literal(list(values), kind), kind))[place + 1]
    return found


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
