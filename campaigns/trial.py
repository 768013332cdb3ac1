"""Test sends: one campaign's mail to an address of the marketer's, through the real channel.

Its links work and are not tracked: they lead straight to where the recipient's would; unsubscribing does nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns import store
from campaigns.approve import checked_sender
from campaigns.content import MessageLinks
from campaigns.preview import Sample, rendered, sample
from channels.contract import ChannelError, Common, Personal
from channels.registry import channel_named
from runtime.errors import Invalid, Problem, Unavailable
from runtime.house import House

MARK = "[Test] "
MOST = 10
_SECONDS = 60.0


@dataclass(frozen=True)
class Trial:
    """One mail; `mark` stands before its subject."""

    mark: str
    sender: str
    shown: Sample


async def send_test(
    house: House, campaign_id: int, to: Any, *, now: datetime, customer_id: int | None = None
) -> list[dict[str, Any]]:
    """Send to one address or a list of at most MOST, of an experiment each variant; answers `{"to", "reply"}` for each
    mail.

    Takes the house, since no connection is held while the mail server is spoken to. Raises NotFound, Invalid for
    content or address, Unavailable with the mail server's words.
    """
    recipients = _recipients(to)
    async with house.database.connect() as conn:
        campaign = await store.campaign(conn, campaign_id)
        sender, plan = checked_sender(campaign, house.settings), campaign.options.tested
        trials = []
        for place, variant in enumerate(plan.variants if plan else (None,)):
            shown = await sample(conn, campaign, customer_id, settings=house.settings, now=now, variant=place)
            own = sender if variant is None else variant.changes.get("from", sender)
            trials.append(Trial(MARK if variant is None else f"[Test {variant.name}] ", own, shown))
    answers = []
    for trial in trials:
        replies = await _send(house, campaign.channel, trial, recipients, now)
        answers += [{"to": recipient, "reply": reply} for recipient, reply in zip(recipients, replies, strict=True)]
    return answers


def plain_links(shown: Sample, public_url: str) -> MessageLinks:
    """Links that lead straight to their targets, and an unsubscribe page that unsubscribes nobody."""
    own, survey, content = f"{public_url}/u/test", f"{public_url}/r/test", shown.content
    return MessageLinks(
        clicks=lambda count: [
            survey if content.survey(index) else content.click_target(index, shown.person) for index in range(count)
        ],
        pixel="",
        unsubscribe=own,
        preferences=own,
        view=f"{public_url}/v/test",
    )


def _recipients(to: Any) -> list[str]:
    given = [to] if isinstance(to, str) else to
    if not isinstance(given, list) or not 1 <= len(given) <= MOST or not all(isinstance(one, str) for one in given):
        raise Invalid(Problem("to", f"must be an address, or a list of at most {MOST}"))
    return [one.strip() for one in given]


async def _send(house: House, channel_name: str, trial: Trial, recipients: Sequence[str], now: datetime) -> list[str]:
    channel = channel_named(channel_name)
    links = plain_links(trial.shown, house.settings.public_url)
    mail = rendered(trial.shown, links)
    composer = channel.composer(Common(sender=trial.sender, label="test"))
    replies = []
    async with channel.open(channel.configure(house.settings)) as line:
        for recipient in recipients:
            personal = Personal(
                key=secrets.token_hex(16),
                to=recipient,
                text=mail.text,
                at=now,
                subject=trial.mark + mail.subject,
                html=mail.html,
                unsubscribe_url=links.unsubscribe,
            )
            try:
                async with asyncio.timeout(_SECONDS):
                    replies.append((await line.send(composer.compose(personal))).reply)
            except ChannelError as error:
                raise _refused(recipient, error) from error
            except TimeoutError:
                raise Unavailable(f"the mail server did not answer within {_SECONDS:g} s") from None
    return replies


def _refused(recipient: str, error: ChannelError) -> Invalid | Unavailable:
    if error.permanent and not error.policy:
        return Invalid(Problem("to", f"{recipient}: {error.text}"))
    return Unavailable(f"the mail server did not take the test: {error.text}")
