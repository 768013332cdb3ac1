"""Bounces in a server's own words: qmail, Exim, Postfix and Exchange without a report, and the large providers.

A mail counts as one where a machine for such mails sent it and its words say that a mail was not delivered: both,
since people write about failures, and such machines about other things.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from channels.email.returns.classes import code_in, status_in
from channels.email.returns.parts import Part

_DAEMON = re.compile(
    r"mailer[-_. ]?daemon|mail[-_ ]?delivery|postmaster|mdaemon|delivery (?:sub)?system|microsoft ?exchange"
    r"|symantec_anti|^<>$"
    r"|系统退信|邮件系统|管理员",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver|(?:delivery|failure|failed|returned)\b[^\n]{0,40}(?:fail|notice|status|notification|mail|report"
    r"|deliver|incomplete|delayed)"
    r"|mail delivery failed|message not delivered|returned (?:to sender|mail)|退信|无法投递|投递失败|退回|發送失敗"
    r"|未送达",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"could(?: not|n't) be delivered|(?:was|were)(?: not|n't) delivered|was not delivered|undeliverable"
    r"|delivery (?:has )?fail|failed"
    r" permanently|permanent (?:fatal )?error|couldn't deliver|wasn't able to deliver|unable to deliver"
    r"|not able to deliver"
    r"|message (?:was )?rejected|does not exist|address not found|无法(?:投递|送达|发送|到达)|投递失败|被退回|退信"
    r"|未能送达|發送失敗|不存在",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"delay(?:ed)?\b[^\n]{0,60}(?:deliver|warning)|(?:deliver\w*|warning)[^\n]{0,40}\bdelayed|will (?:continue"
    r"|keep) (?:to )?try"
    r"|do not need to resend|延迟投递|继续尝试",
    re.IGNORECASE,
)
# Where the returned original begins: its words are not the server's.
_ORIGINAL = re.compile(
    r"^(?:-+ ?(?:below this line is a copy|this is a copy of|original message|the header of|returned message|forwarded|"
    r"原始邮件|原邮件)|original message headers:|diagnostic information for administrators: *$\Z|return-path: "
    r"|received: from )",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}")
_TAG = re.compile(r"<(?:style|script)\b.{0,20000}?</(?:style|script)>|<[a-z/!][^<>]{0,500}>", re.IGNORECASE | re.DOTALL)
_LONGEST = 16_000


class FreeForm(NamedTuple):
    """What a server's own words say."""

    delayed: bool
    status: str
    code: int | None
    words: str
    recipient: str


def free_form(parts: Sequence[Part]) -> FreeForm | None:
    """None where the mail is no bounce."""
    top = parts[0]
    named = top.first("x-failed-recipients")
    if not (named or _by_machine(top)):
        return None
    words = told_by(parts)
    if not (named or _TOLD.search(" ".join(words.split()))):
        return None
    address = _ADDRESS.search(named or words)
    cause = _cause(words)
    return FreeForm(
        bool(_DELAYED.search(top.first("subject") + "\n" + words)),
        status_in(cause),
        code_in(cause),
        cause,
        address[0] if address else "",
    )


def told_by(parts: Sequence[Part]) -> str:
    """The words of the mail itself, up to where an original is returned; of HTML without its tags."""
    for part in parts:
        if part.kind.startswith("message/"):
            break
        if part.kind in ("text/plain", "text/html") and part.body.strip():
            words = part.text[:_LONGEST]
            words = _TAG.sub(" ", words) if part.kind == "text/html" else words
            found = _ORIGINAL.search(words)
            return words[: found.start()] if found and found.start() > 0 else words
    return ""


def _cause(words: str) -> str:
    """From the first line on that has a code or names somebody; what stands before is the server's greeting."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if status_in(line) or _ADDRESS.search(line) or code_in(line):
            return " ".join(lines[place : place + 12])
    return " ".join(lines[:12])


def _by_machine(top: Part) -> bool:
    """By its sender; one that nobody can answer may also be a holiday's answer, and its subject tells."""
    if _DAEMON.search(top.first("from")[:300]):
        return True
    return top.first("return-path") == "<>" and bool(_SUBJECT.search(top.first("subject")))
