"""A schedule in people's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babel.dates import get_day_names

from campaigns.anchors import Anchor, Span
from campaigns.due import Schedule
from web.i18n import _, current_language, ngettext
from web.view import moment
from web.vocabulary import field_label, records_label

ANY = "*"
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def schedule_in_words(schedule: Schedule, zone: str) -> str:
    """A whole sentence. `zone`: the workspace's, which need not be named."""
    if schedule.anchor is not None:
        said = [anchored(schedule.anchor, str(schedule.time)), *narrowed(schedule.anchor)]
        return _in_zone(" ".join(said), schedule.timezone, zone)
    if schedule.cron is not None:
        return _in_zone(repeated(schedule.cron), schedule.timezone, zone)
    if schedule.at is not None:
        return _("It starts on %(moment)s.", moment=moment(schedule.at))
    return _("It starts at once, when launched.")


def repeated(cron: str) -> str:
    """Usual cron expressions in words; others as they are written."""
    minute, hour, day, month, weekday = cron.split()
    if not (minute.isdecimal() and hour.isdecimal()) or month != ANY:
        return _("It starts again and again, by the cron expression %(cron)s.", cron=cron)
    time = f"{int(hour):02}:{int(minute):02}"
    if (day, weekday) == (ANY, ANY):
        return _("It starts every day at %(time)s.", time=time)
    if day == ANY and (days := weekdays_of(weekday)):
        if days == [1, 2, 3, 4, 5]:
            return _("It starts from Monday to Friday at %(time)s.", time=time)
        names = _(", ").join(weekday_name(one) for one in days)
        return _("It starts every %(weekday)s at %(time)s.", weekday=names, time=time)
    if weekday == ANY and day.isdecimal():
        return _("It starts on day %(day)s of each month at %(time)s.", day=int(day), time=time)
    if weekday == ANY and day == "L":
        return _("It starts on the last day of each month at %(time)s.", time=time)
    return _("It starts again and again, by the cron expression %(cron)s.", cron=cron)


def anchored(anchor: Anchor, time: str) -> str:
    """Whose day it is, every day at that time; or whose hour."""
    spans = {"every": anchor.every, "before": anchor.before, "after": anchor.after}
    said = {name: span_in_words(span) for name, span in spans.items() if span is not None}
    values = {"time": time, "field": date_label(anchor.has, anchor.field), **said}
    if anchor.hourly and anchor.before is not None:
        return _("Every hour it goes to each person %(before)s before: %(field)s.", **values)
    if anchor.hourly:
        return _("Every hour it goes to each person %(after)s after: %(field)s.", **values)
    if anchor.every is not None and (anchor.every.months, anchor.every.days) == (12, 0):
        if anchor.before is None:
            return _("At %(time)s it goes to each person on the day, every year: %(field)s.", **values)
        return _("At %(time)s it goes to each person %(before)s before, every year: %(field)s.", **values)
    if anchor.every is not None and anchor.before is not None:
        return _("At %(time)s it goes to each person %(before)s before every %(every)s since: %(field)s.", **values)
    if anchor.every is not None:
        return _("At %(time)s it goes to each person every %(every)s since: %(field)s.", **values)
    if anchor.before is not None:
        return _("At %(time)s it goes to each person %(before)s before: %(field)s.", **values)
    if anchor.after is not None:
        return _("At %(time)s it goes to each person %(after)s after: %(field)s.", **values)
    return _("At %(time)s it goes to each person on the day: %(field)s.", **values)


def narrowed(anchor: Anchor) -> list[str]:
    """Which of the records, and how often at most."""
    said = []
    if anchor.where is not None:
        only = only_of(anchor.where)
        values = {"field": field_label(only[0]), "values": _(", ").join(only[1])} if only else {}
        said.append(_("Only where %(field)s is %(values)s.", **values) if only else _("Only of some of these records."))
    if anchor.times is not None:
        said.append(ngettext("%(num)s time only.", "The first %(num)s times only.", anchor.times))
    return said


def only_of(where: Mapping[str, Any] | None) -> tuple[str, Sequence[str]] | None:
    """A field and what it must be, where a rule says no more than that."""
    rule = where or {}
    if set(rule) != {"field", "op", "value"}:
        return None
    values = [rule["value"]] if rule["op"] == "eq" else rule["value"] if rule["op"] == "in" else None
    plain = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return (str(rule["field"]), values) if plain and values else None


def date_label(has: str | None, field: str) -> str:
    """`warranty end (appliances)`."""
    label = field_label(field)
    if has is None:
        return label
    return _("%(field)s (%(records)s)", field=label, records=records_label(has))


def span_in_words(span: Span) -> str:
    """3 months, 14 days, 6 hours; of several parts one after the other."""
    years, months = divmod(span.months, 12)
    weeks, days = divmod(span.days, 7) if "W" in span.text else (0, span.days)
    parts = [
        ngettext("%(num)s year", "%(num)s years", years) if years else "",
        ngettext("%(num)s month", "%(num)s months", months) if months else "",
        ngettext("%(num)s week", "%(num)s weeks", weeks) if weeks else "",
        ngettext("%(num)s day", "%(num)s days", days) if days else "",
        ngettext("%(num)s hour", "%(num)s hours", span.hours) if span.hours else "",
    ]
    return " ".join(part for part in parts if part)


def _in_zone(sentence: str, own: str | None, zone: str) -> str:
    return sentence if own == zone else f"{sentence} {_('Time zone: %(zone)s', zone=own)}"


def weekdays_of(text: str) -> list[int]:
    """The days of a cron expression's last field, 1 for Monday to 7 for Sunday; none where it is anything but a list of
    days and spans of days."""
    found: set[int] = set()
    for part in text.upper().split(","):
        first, dash, last = part.partition("-")
        low, high = _weekday(first), _weekday(last) if dash else _weekday(first)
        if low is None or high is None or low > high:
            return []
        found.update(range(low, high + 1))
    return sorted(found)


def weekday_name(day: int) -> str:
    """1 for Monday."""
    return str(get_day_names("wide", locale=current_language())[day - 1])


def hours_in_words(text: str) -> str:
    """A number of hours as a form has it: 6 hours, 90 minutes; what is no number as it is."""
    try:
        hours = float(text)
    except ValueError:
        return text
    if hours != int(hours):
        return minutes_in_words(f"{60 * hours:g}")
    return ngettext("%(num)s hour", "%(num)s hours", int(hours))


def minutes_in_words(text: str) -> str:
    """The same of minutes."""
    try:
        minutes = float(text)
    except ValueError:
        return text
    whole = int(minutes) if minutes == int(minutes) else minutes
    return ngettext("%(num)s minute", "%(num)s minutes", whole)  # type: ignore[arg-type]


def _weekday(text: str) -> int | None:
    """A day as cron writes it, 0 or 7 for Sunday."""
    number = int(text) if text.isdecimal() else _DAYS.index(text) if text in _DAYS else None
    return None if number is None or number > 7 else number or 7
