"""E-mail over SMTP: one connection a sender, one message at a time, its own result each; where the server allows, the
next message is announced along with the final dot of the one before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from channels.contract import WITHHELD, Allowed, Capabilities, ChannelError, Common, Sent
from channels.email.config import SmtpConfig, parse_smtp_url
from channels.email.connect import Opened, open_link
from channels.email.dkim_keys import Keyring, read_keys
from channels.email.link import Group, LinkLost, Patience
from channels.email.mime import EmailComposer, Mail
from channels.email.replies import Phase, Reply, clean_text, refusal
from runtime.settings import DEFAULT_SMTP_URL, Settings

SEND_TIMEOUT = 180.0  # RFC 5321 4.5.3.2.5, for a whole message here


class EmailChannel:
    name = "email"
    address_kind = "email"
    capabilities = Capabilities(
        subject=True,
        html=True,
        delivery_receipts=True,
        replies=True,
        one_click_unsubscribe=True,
        resend_in_doubt=True,
        commit_before_submit=False,
    )

    def configure(self, settings: Settings) -> SmtpConfig:
        """HEARTH_SMTP_URL, else the demo mailbox; HEARTH_DKIM_KEYS."""
        config = parse_smtp_url(settings.smtp_url or DEFAULT_SMTP_URL)
        return replace(config, dkim=read_keys(settings.dkim_keys))

    def composer(self, common: Common) -> EmailComposer:
        return EmailComposer(common)

    @asynccontextmanager
    async def open(self, config: SmtpConfig) -> AsyncIterator[EmailSender]:
        sender = EmailSender(config)
        try:
            yield sender
        finally:
            await sender.close()


class _Announced(NamedTuple):
    """A mail whose MAIL, RCPT and DATA went out behind the mail before, and what the server said to them."""

    mail: Mail
    data: bytes
    answers: list[Reply]


class EmailSender:
    """One connection, opened when first used, kept from message to message, opened anew after a failure and after as
    many messages as one connection may carry."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config
        self._opened: Opened | None = None
        self._announced: _Announced | None = None
        self._carried = 0  # over this connection
        self._patience = Patience(config.timeout, config.timeout, config.timeout)
        self._dot_patience = Patience(SEND_TIMEOUT, config.final_dot_timeout, config.timeout)

    async def send(self, outgoing: Mail, allowed: Allowed | None = None, following: Mail | None = None) -> Sent:
        """Hand one mail over. `allowed` is asked between the server's 354 and the final dot; where it says no the
        connection is dropped, which is the one way to take a message back there. The envelope of `following` goes out
        in one group with this mail's final dot (RFC 2920). Raises ChannelError."""
        kept = self._opened is not None
        try:
            return await self._attempt(outgoing, allowed, following)
        except LinkLost as lost:
            if not kept:
                raise ChannelError(lost.text, connection=True) from lost
        # A kept connection may have died of age since the last message; nothing of this one was taken over.
        try:
            return await self._attempt(outgoing, allowed, following)
        except LinkLost as lost:
            raise ChannelError(lost.text, connection=True) from lost

    async def close(self) -> None:
        """Say good-bye; where the server awaits a message that will not come, without a word."""
        opened, announced = self._opened, self._announced
        self._opened = self._announced = None
        if announced is not None and opened is not None:
            opened.link.drop()
        elif opened is not None:
            await opened.link.bye()

    async def _attempt(self, mail: Mail, allowed: Allowed | None, following: Mail | None) -> Sent:
        """Raises LinkLost only while nothing can have been taken over."""
        try:
            opened = await self._ready(mail)
            data = await self._begun(opened, mail)
            group, behind = self._group(opened, data, following)
            if allowed is not None and not await allowed():
                self._drop()
                return WITHHELD
            return await self._final_dot(opened, group, behind)
        except (LinkLost, asyncio.CancelledError):
            self._drop()
            raise

    async def _ready(self, mail: Mail) -> Opened:
        """The connection on which `mail` may go next."""
        if self._announced is not None and self._announced.mail is not mail:
            self._drop()
        if self._announced is None and self._carried >= self._config.messages:
            await self.close()
        if self._opened is None or self._opened.link.lost is not None:
            self._drop()
            self._opened = await open_link(self._config)
            self._carried = 0
        return self._opened

    async def _begun(self, opened: Opened, mail: Mail) -> bytes:
        """The mail's bytes, once the server awaits them."""
        announced, self._announced = self._announced, None
        if announced is not None:
            await self._judge(opened, announced.answers)
            return announced.data
        data = _wire_data(mail, opened, self._config.dkim)
        await self._envelope(opened, mail, len(data))
        return data

    async def _envelope(self, opened: Opened, mail: Mail, size: int) -> None:
        """MAIL, RCPT, DATA in one group where the server allows; leaves the connection clean where one is refused."""
        commands = _envelope_commands(mail, opened, size)
        answers: list[Reply] = []
        for group in [commands] if opened.pipelining else [[command] for command in commands]:
            try:
                answers += await opened.link.ask(Group(b"".join(group), len(group)), self._patience)
            except LinkLost as lost:
                said = _first_refusal(answers + lost.answers)
                if said is None:
                    raise
                self._drop()
                raise said from lost
            if any(_refused(answer) for answer in answers[:2]):
                break
        await self._judge(opened, answers)

    async def _judge(self, opened: Opened, answers: list[Reply]) -> None:
        """Raises what the server refused of an envelope."""
        refused = _first_refusal(answers)
        if refused is not None:
            await self._reset(opened, answers, refused)
            raise refused

    async def _reset(self, opened: Opened, answers: list[Reply], refused: ChannelError) -> None:
        """After a refusal: RSET where a transaction stands open; away with the connection where the server awaits a
        message."""
        if refused.code == 421 or (len(answers) == 3 and answers[2].code == 354):
            self._drop()
        elif not _refused(answers[0]):
            try:
                [answer] = await opened.link.ask(Group(b"RSET\r\n", 1), self._patience)
            except LinkLost:
                self._drop()
                return
            if answer.code != 250:
                self._drop()

    def _group(self, opened: Opened, data: bytes, following: Mail | None) -> tuple[Group, _Announced | None]:
        """The message with its final dot, and behind it the envelope of the next where that can go along."""
        alone = Group(data, 1)
        if following is None or not opened.pipelining or self._carried + 1 >= self._config.messages:
            return alone, None
        try:
            next_data = _wire_data(following, opened, self._config.dkim)
        except ChannelError:  # raised again when its own turn comes
            return alone, None
        envelope = b"".join(_envelope_commands(following, opened, len(next_data)))
        return Group(data + envelope, 4, behind=len(envelope)), _Announced(following, next_data, [])

    async def _final_dot(self, opened: Opened, group: Group, behind: _Announced | None) -> Sent:
        try:
            answers = await opened.link.ask(group, self._dot_patience)
        except LinkLost as lost:
            self._drop()
            if not lost.sent:
                raise ChannelError(lost.text, connection=True) from lost
            if not lost.answers or not _in_step(lost.answers):
                raise ChannelError(f"{lost.text} after the final dot", connection=True, in_doubt=True) from lost
            answers = lost.answers
        self._carried += 1
        answer = answers[0]
        if not _in_step(answers) or not (answer.code == 250 or answer.code >= 400):
            self._drop()
            said = " / ".join(map(str, answers))
            raise ChannelError(
                f"after the final dot the server said: {clean_text(said)}", connection=True, in_doubt=True
            )
        if any(each.code == 421 for each in answers) or opened.link.lost is not None:
            self._drop()  # what was announced finds a new connection, as after any other end of this one
        elif behind is not None:
            behind.answers.extend(answers[1:])
            self._announced = behind
        if answer.code >= 400:
            raise refusal(answer, Phase.FINAL_DOT)
        return Sent(accepted=True, reply=clean_text(str(answer)))

    def _drop(self) -> None:
        opened, self._opened, self._announced = self._opened, None, None
        if opened is not None:
            opened.link.drop()


