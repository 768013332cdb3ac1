"""The frame of the JSON API: a call is declared once; route, checks, idempotency and OpenAPI text come from that."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, and_, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.text import printable
from web.access import MARKETERS, MIB, Role, Route, Viewer, house_of, viewer_of
from web.guard import FORM_FIELDS, FORM_FILES
from web.models import KEYS_KEPT, idempotency_keys
from web.strict_json import read_json

if TYPE_CHECKING:
    from runtime.house import House

BASE = "/api/v1"
JSON_LIMIT = 16 * MIB
LARGEST_ID = 2**63 - 1
KEY_LENGTH = 255
STILL_RUNNING = "a request with this Idempotency-Key is still running; ask again shortly"
OTHER_BODY = "this Idempotency-Key was used with another body; use a new key for a new request"

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]

CALLS: list[Call] = []


class Body(BaseModel):
    """What a call takes: unknown keys are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _keepable(cls, given: Any) -> Any:
        """Text that the database can hold. Raises for NUL and half of a surrogate pair."""
        if isinstance(given, str) and printable(given) != given:
            raise PydanticCustomError("text", "holds NUL or half of a surrogate pair")
        return given


@dataclass(frozen=True)
class Ask:
    """One request as an endpoint sees it; `body` has the declared shape, of a multipart call it is the form."""

    request: Request
    house: House
    viewer: Viewer
    connection: AsyncConnection | None
    now: datetime
    body: Any

    @property
    def conn(self) -> AsyncConnection:
        """In a transaction that the frame commits, unless the call reads; a detached call has none."""
        assert self.connection is not None, "a detached call opens its own transactions"
        return self.connection

    @property
    def id(self) -> int:
        """The `{id}` of the path."""
        found: int = self.request.path_params["id"]
        if found > LARGEST_ID:
            raise NotFound(f"there is no {found}")
        return found

    def query(self, name: str) -> str | None:
        return self.request.query_params.get(name) or None

    @property
    def salesperson(self) -> str | None:
        """The code of the salesperson whose households alone may be seen, None when all may."""
        return (self.viewer.salesperson or "") if self.viewer.own_only else None


Endpoint = Callable[[Ask], Awaitable[Any]]


@dataclass(frozen=True)
class Call:
    """One operation of the API. `body` and `answer`: anything that pydantic describes; `query`: name → what it does."""

    method: str
    path: str
    name: str
    summary: str
    endpoint: Endpoint
    body: Any
    answer: Any
    status: int
    query: Mapping[str, str]
    multipart: bool
    detached: bool


