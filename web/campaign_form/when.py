"""When: at once, at a time, again and again, or on a day of each person's own; and how a run is timed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.anchors import Anchor, Span
from campaigns.due import Schedule, read_schedule
from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from runtime.registry import Field, Kind
from runtime.settings import Settings
from segments.schema import ATTRIBUTES, PERSON, load_schema
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import _
from web.schedule_words import (
    ANY,
    date_label,
    hours_in_words,
    minutes_in_words,
    only_of,
    schedule_in_words,
    weekday_name,
    weekdays_of,
)
from web.vocabulary import field_label

LOCAL = "%Y-%m-%dT%H:%M"
DATED = ("orders", "appliances", "service_visits")  # the records whose dates are offered
BIRTHDAY = "/birthday"
_YEAR = "P1Y"
HOURS, EVERY_HOUR = "H", "*:00"


@dataclass(frozen=True)
class When(Section):
    """`rhythm` of what is repeated: daily, weekly (on each `weekday`, 1 for Monday), monthly (on `monthday`, L for the
    last) at `clock`, or as `cron` says. `anchor`: `records/field`, or `/field` of the customer; `way`: on, after,
    before, every, or yearly and before_yearly; the first `times` of these; `only_…`: a field of the records of that
    name, which is one of `only_is`; `rest`: what of it the form does not show, as JSON. `pace`: all, own (time of the
    recipient) or best (hour of each)."""

    NAME: ClassVar[str] = "when"
    PATHS: ClassVar = {
        "schedule": "when",
        "schedule.at": "at",
        "schedule.cron": "cron",
        "schedule.clock": "clock",
        "schedule.weekday": "weekday",
        "schedule.timezone": "cron",
        "schedule.time": "time",
        "schedule.anchor": "anchor",
        "schedule.anchor.after": "many",
        "schedule.anchor.before": "many",
        "schedule.anchor.every": "many",
        "schedule.anchor.times": "times",
        "schedule.anchor.where": "only_is",
        "options.recipient_local_time": "pace",
        "options.send_time_optimisation": "pace",
        "options.send_time_optimisation.window_hours": "window",
        "options.spread_over": "spread",
        "options.deadline": "deadline",
        "options.catch_up_hours": "catch_up",
    }
    OPTIONS: ClassVar[frozenset[str]] = frozenset(
        {"recipient_local_time", "send_time_optimisation", "spread_over", "deadline", "catch_up_hours"}
    )

    when: str = "now"
    at: str = ""
    cron: str = "0 10 * * 1"
    rhythm: str = "cron"
    weekday: tuple[str, ...] = ("1",)
    monthday: str = "1"
    clock: str = "10:00"
    anchor: str = BIRTHDAY
    way: str = "on"
    many: str = "14"
    unit: str = "D"
    times: str = ""
    only_orders: str = ""
    only_appliances: str = ""
    only_service_visits: str = ""
    only_is: str = ""
    time: str = "09:00"
    rest: str = ""
    pace: str = "all"
    window: str = "24"
    spread: str = ""
    deadline: str = ""
    catch_up: str = "6"

    @classmethod
    def fresh(cls) -> Self:
        """Of a new campaign: what people mostly mean, once they choose to repeat it or a day of each person's own."""
        return cls(rhythm="weekly", way="yearly")

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        schedule, options = found.schedule, found.options
        best = options.send_time_optimisation
        timed: dict[str, Any] = {
            "pace": "own" if options.recipient_local_time else "best" if best is not None else "all",
            "window": shown(best["window_hours"]) if best is not None else cls.window,
            "spread": shown(options.spread_over),
            "deadline": shown(options.deadline),
            "catch_up": shown(options.catch_up_hours),
        }
        if schedule.anchor is not None:
            shown_anchor = _shown_anchor(schedule.anchor)
            clock = cls.time if schedule.anchor.hourly else str(schedule.time)
            return replace(cls.fresh(), when="anchor", time=clock, **shown_anchor, **timed)
        return replace(
            cls.fresh(),
            when="cron" if schedule.cron else "at" if schedule.at else "now",
            at=schedule.at.astimezone(settings.zone).strftime(LOCAL) if schedule.at else "",
            **(_shown_cron(schedule.cron) if schedule.cron else {}),
            **timed,
        )

    def columns(self, settings: Settings) -> dict[str, Any]:
        return {"schedule": self._schedule(settings)}

    def options(self) -> dict[str, Any]:
        window = number("options.send_time_optimisation.window_hours", self.window)
        return {
            "recipient_local_time": True if self.pace == "own" else None,
            "send_time_optimisation": {"window_hours": window or 24} if self.pace == "best" else None,
            "spread_over": number("options.spread_over", self.spread),
            "deadline": number("options.deadline", self.deadline),
            "catch_up_hours": number("options.catch_up_hours", self.catch_up),
        }

    async def offers(self, conn: AsyncConnection) -> Offered:
        """The dates of customers and of their records."""
        schema = await load_schema(conn)
        custom = [ATTRIBUTES + key for key, kind in sorted(schema.attributes.items()) if kind in _DATES]
        own = [name for name, field in PERSON.fields.items() if field.kind in _DATES] + custom
        records = [
            (name, field.name)
            for name in DATED
            if name in schema.sources
            for field in schema.sources[name].fields.values()
            if field.kind in _DATES
        ]
        found = [(f"/{name}", date_label(None, name)) for name in own]
        only = {
            name: [
                (field.name, field_label(field.name)) for field in schema.sources[name].fields.values() if _told(field)
            ]
            for name in DATED
            if name in schema.sources
        }
        return {
            "dates": found + [(f"{has}/{name}", date_label(has, name)) for has, name in records],
            "dates_of": {name: [f"{has}/{field}" for has, field in records if has == name] for name in only},
            "only": only,
            "weekdays": [(str(day), weekday_name(day)) for day in range(1, 8)],
            "monthdays": [*((str(day), str(day)) for day in range(1, 32)), ("L", _("the last day"))],
        }

    def read_schedule(self, settings: Settings) -> Schedule:
        """Raises Invalid."""
        return read_schedule(self._schedule(settings))

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        try:
            schedule = self.read_schedule(settings)
        except Invalid:
            return []
        said = [schedule_in_words(schedule, settings.timezone)]
        if self.when == "anchor" and self.anchor == BIRTHDAY and self.way in ("on", "before"):
            said.append(_("Mind: this is the day of birth itself, not the birthday of each year. Nobody will get it."))
        if self.pace == "own":
            said.append(_("Each recipient gets it when their own clock shows that time."))
        if self.pace == "best":
            said.append(_("Each gets it at their own best hour within %(hours)s.", hours=hours_in_words(self.window)))
        if self.spread:
            said.append(_("It is spread evenly over %(minutes)s.", minutes=minutes_in_words(self.spread)))
        if self.deadline:
            said.append(_("What has not gone out %(hours)s later is cancelled.", hours=hours_in_words(self.deadline)))
        return said

    @property
    def timed(self) -> bool:
        """Something else than all at once."""
        return self.pace != "all" or bool(self.spread or self.deadline) or self.catch_up != When.catch_up

    def _schedule(self, settings: Settings) -> dict[str, Any] | None:
        if self.when == "cron":
            return {"cron": self._cron(), "timezone": settings.timezone}
        if self.when == "anchor":
            time = EVERY_HOUR if self.unit == HOURS and self.way in ("after", "before") else self.time
            return {"anchor": self._anchor(), "time": time, "timezone": settings.timezone}
        return {"at": self._instant(settings).isoformat()} if self.when == "at" else None

    def _cron(self) -> str:
        """Raises Invalid."""
        if self.rhythm not in ("daily", "weekly", "monthly"):
            return self.cron
        clock = _CLOCK.fullmatch(self.clock)
        if clock is None:
            raise Invalid(Problem("schedule.clock", f"{self.clock!r} is not a time of day like 09:30"))
        if self.rhythm == "weekly" and not self.weekday:
            raise Invalid(Problem("schedule.weekday", _("choose a day of the week at least")))
        day = self.monthday if self.rhythm == "monthly" else ANY
        weekday = ",".join(sorted(self.weekday)) if self.rhythm == "weekly" else ANY
        return f"{int(clock[2])} {int(clock[1])} {day} {ANY} {weekday}"

    def _anchor(self) -> dict[str, Any]:
        has, _slash, field = self.anchor.partition("/")
        kept = _kept(self.rest)
        own = kept.get("of") == [has or None, field, self.way]
        more = {name: value for name, value in kept["more"].items() if name != "where"} if own else {}
        where = self._where(has, kept["more"].get("where") if own else None)
        return {**more, **({"has": has} if has else {}), "field": field, **where, **self._span(), **self._times()}

    def _where(self, has: str, kept: Any) -> dict[str, Any]:
        """Of the records those that the form describes, else those that it did not show."""
        field = getattr(self, f"only_{has}", "") if has in DATED else ""
        values = [value for part in _LISTED.split(self.only_is) if (value := part.strip())]
        if not field:
            return {} if kept is None else {"where": kept}
        if not values:
            raise Invalid(Problem("schedule.anchor.where", _("is missing: what it must be")))
        one = len(values) == 1
        return {"where": {"field": field, "op": "eq" if one else "in", "value": values[0] if one else values}}

    def _times(self) -> dict[str, Any]:
        if not self.times or self.way not in ("every", "yearly", "before_yearly"):
            return {}
        return {"times": int(self.times) if self.times.isdecimal() and len(self.times) < 9 else self.times}

    def _span(self) -> dict[str, str]:
        length = f"PT{self.many}H" if self.unit == HOURS else f"P{self.many}{self.unit}"
        known = {"yearly": {"every": _YEAR}, "before_yearly": {"every": _YEAR, "before": length}}
        return {name: {name: length} for name in ("after", "before", "every")}.get(self.way, known.get(self.way, {}))

    def _instant(self, settings: Settings) -> datetime:
        try:
            return datetime.strptime(self.at, LOCAL).replace(tzinfo=settings.zone)
        except ValueError:
            raise Invalid(Problem("schedule.at", _("choose a day and a time"))) from None


