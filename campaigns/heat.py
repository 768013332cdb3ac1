"""The mail that a campaign sent, with each link's share of the clicks on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import escape
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import store
from campaigns.content import MessageLinks
from campaigns.preview import NOWHERE, rendered, sample
from campaigns.report import shown_link
from runtime.errors import Conflict
from runtime.settings import Settings

_MARK = "#heat-"
_ANCHOR = re.compile(rf'<a\b[^>]*\shref="{_MARK}(\d+)"[^>]*>', re.IGNORECASE)
_BADGE = (
    '<span style="display:inline-block;margin:0 4px 0 0;padding:1px 6px;border-radius:9px;font:600 12px/1.5 system-ui,'
    'sans-serif;color:#ffffff;background:{colour};text-decoration:none" title="{title}">{share}</span>'
)


async def heat(
    conn: AsyncConnection, campaign_id: int, links: Sequence[Mapping[str, Any]], *, settings: Settings, now: datetime
) -> str:
    """HTML for a sandboxed frame; `links` as `campaigns.report.links`. Its links lead nowhere. Raises NotFound,
    RenderFailed, Conflict where the mail is text alone."""
    found = await store.campaign(conn, campaign_id)
    shown = await sample(conn, found, None, settings=settings, now=now)
    marked = MessageLinks(
        clicks=lambda count: [f"{_MARK}{place}" for place in range(count)],
        pixel=NOWHERE.pixel,
        unsubscribe="#",
        preferences="#",
        view="#",
    )
    html = rendered(shown, marked).html
    if html is None:
        raise Conflict(f"{found} is text alone: there is no mail to lay clicks over")
    clicks = {link["link"]: int(link["clicks"]) for link in links}
    return overlaid(html, [clicks.get(shown_link(link.template), 0) for link in shown.content.links])


def overlaid(html: str, clicks: Sequence[int]) -> str:
    """`html` with a badge at the beginning of each link that is marked; `clicks` by the mark's number. Links that lead
    to the same address share its clicks, since nobody knows which of them was followed."""
    total = sum(clicks)

    def badge(match: re.Match[str]) -> str:
        place = int(match[1])
        share = clicks[place] / total if total and place < len(clicks) else 0.0
        title = escape(f"{clicks[place] if place < len(clicks) else 0} / {total}")
        return match[0] + _BADGE.format(colour=_colour(share), title=title, share=f"{share:.1%}")

    return _ANCHOR.sub(badge, html)


def _colour(share: float) -> str:
    """From grey, for none, to red, for a quarter and more; each dark enough for white text."""
    if share == 0:
        return "#6b6b6b"
    heat = min(1.0, share * 4)
    return f"hsl({round(210 * (1 - heat))}, 70%, 35%)"
