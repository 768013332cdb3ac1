"""Mails that come back, made after the forms that common servers use; every name and address is invented."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from zlib import crc32

from channels.email.returns import BounceClass as Class
from channels.email.returns import ReturnKind as Kind

TO = "b-abc234@bounces.example.com"
LOST = "chen@nowhere.example"

_ORIGINAL = """Return-Path: <b-abc234@bounces.example.com>
From: Shop <shop@example.com>
To: chen@nowhere.example
Subject: Air conditioners: user unknown to nobody, quota 5.2.2
Message-ID: <0123abcd@example.com>

A mail about quota, spam and unknown users.
"""


@dataclass(frozen=True)
class Case:
    """A mail and what it must be read as."""

    name: str
    raw: bytes
    kind: Kind
    bounce: Class | None = None
    status: str | None = None
    recipient: str | None = None


def dsn(status: str, diagnostic: str, *, action: str = "failed", boundary: str = "=_b/1", to: str = LOST) -> bytes:
    """A report as RFC 3464 has it."""
    return f"""From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {TO}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Date: Fri, 20 Nov 2026 18:00:00 +0800
Message-ID: <{crc32(f"{status}{diagnostic}{action}".encode())}@mx.example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="{boundary}"

This is a MIME-encapsulated message.

--{boundary}
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--{boundary}
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Fri, 20 Nov 2026 17:59:59 +0800 (CST)

Final-Recipient: rfc822; {to}
Original-Recipient: rfc822;{to}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.nowhere.example
Diagnostic-Code: smtp; {diagnostic}

--{boundary}
Content-Description: Undelivered Message
Content-Type: message/rfc822

{_ORIGINAL}
--{boundary}--
""".replace("\n", "\r\n").encode()


def arf(word: str = "abuse") -> bytes:
    return f"""From: <fbl@mailbox.example>
To: <abuse@example.com>
Subject: FW: complaint
Date: Fri, 20 Nov 2026 18:00:00 +0800
Message-ID: <fbl-1@mailbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part1
Content-Type: message/feedback-report

Feedback-Type: {word}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <b-xyz567@bounces.example.com>
Original-Rcpt-To: <{LOST}>

--part1
Content-Type: message/rfc822
Content-Disposition: inline

{_ORIGINAL}
--part1--
""".encode()


def plain(
    sender: str, subject: str, body: str, *, charset: str = "utf-8", head: str = "", encoding: str = "8bit"
) -> bytes:
    content = body.encode(charset)
    if encoding == "base64":
        content = base64.encodebytes(content)
    top = f"""From: {sender}
To: {TO}
Subject: {subject}
Date: Fri, 20 Nov 2026 18:00:00 +0800
Content-Type: text/plain; charset={charset}
Content-Transfer-Encoding: {encoding}
{head}
"""
    return top.encode() + content


_QMAIL = f"""Hi. This is the qmail-send program at mail.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{LOST}>:
{{}}

--- Below this line is a copy of the message.

{_ORIGINAL}"""

_EXIM = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {LOST}
    {{}}

------ This is a copy of the message, including all the headers. ------

{_ORIGINAL}"""

_EXCHANGE = f"""Delivery has failed to these recipients or groups:

{LOST}<mailto:{LOST}>
{{}}

Original message headers:

{_ORIGINAL}"""

_QQ = f"""抱歉，您的邮件被退回来了……
原邮件信息：
时间 2026-11-20 17:59:59
主题 家电
收件人 {LOST}
退信原因：{{}}
此邮件由系统自动发出，请勿直接回复。
"""
_DAEMON = "Mail Delivery System <MAILER-DAEMON@mail.example.net>"
_EXIM_HEAD = f"X-Failed-Recipients: {LOST}\nAuto-Submitted: auto-replied\n"


