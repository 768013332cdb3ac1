"""Delivery status notifications (RFC 3464): what became of the one recipient that a return path stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from channels.email.returns.classes import code_in, status_in
from channels.email.returns.parts import Fields, Part, first, read_fields

MOST_GROUPS = 20
_REPORTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_BLANK = re.compile(r"\r?\n[ \t]*\r?\n")
_TYPE = re.compile(r"^[\w.+-]{1,30}\s*;\s*")


class Delivery(NamedTuple):
    """`action`: failed, delayed, delivered, relayed, expanded (RFC 3464 2.3.3)."""

    action: str
    status: str
    code: int | None
    words: str
    recipient: str


def delivery_report(parts: Sequence[Part]) -> Delivery | None:
    """What the report says, of the recipient that failed where there are several; None where there is none."""
    for part in parts:
        if part.kind in _REPORTS:
            groups = [read_fields(group) for group in _BLANK.split(part.text.strip(), MOST_GROUPS)[:MOST_GROUPS]]
            told = [_told(group) for group in groups if first(group, "action") or first(group, "status")]
            failed = [each for each in told if each.action == "failed"]
            if told:
                return (failed or told)[0]
    return None


def _told(group: Fields) -> Delivery:
    words = _TYPE.sub("", first(group, "diagnostic-code"))
    given = status_in(first(group, "status"))
    # Many servers write X.0.0 as the status where the other side's answer has the real one.
    inner = status_in(words)
    status = inner if inner and (not given or given.endswith(".0.0")) else given
    action = first(group, "action").split(" ")[0].strip().lower() or ("failed" if status[:1] == "5" else "delayed")
    recipient = first(group, "original-recipient") or first(group, "final-recipient")
    return Delivery(action, status, code_in(words), words, _TYPE.sub("", recipient).strip().strip("<>"))
