"""When a campaign will be done: from the rate at which it goes out now, and the times that messages wait for."""

from __future__ import annotations

from datetime import datetime, timedelta

from campaigns.live.figures import Forecast, Outlook, Waiting
from campaigns.states import State

_LEAST = 0.001  # messages a second below which a rate says nothing
_LONGEST = timedelta(days=400)


def forecast(
    state: State, left: int, waiting: Waiting, rate: float | None, now: datetime, rests_until: datetime | None = None
) -> Forecast:
    """`left`: messages that are not handled yet, `waiting` among them. `rests_until`: no batch is taken up before (all
    wait for their time, or a ceiling is reached). Never sooner than the last time waited for."""
    if state is State.PAUSED:
        return Forecast(Outlook.STOPPED)
    if state not in (State.SENDING, State.PREPARING) or (left == 0 and state is State.SENDING):
        return Forecast(Outlook.DONE)
    due = left - waiting.n
    if due <= 0 and waiting.first is not None:
        return Forecast(Outlook.DUE, waiting.first)
    if not (rate and rate >= _LEAST) and rests_until is not None and rests_until > now:
        return Forecast(Outlook.DUE, rests_until)
    if rate is None or rate < _LEAST:
        return Forecast(Outlook.SOON)
    end = now + min(timedelta(seconds=left / rate), _LONGEST)
    if waiting.last is not None and waiting.last > end:
        return Forecast(Outlook.HELD, waiting.last)
    return Forecast(Outlook.FINISH, end)
