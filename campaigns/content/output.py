"""What a template puts out: values as bytes of a mail's lines."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import escape

from campaigns.content.limits import LimitReached, within_text_limit
from channels.contract import Lines

# What has to be looked at before it may stand in a mail, or in HTML. A text without it goes out as it is, which
# compiled templates do by themselves (codegen.py).
special = re.compile("[\0\r\n\ud800-\udfff]").search
special_in_html = re.compile("[\0\r\n\ud800-\udfff&<>\"']").search


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