def _in_step(answers: list[Reply]) -> bool:
    """Whether these can be the answers to a final dot, MAIL, RCPT and DATA, each to its own: a server that leaves one
    out or puts one in is found out by the 354, or by taking what follows from something refused."""
    refused = False
    for place, answer in enumerate(answers):
        if (answer.code == 354 and place < 3) or (refused and answer.code < 400 and answer.code != 354):
            return False
        if place == 3 and answer.code != 354 and answer.code < 400:
            return False
        refused = refused or (place > 0 and answer.code >= 400)
    return True


def _refused(answer: Reply) -> bool:
    return not 200 <= answer.code < 300


def _first_refusal(answers: list[Reply]) -> ChannelError | None:
    """The first answer of MAIL, RCPT, DATA that is not the one wanted, as an error."""
    for answer, phase in zip(answers, (Phase.MAIL, Phase.RECIPIENT, Phase.DATA), strict=False):
        if answer.code >= 400:
            return refusal(answer, phase)
        if (answer.code == 354) is not (phase is Phase.DATA):
            return ChannelError(f"to {phase} the server said: {clean_text(str(answer))}", code=421, connection=True)
    return None


def _envelope_commands(mail: Mail, opened: Opened, size: int) -> list[bytes]:
    parameters = f" SIZE={size}" if opened.size else ""
    if opened.eight_bit:
        parameters += " BODY=8BITMIME"
    if mail.utf8:
        parameters += " SMTPUTF8"
    return [
        f"MAIL FROM:<{mail.sender}>{parameters}\r\n".encode(),
        f"RCPT TO:<{mail.recipient}>\r\n".encode(),
        b"DATA\r\n",
    ]


def _wire_data(mail: Mail, opened: Opened, dkim: Keyring) -> bytes:
    """The message as it goes over the wire, dots stuffed, final dot at its end. Raises ChannelError for what this
    server cannot take."""
    if mail.utf8 and not opened.utf8:
        raise ChannelError(
            f"{mail.to}: the mail server cannot write to such addresses (no SMTPUTF8)", permanent=True, status="5.6.7"
        )
    data = mail.data(eight_bit=opened.eight_bit, keys=dkim.of(mail.domain))
    if opened.max_size and len(data) > opened.max_size:
        text = f"the message has {len(data)} bytes, the mail server takes {opened.max_size}"
        raise ChannelError(text, permanent=True, status="5.3.4")
    return data
