"""What templates and macros call without being handed a request: addresses, icons, numbers, times."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from string import ascii_letters
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import (
    format_compact_decimal,
    format_decimal,
    format_percent,
    get_currency_precision,
    get_currency_symbol,
)
from markupsafe import Markup, escape
from starlette.requests import Request

from runtime.clock import utc_now
from runtime.settings import Settings
from web import nav
from web.access import found_viewer, house_of
from web.guard import csrf_secret
from web.i18n import HTML_LANG, LANGUAGES, N_, _, current_language
from web.sessions import csrf_token

STATIC = Path(__file__).parent / "static"
BABEL_LOCALE = {"en": "en", "zh": "zh_Hans_CN"}
Amount = Decimal | int | float

_request: ContextVar[Request] = ContextVar("request")


@contextmanager
def current_request(request: Request) -> Iterator[None]:
    """The request that the functions below speak of, while a template is rendered."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def url(name: str, /, **params: Any) -> str:
    """The address of a route: params fill its path, the rest (None left out) become its query."""
    from web.routes import by_name  # which imports the pages, which import us

    path = by_name()[name].path
    wanted = set(re.findall(r"{(\w+)", path))
    filled = _request.get().app.url_path_for(name, **{key: params[key] for key in wanted})
    query = {key: value for key, value in params.items() if key not in wanted and value is not None}
    return f"{filled}?{urlencode(query, doseq=True)}" if query else str(filled)


def here(**changes: Any) -> str:
    """This page's address with some query parameters changed (None removes one)."""
    request = _request.get()
    kept = [(key, value) for key, value in request.query_params.multi_items() if key not in changes]
    added = [(key, value) for key, value in changes.items() if value is not None]
    query = urlencode(kept + added)
    return request.url.path + (f"?{query}" if query else "")


def has_route(name: str) -> bool:
    """Whether the viewer may open the page `name` (and it exists)."""
    from web.routes import by_name

    viewer, route = found_viewer(_request.get()), by_name().get(name)
    return viewer is not None and route is not None and viewer.may(route.allow)


def static(path: str) -> str:
    """The address of a static file, which changes with its content."""
    return f"/static/{path}?v={_version(path)}"


def icon(name: str, size: int = 20) -> Markup:
    """A Tabler icon as inline SVG, hidden from screen readers."""
    body = "".join(
        f"<{tag} {' '.join(f'{escape(key)}={json.dumps(str(value))}' for key, value in attributes.items())}/>"
        for tag, attributes in _icons()[name]
    )
    return Markup(  # noqa: S704 -- names and attributes come from the icon package, not from people
        f'<svg class="icon" width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
        f'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{body}</svg>'
    )


def labelled(cells: str, columns: Sequence[Mapping[str, Any]]) -> Markup:
    """A row's `<td>`s, each with its column's label and part, for screens on which a row is a card."""
    title = next((place for place, column in enumerate(columns) if column.get("title")), 0)
    places = count()

    def told(match: re.Match[str]) -> str:
        place = next(places)
        column = columns[place] if place < len(columns) else {}
        part = " data-title" if place == title else " data-wide" if column.get("wide") else ""
        return f'<td data-label="{escape(column.get("label", ""))}"{part}'

    return Markup(re.sub(r"<td\b", told, cells))  # noqa: S704 -- a rendered block; what people typed is escaped in it


def form_token() -> str:
    return csrf_token(csrf_secret(_request.get()))


def navigation() -> list[nav.Section]:
    return nav.sections(has_route)


def money(amount: Amount | None, places: int | None = None) -> str:
    """An amount in the workspace's currency; None is a dash."""
    if amount is None:
        return "–"
    currency = _settings().currency
    digits = get_currency_precision(currency) if places is None else places
    form = "#,##0." + "0" * digits if digits else "#,##0"
    text = _currency_sign(currency, _locale()) + str(
        format_decimal(abs(Decimal(amount)), format=form, locale=_locale())
    )
    return f"-{text}" if amount < 0 else text


def number(value: Amount | None, places: int = 2) -> str:
    """With the language's separators, at most `places` decimals; None is a dash."""
    return "–" if value is None else str(format_decimal(round(Decimal(value), places), locale=_locale()))


def compact(value: Amount | None) -> str:
    """12,345 as 12K (1.2万) where room is short."""
    return "–" if value is None else str(format_compact_decimal(value, locale=_locale(), fraction_digits=1))


def percent(share: Amount | None, places: int = 1) -> str:
    """A share between 0 and 1 as a percentage; None (nothing to divide by) is a dash."""
    if share is None:
        return "–"
    return str(format_percent(round(Decimal(str(share)), places + 2), format="#,##0.#%", locale=_locale()))


