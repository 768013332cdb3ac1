"""What a failed delivery means: by its enhanced status code (RFC 3463) first, then by the words, then by the reply
code.

A status that only says "failed" (X.0.0, X.5.x) leaves it to the words; nothing that is in doubt is hard, since hard
ends all mail to an address.
"""

from __future__ import annotations

import re
from enum import StrEnum


class BounceClass(StrEnum):
    """`hard`: nobody is there. `full`: the mailbox is. `policy`: the server refuses us or our mails. `content`: this
    mail, its size or what is in it. `soft`: everything that may pass."""

    HARD = "hard"
    SOFT = "soft"
    POLICY = "policy"
    FULL = "full"
    CONTENT = "content"


_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d]|\.\d)")
_CODE = re.compile(r"(?<![\d.#-])([45]\d\d)(?=[\s#:;,-]|\Z)(?!\s*(?:bytes|kb|mb|x)\b)", re.IGNORECASE)

_HARD_STATUS = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
_SENDER_STATUS = frozenset({"1.7", "1.8", "1.9"})
_CONTENT_STATUS = frozenset({"2.3", "3.4"})

# In this order: what is about us, the mailbox's room and the mail's size would pass for something else below.
_ABOUT_US = re.compile(
    r"sender (?:address|domain)[^.\n]{0,80}(?:reject|not found|does not exist|verif)|(?:helo|ehlo|client host"
    r"|reverse dns|ptr)\b"
    r"[^.\n]{0,60}(?:reject|not found|block|required)|发件人[^。\n]{0,20}(?:不存在|拒绝|验证)",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"quota|mailbox (?:is |has been )?full|(?:mailbox|inbox|account|storage)[^.\n]{0,40}(?:is full|exceed|over its"
    r"|out of"
    r" storage)|insufficient (?:system )?(?:storage|disk)|full mailbox|邮箱(?:空间)?(?:已满|不足)|空间(?:已满|不足)"
    r"|容量(?:已满|不足|已达)"
    r"|(?:邮箱|信箱)[^。\n]{0,10}(?:已满|满了|爆满|超出)|信箱已滿|容量不足",
    re.IGNORECASE,
)
_LARGE = re.compile(
    r"(?:message|mail|e-mail)[^.\n]{0,40}(?:too (?:large|big)|exceeds)|(?:size|length) limit|message size"
    r"|邮件(?:过大|太大)"
    r"|(?:大小|尺寸)[^。\n]{0,8}超",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"user unknown|unknown (?:or illegal )?(?:user|recipient|mailbox|alias|address)|no such (?:user|mailbox"
    r"|recipient|address|person"
    r"|local user)|no mailbox (?:here )?by that name|does(?: not|n['o]t) (?:exist|have an account)"
    r"|not (?:a )?(?:valid|known)"
    r" (?:user|mailbox|recipient)|(?:invalid|bad) (?:recipient|mailbox|user)|(?:recipient|user|mailbox|address"
    r"|account)[^.;\n]{0,60}"
    r"(?:not (?:be )?(?:found|exist|listed|known)|is (?:disabled|inactive|unknown|no longer)|has been (?:disabled"
    r"|deactivated))"
    r"|(?:host|domain)(?: or domain)?(?: name)? not found|nxdomain|unrouteable (?:address|mail domain)"
    r"|couldn't find any host named"
    r"|(?:用户|使用者|收件人|帐号|账号|帳號|邮箱|信箱|地址|域名)[^。\n]{0,80}(?:不存在|不正确|已注销|已停用|无效"
    r"|找不到)|(?:找不到|无法找到|不存在)"
    r"[^。\n]{0,10}(?:用户|收件人|帐号|账号|邮箱|域名)",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"spam|\bblock(?:ed|list)|black ?list|block ?list|\bpolicy|reputation|relay(?:ing)? (?:access )?(?:denied|not)"
    r"|access denied|denied"
    r"|not (?:allowed|authori[sz]ed|accepted from)|\bspf\b|\bdkim\b|\bdmarc\b|\bdnsbl\b|\brbl\b|unsolicited"
    r"|rate limit|too many"
    r"|垃圾(?:邮件)?|拒收|黑名单|屏蔽|信誉|频率|禁止|拦截|未授权",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"virus|malware|infected|content (?:reject|restrict|filter)|attachment|病毒|附件|内容", re.IGNORECASE
)
_BY_WORDS = (
    (_ABOUT_US, BounceClass.POLICY),
    (_FULL, BounceClass.FULL),
    (_LARGE, BounceClass.CONTENT),
    (_NOBODY, BounceClass.HARD),
    (_POLICY, BounceClass.POLICY),
    (_CONTENT, BounceClass.CONTENT),
)
_BY_CODE = {
    551: BounceClass.HARD,
    552: BounceClass.FULL,
    553: BounceClass.HARD,
    554: BounceClass.POLICY,
}
_LONGEST = 4_000  # of the words, of which the first decide


def status_in(text: str) -> str:
    """The first enhanced status code in a text, "" where there is none; parts of IP addresses are not taken for
    one."""
    found = _STATUS.search(text[:_LONGEST])
    return found[0] if found else ""


def code_in(text: str) -> int | None:
    """The first reply code (4xx, 5xx) in a text."""
    found = _CODE.search(text[:_LONGEST])
    return int(found[1]) if found else None


def bounce_class(status: str, code: int | None, words: str) -> BounceClass:
    """The class of a failure; `status` "" where none was given."""
    words = words[:_LONGEST]
    by_status = _of_status(status, words)
    if by_status is not None:
        return by_status
    by_words = next((kind for pattern, kind in _BY_WORDS if pattern.search(words)), None)
    temporary = status.startswith("4") or (not status and code is not None and code < 500)
    if by_words is not None:
        return BounceClass.SOFT if temporary and by_words is BounceClass.HARD else by_words
    return BounceClass.SOFT if temporary or status else _BY_CODE.get(code or 0, BounceClass.SOFT)


def _of_status(status: str, words: str) -> BounceClass | None:
    """None where the status leaves it to the words."""
    kind, _, detail = status.partition(".")
    subject = detail.partition(".")[0]
    if detail == "2.2":
        return BounceClass.FULL
    if detail in _CONTENT_STATUS or subject == "6":
        return BounceClass.CONTENT
    if detail in _SENDER_STATUS or subject == "7":
        return BounceClass.POLICY
    if detail in _HARD_STATUS and kind == "5":
        return BounceClass.HARD
    if subject == "4":  # a route that is missing for ever is told by words alone: 5.4.1 of Exchange, 5.4.4 of Postfix
        return BounceClass.HARD if kind == "5" and _nowhere(words) else BounceClass.SOFT
    return BounceClass.SOFT if subject in ("1", "3") else None


def _nowhere(words: str) -> bool:
    return bool(_NOBODY.search(words) or re.search(r"recipient address rejected", words, re.IGNORECASE))
