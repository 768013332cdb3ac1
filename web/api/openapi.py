"""`GET /api/v1/openapi.json`: the description of the API, made from the calls as they are served."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from web.access import PUBLIC, Route
from web.api.contract import BASE, CALLS, Call

REF = "#/components/schemas/{model}"
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 255},
    "description": "A repeat within 24 hours gets the same answer; another body under the same key gets 409.",
}


async def show(_request: Request) -> Response:
    return JSONResponse(document())


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1 over every declared call."""
    keyed: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = []
    for declared in CALLS:
        if declared.body is not None:
            keyed.append(((declared.name, "body"), "validation", TypeAdapter(declared.body)))
        if declared.answer is not None:
            keyed.append(((declared.name, "answer"), "serialization", TypeAdapter(declared.answer)))
    schemas, definitions = TypeAdapter.json_schemas(keyed, ref_template=REF)
    named = {key[0]: schema for key, schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for declared in CALLS:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", BASE + declared.path)
        paths.setdefault(path, {})[declared.method.lower()] = _operation(declared, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": version("hearth")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(declared: Call, schemas: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": declared.name,
        "summary": declared.summary,
        "parameters": _parameters(declared),
        "responses": {
            str(declared.status): _answer(schemas.get((declared.name, "answer"))),
            "default": {
                "description": "A problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}},
            },
        },
    }
    body = schemas.get((declared.name, "body"))
    if body is not None:
        kind = "multipart/form-data" if declared.multipart else "application/json"
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body}}}
    return operation


def _parameters(declared: Call) -> list[dict[str, Any]]:
    in_path: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind == "int" else "string"}}
        for name, kind in re.findall(r"{(\w+)(?::(\w+))?}", declared.path)
    ]
    in_query: list[dict[str, Any]] = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in declared.query.items()
    ]
    return in_path + in_query + ([KEY_PARAMETER] if declared.method == "POST" else [])


def _answer(schema: Any) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done"}
    return {"description": "The answer", "content": {"application/json": {"schema": schema}}}


ROUTES = [Route(BASE + "/openapi.json", show, "api.openapi", PUBLIC)]
