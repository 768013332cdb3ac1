"""Lines short enough for SMTP: MJML and visual editors write thousands of characters on one, and the whole body would
go in base64."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONG = 500  # bytes of a template's line; 998 may stand on one (RFC 5322), and values take more than their tags

# Where blanks mean nothing to a browser: between the parts of a table and of the head. Not within cells, and not
# between columns, which stand side by side only without a gap.
_SEAM = re.compile(r"(?<=>)(?=<(?:/?tr|/?tbody|/?thead|/table|td|th|/head|body|style|meta)\b)", re.IGNORECASE)
# And within any start tag, before its attributes.
_ATTRIBUTES = re.compile(r"(<[a-z][a-z0-9:]*) (?=[^<>]*>)", re.IGNORECASE)


def break_lines(html: str) -> str:
    """The same page, long lines broken at seams, and those that stay long within their tags."""
    return "\n".join(part for line in html.split("\n") for part in _parts(line))


def _parts(line: str) -> Iterator[str]:
    for part in _SEAM.split(line) if _is_long(line) else [line]:
        yield _ATTRIBUTES.sub(r"\1\n", part) if _is_long(part) else part


def _is_long(line: str) -> bool:
    return len(line) > LONG or len(line.encode("utf-8", "replace")) > LONG
