"""Politeness towards mail providers: senders, recipient domains, and what stops a campaign by itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from campaigns.sending import overview
from campaigns.sending.limits import Of, remove_limit, save_domain, save_sender
from campaigns.sending.providers import main_domain
from campaigns.sending.release import release
from campaigns.sending.thresholds import load_thresholds, save_thresholds
from runtime.clock import local_date
from web.access import READERS, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import Page

ROUTES: list[Route] = []


class SenderOut(BaseModel):
    name: str = Field(description="a From address, or a whole From domain")
    rate: float | None = Field(description="messages a second, over all campaigns and workers")
    warm_up: dict[str, Any] | None
    ceiling: int | None = Field(description="today's, of the warm-up plan; null: none")
    sent_today: int | None = Field(description="while it is warmed up")


class SenderIn(Body):
    name: str = Field(description="a From address, or a From domain for all its addresses")
    rate: float | None = Field(None, description="messages a second; null: as fast as it goes")
    warm_up: dict[str, Any] | None = Field(
        None,
        description='{"days": [50, 100, …]} or {"first": 200, "factor": 1.5, "enough": 50000}, with "since": a day',
    )


class DomainOut(BaseModel):
    name: str
    also: list[str] = Field(description="other domains of the same mail service")
    rate: float | None
    connections: int | None = Field(description="handing over to it at once; null: as many as there are")
    settled: bool = Field(description="false: the usual values")
    held_until: datetime | None = Field(description="it asked for a pause: nothing goes there before")
    pauses: int = Field(description="in a row")
    answer: str | None = Field(description="what its server said")
    answered_at: datetime | None


class DomainIn(Body):
    name: str
    rate: float | None = Field(None, description="messages a second")
    connections: int | None = None


class Named(Body):
    name: str


class ThresholdsOut(BaseModel):
    complaints_alarm: float | None = Field(description="percent of messages sent")
    complaints_pause: float | None = Field(description="percent of messages sent")
    bounces_pause: float | None = Field(description="percent of messages tried")
    minimum: int = Field(description="messages before anything is judged")


class ThresholdsIn(Body):
    complaints_alarm: float | None = None
    complaints_pause: float | None = None
    bounces_pause: float | None = None
    minimum: int = 1


@call(ROUTES, "GET", "/sending/senders", name="list_senders", answer=Page[SenderOut], allow=READERS)
async def list_senders(ask: Ask) -> Any:
    """Senders with limits, and those that campaigns used lately."""
    return {"items": [vars(one) for one in await overview.senders(ask.conn, _today(ask))], "next": None}


@call(ROUTES, "POST", "/sending/senders", name="save_sender", body=SenderIn, answer=SenderOut)
async def save_one_sender(ask: Ask) -> Any:
    """Settle the rate and the warm-up plan of a sender, in place of what was settled; it counts within seconds."""
    given: SenderIn = ask.body
    today = _today(ask)
    saved = await save_sender(
        ask.conn, given.name, rate=given.rate, warm_up=given.warm_up, today=today, by=ask.viewer.name
    )
    await overview.wake(ask.conn)
    return await overview.sender(ask.conn, saved.name, today)


@call(ROUTES, "POST", "/sending/senders/remove", name="remove_sender", body=Named, status=204)
async def remove_sender(ask: Ask) -> None:
    """Let a sender go without limits."""
    await remove_limit(ask.conn, Of.SENDER, ask.body.name)
    await overview.wake(ask.conn)


@call(ROUTES, "GET", "/sending/domains", name="list_domains", answer=Page[DomainOut], allow=READERS)
async def list_domains(ask: Ask) -> Any:
    """Recipient domains that are held back, that have limits of their own, and the big mail services."""
    return {"items": [vars(one) for one in await overview.domains(ask.conn)], "next": None}


@call(ROUTES, "POST", "/sending/domains", name="save_domain", body=DomainIn, answer=DomainOut)
async def save_one_domain(ask: Ask) -> Any:
    """Settle the rate and connections of a recipient domain and its mail service, in place of what was settled."""
    given: DomainIn = ask.body
    saved = await save_domain(ask.conn, given.name, rate=given.rate, connections=given.connections, by=ask.viewer.name)
    await overview.wake(ask.conn)
    return await overview.domain(ask.conn, saved.name)


@call(ROUTES, "POST", "/sending/domains/remove", name="remove_domain", body=Named, status=204)
async def remove_domain(ask: Ask) -> None:
    """Let the usual values count for a recipient domain."""
    await remove_limit(ask.conn, Of.DOMAIN, main_domain(ask.body.name))
    await overview.wake(ask.conn)


@call(ROUTES, "POST", "/sending/domains/release", name="release_domain", body=Named, status=204)
async def release_domain(ask: Ask) -> None:
    """Write to a domain again that is held back; messages that were put off because of that go on."""
    await release(ask.conn, main_domain(ask.body.name), now=ask.now)


@call(ROUTES, "GET", "/sending/thresholds", name="read_thresholds", answer=ThresholdsOut, allow=READERS)
async def thresholds(ask: Ask) -> Any:
    """The shares of bounces and complaints at which campaigns pause by themselves."""
    return asdict(await load_thresholds(ask.conn))


@call(ROUTES, "POST", "/sending/thresholds", name="save_thresholds", body=ThresholdsIn, answer=ThresholdsOut)
async def save_them(ask: Ask) -> Any:
    """Change thresholds; null: never. What is not given stays as it is."""
    return asdict(await save_thresholds(ask.conn, ask.body.model_dump(exclude_unset=True)))


def _today(ask: Ask) -> date:
    return local_date(ask.now, ask.house.settings.timezone)
