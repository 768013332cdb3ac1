"""Customers: search and list, and one page that tells everything about a household's member."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.chances import estimate_of
from customers.consents import MARKETING, record_consent
from customers.erasing import erase
from customers.merging import held
from customers.models import communities, customers, dealers, salespeople
from customers.reading import SORTS, Search, find_customers, get_customer
from customers.results import Consent
from customers.suppressions import DOMAIN, suppressed_addresses_of, suppressions_of
from customers.timeline import timeline
from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from runtime.registry import ChannelKind, channel_kinds
from tracking.habits import engagement_at, habits_of
from web.access import KEEPERS, MARKETERS, SIGNED_IN, Role, Route, Viewer, house_of, viewer_of
from web.i18n import _
from web.lifting import COMPLAINED
from web.listing import fetch_page, read_listing
from web.names import names_of
from web.render import page, redirect, wants
from web.risk_words import risk_of
from web.sentences import category_names
from web.timeline_words import GROUPS, ICONS, by_day, read_sought
from web.view import month_day
from web.vocabulary import channel_label

ENTRIES = 30
_WEEKS = 52  # of the picture of their engagement


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="name")
    settings = house_of(request).settings
    statement = find_customers(Search(q=asked.q or None, salesperson=_own(viewer_of(request))), settings)
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, customers.c.id)
        looked_after_by = await names_of(conn, salespeople, (row.salesperson for row in found.rows))
        homes = await names_of(conn, communities, (row.community for row in found.rows))
    return page(
        request,
        "customers/list.html",
        partial="results",
        listing=asked,
        found=found,
        salespeople=looked_after_by,
        communities=homes,
    )


async def show(request: Request) -> Response:
    """A customer: who they are, what they own, whether they may be reached, what happened."""
    house, viewer = house_of(request), viewer_of(request)
    now = utc_now()
    async with house.database.connect() as conn:
        customer = await get_customer(conn, request.path_params["id"], salesperson=_own(viewer))
        if customer["id"] != request.path_params["id"]:  # merged: the survivor has one address
            return redirect(request, "customer", id=customer["id"])
        zone, sought = house.settings.zone, read_sought(request)
        cursor = request.query_params.get("cursor")
        entries = await timeline(conn, customer["id"], sought.looked(zone), cursor=cursor, limit=ENTRIES)
        context: dict[str, Any] = {
            "suppressions": await suppressions_of(conn, customer["id"], now),
            "suppressed_addresses": await suppressed_addresses_of(conn, customer["id"], now),
            "categories": await category_names(conn),
            **({} if wants(request, "entries") else await _picture(conn, customer, now, house.settings.timezone)),
            "names": {
                name: (await names_of(conn, table, [customer[name]])).get(customer[name], customer[name])
                for name, table in (("salesperson", salespeople), ("community", communities), ("dealer", dealers))
            },
        }
    return page(
        request,
        "customers/show.html",
        partial="entries",
        customer=customer,
        entries=entries,
        days=by_day(entries.items, zone),
        sought=sought,
        groups=[(key, _(label)) for key, (label, _kinds) in GROUPS.items()],
        now=now,
        today=local_date(now, house.settings.timezone),
        icons=ICONS,
        channels=_channels(customer, context),
        may_lift_complaints=viewer.role is Role.ADMIN,
        complained=COMPLAINED,
        **context,
    )


async def say_consent(request: Request) -> Response:
    """Note a consent given or withdrawn by word of mouth."""
    form = await request.form()
    channel, granted = str(form.get("channel", "")), form.get("granted") == "yes"
    if channel not in channel_kinds():
        raise Invalid(_("There is no channel %(channel)s.", channel=channel))
    viewer, now = viewer_of(request), utc_now()
    async with house_of(request).database.begin() as conn:
        customer = await get_customer(conn, request.path_params["id"], salesperson=_own(viewer))
        consent = Consent(channel=channel, purpose=MARKETING, granted=granted, source="console", at=now)
        await record_consent(conn, await held(conn, customer["id"]), consent, now=now, proof={"by": viewer.email})
    flash = _("The consent is noted.") if granted else _("The withdrawal is noted.")
    return redirect(request, "customer", id=customer["id"], flash=flash)


async def remove(request: Request) -> Response:
    """Erase a customer for good."""
    form = await request.form()
    async with house_of(request).database.begin() as conn:
        customer = await get_customer(conn, request.path_params["id"])
        if str(form.get("confirm", "")).strip() != _called(customer):
            raise Invalid(_("Nothing was erased: the name that was typed is another."))
        await erase(conn, customer["id"])
    return redirect(request, "customers", flash=_("The customer is erased."))


async def _picture(conn: AsyncConnection, customer: dict[str, Any], now: datetime, zone: str) -> dict[str, Any]:
    """How engaged they are and were, their habits, the risk of losing them."""
    return {
        "engagement": await _engagement(conn, customer["id"], now),
        "habits": await habits_of(conn, customer["id"], now, zone),
        "risk": risk_of(customer["activity"], await estimate_of(conn), now),
    }


async def _engagement(conn: AsyncConnection, customer_id: int, now: datetime) -> dict[str, Any] | None:
    """The score by weeks for a year, as a chart's categories and data; None where nothing was ever opened."""
    weeks = [now - timedelta(weeks=back) for back in range(_WEEKS, -1, -1)]
    scores = await engagement_at(conn, customer_id, weeks)
    if not any(scores):
        return None
    return {"categories": [month_day(week.date()) for week in weeks], "data": scores}


