"""A schedule in people's words."""

from __future__ import annotations

from babel.dates import get_day_names

from campaigns.anchors import Anchor, Span
from campaigns.due import Schedule
from web.i18n import _, current_language, ngettext
from web.view import moment
from web.vocabulary import field_label, records_label

_ALWAYS = "*"


def schedule_in_words(schedule: Schedule, zone: str) -> str:
    """A whole sentence. `zone`: the workspace's, which need not be named."""
    if schedule.anchor is not None:
        return _in_zone(anchored(schedule.anchor, str(schedule.time)), schedule.timezone, zone)
    if schedule.cron is not None:
        return _in_zone(repeated(schedule.cron), schedule.timezone, zone)
    if schedule.at is not None:
        return _("It starts on %(moment)s.", moment=moment(schedule.at))
    return _("It starts at once, when launched.")


def repeated(cron: str) -> str:
    """Usual cron expressions in words; others as they are written."""
    minute, hour, day, month, weekday = cron.split()
    if not (minute.isdecimal() and hour.isdecimal()) or month != _ALWAYS:
        return _("It starts again and again, by the cron expression %(cron)s.", cron=cron)
    time = f"{int(hour):02}:{int(minute):02}"
    if (day, weekday) == (_ALWAYS, _ALWAYS):
        return _("It starts every day at %(time)s.", time=time)
    if day == _ALWAYS and (name := _weekday(weekday)):
        return _("It starts every %(weekday)s at %(time)s.", weekday=name, time=time)
    if day == _ALWAYS and weekday in ("1-5", "MON-FRI"):
        return _("It starts from Monday to Friday at %(time)s.", time=time)
    if weekday == _ALWAYS and day.isdecimal():
        return _("It starts on day %(day)s of each month at %(time)s.", day=int(day), time=time)
    if weekday == _ALWAYS and day == "L":
        return _("It starts on the last day of each month at %(time)s.", time=time)
    return _("It starts again and again, by the cron expression %(cron)s.", cron=cron)


def anchored(anchor: Anchor, time: str) -> str:
    """Whose day it is, every day at that time."""
    spans = {"every": anchor.every, "before": anchor.before, "after": anchor.after}
    said = {name: span_in_words(span) for name, span in spans.items() if span is not None}
    values = {"time": time, "field": date_label(anchor.has, anchor.field), **said}
    if anchor.every is not None and anchor.before is not None:
        return _("At %(time)s it goes to each person %(before)s before every %(every)s since: %(field)s.", **values)
    if anchor.every is not None:
        return _("At %(time)s it goes to each person every %(every)s since: %(field)s.", **values)
    if anchor.before is not None:
        return _("At %(time)s it goes to each person %(before)s before: %(field)s.", **values)
    if anchor.after is not None:
        return _("At %(time)s it goes to each person %(after)s after: %(field)s.", **values)
    return _("At %(time)s it goes to each person on the day: %(field)s.", **values)


def date_label(has: str | None, field: str) -> str:
    """`warranty end (appliances)`."""
    label = field_label(field)
    if has is None:
        return label
    return _("%(field)s (%(records)s)", field=label, records=records_label(has))


def span_in_words(span: Span) -> str:
    """3 months, 14 days; of several parts one after the other."""
    years, months = divmod(span.months, 12)
    weeks, days = divmod(span.days, 7) if "W" in span.text else (0, span.days)
    parts = [
        ngettext("%(num)s year", "%(num)s years", years) if years else "",
        ngettext("%(num)s month", "%(num)s months", months) if months else "",
        ngettext("%(num)s week", "%(num)s weeks", weeks) if weeks else "",
        ngettext("%(num)s day", "%(num)s days", days) if days else "",
    ]
    return " ".join(part for part in parts if part)


def _in_zone(sentence: str, own: str | None, zone: str) -> str:
    return sentence if own == zone else f"{sentence} {_('Time zone: %(zone)s', zone=own)}"


def _weekday(text: str) -> str | None:
    """The name of a cron weekday, 0 or 7 for Sunday."""
    names = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
    number = int(text) if text.isdecimal() else names.index(text.upper()) if text.upper() in names else None
    if number is None or number > 7:
        return None
    return str(get_day_names("wide", locale=current_language())[(number + 6) % 7])
