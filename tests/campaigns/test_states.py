"""The tables of states, and the fold that gives a campaign its state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.states import ALLOWED, LIVE, NEXT, RUN_NEXT, RunState, State, Verb, require, settled, sources
from runtime.errors import Conflict

FINAL = {State.FINISHED, State.CANCELLED, State.FAILED}


def test_every_state_has_its_row_and_none_leads_to_itself() -> None:
    assert set(NEXT) == set(State)
    assert set(RUN_NEXT) == set(RunState)
    assert all(state not in targets for state, targets in NEXT.items())
    assert all(state not in targets for state, targets in RUN_NEXT.items())
    assert {state for state, targets in NEXT.items() if not targets} == FINAL
    assert {state for state, targets in RUN_NEXT.items() if not targets} == set(RunState) - LIVE


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("state", list(State))
def test_a_verb_is_refused_by_name_where_it_does_not_fit(verb: Verb, state: State) -> None:
    if state in ALLOWED[verb]:
        require(verb, state, "campaign 3 (Spring)")
        return
    with pytest.raises(Conflict, match=rf"campaign 3 \(Spring\) is {state}: to {verb} it"):
        require(verb, state, "campaign 3 (Spring)")


@given(st.sampled_from(list(State)), st.lists(st.sampled_from(list(RunState)), max_size=5), st.booleans())
def test_the_fold_moves_only_as_written(current: State, runs: list[RunState], more: bool) -> None:
    if current is State.DRAFT:
        return
    state = settled(current, runs, more)
    assert state is current or state in NEXT[current]
    if current in FINAL:
        assert state is current
    if state in FINAL and current not in FINAL:
        assert not set(runs) & LIVE
        assert not more
    if current is State.PAUSED and (set(runs) & LIVE or more):
        assert state is State.PAUSED


@given(st.sampled_from(list(RunState)))
def test_sources_are_the_table_read_backwards(target: RunState) -> None:
    assert set(sources(target)) == {state for state in RunState if target in RUN_NEXT[state]}