def call(
    routes: list[Route],
    method: str,
    path: str,
    *,
    name: str,
    answer: Any = None,
    body: Any = None,
    status: int = 200,
    allow: frozenset[Role] = MARKETERS,
    query: Mapping[str, str] | None = None,
    multipart: bool = False,
    detached: bool = False,
    limit: int = JSON_LIMIT,
) -> Callable[[Endpoint], Endpoint]:
    """Declare the decorated coroutine as a call; its docstring's first line is the summary.

    `detached`: it speaks to the network, so no transaction is held meanwhile and it opens its own.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        summary = (endpoint.__doc__ or name).strip().splitlines()[0]
        declared = Call(method, path, name, summary, endpoint, body, answer, status, query or {}, multipart, detached)
        CALLS.append(declared)

        async def serve(request: Request) -> Response:
            return await _serve(declared, request)

        routes.append(Route(BASE + path, serve, f"api.{name}", allow, (method,), csrf=False, limit=limit))
        return endpoint

    return declare


def as_json(declared: Call, answer: Any) -> bytes:
    """The answer as its declared shape: money as decimal strings, times RFC 3339 with offset."""
    adapter: TypeAdapter[Any] = TypeAdapter(declared.answer)
    return adapter.dump_json(adapter.validate_python(answer, from_attributes=True), by_alias=True)


async def _serve(declared: Call, request: Request) -> Response:
    body = await _read_form(request) if declared.multipart else await _read_body(declared, request)
    house = house_of(request)
    ask = Ask(request, house, viewer_of(request), None, utc_now(), body)
    key = request.headers.get("idempotency-key") if declared.method == "POST" else None
    if key is not None and not 1 <= len(key) <= KEY_LENGTH:
        raise Invalid(Problem("Idempotency-Key", f"must have 1 to {KEY_LENGTH} characters"))
    if declared.detached:
        return await (_perform(declared, ask) if key is None else _perform_detached_once(declared, ask, key))
    if declared.method == "GET":
        async with house.database.connect() as conn:
            return await _perform(declared, replace(ask, connection=conn))
    async with house.database.begin() as conn:
        ask = replace(ask, connection=conn)
        return await (_perform(declared, ask) if key is None else _perform_once(declared, ask, key))


async def _perform(declared: Call, ask: Ask) -> Response:
    answer = await declared.endpoint(ask)
    if isinstance(answer, Response):
        return answer
    if declared.answer is None:
        return Response(status_code=declared.status)
    return Response(as_json(declared, answer), declared.status, media_type="application/json")


async def _perform_once(declared: Call, ask: Ask, key: str) -> Response:
    """Effect and kept answer commit together, so a repeat finds both or neither, whatever died in between."""
    row = await _key_row(ask, key)
    kept = await _kept(ask.conn, row)
    if kept is not None:
        return kept
    response = await _perform(declared, ask)
    await ask.conn.execute(insert(idempotency_keys).values(**row, **_answered(response)))
    return response


async def _perform_detached_once(declared: Call, ask: Ask, key: str) -> Response:
    """The key is taken before the network is spoken to, and given back where that fails."""
    row = await _key_row(ask, key)
    async with ask.house.database.begin() as conn:
        kept = await _kept(conn, row)
        if kept is not None:
            return kept
        await conn.execute(insert(idempotency_keys).values(**row))
    own = _same_key(row)
    try:
        response = await _perform(declared, ask)
    except BaseException:
        async with ask.house.database.begin() as conn:
            await conn.execute(delete(idempotency_keys).where(own))
        raise
    async with ask.house.database.begin() as conn:
        await conn.execute(update(idempotency_keys).where(own).values(**_answered(response)))
    return response


async def _key_row(ask: Ask, key: str) -> dict[str, Any]:
    return {
        "token_id": ask.viewer.token_id,
        "path": ask.request.url.path,
        "key": key,
        "body_hash": await _body_hash(ask.request),
        "created_at": ask.now,
    }


def _answered(response: Response) -> dict[str, Any]:
    return {"status": response.status_code, "response": bytes(response.body)}


def _same_key(row: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(*(idempotency_keys.c[name] == row[name] for name in ("token_id", "path", "key")))


async def _kept(conn: AsyncConnection, row: Mapping[str, Any]) -> Response | None:
    """The answer kept for this key. Until the transaction ends nobody else may try the same key."""
    name = "\n".join(str(row[part]) for part in ("token_id", "path", "key")).encode()
    lock = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
    if not await conn.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": lock}):
        raise _still_running()
    table = idempotency_keys.c
    asked = select(table.body_hash, table.status, table.response, table.created_at).where(_same_key(row))
    found = (await conn.execute(asked)).one_or_none()
    if found is None:
        return None
    if found.created_at < row["created_at"] - KEYS_KEPT:
        await conn.execute(delete(idempotency_keys).where(_same_key(row)))
        return None
    if found.body_hash != row["body_hash"]:
        raise Conflict(OTHER_BODY)
    if found.status is None:
        raise _still_running()
    return Response(found.response, found.status, media_type="application/json" if found.response else None)


def _still_running() -> HTTPException:
    return HTTPException(409, STILL_RUNNING, headers={"Retry-After": "1"})


async def _body_hash(request: Request) -> bytes:
    """SHA-256 of the body; of a form, of its fields and files (the boundary differs from try to try)."""
    digest = hashlib.sha256()
    if not request.headers.get("content-type", "").startswith("multipart/"):
        digest.update(await request.body())
        return digest.digest()
    for field, value in (await request.form()).multi_items():  # as _read_form read it
        digest.update(field.encode() + b"\0")
        if isinstance(value, str):
            digest.update(value.encode() + b"\0")
            continue
        while chunk := await value.read(MIB):
            digest.update(chunk)
        await value.seek(0)
    return digest.digest()


async def _read_form(request: Request) -> FormData:
    """All that was uploaded, before any transaction is begun: a slow upload holds no connection."""
    return await request.form(max_fields=FORM_FIELDS, max_files=FORM_FILES)


async def _read_body(declared: Call, request: Request) -> Any:
    if declared.body is None:
        return None
    try:
        given = read_json(await request.body() or b"{}")
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    return parse(declared.body, given)


def parse(shape: Any, given: Any) -> Any:
    """`given` as `shape`; raises Invalid naming each culprit by its JSON path."""
    try:
        return TypeAdapter(shape).validate_python(given)
    except ValidationError as error:
        raise Invalid([Problem(_path(fault["loc"]), fault["msg"]) for fault in error.errors()]) from None


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