def _free() -> list[Case]:
    bounce = Kind.BOUNCE

    def qmail(name: str, words: str, kind: Class) -> Case:
        raw = plain("MAILER-DAEMON@mail.example.net", "failure notice", _QMAIL.format(words))
        return Case(f"qmail {name}", raw, bounce, kind, recipient=LOST)

    def exim(name: str, words: str, kind: Class) -> Case:
        subject = "Mail delivery failed: returning message to sender"
        return Case(
            f"exim {name}", plain(_DAEMON, subject, _EXIM.format(words), head=_EXIM_HEAD), bounce, kind, None, LOST
        )

    def exchange(name: str, words: str, kind: Class) -> Case:
        sender = "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.example>"
        return Case(f"exchange {name}", plain(sender, "Undeliverable: News", _EXCHANGE.format(words)), bounce, kind)

    def chinese(name: str, words: str, kind: Class, charset: str = "gb18030", encoding: str = "base64") -> Case:
        raw = plain(
            "PostMaster@mailbox.example",
            "=?GB18030?B?z7XNs83L0MU=?=",
            _QQ.format(words),
            charset=charset,
            encoding=encoding,
        )
        return Case(f"chinese {name}", raw, bounce, kind, recipient=LOST)

    return [
        qmail("nobody", "192.0.2.7 does not like recipient.\nRemote host said: 550 5.1.1 User unknown", Class.HARD),
        qmail("nobody here", "Sorry, no mailbox here by that name. (#5.1.1)", Class.HARD),
        qmail(
            "full", "192.0.2.7 failed after I sent the message.\nRemote host said: 552 mailbox over quota", Class.FULL
        ),
        qmail("given up", "I'm not going to try again; this message has been in the queue too long.", Class.SOFT),
        exim(
            "nobody",
            "SMTP error from remote mail server after RCPT TO:<chen@nowhere.example>:\n"
            "    host mx.nowhere.example [192.0.2.9]: 550 No such user here",
            Class.HARD,
        ),
        exim("no route", "Unrouteable address", Class.HARD),
        exim("refused", "host mx.nowhere.example [192.0.2.9]: 554 5.7.1 Blocked, see https://bl.example", Class.POLICY),
        exim("full", "mailbox is full: retry timeout exceeded", Class.FULL),
        exchange(
            "nobody",
            "The email address you entered couldn't be found.\nRemote Server returned '550 5.1.10 "
            "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'",
            Class.HARD,
        ),
        exchange("full", "The recipient's mailbox is full.\n#< #5.2.2 smtp;554 5.2.2 mailbox full> #SMTP#", Class.FULL),
        exchange(
            "large",
            "This message is too large.\n#550 5.3.4 ROUTING.SizeLimit; message size exceeds limit##",
            Class.CONTENT,
        ),
        exchange(
            "restricted",
            "Your message can't be delivered because delivery is restricted.\n"
            "#550 5.7.1 RESOLVER.RST.AuthRequired; authentication required##",
            Class.POLICY,
        ),
        Case(
            "gmail nobody",
            plain(
                "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
                "Delivery Status Notification (Failure)",
                f"""** Address not found **

Your message wasn't delivered to {LOST} because the address couldn't be found, or is unable to receive mail.

The response from the remote server was:
550 5.1.1 The email account that you tried to reach does not exist. Please try
double-checking the recipient's email address for typos or unnecessary spaces.
""",
            ),
            bounce,
            Class.HARD,
            "5.1.1",
            LOST,
        ),
        Case(
            "postfix text",
            plain(
                _DAEMON,
                "Undelivered Mail Returned to Sender",
                f"""This is the mail system at host mx.example.net.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<{LOST}>: host mx.nowhere.example[192.0.2.9] said: 452 4.2.2 Mailbox full
    (in reply to RCPT TO command)
""",
            ),
            bounce,
            Class.FULL,
            "4.2.2",
            LOST,
        ),
        chinese("qq nobody", f"收件人邮件地址（{LOST}）不存在，邮件无法送达。", Class.HARD),
        chinese("qq full", "收件人的邮箱已满，无法接收您的邮件。", Class.FULL),
        chinese(
            "163 spam",
            "554 DT:SPM 发送的邮件内容包含了未被许可的信息，或被系统识别为垃圾邮件，无法投递。",
            Class.POLICY,
            "gbk",
        ),
        chinese("163 nobody", "550 User not found: 用户不存在，邮件无法投递", Class.HARD, "utf-8"),
        chinese("wrong charset", "收件人邮件地址不存在，邮件无法送达。", Class.HARD, "gb2312", "8bit"),
        Case(
            "exim delay",
            plain(
                _DAEMON,
                "Warning: message 1abcd delayed 24 hours",
                f"""This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its recipients after more than 24 hours.
No action is required on your part. Delivery attempts will continue for some time.
The address to which the message has not yet been delivered is:

  {LOST}
    Delay reason: mailbox is full
""",
                head=_EXIM_HEAD,
            ),
            Kind.DELAY,
        ),
    ]


