"""Waiting for what other tasks and processes do: by looking again until a deadline, never by a fixed sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def until(reached: Callable[[], object | Awaitable[object]], seconds: float = 20.0) -> None:
    """Return once `reached()` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = reached()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        await asyncio.sleep(0.02)
