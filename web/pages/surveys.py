"""What surveys say: the answers to each, over time, by provider, salesperson and category, and the comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, cast
from starlette.requests import Request
from starlette.responses import Response

from customers.models import customers, ratings, salespeople
from customers.rating_figures import COLUMNS as TABLES
from customers.rating_figures import Asked, Summary, figures, rows
from customers.surveys import CSAT, NPS, SURVEYS
from runtime.clock import utc_now
from runtime.settings import Settings
from sales.period import period_of, read_period
from web.access import READERS, Route, house_of
from web.downloads import rows_csv
from web.i18n import N_, _
from web.listing import COLON, fetch_page, read_listing
from web.names import names_of
from web.render import page
from web.sentences import category_names

KEY = cast(ratings.c.customer_id, Text) + COLON + cast(ratings.c.key, Text)
SORTS = {"at": ratings.c.at, "score": ratings.c.score}
SPANS = (1, 3, 12, 36)  # months
MOST_GROUPS = 50  # of a table
KINDS = {"": N_("All answers"), "commented": N_("With a comment"), "bad": N_("Bad ones")}
COLUMNS = ("at", "survey", "score", "comment", "customer", "provider", "salesperson", "category", "channel", "campaign")


@dataclass(frozen=True)
class Table:
    """Summaries by name. `only`: the name of the parameter that narrows the page to one of them."""

    title: str
    only: str
    rows: Sequence[tuple[str, str, Summary]]  # code, name, summary
    left: int  # that many more are not shown


async def show(request: Request) -> Response:
    """One survey, over the last months."""
    house, listing = house_of(request), read_listing(request, tuple(SORTS), default="-at", limit=25)
    now = utc_now()
    asked, span = read_asked(request, house.settings, now), _span(request)
    async with house.database.connect() as conn:
        known = await figures(conn, asked, house.settings.timezone)
        months, groups = known.months, known.groups
        names = {
            "salesperson": await names_of(conn, salespeople, groups["salesperson"]),
            "category": await category_names(conn),
        }
        found = await fetch_page(conn, _answers(_listed(request, asked)), listing, SORTS, KEY)
    filled = _filled(months, asked, house.settings, now)
    return page(
        request,
        "surveys/show.html",
        partial="results",
        listing=listing,
        found=found,
        asked=asked,
        span=span,
        spans=[(back, _("This month") if back == 1 else _("%(num)s months", num=back)) for back in SPANS],
        whole=sum(months.values(), Summary(asked.survey)),
        scores=[str(score) for score in SURVEYS[asked.survey].scores],
        months=filled,
        trend=_trend(filled),
        tables=[_table(name, groups[name], names.get(name, {})) for name in TABLES],
        names=names,
        surveys=list(SURVEYS),
        kinds={key: _(text) for key, text in KINDS.items()},
        kind=request.query_params.get("kind", ""),
    )


async def download(request: Request) -> Response:
    """The answers that the page is about, as CSV."""
    house = house_of(request)
    asked = _listed(request, read_asked(request, house.settings, utc_now()))
    statement = _answers(asked).order_by(ratings.c.at.desc(), ratings.c.key)

    def line(row: Any) -> list[str]:
        values = {**row._mapping, "customer": row.external_id or row.customer_id, "campaign": row.campaign_id}
        values["at"] = row.at.astimezone(house.settings.zone).isoformat(timespec="seconds")
        return ["" if values[name] is None else str(values[name]) for name in COLUMNS]

    return await rows_csv(house.database, COLUMNS, statement, line, f"ratings-{asked.survey}.csv")


def read_asked(request: Request, settings: Settings, now: datetime) -> Asked:
    """What the address asks for; whatever makes no sense is left out."""
    given = {name: value.replace("\0", "") for name, value in request.query_params.items()}
    survey = given.get("survey", CSAT.name)
    return Asked(
        survey=survey if survey in SURVEYS else CSAT.name,
        start=_months_ago(_span(request), settings, now),
        provider=given.get("provider") or None,
        salesperson=given.get("salesperson") or None,
        category=given.get("category") or None,
    )


def _span(request: Request) -> int:
    given = request.query_params.get("months", "")
    return int(given) if given in map(str, SPANS) else 12


def _months_ago(span: int, settings: Settings, now: datetime) -> datetime:
    """The beginning of the first of the last `span` months, this one being the last."""
    here = period_of(now, settings.zone).start
    first = here.year * 12 + here.month - span
    return read_period(f"{first // 12:04}-{first % 12 + 1:02}", settings.zone).start


def _filled(found: Mapping[str, Summary], asked: Asked, settings: Settings, now: datetime) -> list[tuple[str, Summary]]:
    """Every month of the span, those without an answer too."""
    assert asked.start is not None
    first, last = asked.start, now.astimezone(settings.zone)
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    places = [first.year * 12 + first.month - 1 + place for place in range(count)]
    names = [f"{place // 12:04}-{place % 12 + 1:02}" for place in places]
    return [(name, found.get(name, Summary(asked.survey))) for name in names]


def _trend(months: Sequence[tuple[str, Summary]]) -> list[dict[str, Any]]:
    """The figure of each month for the chart: the NPS, or per cent of the satisfied; None where nobody answered."""
    share = 1 if months[0][1].survey == NPS.name else 100
    values = [None if one.value is None else round(float(one.value * share), 1) for __, one in months]
    return [{"name": _("NPS") if share == 1 else _("Satisfied"), "data": values}]


def _table(name: str, found: Mapping[str, Summary], names: Mapping[str, str]) -> Table:
    titles = {"provider": _("Service providers"), "salesperson": _("Salespeople"), "category": _("Categories")}
    shown = [(code, names.get(code, code), one) for code, one in list(found.items())[:MOST_GROUPS]]
    return Table(titles[name], name, shown, len(found) - len(shown))


def _listed(request: Request, asked: Asked) -> Asked:
    """Those of the list: `kind` and the words that are searched for narrow it, not the figures."""
    kind, query = request.query_params.get("kind", ""), request.query_params.get("q", "").replace("\0", "").strip()
    return replace(asked, bad=kind == "bad", commented=kind == "commented", q=query[:200] or None)


def _answers(asked: Asked) -> Select[Any]:
    row = ratings.c
    chosen = rows(
        asked,
        *(row.customer_id, row.at, row.key, row.survey, row.score, row.comment, row.how, row.channel, row.campaign_id),
        *(row.about, row.about_number, row.provider, row.category, row.salesperson),
        *(customers.c.name, customers.c.external_id),
    )
    return chosen.join(customers, customers.c.id == row.customer_id)


ROUTES = [
    Route("/surveys", show, "surveys", READERS),
    Route("/surveys/answers.csv", download, "surveys_csv", READERS),
]
