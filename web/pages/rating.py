"""The page on which a customer answers a survey: opened by a tap on an answer in a message, answered by a POST.

Looking changes nothing, so scanners that fetch every link rate nothing; `tracking/survey_judging.py` has the reasons.
The page posts by itself for people (static/rating.js), and has buttons for everybody.
"""

from __future__ import annotations

from datetime import datetime
from functools import wraps

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from campaigns.revisit import survey_address
from campaigns.surveys import Question, answer, comment, question
from customers.ratings import How
from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from tracking.machines import machine_reason
from tracking.survey_tokens import SurveyOver, SurveyRef, read_survey_token
from web.access import KIB, RECIPIENTS, Endpoint, Route, house_of
from web.i18n import LANGUAGES, use_language
from web.pages.public import UNCACHED, friendly
from web.recipients import sender_name, spoken
from web.render import page

ANSWER_LIMIT = 16 * KIB


def answerable(endpoint: Endpoint) -> Endpoint:
    """`friendly`, and a page of its own for surveys that are over."""

    @wraps(endpoint)
    async def serve(request: Request) -> Response:
        try:
            return await endpoint(request)
        except SurveyOver:
            return page(request, "public/survey_over.html", status=410)

    return friendly(serve)


@answerable
async def show(request: Request) -> Response:
    """What was tapped, waiting for a sign of somebody; thanks where it is recorded; else the whole question."""
    ref = _read(request)
    async with house_of(request).database.connect() as conn:
        asked = await question(conn, ref)
    _speak(request, asked)
    done = request.query_params.get("done")
    proposed = ref.score if done is None and ref.score not in asked.before else None
    return page(
        request,
        "public/rating.html",
        headers=UNCACHED,
        asked=asked,
        proposed=proposed,
        done=done,
        sender=asked.sender and sender_name(asked.sender),
    )


@answerable
async def rate(request: Request) -> Response:
    """Record an answer, or the words to it, and show the page anew."""
    ref, now = _read(request), utc_now()
    house = house_of(request)
    form = await request.form(max_fields=10, max_files=0)
    if "comment" in form:
        async with house.database.begin() as conn:
            await comment(conn, ref, str(form["comment"]), now=now)
            asked = await question(conn, ref)
        return _again(request, ref, asked.sent_at or now, done="comment")
    score, how = _score(form, ref), _how(form)
    agent = request.headers.get("user-agent", "")
    machine = machine_reason(agent, request.method, request.headers)
    async with house.database.begin() as conn:
        await answer(conn, ref, score, how, machine=machine, agent=agent, settings=house.settings, now=now)
        asked = await question(conn, ref)
    return _again(request, SurveyRef(ref.key, ref.survey, score), asked.sent_at or now, done="answer")


def _read(request: Request) -> SurveyRef:
    return read_survey_token(house_of(request).signer, request.path_params["token"], utc_now())


def _speak(request: Request, asked: Question) -> None:
    """The customer's language, unless the page was asked for another."""
    language = spoken(asked.language)
    if language and request.query_params.get("lang") not in LANGUAGES:
        use_language(language)


def _again(request: Request, ref: SurveyRef, sent_at: datetime, done: str) -> Response:
    address = survey_address(house_of(request), ref.key, ref.survey, ref.score, sent_at)
    language = request.query_params.get("lang", "")
    spoken = f"&lang={language}" if language in LANGUAGES else ""
    path = address[address.index("/r/") :]
    return RedirectResponse(f"{path}?done={done}{spoken}", 303, headers=UNCACHED)


def _score(form: FormData, ref: SurveyRef) -> int:
    given = str(form.get("score", ""))
    if not (given.isascii() and given.isdecimal() and len(given) <= 2):
        raise Invalid(Problem("score", f"must be a number from {ref.survey.low} to {ref.survey.high}"))
    return int(given)


def _how(form: FormData) -> How:
    """What the page's script saw; without one it was a button."""
    given = str(form.get("how", ""))
    return How(given) if given in tuple(How) else How.BUTTON


ROUTES = [
    Route("/r/{token}", show, "rating", RECIPIENTS),
    Route("/r/{token}", rate, "rating_answer", RECIPIENTS, methods=("POST",), csrf=False, limit=ANSWER_LIMIT),
]
