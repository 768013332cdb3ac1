"""The JSON API as the demo calls it: a thin client that raises Hearth's own problems."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from runtime.errors import HearthError

Record = dict[str, Any]


class Refused(HearthError):
    """The API said no; the text is its problem's own."""


class Api:
    """Calls under `/api/v1` with one token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **params: Any) -> Record:
        return _answer(await self._client.get(path, params=params))

    async def post(self, path: str, body: Any = None) -> Record:
        return _answer(await self._client.post(path, json=body))

    async def upload(self, path: str, file: Path, form: Mapping[str, str]) -> Record:
        """POST a file with the other fields of its form."""
        with file.open("rb") as content:
            answer = await self._client.post(path, data=dict(form), files={"file": (file.name, content)})
        return _answer(answer)

    async def everything(self, path: str, **params: Any) -> AsyncIterator[Record]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=1000, **params, **({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return

    async def named(self, path: str) -> dict[str, Record]:
        """All items of a list by their name."""
        return {item["name"]: item async for item in self.everything(path)}


@asynccontextmanager
async def api_at(base: str, token: str) -> AsyncIterator[Api]:
    """The API of the Hearth at `base`."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{base}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
        yield Api(client)


def _answer(response: httpx.Response) -> Record:
    if response.is_success:
        return dict(response.json())
    request = response.request
    try:
        problem = response.json()
        faults = "; ".join(f"{fault['path']}: {fault['message']}" for fault in problem.get("errors") or ())
        words = f"{problem.get('title')}: {problem.get('detail') or ''} {faults}"
    except ValueError:
        words = response.text[:500]
    raise Refused(f"{request.method} {request.url.path} answered {response.status_code}: {words}")
