"""Who may not be contacted, and why: one SQL expression for the freeze and for the check before the final dot.

The reasons, as messages and reports show them: `no_address`, `unsubscribed` (consent withdrawn, or an unsubscribe in
force), `suppressed: <why>` (the person, the address, its domain), `no_consent` (never given).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import LateralFromClause

from customers.bulk import array_of_ids
from customers.consents import MARKETING
from customers.models import contact_addresses, customers, standing_consents, suppressed_addresses, suppressions
from customers.suppressions import DOMAIN, domain_of, in_force
from runtime.registry import ChannelKind

UNSUBSCRIBED = "unsubscribed"
MERGED = "merged"


def chosen_address(customer_id: ColumnElement[int], channel: ChannelKind, now: datetime) -> LateralFromClause:
    """One row (`address`) for a customer who has any: one that nothing speaks against, else the primary one."""
    own = contact_addresses.c
    mine = _addresses(channel).where(own.customer_id == customer_id)
    return mine.order_by(*_best_first(channel, now)).limit(1).lateral("chosen")


def chosen_addresses(channel: ChannelKind, now: datetime) -> Subquery:
    """The same for everybody at once, by `customer_id`: quicker where very many are asked about."""
    own = contact_addresses.c
    each = _addresses(channel).ext(distinct_on(own.customer_id))
    return each.order_by(own.customer_id, *_best_first(channel, now)).subquery("chosen")


def _addresses(channel: ChannelKind) -> Select[Any]:
    own = contact_addresses.c
    return select(own.customer_id, own.value.label("address")).where(own.kind == channel.address_kind)


def _best_first(channel: ChannelKind, now: datetime) -> list[ColumnElement[Any]]:
    own = contact_addresses.c
    spoken_against = or_(
        exists().where(
            suppressions.c.customer_id == own.customer_id,
            suppressions.c.channel == channel.name,
            suppressions.c.address == own.value,
            in_force(suppressions, now),
        ),
        exists().where(
            suppressed_addresses.c.kind == own.kind,
            suppressed_addresses.c.value == own.value,
            in_force(suppressed_addresses, now),
        ),
        exists().where(
            suppressed_addresses.c.kind == DOMAIN,
            suppressed_addresses.c.value == domain_of(own.value),
            in_force(suppressed_addresses, now),
        ),
    )
    return [spoken_against, own.is_primary.desc(), own.created_at, own.value]


def with_reason(
    targets: FromClause,
    customer_id: ColumnElement[int],
    address: ColumnElement[Any],
    channel: ChannelKind,
    now: datetime,
    *,
    few: bool = False,
) -> tuple[FromClause, ColumnElement[Any]]:
    """`targets` joined with what speaks against each, and the reason: NULL for those who may be contacted at `now`.

    `few`: each is looked up by its key. A database that has not counted its tables yet would else compare everybody
    asked about with everybody there is.
    """
    person = (
        select(suppressions.c.reason)
        .where(
            suppressions.c.customer_id == customer_id,
            suppressions.c.channel == channel.name,
            or_(suppressions.c.address.is_(None), suppressions.c.address == address),
            in_force(suppressions, now),
        )
        .order_by((suppressions.c.reason == UNSUBSCRIBED).desc(), suppressions.c.at)
        .limit(1)
        .lateral("person")
    )
    consent = _consent(customer_id, channel)
    place, domain = _place(channel.address_kind, address, now), _place(DOMAIN, domain_of(address), now)
    if few:
        consent, place, domain = consent.limit(1), place.limit(1), domain.limit(1)
    consents, places, domains = consent.lateral("consent"), place.lateral("place"), domain.lateral("domain")
    joined = targets.outerjoin(consents, true()).outerjoin(person, true())
    joined = joined.outerjoin(places, true()).outerjoin(domains, true())
    reason = case(
        (address.is_(None), "no_address"),
        (or_(consents.c.granted.is_(False), person.c.reason == UNSUBSCRIBED), UNSUBSCRIBED),
        (person.c.reason.is_not(None), literal("suppressed: ", Text) + person.c.reason),
        (places.c.reason.is_not(None), literal("suppressed: ", Text) + places.c.reason),
        (domains.c.reason.is_not(None), literal("suppressed: ", Text) + domains.c.reason),
        (consents.c.granted.is_(None), "no_consent"),
    )
    return joined, reason


def _consent(customer_id: ColumnElement[int], channel: ChannelKind) -> Select[Any]:
    consent = standing_consents.c
    mine = and_(consent.customer_id == customer_id, consent.channel == channel.name, consent.purpose == MARKETING)
    return select(consent.granted).where(mine)


def _place(kind: str, value: ColumnElement[Any], now: datetime) -> Select[Any]:
    place = suppressed_addresses.c
    this = and_(place.kind == kind, place.value == value, in_force(suppressed_addresses, now))
    return select(place.reason).where(this)


async def barred(
    conn: AsyncConnection, targets: Sequence[tuple[int, str]], channel: ChannelKind, now: datetime
) -> dict[int, str]:
    """Which of `targets` (customer, address) may not be contacted any more, and why.

    MERGED: the customer became another one, who has the message now and is asked about it in turn.
    """
    ids = array_of_ids(customer for customer, _ in targets)
    addresses = bindparam("addresses", [address for _, address in targets], ARRAY(Text))
    asked = func.unnest(ids, addresses).table_valued("customer_id", "address", name="asked").render_derived()
    joined, reason = with_reason(asked, asked.c.customer_id, asked.c.address, channel, now, few=True)
    own = select(customers.c.merged_into).where(customers.c.id == asked.c.customer_id).limit(1).lateral("own")
    merged = own.c.merged_into.is_not(None)
    why = case((merged, MERGED), else_=reason)
    known = joined.outerjoin(own, true())
    statement = select(asked.c.customer_id, why).select_from(known).where(or_(merged, reason.is_not(None)))
    return {row[0]: row[1] for row in await conn.execute(statement)}
