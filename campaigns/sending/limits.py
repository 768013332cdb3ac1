"""What was settled about senders and recipient domains: rates, connections, warm-up plans. The caller owns the
transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from email.utils import parseaddr
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import sending_limits
from campaigns.sending.providers import PROVIDERS, main_domain
from campaigns.sending.warmup import WarmUp, read_warm_up
from runtime.errors import Invalid, NotFound, Problem

SLOWEST, FASTEST = 0.01, 100_000.0
MOST_CONNECTIONS = 500
LONGEST_NAME = 320


class Of(StrEnum):
    """Whose limit it is."""

    SENDER = "sender"
    DOMAIN = "domain"


@dataclass(frozen=True)
class Limit:
    """`rate`: messages a second; `connections`: handing over to the domain at once; None: none, or the default.
    `warm_up`: of senders."""

    name: str
    rate: float | None = None
    connections: int | None = None
    warm_up: WarmUp | None = None


@dataclass(frozen=True)
class Limits:
    """All of them, by name."""

    senders: Mapping[str, Limit] = field(default_factory=dict)
    domains: Mapping[str, Limit] = field(default_factory=dict)

    def of_sender(self, sender: str) -> list[Limit]:
        """Those that a sender (`Name <address>`) must keep: its address's and its domain's."""
        return [self.senders[name] for name in sender_names(sender) if name in self.senders]

    def connections_to(self, domain: str) -> int | None:
        """How many connections may hand over to a (main) domain at once; None: as many as there are."""
        settled = self.domains.get(domain)
        if settled is not None and settled.connections is not None:
            return settled.connections
        return PROVIDERS[domain].connections if domain in PROVIDERS else None


def sender_names(sender: str) -> tuple[str, ...]:
    """The names under which a sender may have limits: "News <a@b.example>" → ("a@b.example", "b.example")."""
    address = parseaddr(sender)[1].lower()
    _, at, domain = address.rpartition("@")
    return (address, domain) if at else (sender.strip().lower(),)


async def load_limits(conn: AsyncConnection) -> Limits:
    found: dict[str, dict[str, Limit]] = {Of.SENDER: {}, Of.DOMAIN: {}}
    for row in await conn.execute(select(sending_limits).order_by(sending_limits.c.name)):
        plan = None if row.warm_up is None else WarmUp.from_json(row.warm_up)
        found[row.kind][row.name] = Limit(row.name, row.rate, row.connections, plan)
    return Limits(found[Of.SENDER], found[Of.DOMAIN])


async def save_sender(
    conn: AsyncConnection, name: str, *, rate: float | None, warm_up: Any, today: date, by: str | None
) -> Limit:
    """Settle the limits of a From address or of a whole From domain. Raises Invalid with a Problem for each culprit."""
    problems: list[Problem] = []
    plan = None
    try:
        plan = read_warm_up(warm_up, today=today)
    except Invalid as error:
        problems += error.problems
    folded = name.strip().lower()
    problems += _check_name(folded, address_too=True) + _check_rate(rate)
    if not problems and rate is None and plan is None:
        problems.append(Problem("rate", "give a rate, a warm-up plan, or both; to have none, remove the sender"))
    if problems:
        raise Invalid(problems)
    return await _save(conn, Of.SENDER, Limit(folded, rate, None, plan), by)


async def save_domain(
    conn: AsyncConnection, name: str, *, rate: float | None, connections: int | None, by: str | None
) -> Limit:
    """Settle the limits of a recipient domain, and of the others of the same mail service. Raises Invalid with a
    Problem for each culprit."""
    folded = main_domain(name.strip())
    problems = _check_name(folded, address_too=False) + _check_rate(rate)
    if connections is not None and not (isinstance(connections, int) and 1 <= connections <= MOST_CONNECTIONS):
        problems.append(Problem("connections", f"must be a whole number from 1 to {MOST_CONNECTIONS}"))
    if not problems and rate is None and connections is None:
        problems.append(Problem("rate", "give a rate, connections, or both; for the defaults, remove the domain"))
    if problems:
        raise Invalid(problems)
    return await _save(conn, Of.DOMAIN, Limit(folded, rate, connections), by)


async def remove_limit(conn: AsyncConnection, of: Of, name: str) -> None:
    """Back to no limit, or the default. Raises NotFound."""
    mine = (sending_limits.c.kind == of) & (sending_limits.c.name == name.strip().lower())
    if not (await conn.execute(delete(sending_limits).where(mine))).rowcount:
        raise NotFound(f"nothing is settled for the {of} {name!r}")


async def _save(conn: AsyncConnection, of: Of, limit: Limit, by: str | None) -> Limit:
    plan = None if limit.warm_up is None else limit.warm_up.to_json()
    values = {"rate": limit.rate, "connections": limit.connections, "warm_up": plan, "updated_by": by}
    row = insert(sending_limits).values(kind=of, name=limit.name, **values)
    replaced = row.on_conflict_do_update(index_elements=["kind", "name"], set_={**values, "updated_at": func.now()})
    await conn.execute(replaced)
    return limit


def _check_name(name: str, *, address_too: bool) -> list[Problem]:
    local, at, domain = name.rpartition("@")
    wanted = "an address like news@shop.example or a domain like shop.example" if address_too else "a domain"
    if at and not address_too:
        return [Problem("name", f"{name!r} is an address; give its domain, {domain!r}")]
    strange = any(sign.isspace() or not sign.isprintable() or sign in '<>,;"' for sign in name)
    labels = domain.split(".")
    if strange or (at and not local) or len(labels) < 2 or not all(labels) or len(name) > LONGEST_NAME:
        return [Problem("name", f"{name!r} is not {wanted}")]
    return []


def _check_rate(rate: Any) -> list[Problem]:
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if rate is None or (number and SLOWEST <= rate <= FASTEST):
        return []
    return [Problem("rate", f"must be a number of messages a second from {SLOWEST:g} to {FASTEST:g}, not {rate!r}")]
