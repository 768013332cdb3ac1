"""Tokens of surveys: what was made is read back until it is too old, and nothing else is; it serves nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.surveys import CSAT, SURVEYS
from runtime.errors import NotFound
from runtime.signing import Purpose, Signer, from_text, to_text
from tests.tracking.test_tokens import KEYS, urls_of
from tracking.ledger import MessageKey
from tracking.survey_tokens import SurveyOver, SurveyRef, read_survey_token, survey_token
from tracking.tokens import read_token

SIGNER = Signer("the first key of the tests")
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
REFS = st.sampled_from(list(SURVEYS.values())).flatmap(
    lambda survey: st.builds(SurveyRef, KEYS, st.just(survey), st.none() | st.sampled_from(survey.scores))
)


@given(REFS)
def test_what_was_made_is_read_back_until_its_time_is_over(ref: SurveyRef) -> None:
    token = survey_token(SIGNER, ref, LATER)
    assert read_survey_token(SIGNER, token, NOW) == ref
    with pytest.raises(SurveyOver):
        read_survey_token(SIGNER, token, LATER)
    assert read_survey_token(Signer("the first key of the tests,a second"), token, NOW) == ref
    with pytest.raises(NotFound):
        read_survey_token(Signer("another key altogether"), token, NOW)


@given(REFS, st.integers(0, 511), st.integers(0, 7))
def test_a_changed_token_is_nobodys(ref: SurveyRef, place: int, bit: int) -> None:
    data = bytearray(from_text(survey_token(SIGNER, ref, LATER)))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(NotFound) as caught:
        read_survey_token(SIGNER, to_text(bytes(data)), NOW)
    assert not isinstance(caught.value, SurveyOver)


@given(REFS)
def test_it_serves_no_other_purpose(ref: SurveyRef) -> None:
    token = survey_token(SIGNER, ref, LATER)
    for purpose in Purpose:
        with pytest.raises(NotFound):
            read_token(SIGNER, token, purpose)
    for url in urls_of(ref.key).values():
        with pytest.raises(NotFound):
            read_survey_token(SIGNER, url.rpartition("/")[2], NOW)


@given(st.text(max_size=120))
def test_anything_else_is_nobodys(text: str) -> None:
    with pytest.raises(NotFound):
        read_survey_token(SIGNER, text, NOW)


def test_an_answer_outside_of_the_scale_is_nobodys() -> None:
    token = survey_token(SIGNER, SurveyRef(MessageKey(1, 2), CSAT, 6), LATER)
    with pytest.raises(NotFound):
        read_survey_token(SIGNER, token, NOW)
