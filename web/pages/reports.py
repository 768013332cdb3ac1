"""Reports over all campaigns, growth of the base of customers, windows and costs, and who gets reports by mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from campaigns.programme import Programme, programme
from campaigns.windows import save_windows, windows_now
from channels.registry import channels
from customers.base import Base, base
from customers.growth import DAYS
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound
from web.access import ADMINS, MARKETERS, READERS, Route, house_of, viewer_of
from web.downloads import table_csv
from web.i18n import _
from web.render import page, redirect
from web.report_mails import recipients, save_recipients

SPANS = (30, 90, 365)
ACTIVE = (90, 180, 365, 730)


async def show(request: Request) -> Response:
    """The programme of the last `?days=`."""
    days, found = await _asked(request)
    async with house_of(request).database.connect() as conn:
        people = await recipients(conn) if viewer_of(request).may(ADMINS) else []
    return page(request, "reports/programme.html", days=days, spans=SPANS, found=found, people=people)


async def download(request: Request) -> Response:
    """The same as CSV, a line for each campaign."""
    days, found = await _asked(request)
    header = [
        _("Campaign"), _("Last sent"), _("Sent"), _("Opened"), _("Clicked"), _("Unsubscribed"), _("Complaints"),
        _("Orders"), _("Revenue"), _("Margin"), _("Cost"),
    ]  # fmt: skip
    lines = [
        [
            line.name, line.at.isoformat(), str(line.counts.sent), str(line.counts.opened), str(line.counts.clicked),
            str(line.counts.unsubscribed), str(line.counts.complained), str(line.earned.orders),
            str(line.earned.revenue), str(line.earned.margin), str(line.cost),
        ]
        for line in found.lines
    ]  # fmt: skip
    return table_csv(header, lines, f"campaigns-{days}-days.csv")


async def save_people(request: Request) -> Response:
    """Who gets the report by mail, and how often."""
    sent = await request.form()
    wanted = {int(name[5:]): str(value) for name, value in sent.items() if name[:5] == "user." and name[5:].isdecimal()}
    async with house_of(request).database.begin() as conn:
        await save_recipients(conn, wanted, by=viewer_of(request).name)
    return redirect(request, "reports", flash=_("Saved."))


async def growth(request: Request) -> Response:
    """Growth and cohorts."""
    days, known = await _base(request)
    found, cohorts = known.growth, known.cohorts
    return page(request, "reports/growth.html", days=days, choices=ACTIVE, counted=known, found=found, cohorts=cohorts)


async def growth_csv(request: Request) -> Response:
    """The months of growth, or the cohorts, as CSV."""
    name = request.path_params["table"]
    if name not in ("months", "cohorts"):
        raise NotFound(f"there is no table {name!r}: months or cohorts")
    _days, known = await _base(request)
    if name == "months":
        header = [_("Month"), _("New"), _("Came back"), _("Lost"), _("Active at the end")]
        lines = [[m.name, str(m.new), str(m.back), str(m.lost), str(m.active)] for m in known.growth.months]
    else:
        header = [_("First order"), *map(str, range(max((len(one.stayed) for one in known.cohorts), default=0)))]
        lines = [[one.name, *map(str, one.stayed)] for one in known.cohorts]
    return table_csv(header, lines, f"customers-{name}.csv")


async def rules(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        form = (await windows_now(conn)).to_json()
    return _rules_page(request, form, {})


async def save_rules(request: Request) -> Response:
    sent = await request.form()
    costs = {name: str(sent.get(f"costs.{name}", "")).strip()[:30] for name in _channels()}
    form = {
        **{name: str(sent.get(name, "")).strip()[:10] for name in ("click_days", "open_days")},
        "costs": {name: cost for name, cost in costs.items() if cost},
    }
    async with house_of(request).database.begin() as conn:
        try:
            await save_windows(conn, form, by=viewer_of(request).name, now=utc_now())
        except Invalid as error:
            return _rules_page(request, form, {problem.path: problem.message for problem in error.problems})
    return redirect(request, "attribution", flash=_("Saved. Reports follow within the hour."))


async def _asked(request: Request) -> tuple[int, Programme]:
    house, now, days = house_of(request), utc_now(), _choice(request, SPANS, SPANS[0])
    async with house.database.connect() as conn:
        return days, await programme(conn, now - timedelta(days=days), now, house.settings.timezone)


async def _base(request: Request) -> tuple[int, Base]:
    house, days = house_of(request), _choice(request, ACTIVE, DAYS)
    async with house.database.begin() as conn:
        return days, await base(conn, days=days, now=utc_now(), timezone=house.settings.timezone)


def _choice(request: Request, known: Sequence[int], otherwise: int) -> int:
    asked = request.query_params.get("days", "")
    return int(asked) if asked.isdecimal() and len(asked) < 5 and int(asked) in known else otherwise


def _channels() -> list[str]:
    return sorted(channel.name for channel in channels())


def _rules_page(request: Request, form: Mapping[str, object], errors: Mapping[str, str]) -> Response:
    status = 422 if errors else 200
    return page(request, "reports/rules.html", status=status, form=form, errors=errors, channels=_channels())


ROUTES = [
    Route("/reports", show, "reports", READERS),
    Route("/reports/campaigns.csv", download, "reports_csv", READERS),
    Route("/reports/people", save_people, "reports_people", ADMINS, methods=("POST",)),
    Route("/reports/growth", growth, "growth", READERS),
    Route("/reports/growth/{table}.csv", growth_csv, "growth_csv", READERS),
    Route("/reports/rules", rules, "attribution", READERS),
    Route("/reports/rules", save_rules, "attribution_save", MARKETERS, methods=("POST",)),
]
