"""What follows from a failure, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.dispatch.verdicts import IN_DOUBT, POLICY, consequence
from channels.contract import ChannelError
from tracking.ledger import Due, MessageKey
from tracking.states import State

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def due(attempts: int = 0, age: timedelta = timedelta()) -> Due:
    return Due(MessageKey(7, 1), "p@example.com", State.QUEUED, attempts, NOW - age)


CASES = {
    "greylisted": (ChannelError("451 later", code=451), due(), False, State.QUEUED, 30 * MINUTE),
    "greylisted again": (ChannelError("451 later", code=451), due(2), False, State.QUEUED, 120 * MINUTE),
    "the server names the time": (ChannelError("450", retry_after=300), due(), False, State.QUEUED, 5 * MINUTE),
    "broken connection": (ChannelError("reset", connection=True), due(), False, State.QUEUED, MINUTE / 12),
    "given up after days": (ChannelError("451"), due(40, timedelta(days=4)), False, State.FAILED, None),
    "no such user": (ChannelError("550", permanent=True, bad_address=True), due(), False, State.FAILED, None),
    "too large": (ChannelError("552", permanent=True), due(), False, State.FAILED, None),
    "in doubt": (ChannelError("lost", in_doubt=True, connection=True), due(), False, State.QUEUED, 2 * MINUTE),
    "in doubt twice": (ChannelError("lost", in_doubt=True, connection=True), due(1), True, State.UNKNOWN, None),
    "refused after a doubt": (ChannelError("550", permanent=True), due(1), True, State.UNKNOWN, None),
    "policy": (ChannelError("550 5.7.1", permanent=True, policy=True), due(), False, State.QUEUED, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_follows(case: str) -> None:
    error, message, doubted, state, wait = CASES[case]
    found = consequence(error, message, doubted=doubted, resend_in_doubt=True, now=NOW, policy=POLICY)
    assert found.outcome.state is state
    assert found.outcome.not_before == (None if wait is None else NOW + wait)
    assert found.bad_address is error.bad_address
    assert (found.pause is not None) is error.policy
    assert str(found.outcome.reason).endswith(error.text)
    assert str(found.outcome.reason).startswith(IN_DOUBT) is (error.in_doubt or doubted)


def test_what_is_never_sent_again_is_unknown_at_once() -> None:
    error = ChannelError("lost", in_doubt=True)
    found = consequence(error, due(), doubted=False, resend_in_doubt=False, now=NOW, policy=POLICY)
    assert (found.outcome.state, found.outcome.not_before) == (State.UNKNOWN, None)
