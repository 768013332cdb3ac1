"""Where a message's CPU goes in the process that sends it: each part measured by itself, over the same messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.ground import mail_sink
from bench.reference import compiled, person
from bench.render import AT, LABEL, MAC, PUBLIC_URL, SIGNER
from campaigns.content import Written
from campaigns.dispatch.letters import message_links, stable_key
from channels.contract import Common, Personal
from channels.email.channel import EmailChannel, EmailSender
from channels.email.config import parse_smtp_url
from channels.email.mime import EmailComposer, Mail
from tracking.ledger import MessageKey
from tracking.tokens import MessageUrls

MESSAGES = 3_000
AT_ONCE = 20  # few, as in earnest: what is made is still at hand when it is written out
CONNECTIONS = 20


@dataclass(frozen=True)
class Parts:
    """Microseconds of CPU for one message. `render`: templates and signed links; `headers`: the headers and the
    multipart bytes; `smtp`: the conversation, pipelined."""

    render: float
    headers: float
    smtp: float


async def parts_of_a_message() -> Parts:
    content, composer = compiled(), EmailComposer(Common(sender="Shop <news@shop.example>", label=LABEL))
    content.prepare()
    render = headers = 0.0
    mails: list[Mail] = []
    for first in range(0, MESSAGES, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        people = [person(number) for number in numbers]
        begun = time.process_time()
        addressed = [MessageUrls(SIGNER, PUBLIC_URL, MessageKey(number, 1)) for number in numbers]
        written = [content.write(who, message_links(urls)) for who, urls in zip(people, addressed, strict=True)]
        composing = time.process_time()
        made = [composer.compose(_personal(*each)) for each in zip(numbers, written, addressed, strict=True)]
        _write_out(made)
        render, headers = render + composing - begun, headers + time.process_time() - composing
        mails += made
    begun = time.process_time()
    _write_out(mails)  # once more for the conversation
    sending = time.process_time()
    await _send_all(mails)
    smtp = (time.process_time() - sending) - (sending - begun)
    return Parts(*(each / MESSAGES * 1e6 for each in (render, headers, max(0.0, smtp))))


def _write_out(mails: Iterable[Mail]) -> None:
    for mail in mails:
        mail.wire(eight_bit=True)


def _personal(number: int, written: Written, urls: MessageUrls) -> Personal:
    return Personal(
        key=stable_key(MAC, MessageKey(number, 1)), to=f"c{number}@example.com", text=written.text, at=AT,
        name=f"王小{number}", subject=written.subject, html=written.html, unsubscribe_url=urls.unsubscribe,
    )  # fmt: skip


async def _send_all(mails: list[Mail]) -> None:
    left = iter(mails)
    with mail_sink() as port:
        config = parse_smtp_url(f"smtp://127.0.0.1:{port}?messages=100000")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(_connection(config, left))


async def _connection(config: object, left: Iterator[Mail]) -> None:
    async with EmailChannel().open(config) as sender:  # type: ignore[arg-type]
        assert isinstance(sender, EmailSender)
        mail = next(left, None)
        while mail is not None:
            following = next(left, None)
            await sender.send(mail, None, following)
            mail = following
