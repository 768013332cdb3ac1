"""Errors of the domain and of HTTP as pages that people understand, under /api/ as RFC 9457 problems."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from runtime.errors import Conflict, Forbidden, HearthError, Invalid, NotFound, Problem, TooLarge, Unavailable
from runtime.text import printable
from web.access import Recipients
from web.guard import Guarded, identify
from web.i18n import N_, _
from web.render import page
from web.security import complete
from web.throttle import TooManyTries
from web.told import told

logger = logging.getLogger(__name__)

Handler = Callable[[Request, Exception], Awaitable[Response]]

STATUS_OF: Mapping[type[HearthError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    Forbidden: 403,
    TooLarge: 413,
    Unavailable: 503,
    TooManyTries: 429,
}

TITLES = {
    400: N_("This request makes no sense"),
    401: N_("Sign in first"),
    403: N_("Not allowed"),
    404: N_("Nothing here"),
    405: N_("Not possible this way"),
    409: N_("Not possible now"),
    413: N_("Too large"),
    422: N_("Refused"),
    429: N_("Too many tries"),
    500: N_("Something broke"),
    503: N_("Not available now"),
    507: N_("No room left"),
}

DETAILS = {
    400: N_("The request could not be read. Go back and try again."),
    404: N_("There is no such page, or it is not yours to see."),
    405: N_("This address does not take that kind of request."),
    413: N_("What was sent is larger than Hearth accepts here."),
    503: N_("The database does not answer. Nothing was lost; try again in a moment."),
    507: N_("The database's disk is full. Nothing was sent or changed; free some room and try again."),
}

DISK_FULL = "53100"
BUSY = frozenset({"40001", "40P01", "53300", "55P03", "57014"})  # serialization, deadlock, connections, lock, timeout
BUSY_TEXT = N_("The database is busy with other work. Nothing was changed; try again in a moment.")
TOO_BIG_FORM = ("Too many", "exceeded maximum size")


@dataclass(frozen=True)
class Failure:
    """An error as it will be told: `problems` lists each culprit of a refused input."""

    status: int
    detail: str
    problems: list[Problem] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The detail in the language of the page; programs are told in English."""
        return told(Invalid(self.problems) if self.problems else self.detail)

    @property
    def title(self) -> str:
        return _(TITLES.get(self.status, HTTPStatus(self.status).phrase))


def handlers() -> dict[Any, Handler]:
    """What `Starlette(exception_handlers=…)` takes."""
    return {
        HearthError: _handler(_of_domain),
        HTTPException: _handler(_of_http),
        DBAPIError: _database_error,
        UnicodeEncodeError: _handler(lambda _error: Failure(400, _(DETAILS[400]))),  # a lone surrogate
        Exception: _bug,
    }


def problem_response(failure: Failure) -> Response:
    """RFC 9457, with `errors` naming each culprit."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "detail": failure.detail,
        "errors": [{"path": problem.path, "message": problem.message} for problem in failure.problems],
    }
    return JSONResponse(body, failure.status, dict(failure.headers), media_type="application/problem+json")


def _handler(read: Callable[[Any], Failure]) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        return await _tell(request, read(error))

    return handle


async def _tell(request: Request, failure: Failure) -> Response:
    if request.url.path.startswith("/api/"):
        return problem_response(failure)
    if request.headers.get("HX-Request"):
        return PlainTextResponse(failure.told, failure.status, dict(failure.headers))
    if not hasattr(request.state, "viewer"):  # an address without a route: nobody has looked who asks
        await identify(request)
    template = "public/error.html" if _of_recipients(request) else "error.html"
    return page(request, template, status=failure.status, headers=failure.headers, failure=failure)


def _of_recipients(request: Request) -> bool:
    endpoint = request.scope.get("endpoint")
    return isinstance(endpoint, Guarded) and isinstance(endpoint.route.allow, Recipients)


def _of_domain(error: HearthError) -> Failure:
    status = next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 422)
    problems = error.problems if isinstance(error, Invalid) else []
    headers = {"Retry-After": "5"} if status == 503 else {}
    return Failure(status, printable(str(error)), problems, headers)


def _of_http(error: HTTPException) -> Failure:
    status = error.status_code
    if status == 400 and any(mark in error.detail for mark in TOO_BIG_FORM):
        status = 413  # a bomb of parts or one huge field, as Starlette's form parser tells it
    own = status == 400 and error.detail != HTTPStatus(status).phrase  # it says what could not be read
    detail = _(DETAILS[status]) if status in DETAILS and not own else error.detail
    return Failure(status, detail, headers=error.headers or {})


async def _database_error(request: Request, error: Exception) -> Response:
    """A full disk is said plainly; a lost connection, or one that waits too long, is 503; what no column can hold
    (NUL, a huge number) is 400.

    Any other database error is a bug of ours.
    """
    assert isinstance(error, DBAPIError)
    if getattr(error.orig, "sqlstate", None) == DISK_FULL:
        return await _tell(request, Failure(507, _(DETAILS[507])))
    if getattr(error.orig, "sqlstate", None) in BUSY:
        logger.warning("busy at %s %s: %s", request.method, request.url.path, error.orig)
        return await _tell(request, Failure(503, _(BUSY_TEXT), headers={"Retry-After": "5"}))
    if error.connection_invalidated:
        return await _tell(request, Failure(503, _(DETAILS[503]), headers={"Retry-After": "5"}))
    if isinstance(error, DataError):
        logger.warning("refused at %s %s: %s", request.method, request.url.path, error.orig)
        return await _tell(request, Failure(400, _(DETAILS[400])))
    return await _tell(request, _of_bug(error))


async def _bug(request: Request, error: Exception) -> Response:
    """Answered outside the layer that adds the headers, so they are added here."""
    response = await _tell(request, _of_bug(error))
    complete(response.headers)
    return response


def _of_bug(error: Exception) -> Failure:
    reference = secrets.token_hex(4)
    logger.error("internal error, reference %s", reference, exc_info=error)
    return Failure(
        500,
        _("This is a fault of Hearth. The log has the details under reference %(reference)s.", reference=reference),
    )
