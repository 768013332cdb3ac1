"""The states of a campaign and of its runs, the written tables of moves, and what people may ask for in which state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from runtime.errors import Conflict


class State(StrEnum):
    """Of a campaign."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"  # approved; waits for a due time
    PREPARING = "preparing"  # a run is being frozen
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"  # its last run could not be prepared


class RunState(StrEnum):
    """Of one run: one occurrence of the schedule."""

    PREPARING = "preparing"
    SENDING = "sending"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Verb(StrEnum):
    """What people ask of a campaign."""

    EDIT = "edit"
    LAUNCH = "launch"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    DELETE = "delete"


LIVE = frozenset({RunState.PREPARING, RunState.SENDING, RunState.PAUSED})
_AFOOT = frozenset({State.SCHEDULED, State.PREPARING, State.SENDING})

NEXT: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.SCHEDULED, State.PREPARING}),
    State.SCHEDULED: frozenset(set(State) - {State.DRAFT, State.SCHEDULED}),
    State.PREPARING: frozenset(set(State) - {State.DRAFT, State.PREPARING}),
    State.SENDING: frozenset(set(State) - {State.DRAFT, State.SENDING}),
    State.PAUSED: frozenset(set(State) - {State.DRAFT, State.PAUSED}),
    State.FINISHED: frozenset(),
    State.CANCELLED: frozenset(),
    State.FAILED: frozenset(),
}

RUN_NEXT: Mapping[RunState, frozenset[RunState]] = {
    RunState.PREPARING: frozenset(set(RunState) - {RunState.PREPARING}),
    RunState.SENDING: frozenset({RunState.PAUSED, RunState.FINISHED, RunState.CANCELLED}),
    RunState.PAUSED: frozenset({RunState.PREPARING, RunState.SENDING, RunState.FINISHED, RunState.CANCELLED}),
    RunState.FINISHED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.FAILED: frozenset(),
}

ALLOWED: Mapping[Verb, frozenset[State]] = {
    Verb.EDIT: frozenset({State.DRAFT}),
    Verb.LAUNCH: frozenset({State.DRAFT}),
    Verb.PAUSE: _AFOOT,
    Verb.RESUME: frozenset({State.PAUSED}),
    Verb.CANCEL: _AFOOT | {State.PAUSED},
    Verb.DELETE: frozenset({State.DRAFT}),
}


def require(verb: Verb, state: State, campaign: str) -> None:
    """Raises Conflict, naming the campaign and its state, where `verb` is not for a campaign in `state`."""
    if state not in ALLOWED[verb]:
        possible = " or ".join(sorted(ALLOWED[verb]))
        raise Conflict(f"{campaign} is {state}: to {verb} it, it must be {possible}")


def settled(current: State, runs: Sequence[RunState], more_to_come: bool) -> State:
    """The state of a launched campaign, a fold of its runs in the order of their occurrences.

    `more_to_come`: the schedule has a due time ahead. Cancelled is final, and a pause ends only by resume or when
    nothing is left to do.
    """
    if not NEXT[current]:
        return current
    alive = set(runs) & LIVE
    if current is State.PAUSED and (alive or more_to_come):
        return State.PAUSED
    return _of_runs(alive) or _at_rest(runs, more_to_come)


def sources(target: RunState) -> list[str]:
    """The states from which a run may move to `target`, for the WHERE of the update."""
    return sorted(state for state, targets in RUN_NEXT.items() if target in targets)


def _of_runs(alive: Collection[RunState]) -> State | None:
    if RunState.SENDING in alive:
        return State.SENDING
    if RunState.PREPARING in alive:
        return State.PREPARING
    return State.PAUSED if alive else None


def _at_rest(runs: Sequence[RunState], more_to_come: bool) -> State:
    if more_to_come:
        return State.SCHEDULED
    return State.FAILED if runs and runs[-1] is RunState.FAILED else State.FINISHED
