"""Contact rules: how often people are written to, at what hours, and who is left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from campaigns.respect.periods import PERIODS, Period
from campaigns.respect.quiet import WEEK
from campaigns.respect.quiet import Window as Quiet
from campaigns.respect.reach import reach
from campaigns.respect.rules import ALL, Cap, ContactRules, contact_rules_now, known_channels, save_contact_rules
from runtime.clock import utc_now
from runtime.errors import Invalid
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.i18n import N_, _, ngettext
from web.render import page, redirect
from web.words import channel_name

WINDOWS = 20  # of one channel
PERIOD_NAMES = {Period.DAY: N_("a day"), Period.WEEK: N_("a week"), Period.MONTH: N_("a month")}
DAY_NAMES = [N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun")]


@dataclass(frozen=True)
class Window:
    """A stretch of quiet as typed."""

    begins: str = ""
    ends: str = ""
    days: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Form:
    """The rules as typed: caps by `channel.period`, windows by channel; the page shows an empty one behind them."""

    caps: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, list[Window]] = field(default_factory=dict)
    holdout: str = ""
    service: str = ""


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        rules = await contact_rules_now(conn)
    return _page(request, rules, form_of(rules))


async def save(request: Request) -> Response:
    form = read_form(await request.form())
    async with house_of(request).database.begin() as conn:
        try:
            await save_contact_rules(conn, body_of(form), by=viewer_of(request).name, now=utc_now())
        except Invalid as error:
            errors = {_field_of(problem.path): problem.message for problem in error.problems}
            return _page(request, await contact_rules_now(conn), form, errors | _halves(form))
    return redirect(request, "contact_rules", flash=_("Saved. It counts from the next message on."))


async def now(request: Request) -> Response:
    """How many people the rules concern at this moment, for the page that shows them."""
    house = house_of(request)
    async with house.database.connect() as conn:
        rules = await contact_rules_now(conn)
        found = await reach(conn, rules, house.settings.timezone, utc_now())
    quiet = [(channel_name(name), _hours(windows)) for name, windows in rules.quiet_hours.items()]
    full = [_cap_sentence(cap, people) for cap, people in found.full.items()]
    return page(request, "contact_rules/now.html", rules=rules, reach=found, quiet=quiet, full=full)


def form_of(rules: ContactRules) -> Form:
    windows = {
        channel: [Window(f"{one.begins:%H:%M}", f"{one.ends:%H:%M}", frozenset(map(str, one.days))) for one in quiet]
        for channel, quiet in rules.quiet_hours.items()
    }
    return Form(
        {f"{cap.channel}.{cap.period}": str(cap.most) for cap in rules.caps},
        windows,
        f"{rules.holdout_percent:g}",
        str(rules.service_hold_days),
    )


def read_form(sent: FormData) -> Form:
    def text(name: str) -> str:
        return str(sent.get(name, "")).strip()[:20]

    def window(name: str) -> Window:
        return Window(text(f"{name}.from"), text(f"{name}.to"), frozenset(map(str, sent.getlist(f"{name}.days"))))

    caps = {name: text(f"cap.{name}") for name in cap_names()}
    windows = {
        channel: [
            one for one in (window(f"quiet.{channel}.{place}") for place in range(WINDOWS)) if one.begins or one.ends
        ]
        for channel in known_channels()
    }
    return Form(caps, windows, text("holdout_percent"), text("service_hold_days"))


def body_of(form: Form) -> dict[str, Any]:
    """What the API would take for the same."""
    caps: dict[str, dict[str, Any]] = {}
    for name, typed in form.caps.items():
        channel, period = name.split(".")
        if typed:
            caps.setdefault(channel, {})[period] = _number(typed)
    quiet = {
        channel: [
            {"from": one.begins, "to": one.ends, "days": sorted(int(day) for day in one.days if day in _DAYS)}
            for one in windows
        ]
        for channel, windows in form.windows.items()
    }
    shares = {"holdout_percent": _number(form.holdout or "0"), "service_hold_days": _number(form.service or "0")}
    return {"frequency_caps": caps, "quiet_hours": {name: each for name, each in quiet.items() if each}, **shares}


def cap_names() -> Iterator[str]:
    """`all.day` and so on, in the order of the page."""
    return (f"{channel}.{period}" for channel in (ALL, *known_channels()) for period in PERIODS)


_DAYS = frozenset(map(str, WEEK))


def _halves(form: Form) -> dict[str, str]:
    """What is wrong with channels of which a window lacks its beginning or its end."""
    half = [name for name, windows in form.windows.items() if any(not (one.begins and one.ends) for one in windows)]
    return {f"quiet.{name}": _("quiet hours need a beginning and an end") for name in half}


def _number(typed: str) -> Any:
    """A number where it is one; what is none the rules refuse by name."""
    try:
        return int(typed) if typed.lstrip("-").isdecimal() else float(typed)
    except ValueError:
        return typed


def _hours(windows: Sequence[Quiet]) -> str:
    """`20:00–08:00, 00:00–00:00 (Sat Sun)`."""

    def told(window: Quiet) -> str:
        hours = f"{window.begins:%H:%M}–{window.ends:%H:%M}"
        named = " ".join(_(DAY_NAMES[day - 1]) for day in sorted(window.days))
        return hours if window.days == WEEK else f"{hours} ({named})"

    return ", ".join(map(told, windows))


def _cap_sentence(cap: Cap, people: int) -> str:
    channel = _("All channels together") if cap.channel == ALL else channel_name(cap.channel)
    period = _(PERIOD_NAMES[cap.period])
    return ngettext(
        "%(channel)s: at most %(most)s %(period)s. %(num)s customer has had that many.",
        "%(channel)s: at most %(most)s %(period)s. %(num)s customers have had that many.",
        people,
        channel=channel,
        most=cap.most,
        period=period,
    )


def _field_of(path: str) -> str:
    """`frequency_caps.all.day` is `cap.all.day`, `quiet_hours.sms[1]` is `quiet.sms`."""
    name = path.replace("frequency_caps.", "cap.").replace("quiet_hours.", "quiet.")
    return name.partition("[")[0]


def _page(request: Request, rules: ContactRules, form: Form, errors: Mapping[str, str] | None = None) -> Response:
    channels = known_channels()
    return page(
        request,
        "contact_rules/show.html",
        status=422 if errors else 200,
        rules=rules,
        form=form,
        errors=errors or {},
        rows=[(ALL, _("All channels together")), *((name, channel_name(name)) for name in channels)],
        periods=[(period.value, _(name)) for period, name in PERIOD_NAMES.items()],
        quiet={name: [*form.windows.get(name, []), Window(days=_DAYS)][:WINDOWS] for name in channels},
        days=[(str(number), _(name)) for number, name in enumerate(DAY_NAMES, 1)],
    )


ROUTES = [
    Route("/contact-rules", show, "contact_rules", READERS),
    Route("/contact-rules", save, "contact_rules_save", MARKETERS, methods=("POST",)),
    Route("/contact-rules/now", now, "contact_rules_now", READERS),
]