def day(value: date | datetime | None) -> str:
    """A date in the language's own form; instants fall on the workspace's day."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        value = value.astimezone(_settings().zone).date()
    return str(format_date(value, "medium", locale=_locale()))


def month_day(value: date) -> str:
    """A date without its year, for a chart's axis."""
    return str(format_skeleton("MMMd", value, locale=_locale()))


def weekday(value: date) -> str:
    """A date with its day of the week and without its year."""
    return str(format_skeleton("MMMEd", value, locale=_locale()))


def weekday_name(value: date) -> str:
    """The day of the week alone, shortened."""
    return str(format_date(value, "ccc", locale=_locale()))


def moment(value: datetime | None) -> str:
    """An instant in the workspace's zone."""
    if value is None:
        return "–"
    return str(format_datetime(value.astimezone(_settings().zone), "medium", locale=_locale()))


def clock(value: datetime | None, now: datetime | None = None) -> str:
    """The time of day in the workspace's zone; with the day where that is another one."""
    if value is None:
        return "–"
    zone = _settings().zone
    local = value.astimezone(zone)
    if local.date() == (now or utc_now()).astimezone(zone).date():
        return f"{local:%H:%M}"
    return f"{format_skeleton('MMMd', local, locale=_locale())} {local:%H:%M}"


def hour(value: datetime) -> str:
    """An hour of the workspace without its year, for a chart's axis."""
    local = value.astimezone(_settings().zone)
    return f"{format_skeleton('MMMd', local, locale=_locale())} {local:%H:%M}"


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """How long ago (or ahead) an instant is."""
    if value is None:
        return "–"
    return str(format_timedelta(value - (now or utc_now()), add_direction=True, threshold=1.2, locale=_locale()))


def iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


@cache
def _currency_sign(currency: str, locale: str) -> str:
    """The workspace has one currency, so its sign needs no country (CN¥ is ¥); one of letters alone stays (`CHF `)."""
    sign = get_currency_symbol(currency, locale)
    return sign.lstrip(ascii_letters) or f"{sign} "


def _settings() -> Settings:
    return house_of(_request.get()).settings


def _locale() -> str:
    return BABEL_LOCALE[current_language()]


@cache
def _version(path: str) -> str:
    file = STATIC / path
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10] if file.is_file() else "missing"


@cache
def _icons() -> Mapping[str, list[tuple[str, dict[str, str]]]]:
    """Tabler's outline icons by name, each a list of SVG elements; `python -m web.assets` puts the file there."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = json.loads((STATIC / "vendor" / "icons.json").read_bytes())
    return found


STATES = {
    "active": N_("Active"),
    "bounced": N_("Bounced"),
    "cancelled": N_("Cancelled"),
    "coming": N_("Coming"),
    "completed": N_("Completed"),
    "delivered": N_("Delivered"),
    "disposed": N_("Disposed"),
    "done": N_("Done"),
    "draft": N_("Draft"),
    "failed": N_("Failed"),
    "finished": N_("Finished"),
    "granted": N_("Granted"),
    "in_use": N_("In use"),
    "inactive": N_("Inactive"),
    "missed": N_("Missed"),
    "partly_refunded": N_("Partly refunded"),
    "paused": N_("Paused"),
    "pending": N_("Pending"),
    "preparing": N_("Preparing"),
    "queued": N_("Queued"),
    "refunded": N_("Refunded"),
    "replaced": N_("Replaced"),
    "requested": N_("Requested"),
    "revoked": N_("Revoked"),
    "running": N_("Running"),
    "scheduled": N_("Scheduled"),
    "sending": N_("Sending…"),  # not the page of that name
    "sent": N_("Sent"),
    "skipped": N_("Skipped"),
    "unknown": N_("Unknown"),
    "waiting": N_("Waiting"),
    "withdrawn": N_("Withdrawn"),
}


def state_name(state: str) -> str:
    """A stored state as people say it; a word that is not in the table stays as it is."""
    return _(STATES[state]) if state in STATES else state


GLOBALS: dict[str, Callable[..., Any]] = {
    "url": url,
    "here": here,
    "has_route": has_route,
    "static": static,
    "icon": icon,
    "csrf_token": form_token,
    "navigation": navigation,
    "state_name": state_name,
    "language": current_language,
    "languages": lambda: LANGUAGES,
    "html_lang": lambda: HTML_LANG[current_language()],
}

FILTERS: dict[str, Callable[..., Any]] = {
    "money": money,
    "number": number,
    "compact": compact,
    "percent": percent,
    "day": day,
    "month_day": month_day,
    "weekday": weekday,
    "weekday_name": weekday_name,
    "moment": moment,
    "ago": ago,
    "clock": clock,
    "iso": iso,
    "labelled": labelled,
    "decimal": Decimal,
    "as_float": lambda value: None if value is None else float(value),
}
