"""JSON from outside, read strictly (RFC 8259)."""

from __future__ import annotations

import json
import math
from typing import Any

DIGITS = 400  # no number of ours has more; reading thousands takes its time


def read_json(text: str | bytes) -> Any:
    """The value that `text` holds. Raises ValueError, also for NaN, Infinity, endless numbers or nesting."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"the number {text[:40]} is too large")
    return found


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)
