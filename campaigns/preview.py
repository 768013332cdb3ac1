"""What a message would look like for somebody, before anything is approved. Its links lead nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, store
from campaigns.content import CompiledContent, MessageLinks, preview_warnings
from campaigns.draft import Body, compiled
from campaigns.experiments.editions import varied
from campaigns.models import snapshots
from campaigns.people import Person, Setting, load_people
from campaigns.states import State
from campaigns.store import Campaign
from customers.models import customers
from runtime.clock import local_date
from runtime.errors import NotFound
from runtime.settings import Settings
from segments.context import context_at

NOWHERE = MessageLinks(clicks=lambda count: ["#"] * count, pixel="", unsubscribe="#", preferences="#", view="#")


@dataclass(frozen=True)
class Preview:
    """A rendering for `customer_id` (None: there is nobody yet). `warnings` are plain sentences; nothing is refused."""

    subject: str
    html: str | None
    text: str
    warnings: list[str]
    customer_id: int | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Sample:
    """Content and the person that it is rendered for."""

    content: CompiledContent
    person: Person
    customer_id: int | None


async def preview_campaign(
    conn: AsyncConnection,
    campaign_id: int,
    customer_id: int | None = None,
    *,
    settings: Settings,
    now: datetime,
    variant: int = 0,
) -> Preview:
    """A campaign as it would go out now, or as it was approved, for a customer (None: the first one of its audience);
    of an experiment that variant.

    Raises NotFound, Invalid where the content is broken, RenderFailed where it does not fit this person.
    """
    found = await store.campaign(conn, campaign_id)
    return rendered(await sample(conn, found, customer_id, settings=settings, now=now, variant=variant))


async def preview_content(
    conn: AsyncConnection,
    content: Body,
    customer_id: int | None = None,
    *,
    settings: Settings,
    now: datetime,
    name: str = "",
    prefix: str = "",
) -> Preview:
    """Content that belongs to no campaign yet (a template, an editor's text), for a customer (None: any).

    Raises as `preview_campaign`; paths of problems begin with `prefix`.
    """
    ready = compiled(content, settings, await store.attribute_keys(conn), prefix)
    who = await _customer(conn, customer_id, None)
    person = await _person(conn, who, ready, Setting(name, local_date(now, settings.timezone)))
    return rendered(Sample(ready, person, who))


async def sample(
    conn: AsyncConnection,
    found: Campaign,
    customer_id: int | None,
    *,
    settings: Settings,
    now: datetime,
    variant: int = 0,
) -> Sample:
    """A campaign's content (of an experiment that variant's), and a person of its audience to show it for."""
    context = context_at(now, settings)
    content = await _content(conn, found, variant, settings)
    written = await audience.written_out(conn, found)
    first = (await audience.members(conn, written, context)).order_by(customers.c.id).limit(1)
    who = await _customer(conn, customer_id, await conn.scalar(first) if customer_id is None else None)
    matched = await audience.matched_appliances(conn, written, context)
    setting = Setting(found.name, local_date(now, settings.timezone), matched)
    return Sample(content, await _person(conn, who, content, setting), who)


def rendered(shown: Sample, links: MessageLinks = NOWHERE) -> Preview:
    """Raises RenderFailed."""
    result = shown.content.render(shown.person, links)
    warnings = preview_warnings(shown.content, result)
    if shown.customer_id is None:
        warnings.insert(0, "There is no customer yet to show this for.")
    return Preview(result.subject, result.html, result.text, warnings, shown.customer_id)


async def _content(conn: AsyncConnection, found: Campaign, variant: int, settings: Settings) -> CompiledContent:
    plan = found.options.tested
    if plan is not None and variant >= len(plan.variants):
        raise NotFound(f"{found} has no variant {variant}")
    if found.state is State.DRAFT:
        own = await store.content_of(conn, found)
        shown = own if plan is None else varied(own, plan.variants[variant])
        return compiled(shown, settings, await store.attribute_keys(conn))
    kept = select(snapshots.c.compiled) if plan is None else select(snapshots.c.variants[variant]["compiled"])
    approved = await conn.scalar(kept.where(snapshots.c.id == found.snapshot_id))
    return CompiledContent.from_json(approved or {})


async def _customer(conn: AsyncConnection, asked: int | None, otherwise: int | None) -> int | None:
    if asked is None:
        lowest = select(func.min(customers.c.id)).where(customers.c.merged_into.is_(None))
        return otherwise if otherwise is not None else await conn.scalar(lowest)
    found: int | None = await conn.scalar(
        select(func.coalesce(customers.c.merged_into, customers.c.id)).where(customers.c.id == asked)
    )
    if found is None:
        raise NotFound(f"there is no customer {asked}")
    return found


async def _person(conn: AsyncConnection, who: int | None, content: CompiledContent, setting: Setting) -> Person:
    """Values missing throughout where there is nobody."""
    nobody = 0
    fields = content.fields | content.click_fields
    return (await load_people(conn, [who or nobody], fields, setting))[who or nobody]
