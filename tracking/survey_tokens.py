"""The tokens of surveys: who answers which survey of which message, what they tapped, and until when.

Made when a survey's link is clicked; signed for this purpose alone, so that one neither opens, clicks nor unsubscribes,
and none of those rates. The answer in it is a proposal: the page that it leads to records one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from customers.surveys import SURVEYS, Survey
from runtime.errors import NotFound
from runtime.signing import BadSignature, Signer, TooOld
from tracking.ledger import MessageKey
from tracking.tokens import message_ids, read_ids

ANSWERED_WITHIN = timedelta(days=90)  # of the sending: later nobody remembers the visit
_PURPOSE = "survey"
_LONGEST_TOKEN = 96
_BY_NUMBER = {survey.number: survey for survey in SURVEYS.values()}


class SurveyOver(NotFound):
    """The survey's time is over."""


@dataclass(frozen=True, slots=True)
class SurveyRef:
    """What a good token names; `score` None: still to be asked."""

    key: MessageKey
    survey: Survey
    score: int | None = None


def survey_token(signer: Signer, ref: SurveyRef, expires: datetime) -> str:
    """A token for the address of the page; good until `expires`."""
    answer = 0 if ref.score is None else 1 + ref.score
    return signer.sign(_PURPOSE, message_ids(ref.key) + bytes((ref.survey.number, answer)), expires)


def read_survey_token(signer: Signer, token: str, now: datetime) -> SurveyRef:
    """What `survey_token` was given. Raises NotFound for anything else, SurveyOver for what is too old."""
    if len(token) > _LONGEST_TOKEN:
        raise _unknown()
    try:
        payload = signer.verify(_PURPOSE, token, now)
        key, at = read_ids(payload)
        number, answer = payload[at:]
        survey = _BY_NUMBER[number]
    except TooOld:
        raise SurveyOver("this survey is over") from None
    except (BadSignature, ValueError, KeyError):
        raise _unknown() from None
    score = None if answer == 0 else answer - 1
    if score is not None and score not in survey.scores:
        raise _unknown()
    return SurveyRef(key, survey, score)


def _unknown() -> NotFound:
    return NotFound("this link is not one of ours, or it was cut off; open it from the message again")