def _reports() -> list[Case]:
    def case(name: str, status: str, words: str, kind: Class, told: str | None = None) -> Case:
        return Case(f"dsn {name}", dsn(status, words), Kind.BOUNCE, kind, told or status, LOST)

    return [
        case(
            "nobody", "5.1.1", "550 5.1.1 <chen@nowhere.example>: Recipient address rejected: User unknown", Class.HARD
        ),
        case("no domain", "5.1.2", "x-none", Class.HARD),
        case(
            "host not found",
            "5.4.4",
            "Host or domain name not found. Name service error for name=nowhere.example",
            Class.HARD,
        ),
        case("edge refuses", "5.4.1", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", Class.HARD),
        case("loop", "5.4.6", "554 5.4.6 Too many hops", Class.SOFT),
        case("disabled", "5.2.1", "550 5.2.1 The email account that you tried to reach is disabled", Class.HARD),
        case("full", "5.2.2", "552 5.2.2 The email account that you tried to reach is over quota", Class.FULL),
        case("full for long", "4.2.2", "452 4.2.2 Mailbox full", Class.FULL),
        case("refused policy", "5.7.1", "554 5.7.1 Service unavailable; blocked using bl.example", Class.POLICY),
        case("user unknown with policy status", "5.7.1", "550 5.7.1 user unknown", Class.POLICY),
        case("our sender", "5.1.8", "553 5.1.8 sender domain does not exist", Class.POLICY),
        case("large", "5.3.4", "552 5.3.4 Message size exceeds fixed limit", Class.CONTENT),
        case("charset", "5.6.7", "554 5.6.7 address requires SMTPUTF8", Class.CONTENT),
        case("timed out", "4.4.1", "connect to mail.nowhere.example[192.0.2.9]:25: Connection timed out", Class.SOFT),
        case("inner status", "5.0.0", "550 5.1.1 no such user", Class.HARD, "5.1.1"),
        case("words alone", "5.0.0", "550 Requested action not taken: mailbox unavailable, quota exceeded", Class.FULL),
        case("sender not found", "5.0.0", "550 sender domain not found", Class.POLICY),
        case("nothing known", "5.0.0", "550 Requested action not taken", Class.SOFT),
        Case("dsn delayed", dsn("4.4.1", "connection refused", action="delayed"), Kind.DELAY),
        Case("dsn relayed", dsn("2.0.0", "250 ok", action="relayed"), Kind.RECEIPT),
    ]


def _others() -> list[Case]:
    person = "Chen Wei <chen@nowhere.example>"
    auto = Kind.AUTO_REPLY
    return [
        Case("complaint", arf(), Kind.COMPLAINT, recipient=LOST),
        Case("no spam after all", arf("not-spam"), auto),
        Case("rfc 3834", plain(person, "Re: News", "I am away", head="Auto-Submitted: auto-replied\n"), auto),
        Case("exchange oof", plain(person, "Automatic reply: News", "I am out"), auto),
        Case("chinese oof", plain(person, "=?utf-8?B?6Ieq5Yqo5Zue5aSNOiBOZXdz?=", "您好，我正在休假。"), auto),
        Case("german oof", plain(person, "Abwesenheitsnotiz: News", "Ich bin nicht da"), auto),
        Case("vacation", plain(person, "Away from my mail", "x", head="Precedence: bulk\n"), auto),
        Case("reply", plain(person, "Re: News", "Please send someone, my mailbox is full of offers."), Kind.REPLY),
        Case(
            "reply about a failure",
            plain(person, "Re: delivery failed", "The washing machine was not delivered."),
            Kind.REPLY,
        ),
        Case("empty", b"", Kind.REPLY),
    ]


CASES = [*_reports(), *_free(), *_others()]
