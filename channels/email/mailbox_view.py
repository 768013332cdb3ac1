"""A kept mail taken apart for showing. The mail may be anybody's and malformed in any way: what cannot be read is
left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser

MAX_SUBJECT = 500
MAX_HEADERS = 200
MAX_VALUE = 5_000
MAX_PARTS = 200

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class MailView:
    """What a person reads of a mail. All of it comes from outside: show it escaped, the HTML in a sandboxed frame
    alone."""

    subject: str
    sender: str
    to: str
    headers: tuple[tuple[str, str], ...]
    html: str | None
    text: str | None


def subject_of(raw: bytes) -> str:
    """The subject alone, at most 500 characters."""
    message = BytesHeaderParser(policy=policy.compat32).parsebytes(raw[:200_000])
    return _decoded(message.get("Subject"))[:MAX_SUBJECT]


def view_mail(raw: bytes) -> MailView:
    """Headers decoded, the first HTML and the first text part."""
    message = _parsed(raw)
    html, text = _bodies(message)
    return MailView(
        subject=_decoded(message.get("Subject"))[:MAX_SUBJECT],
        sender=_decoded(message.get("From")),
        to=_decoded(message.get("To")),
        headers=tuple((_one_line(name), _decoded(value)) for name, value in message.items()[:MAX_HEADERS]),
        html=html,
        text=text,
    )


def _parsed(raw: bytes) -> Message:
    try:
        return message_from_bytes(raw, policy=policy.compat32)
    except (RecursionError, MessageError):
        return BytesHeaderParser(policy=policy.compat32).parsebytes(raw)


def _bodies(message: Message) -> tuple[str | None, str | None]:
    html: str | None = None
    text: str | None = None
    pending, seen = [message], 0
    while pending and seen < MAX_PARTS:
        part, seen = pending.pop(0), seen + 1
        if part.is_multipart():
            pending = [child for child in part.get_payload() if isinstance(child, Message)] + pending
        elif part.get_content_type() == "text/html" and html is None:
            html = _body(part)
        elif part.get_content_type() == "text/plain" and text is None:
            text = _body(part)
    return html, text


def _body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    charset = part.get_param("charset")
    return _text(raw, charset if isinstance(charset, str) else "utf-8").replace("\0", "")


def _decoded(value: object) -> str:
    if value is None:
        return ""
    source = str(value)[:MAX_VALUE]
    try:
        chunks = decode_header(source)
    except (HeaderParseError, ValueError):
        return _one_line(source)
    pieces = [chunk if isinstance(chunk, str) else _text(chunk, charset or "utf-8") for chunk, charset in chunks]
    return _one_line("".join(pieces))


def _text(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset, "replace")
    except (LookupError, ValueError, UnicodeError):
        return raw.decode("utf-8", "replace")


def _one_line(text: str) -> str:
    return _BREAKS.sub(" ", text).strip()
