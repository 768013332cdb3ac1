"""What follows when a message was not taken over: for the message, its address, the campaign. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from channels.contract import ChannelError, Verdict
from runtime.backoff import Backoff
from tracking.ledger import Due, Outcome
from tracking.states import State

IN_DOUBT = "in doubt: "  # begins the reason of a queued message whose first answer never came


@dataclass(frozen=True)
class Policy:
    """How long to wait before trying again.

    `refused`: after a temporary refusal (RFC 5321 4.5.4.1: at least 30 minutes apart, for at least 4 to 5 days), unless
    the server names a time itself; given up when the message is older than `lifetime`. `broken`: a message whose
    connection broke. `doubt`: one whose answer never came. `server_down`: a batch that got no connection.
    """

    refused: Backoff
    broken: Backoff
    server_down: Backoff
    doubt: timedelta
    lifetime: timedelta


POLICY = Policy(
    refused=Backoff(None, timedelta(minutes=30), timedelta(hours=4)),
    broken=Backoff(None, timedelta(seconds=5), timedelta(minutes=10)),
    server_down=Backoff(None, timedelta(seconds=5), timedelta(minutes=2)),
    doubt=timedelta(minutes=2),
    lifetime=timedelta(days=4),
)


@dataclass(frozen=True)
class Consequence:
    """`outcome` for the message; `bad_address`: suppress it; `pause`: why the campaign must stop."""

    outcome: Outcome
    bad_address: bool = False
    pause: str | None = None


def consequence(
    error: ChannelError, message: Due, *, doubted: bool, resend_in_doubt: bool, now: datetime, policy: Policy
) -> Consequence:
    """`doubted`: this message was in doubt before; it is tried again only once."""
    verdict = error.verdict
    if verdict is Verdict.DOUBT:
        return Consequence(_in_doubt(error, message, doubted or not resend_in_doubt, now, policy))
    if verdict is Verdict.PAUSE:
        kept = Outcome(message.key, State.QUEUED, now, reason=_kept(error, doubted), tried=False)
        return Consequence(kept, pause=error.text)
    if verdict is Verdict.RETRY:
        return Consequence(_again(error, message, doubted, now, policy))
    # What was in doubt may have arrived: a later refusal does not unsay that.
    state = State.UNKNOWN if doubted else State.FAILED
    refused = Outcome(message.key, state, now, reason=_kept(error, doubted))
    return Consequence(refused, bad_address=verdict is Verdict.SUPPRESS)


def _in_doubt(error: ChannelError, message: Due, last: bool, now: datetime, policy: Policy) -> Outcome:
    reason = _kept(error, True)
    if last:
        return Outcome(message.key, State.UNKNOWN, now, reason=reason)
    return Outcome(message.key, State.QUEUED, now, reason=reason, not_before=now + policy.doubt)


def _again(error: ChannelError, message: Due, doubted: bool, now: datetime, policy: Policy) -> Outcome:
    reason = _kept(error, doubted)
    backoff = policy.broken if error.connection else policy.refused
    next_at = backoff.next_at(message.attempts + 1, now)
    if error.retry_after is not None:
        next_at = now + timedelta(seconds=error.retry_after)
    if next_at is None or next_at > message.created_at + policy.lifetime:
        state = State.UNKNOWN if doubted else State.FAILED
        return Outcome(message.key, state, now, reason=f"given up: {reason}")
    return Outcome(message.key, State.QUEUED, now, reason=reason, not_before=next_at)


def _kept(error: ChannelError, doubted: bool) -> str:
    return f"{IN_DOUBT}{error.text}" if doubted else error.text
