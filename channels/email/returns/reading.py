"""One mail that came back, read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from channels.email.replies import clean_text
from channels.email.returns.automatic import automatic
from channels.email.returns.classes import BounceClass, bounce_class
from channels.email.returns.delivery import Delivery, delivery_report
from channels.email.returns.feedback import Feedback, feedback_report
from channels.email.returns.freeform import FreeForm, free_form, told_by
from channels.email.returns.parts import Part, parts_of, read_fields


class ReturnKind(StrEnum):
    BOUNCE = "bounce"
    DELAY = "delay"  # the server still tries
    RECEIPT = "receipt"  # delivered, relayed, expanded
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"  # no person wrote it; also reports about something else
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Returned:
    """What one mail says. All texts are the sender's, cut and without control characters, and may be forged: a message
    is named by a return path that we signed alone.

    `bounce`: the class, for bounces. `words`: the server's answer, or the beginning of what a person wrote.
    `recipient`: who the report says it is about. `paths`: addresses in it that may be a return path of ours: where it
    came to by its header, and where the returned original says it came from. `at`: its own date, aware, None where it
    has none. `id`: the same for the same mail however often it comes.
    """

    kind: ReturnKind
    id: str
    at: datetime | None = None
    bounce: BounceClass | None = None
    status: str = ""
    code: int | None = None
    words: str = ""
    recipient: str = ""
    paths: tuple[str, ...] = ()


_MOST_PATHS = 20
_PATH_FIELDS = ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "to", "return-path")
_PATH = re.compile(r"[A-Za-z0-9._+=-]{1,64}@[A-Za-z0-9.-]{1,255}")
_ORIGINALS = frozenset({"message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"})


_BEGINNING = 64 * 1024  # bytes in which a mail has a header
_ANY_HEADER = re.compile(
    rb"^(from|to|date|subject|message-id|received|return-path|mime-version|content-type)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")


def is_mail(raw: bytes) -> bool:
    """Whether this begins like a mail (RFC 5322): a header that mails have, before the first empty line."""
    return bool(_ANY_HEADER.search(_EMPTY_LINE.split(raw[:_BEGINNING].lstrip(), maxsplit=1)[0]))


def read_return(raw: bytes) -> Returned:
    """What a mail that came back is. Takes anything, raises nothing, looks at no more than its first MiB."""
    parts = parts_of(raw)
    feedback, delivery = feedback_report(parts), delivery_report(parts)
    base = Returned(ReturnKind.REPLY, _identity(parts[0], raw), _date(parts[0]), paths=_paths(parts, feedback))
    if feedback is not None:
        return _of_feedback(base, feedback)
    if delivery is not None:
        return _of_delivery(base, delivery)
    told = free_form(parts)
    if told is not None:
        return _of_words(base, told)
    kind = ReturnKind.AUTO_REPLY if automatic(parts) else ReturnKind.REPLY
    return _with(base, kind, words=clean_text(told_by(parts)))


def _of_feedback(base: Returned, feedback: Feedback) -> Returned:
    kind = ReturnKind.COMPLAINT if feedback.complaint else ReturnKind.AUTO_REPLY
    words = " ".join(filter(None, (feedback.feedback, feedback.agent)))
    return _with(base, kind, words=clean_text(words), recipient=feedback.recipient)


def _of_delivery(base: Returned, delivery: Delivery) -> Returned:
    if delivery.action == "failed":
        return _failed(base, delivery.status, delivery.code, delivery.words, delivery.recipient)
    kind = ReturnKind.DELAY if delivery.action == "delayed" else ReturnKind.RECEIPT
    return _with(base, kind, words=clean_text(delivery.words), recipient=delivery.recipient)


def _of_words(base: Returned, told: FreeForm) -> Returned:
    if told.delayed:
        return _with(base, ReturnKind.DELAY, words=clean_text(told.words), recipient=told.recipient)
    return _failed(base, told.status, told.code, told.words, told.recipient)


def _failed(base: Returned, status: str, code: int | None, words: str, recipient: str) -> Returned:
    return Returned(
        ReturnKind.BOUNCE,
        base.id,
        base.at,
        bounce_class(status, code, words),
        status,
        code,
        clean_text(words),
        clean_text(recipient),
        base.paths,
    )


def _with(base: Returned, kind: ReturnKind, *, words: str, recipient: str = "") -> Returned:
    return Returned(kind, base.id, base.at, words=words, recipient=clean_text(recipient), paths=base.paths)


def _identity(top: Part, raw: bytes) -> str:
    """By the mail's own id; without one, by what it says below its header, since a repeated delivery has other
    trace fields."""
    own = top.first("message-id").strip()
    return hashlib.sha256(own.encode(errors="replace") if own else b"\0" + (top.body or raw)).hexdigest()[:32]


def _date(top: Part) -> datetime | None:
    try:
        at = parsedate_to_datetime(top.first("date")[:100])
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _paths(parts: Sequence[Part], feedback: Feedback | None) -> tuple[str, ...]:
    fields = [parts[0].fields, *(part.fields for part in parts[1:] if "return-path" in part.fields)]
    fields += [read_fields(part.text[:64_000]) for part in parts if part.kind in _ORIGINALS]
    said = [value for each in fields for name in _PATH_FIELDS for value in each.get(name, ())]
    if feedback is not None:
        said.insert(0, feedback.return_path)
    found = dict.fromkeys(address for value in said for address in _PATH.findall(value[:1_000]))
    return tuple(found)[:_MOST_PATHS]
