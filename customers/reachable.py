"""`reachable.<channel>`: an address of the channel's kind, standing marketing consent, no suppression in force."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Exists, and_, exists, or_

from customers.consents import MARKETING
from customers.models import contact_addresses, customers, standing_consents, suppressed_addresses, suppressions
from customers.suppressions import in_force
from runtime.registry import ChannelKind


def reachable(channel: ChannelKind, now: datetime) -> ColumnElement[bool]:
    """Whether a customer may be written to over `channel` at `now`: some address that nothing speaks against.

    A suppression without an address is about the person, one with an address about that address alone. Never NULL.
    """
    consent, address = standing_consents.c, contact_addresses.c
    consented = exists().where(
        consent.customer_id == customers.c.id,
        consent.channel == channel.name,
        consent.purpose == MARKETING,
        consent.granted,
    )
    addressed = exists().where(
        address.customer_id == customers.c.id,
        address.kind == channel.address_kind,
        ~_suppressed_person(channel, now),
        ~_suppressed_address(now),
    )
    return and_(consented.correlate(customers), addressed.correlate(customers))


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
