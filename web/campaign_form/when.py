"""When: at once, at a time, again and again, or on a day of each person's own; and how a run is timed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.anchors import Anchor, Span
from campaigns.due import Schedule, read_schedule
from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from runtime.registry import Kind
from runtime.settings import Settings
from segments.schema import ATTRIBUTES, PERSON, load_schema
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import _
from web.schedule_words import date_label, schedule_in_words

LOCAL = "%Y-%m-%dT%H:%M"
DATED = ("orders", "appliances", "service_visits")  # the records whose dates are offered
WAYS = ("on", "after", "before", "every")
_SPAN_UNITS = ("D", "W", "M", "Y")


@dataclass(frozen=True)
class When(Section):
    """`anchor`: `records/field`, or `/field` of the customer; `rest`: what of it the form does not show, as JSON.
    `pace`: all, own (time of the recipient) or best (hour of each)."""

    NAME: ClassVar[str] = "when"
    PATHS: ClassVar = {
        "schedule": "when",
        "schedule.at": "at",
        "schedule.cron": "cron",
        "schedule.timezone": "cron",
        "schedule.time": "time",
        "schedule.anchor": "anchor",
        "schedule.anchor.after": "many",
        "schedule.anchor.before": "many",
        "schedule.anchor.every": "many",
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
    anchor: str = "/birthday"
    way: str = "on"
    many: str = "14"
    unit: str = "D"
    time: str = "09:00"
    rest: str = ""
    pace: str = "all"
    window: str = "24"
    spread: str = ""
    deadline: str = ""
    catch_up: str = "6"

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        schedule, options = found.schedule, found.options
        best = options.send_time_optimisation
        timed = {
            "pace": "own" if options.recipient_local_time else "best" if best is not None else "all",
            "window": shown(best["window_hours"]) if best is not None else cls.window,
            "spread": shown(options.spread_over),
            "deadline": shown(options.deadline),
            "catch_up": shown(options.catch_up_hours),
        }
        if schedule.anchor is not None:
            return cls(when="anchor", time=str(schedule.time), **_shown_anchor(schedule.anchor), **timed)
        return cls(
            when="cron" if schedule.cron else "at" if schedule.at else "now",
            at=schedule.at.astimezone(settings.zone).strftime(LOCAL) if schedule.at else "",
            cron=schedule.cron or cls.cron,
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
        return {"dates": found + [(f"{has}/{name}", date_label(has, name)) for has, name in records]}

    def read_schedule(self, settings: Settings) -> Schedule:
        """Raises Invalid."""
        return read_schedule(self._schedule(settings))

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        try:
            schedule = self.read_schedule(settings)
        except Invalid:
            return []
        said = [schedule_in_words(schedule, settings.timezone)]
        if self.pace == "own":
            said.append(_("Each recipient gets it when their own clock shows that time."))
        if self.pace == "best":
            said.append(_("Each gets it at their own best hour within %(hours)s hours.", hours=self.window))
        if self.spread:
            said.append(_("It is spread evenly over %(minutes)s minutes.", minutes=self.spread))
        if self.deadline:
            said.append(_("What has not gone out %(hours)s hours later is cancelled.", hours=self.deadline))
        return said

    @property
    def timed(self) -> bool:
        """Something else than all at once."""
        return self.pace != "all" or bool(self.spread or self.deadline) or self.catch_up != When.catch_up

    def _schedule(self, settings: Settings) -> dict[str, Any] | None:
        if self.when == "cron":
            return {"cron": self.cron, "timezone": settings.timezone}
        if self.when == "anchor":
            return {"anchor": self._anchor(), "time": self.time, "timezone": settings.timezone}
        return {"at": self._instant(settings).isoformat()} if self.when == "at" else None

    def _anchor(self) -> dict[str, Any]:
        has, _slash, field = self.anchor.partition("/")
        kept = _kept(self.rest)
        own = kept.get("of") == [has or None, field, self.way]
        span = {} if self.way not in WAYS[1:] else {self.way: f"P{self.many}{self.unit}"}
        return {**(kept["more"] if own else {}), **({"has": has} if has else {}), "field": field, **span}

    def _instant(self, settings: Settings) -> datetime:
        try:
            return datetime.strptime(self.at, LOCAL).replace(tzinfo=settings.zone)
        except ValueError:
            raise Invalid(Problem("schedule.at", "choose a day and a time")) from None


_DATES = (Kind.DATE, Kind.INSTANT)


def _shown_anchor(anchor: Anchor) -> dict[str, str]:
    """The fields that show an anchor; what they cannot show is kept in `rest` for as long as they stay the same."""
    way = "every" if anchor.every else "after" if anchor.after else "before" if anchor.before else "on"
    span = anchor.every or anchor.after or anchor.before
    more = {name: value for name, value in anchor.to_json().items() if name not in ("has", "field", way)}
    rest = json.dumps({"of": [anchor.has, anchor.field, way], "more": more}) if more else ""
    many, unit = _parts(span) if span else (When.many, When.unit)
    return {"anchor": f"{anchor.has or ''}/{anchor.field}", "way": way, "many": many, "unit": unit, "rest": rest}


def _parts(span: Span) -> tuple[str, str]:
    """A span of one unit; one of several is shown in days or months as they are, the smaller unit."""
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
