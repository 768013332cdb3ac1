"""The loop on the dealer's data: segments, campaigns to the demo mailbox, what recipients make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import func, select

from channels.email.models import mailbox
from demo.api import Api, Record
from demo.catalogue import CENT, Product, accessories, appliances
from demo.recipients import Letter, draw_habits, play, read_letter
from demo.steps import Step
from demo.story import SEGMENTS, Plan
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House
from tracking.machines import FASTEST_PERSON

SETTLED = ("finished", "cancelled", "failed", "paused")
SENT_WITHIN = 600.0


async def make_segments(api: Api) -> Mapping[str, int]:
    """The id of each segment by name; those that are missing are made."""
    known = {name: item["id"] for name, item in (await api.named("/segments")).items()}
    for name, rule in SEGMENTS.items():
        if name not in known:
            known[name] = (await api.post("/segments", {"name": name, "rule": rule}))["id"]
    return known


async def make_campaigns(api: Api, plans: Iterable[Plan], segments: Mapping[str, int]) -> Mapping[str, Record]:
    """Each planned campaign by name; those that are missing are made, as drafts."""
    known = dict(await api.named("/campaigns"))
    for plan in plans:
        if plan.name not in known:
            known[plan.name] = await api.post("/campaigns", plan.body(segments[plan.segment]))
    return known


async def launch(api: Api, campaign: Record) -> Record:
    """Launch a draft, unless its segment matches nobody (a small dealer may have no filter that is due)."""
    if campaign["schedule"] is None:
        members = await api.get(f"/segments/{campaign['segment_id']}/count")
        if not members["count"]:
            return campaign
    return await api.post(f"/campaigns/{campaign['id']}/launch")


async def wait_until_sent(api: Api, campaign: Record, said: Step) -> Record:
    """Watch a campaign until all is sent, saying how far it is. Raises Unavailable where it does not finish."""
    deadline = asyncio.get_running_loop().time() + SENT_WITHIN
    while True:
        campaign = await api.get(f"/campaigns/{campaign['id']}")
        counts = campaign["counts"]
        waiting = counts["queued"] + counts["sending"]
        said.now(f"{campaign['state']}, {counts['audience'] - waiting:,} of {counts['audience']:,}")
        if campaign["state"] in SETTLED:
            break
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"still {campaign['state']} after {SENT_WITHIN:.0f} s; see demo-server.log")
        await asyncio.sleep(0.2)
    if campaign["state"] != "finished":
        raise Unavailable(f"campaign {campaign['name']!r} is {campaign['state']}, not finished; see its page")
    said.note = f"{counts['sent']:,} sent, {counts['skipped']:,} skipped"
    return campaign


async def read_mailbox(house: House, campaign: Record) -> list[Letter]:
    """The letters of one campaign that the demo mailbox caught, by recipient."""
    async with house.database.connect() as conn:
        rows = await conn.execute(select(mailbox.c.raw).order_by(mailbox.c.recipient, mailbox.c.id))
        return [read_letter(raw) for raw in rows.scalars() if f"\nFeedback-ID: {campaign['id']}.".encode() in raw]


async def wait_for_people(house: House) -> None:
    """Nobody reads a mail the moment it arrives, and who does is taken for a machine: wait until a person might."""
    async with house.database.connect() as conn:
        newest: datetime | None = await conn.scalar(select(func.max(mailbox.c.received_at)))
    if newest is not None:
        ready = newest + FASTEST_PERSON + timedelta(seconds=1)
        await asyncio.sleep(max((ready - utc_now()).total_seconds(), 0))


async def act(api: Api, house: House, base: str, campaign: Record, category: str) -> str:
    """Let recipients act on one campaign, some of them order; answers what was done, in words."""
    rng = Random(f"recipients of {campaign['name']}")  # noqa: S311 – a believable world, no secret
    acts = draw_habits(rng, await read_mailbox(house, campaign))
    await wait_for_people(house)
    done = await play(rng, base, acts)
    orders = [order_of(rng, letter, campaign["id"], category, utc_now()) for letter, habit in acts if habit == "order"]
    if orders:
        await api.post("/orders", {"items": orders})
    return ", ".join(f"{count} × {habit}" for habit, count in done.most_common())


def order_of(rng: Random, letter: Letter, campaign_id: int, category: str, now: datetime) -> Record:
    """An order as a shop would report it; its number is the same for the same recipient and campaign."""
    product = rng.choice(_on_offer(category))
    return {
        "number": f"WX{campaign_id}-{letter.recipient}",
        "customer": {"email": letter.recipient},
        "platform": "微信商城",
        "status": "completed",
        "ordered_at": now.isoformat(),
        "amount": str(product.price),
        "items": [_item(product)],
    }


def _on_offer(category: str) -> list[Product]:
    fitting = accessories().get(category) or ()
    if category == "air_conditioner":
        return [product for (code, _), some in appliances().items() if code == category for product in some]
    return list(fitting)


def _item(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "brand": product.brand,
        "category": product.category,
        "quantity": 1,
        "price": str(product.price),
        "cost": str((product.cost or product.price * Decimal("0.7")).quantize(CENT)),
    }
