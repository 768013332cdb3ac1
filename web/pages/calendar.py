"""The calendar: what went out, what was missed and what will go out, by month, week, or as a list."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from babel.dates import format_date, format_skeleton
from starlette.requests import Request
from starlette.responses import Response

from campaigns.calendar import Entry, entries
from campaigns.due import due_between
from campaigns.options import Options
from campaigns.timing import lead
from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from segments.context import context_at
from web.access import MARKETERS, READERS, Route, house_of
from web.calendar_days import month_of, span_of, week_of, weeks_of
from web.campaign_form.when import When
from web.i18n import current_language
from web.render import page

VIEWS = ("month", "week", "list")
NEXT, AHEAD = 5, timedelta(days=3_700)  # due times that a form shows, and how far ahead they are looked for
_DAY = timedelta(days=1)
OFTEN = 3  # due times a day; more of them are pointed out


@dataclass(frozen=True)
class Cell:
    """A day of the calendar; `inside`: of the month that is shown."""

    day: date
    inside: bool
    entries: list[Entry]

    @property
    def people(self) -> int:
        return sum((entry.people or 0) * entry.times for entry in self.entries)


@dataclass(frozen=True)
class Shown:
    """What of the calendar is shown, and where one can go from there."""

    view: str
    day: date
    today: date
    first: date
    last: date
    earlier: date
    later: date

    @property
    def title(self) -> str:
        locale = current_language()
        if self.view == "month":
            return str(format_skeleton("yMMMM", self.first, locale=locale))
        ends = (format_date(day, "medium", locale=locale) for day in (self.first, self.last))
        return " – ".join(ends)


async def show(request: Request) -> Response:
    """Asked with `view` and `day`; what is no day is today."""
    house, now = house_of(request), utc_now()
    shown = _shown(request, local_date(now, house.settings.timezone))
    weeks = weeks_of(shown.first, shown.last)
    span = span_of(weeks[0][0], weeks[-1][-1], house.settings.zone, now)
    async with house.database.connect() as conn:
        found = await entries(conn, span, context_at(now, house.settings))
    by_day: dict[date, list[Entry]] = defaultdict(list)
    for entry in found:
        by_day[local_date(entry.at, house.settings.timezone)].append(entry)
    cells = [[Cell(day, shown.first <= day <= shown.last, by_day[day]) for day in week] for week in weeks]
    filled = [cell for week in cells for cell in week if cell.inside and cell.entries]
    return page(request, "calendar/show.html", partial="calendar", shown=shown, weeks=cells, filled=filled, views=VIEWS)


async def due_times(request: Request) -> Response:
    """The next due times of the schedule that a campaign's form describes, as it is filled in."""
    settings, now = house_of(request).settings, utc_now()
    part = When.read(await request.form())
    try:
        schedule = part.read_schedule(settings)
    except Invalid as error:
        return page(request, "calendar/due.html", problems=error.problems, coming=[], ahead=None, often=None)
    coming = due_between(schedule, now, now + AHEAD, NEXT)
    daily = len(due_between(schedule, now, now + _DAY, OFTEN + 1))
    first = lead(Options(recipient_local_time=part.pace == "own"), coming[0], settings.timezone) if coming else None
    ahead = f"{first.total_seconds() / 3600:g}" if first else None
    return page(request, "calendar/due.html", problems=[], coming=coming, ahead=ahead, often=daily > OFTEN)


def _shown(request: Request, today: date) -> Shown:
    view = request.query_params.get("view", "month")
    try:
        day = date.fromisoformat(request.query_params.get("day", ""))
    except ValueError:
        day = today
    day = day if date(2000, 2, 1) <= day < date(2199, 11, 1) else today
    if view == "week":
        first, last = week_of(day)
        return Shown(view, day, today, first, last, first - 7 * _DAY, first + 7 * _DAY)
    first, last = month_of(day)
    return Shown(view if view in VIEWS else "month", day, today, first, last, month_of(first - _DAY)[0], last + _DAY)


ROUTES = [
    Route("/calendar", show, "calendar", READERS),
    Route("/calendar/due", due_times, "campaign_due", MARKETERS, methods=("POST",)),
]