def _own(viewer: Viewer) -> str | None:
    return (viewer.salesperson or "") if viewer.own_only else None


def _called(customer: dict[str, Any]) -> str:
    return str(customer["name"] or customer["external_id"] or customer["id"]).strip()


def _channels(customer: dict[str, Any], context: dict[str, Any]) -> list[dict[str, Any]]:
    """For each channel: where the customer can be reached, what they consented to, what stands against it."""
    return [
        {
            "name": kind.name,
            "label": channel_label(kind.name),
            "addresses": [one["value"] for one in customer["addresses"] if one["kind"] == kind.address_kind],
            "consent": next(
                (one for one in customer["consents"] if one["channel"] == kind.name and one["purpose"] == MARKETING),
                None,
            ),
            "against": _against(kind, customer, context),
        }
        for kind in channel_kinds().values()
    ]


def _against(channel: ChannelKind, customer: dict[str, Any], context: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands against a channel: what, why, since when, and how a form names it to lift it."""
    own = [one["value"] for one in customer["addresses"] if one["kind"] == channel.address_kind]
    domains = {address.rpartition("@")[2] for address in own if "@" in address}
    people = [
        {
            "what": one.address or channel_label(channel.name),
            "reason": one.reason,
            "at": one.at,
            "detail": one.detail,
            "fields": {"channel": one.channel, "reason": one.reason},
            "about": "person",
        }
        for one in context["suppressions"]
        if one.channel == channel.name
    ]
    addresses = [
        {
            "what": one.value,
            "reason": one.reason,
            "at": one.at,
            "detail": one.detail,
            "fields": {"kind": one.kind, "value": one.value},
            "about": "address",
        }
        for one in context["suppressed_addresses"]
        if one.kind == channel.address_kind or (one.kind == DOMAIN and one.value in domains)
    ]
    return people + addresses


ROUTES = [
    Route("/customers", listing, "customers", SIGNED_IN),
    Route("/customers/{id:int}", show, "customer", SIGNED_IN),
    Route("/customers/{id:int}/consent", say_consent, "customer_consent", KEEPERS, methods=("POST",)),
    Route("/customers/{id:int}/erase", remove, "customer_erase", MARKETERS, methods=("POST",)),
]
