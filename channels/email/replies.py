"""What an SMTP server's answer means (RFC 5321 4.2, enhanced status codes RFC 3463)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from channels.contract import ChannelError

MAX_TEXT = 500

_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_WAIT = re.compile(r"\b(\d{1,5})\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?)\b", re.IGNORECASE)

# Servers without enhanced status codes leave only their words.
_NOBODY = re.compile(
    r"user unknown|unknown (?:user|recipient|mailbox)|no such (?:user|mailbox|recipient|address)|does ?n[o']t exist"
    r"|(?:invalid|bad|unknown) (?:recipient|mailbox|address)"
    r"|(?:recipient|user|mailbox|address)[^.;]{0,60} not (?:found|exist)",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"spam|block(?:ed|list)|blacklist|policy|reputation|relay|denied|not allowed|spf|dkim|dmarc|listed", re.IGNORECASE
)

# 5.1.4 (ambiguous), 5.1.5 (valid), 5.1.7 to 5.1.9 (the sender's address) say nothing against the recipient.
_BAD_ADDRESS = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
_BAD_SENDER = frozenset({"5.1.7", "5.1.8", "5.1.9"})


class Phase(StrEnum):
    """Where in the conversation an answer stands: the same code is about us at first, about the recipient or the
    content later."""

    CONNECT = "connect"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    LOGIN = "AUTH"
    MAIL = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    FINAL_DOT = "final dot"


_ABOUT_US = frozenset({Phase.CONNECT, Phase.HELLO, Phase.TLS, Phase.LOGIN})
_ABOUT_RECIPIENT = frozenset({Phase.RECIPIENT, Phase.DATA, Phase.FINAL_DOT})


class Reply(NamedTuple):
    """One whole answer; the lines of its text joined by a blank."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"

    @property
    def status(self) -> str | None:
        """The enhanced status code at the head of the text, if there is one."""
        found = _STATUS.match(self.text)
        return found[0] if found else None


def clean_text(text: str) -> str:
    """A server's words fit for keeping and showing: one line, no control characters, at most 500 characters."""
    return _CONTROL.sub(" ", text).strip()[:MAX_TEXT]


def refusal(reply: Reply, phase: Phase) -> ChannelError:
    """What a refusing answer in `phase` means. Never in doubt: the server has spoken."""
    status = reply.status
    permanent = reply.code >= 500
    bad_address = permanent and _is_bad_address(reply, status, phase)
    return ChannelError(
        clean_text(str(reply)),
        permanent=permanent,
        bad_address=bad_address,
        policy=permanent and not bad_address and _is_policy(reply, status, phase),
        connection=reply.code == 421 or phase in _ABOUT_US,
        about_recipient=phase in _ABOUT_RECIPIENT,
        retry_after=None if permanent else _retry_after(reply.text),
        code=reply.code,
        status=status,
    )


def _is_bad_address(reply: Reply, status: str | None, phase: Phase) -> bool:
    if phase is not Phase.RECIPIENT and phase is not Phase.FINAL_DOT:
        return False
    if status is not None:
        return status in _BAD_ADDRESS
    return phase is Phase.RECIPIENT and (reply.code == 553 or bool(_NOBODY.search(reply.text)))


def _is_policy(reply: Reply, status: str | None, phase: Phase) -> bool:
    if phase in _ABOUT_US:
        return True
    if status is not None:
        if status.startswith("5.7.") or status in _BAD_SENDER:
            return True
        if not status.startswith("5.0."):
            return phase is Phase.MAIL and status.startswith("5.1.")
    if phase is Phase.MAIL:
        return reply.code in (530, 535, 550, 553, 554)
    return bool(_POLICY.search(reply.text))


def _retry_after(text: str) -> float | None:
    found = _WAIT.search(text)
    if found is None:
        return None
    return float(found[1]) * (60 if found[2][0] in "mM" else 1)
