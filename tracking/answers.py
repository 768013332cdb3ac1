"""What mail servers answer, without what differs from one message to the next: so that alike answers count as one.

550 5.1.1 <p12@example.com>: Recipient address rejected (4XyZ12)  →  550 5.1.1 …: Recipient address rejected …
"""

from __future__ import annotations

import re

OUT = "…"  # stands for what was taken out
_LONGEST_WORD = 40
_MOST_WORDS = 40
_HEAD = re.compile(r"(?:([245][0-9]{2})(?![\w.]))?[\s-]*(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![\w.]))?", re.ASCII)
_PREFIX = re.compile(r"((?:[a-z ]+: )*)")
_PRIVATE = re.compile(r"[\d@…]|://|\w\.\w")
_TAIL = re.compile(r"[:;,!?]*\Z")


def alike(answer: str) -> str:
    """The reply code, the enhanced code and the words; addresses, hosts, ids and numbers are taken out. Idempotent."""
    prefix, code, enhanced, rest = _parts(answer.strip())
    words = [*prefix.split(), *filter(None, (code, enhanced)), *_words(rest)]
    return " ".join(words[:_MOST_WORDS])


def codes(answer: str) -> tuple[str, str]:
    """The reply code and the enhanced code, each "" where the answer does not begin with one."""
    _prefix, code, enhanced, _rest = _parts(answer.strip())
    return code, enhanced


def like(told: str) -> str:
    """A pattern for LIKE that fits every answer of which `alike` (or its beginning) is `told`: its words in their
    order."""
    words = re.split(rf"[\s{OUT}]+", told.strip())
    escaped = (re.sub(r"([\\%_])", r"\\\1", word) for word in words if word)
    begins = "%" if told.lstrip().startswith(OUT) else ""
    return f"{begins}{'%'.join(escaped)}%"


def _parts(answer: str) -> tuple[str, str, str, str]:
    """What we put before it (`in doubt: `), its codes, the rest."""
    prefix = ""
    found = _PREFIX.match(answer)
    head = _HEAD.match(answer)
    if found is not None and found[1] and (head is None or not head[0].strip()):
        after = _HEAD.match(answer, found.end())
        if after is not None and (after[1] or after[2]):
            prefix, head = found[1], after
    if head is None or not (head[1] or head[2]):
        return "", "", "", answer
    return prefix, head[1] or "", head[2] or "", answer[head.end() :]


def _words(text: str) -> list[str]:
    words: list[str] = []
    for token in text.split():
        word = _told(token)
        if words and words[-1] == OUT and word.startswith(OUT):
            words[-1] = word
        else:
            words.append(word)
    return words


def _told(token: str) -> str:
    if len(token) <= _LONGEST_WORD and not _PRIVATE.search(token):
        return token
    tail = _TAIL.search(token)
    return OUT + (tail[0] if tail is not None else "")
