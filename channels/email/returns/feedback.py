"""Complaints: reports of feedback loops (ARF, RFC 5965)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from channels.email.returns.parts import Part, first, read_fields

# What is no complaint of a person: failed authentication (RFC 6591), a mail that was none (not-spam), a virus.
_COMPLAINTS = frozenset({"abuse", "fraud", "opt-out", "opt-out-list", "complaint", ""})


class Feedback(NamedTuple):
    """`feedback`: the loop's word. `complaint`: whether a person complained."""

    feedback: str
    complaint: bool
    agent: str
    recipient: str
    return_path: str


def feedback_report(parts: Sequence[Part]) -> Feedback | None:
    """What the report says; None where there is none."""
    part = next((part for part in parts if part.kind == "message/feedback-report"), None)
    if part is None:
        return None
    fields = read_fields(part.text)
    word = first(fields, "feedback-type").strip().lower()
    recipient = first(fields, "original-rcpt-to").strip().strip("<>")
    path = first(fields, "original-mail-from").strip().strip("<>")
    return Feedback(word, word in _COMPLAINTS, first(fields, "user-agent"), recipient, path)
