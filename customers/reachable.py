"""`reachable.<channel>`: an address of the channel's kind, standing marketing consent, no suppression in force."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Exists, Select, and_, exists, or_, select

from customers.consents import MARKETING
from customers.models import contact_addresses, customers, standing_consents, suppressed_addresses, suppressions
from customers.suppressions import DOMAIN, domain_of, in_force
from runtime.registry import ChannelKind


def reachable(
    channel: ChannelKind, now: datetime, customer_id: ColumnElement[int] = customers.c.id
) -> ColumnElement[bool]:
    """Whether a customer may be written to over `channel` at `now`: some address that nothing speaks against.

    A suppression without an address is about the person, one with an address about that address alone. Never NULL.
    `customer_id`: the customers' ids in the statement around.
    """
    found = consenting(channel).where(standing_consents.c.customer_id == customer_id)
    return and_(found.correlate(customer_id.table).exists(), addressed(channel, now, customer_id))


def consenting(channel: ChannelKind) -> Select[tuple[int]]:
    """`SELECT customer_id` of those who agreed to marketing over `channel`, each once."""
    row = standing_consents.c
    return select(row.customer_id).where(row.channel == channel.name, row.purpose == MARKETING, row.granted)


def addressed(channel: ChannelKind, now: datetime, customer_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether there is an address that nothing speaks against."""
    address = contact_addresses.c
    found = exists().where(
        address.customer_id == customer_id,
        address.kind == channel.address_kind,
        ~_suppressed_person(channel, now),
        ~_suppressed_address(now),
        ~_suppressed_domain(now),
    )
    return found.correlate(customer_id.table)


def _suppressed_person(channel: ChannelKind, now: datetime) -> Exists:
    row, address = suppressions.c, contact_addresses.c
    found = exists().where(
        row.customer_id == address.customer_id,
        row.channel == channel.name,
        or_(row.address.is_(None), row.address == address.value),
        in_force(suppressions, now),
    )
    return found.correlate(contact_addresses)


def _suppressed_address(now: datetime) -> Exists:
    row, address = suppressed_addresses.c, contact_addresses.c
    found = exists().where(row.kind == address.kind, row.value == address.value, in_force(suppressed_addresses, now))
    return found.correlate(contact_addresses)


def _suppressed_domain(now: datetime) -> Exists:
    row, address = suppressed_addresses.c, contact_addresses.c
    found = exists().where(
        row.kind == DOMAIN, row.value == domain_of(address.value), in_force(suppressed_addresses, now)
    )
    return found.correlate(contact_addresses)