_DATES = (Kind.DATE, Kind.INSTANT)
_LISTED = re.compile(r"[,，、;；\n]")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


def _shown_cron(cron: str) -> dict[str, Any]:
    """The fields that show a cron expression: a rhythm where it has the form of one."""
    minute, hour, day, month, weekday = cron.split()
    shown: dict[str, Any] = {"cron": cron, "rhythm": "cron"}
    if not (minute.isdecimal() and hour.isdecimal()) or month != ANY:
        return shown
    shown["clock"] = f"{int(hour):02}:{int(minute):02}"
    if day == ANY and weekday == ANY:
        return {**shown, "rhythm": "daily"}
    if weekday == ANY and (day == "L" or day.isdecimal()):
        return {**shown, "rhythm": "monthly", "monthday": day if day == "L" else str(int(day))}
    if day == ANY and (days := weekdays_of(weekday)):
        return {**shown, "rhythm": "weekly", "weekday": tuple(str(one) for one in days)}
    return shown


def _shown_anchor(anchor: Anchor) -> dict[str, Any]:
    """The fields that show an anchor; what they cannot show is kept in `rest` for as long as they stay the same."""
    way, span = _way(anchor)
    spoken = {"yearly": ("every",), "before_yearly": ("every", "before")}.get(way, (way,))
    only = only_of(anchor.where) if anchor.has in DATED else None
    spoken += ("times",) if "every" in spoken else ()
    spoken += ("where",) if only else ()
    more = {name: value for name, value in anchor.to_json().items() if name not in ("has", "field", *spoken)}
    rest = json.dumps({"of": [anchor.has, anchor.field, way], "more": more}) if more else ""
    many, unit = _parts(span) if span else (When.many, When.unit)
    return {
        "anchor": f"{anchor.has or ''}/{anchor.field}",
        "way": way,
        "many": many,
        "unit": unit,
        "times": str(anchor.times or ""),
        "rest": rest,
        **({f"only_{anchor.has}": only[0], "only_is": ", ".join(only[1])} if only else {}),
    }


def _told(field: Field) -> bool:
    return field.kind is Kind.TEXT


def _way(anchor: Anchor) -> tuple[str, Span | None]:
    """How the day follows from the date, and the span that the form shows."""
    if anchor.every is not None and (anchor.every.months, anchor.every.days) == (12, 0):
        return ("yearly", None) if anchor.before is None else ("before_yearly", anchor.before)
    found = {"every": anchor.every, "after": anchor.after, "before": anchor.before}
    return next(((name, span) for name, span in found.items() if span is not None), ("on", None))


def _parts(span: Span) -> tuple[str, str]:
    """A span of one unit; one of several is shown in days or months as they are, the smaller unit."""
    if span.hours:
        return str(span.hours), HOURS
    if span.months and not span.days:
        return (str(span.months // 12), "Y") if span.months % 12 == 0 else (str(span.months), "M")
    return (str(span.days // 7), "W") if span.text.endswith("W") else (str(span.days), "D")


def _kept(rest: str) -> dict[str, Any]:
    try:
        found = json.loads(rest) if rest else {}
    except ValueError:
        return {}
    fits = isinstance(found, dict) and isinstance(found.get("more"), dict)
    return found if fits else {}
