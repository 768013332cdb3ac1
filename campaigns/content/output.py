"""What a template puts out: values as bytes of a mail's lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jinja2.runtime import Undefined
from markupsafe import escape

from campaigns.content.limits import Budget, LimitReached, within_text_limit
from channels.contract import Lines

ROOM = 250  # bytes that the values of one portion (codegen.py) add to a line of settled lines, at most


class Clicks(NamedTuple):
    """The tracked addresses of a message as they stand in a part; the longest has `widest` bytes."""

    pieces: Sequence[bytes]
    widest: int


NO_CLICKS = Clicks((), 0)


class Unfit(ValueError):
    """Values among which one has to be looked at."""


class Form:
    """How values stand in a part of a message. `show` makes any value bytes; a text without any of `special` (ASCII), a
    NUL or a lone surrogate goes out as it is."""

    def __init__(self, show: Callable[[Any], bytes], special: str) -> None:
        self._show = show
        self._special = special.encode()
        self._special_sign = re.compile(f"[\0\ud800-\udfff{re.escape(special)}]").search

    def ready(self, budget: Budget, values: Sequence[str], between: int) -> list[bytes]:
        """Texts of which none needs care, all at once; they and the `between` bytes around them are counted. Raises
        Unfit, UnicodeEncodeError or TypeError for others."""
        together = "\0".join(values).encode()
        pieces = together.split(b"\0")
        if len(pieces) != len(values) or len(together.translate(None, self._special)) != len(together):
            raise Unfit
        budget.left -= between + len(together)
        if len(together) > ROOM:
            budget.settled = False
        return pieces

    def careful(self, budget: Budget, values: Sequence[Any], between: int) -> list[bytes]:
        """As `ready` for any values, one by one. Raises LimitReached for what cannot be shown."""
        pieces = [self._piece(value, budget) for value in values]
        together = b"".join(pieces)
        budget.left -= between + len(together)
        if len(together) > ROOM or b"\n" in together:
            budget.settled = False
        return pieces

    def _piece(self, value: Any, budget: Budget) -> bytes:
        if type(value) is str and not self._special_sign(value):
            return value.encode()
        if budget.person is None and isinstance(value, Undefined):  # nobody asks what is missing
            return b""
        return self._show(value)


def as_they_stand(clicks: Sequence[str], budget: Budget) -> tuple[Clicks, Clicks]:
    """The tracked addresses in text and in HTML; most need no escaping."""
    if not clicks:
        return NO_CLICKS, NO_CLICKS
    try:
        both = _measured(HTML.ready(budget, clicks, 0))
    except (Unfit, UnicodeEncodeError):
        return _measured(TEXT.careful(budget, clicks, 0)), _measured(HTML.careful(budget, clicks, 0))
    return both, both


def _measured(pieces: Sequence[bytes]) -> Clicks:
    return Clicks(pieces, max(map(len, pieces)))


def html_value(value: Any) -> bytes:
    """A value in HTML, escaped unless it is markup. Raises LimitReached for what cannot be shown."""
    return Lines.of(str(escape(shown(value)))).raw


def text_value(value: Any) -> bytes:
    """A value in plain text. Raises LimitReached for what cannot be shown."""
    return Lines.of(str(shown(value))).raw


def shown(value: Any) -> Any:
    """What may be put out: single values, and lists of them with commas. A record would show its Python form."""
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, (dict, list, tuple)) for item in value):
        texts = [str(item) for item in value]
        within_text_limit(sum(map(len, texts)) + 2 * len(texts))
        return ", ".join(texts)
    if isinstance(value, (dict, list, tuple, set, range)):
        raise LimitReached("a list or a record cannot be shown; loop over it or name one of its fields")
    return value


TEXT = Form(text_value, "\r\n")
HTML = Form(html_value, "\r\n&<>\"'")
