"""The next message announced along with a final dot (RFC 2920): FAULTS.md row 14 on both sides of the group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from channels.contract import ChannelError, Verdict
from channels.email.channel import EmailSender
from channels.email.config import SmtpConfig
from tests.channels.smtp_server import Answer, Script, serving
from tests.channels.test_smtp_faults import CHANNEL, config, mail
from tests.waiting import until

GOOD = {"dot": b"250 2.0.0 queued\r\n", "mail": b"250 ok\r\n", "rcpt": b"250 ok\r\n", "data": b"354 go\r\n"}


@asynccontextmanager
async def sending(script: Script, **changes: object) -> AsyncIterator[EmailSender]:
    async with serving(script), CHANNEL.open(config(script, **changes)) as sender:
        yield sender


def taken(script: Script) -> list[int]:
    """The numbers of the mails that the server took over."""
    found = [data.partition(b"Message-ID: <m")[2].partition(b"@")[0] for data in script.accepted]
    return [int(number) for number in found]


def at(number: int, verb: str, answer: Answer) -> dict[str, Callable[[int], Answer]]:
    """An answer to `verb` once `number` mails were taken over, the usual one before and after; once only."""
    left = [answer]
    return {verb: lambda count: left.pop() if left and count == number else GOOD[verb]}


async def test_a_message_costs_one_write_and_the_server_one_answer_of_four_lines() -> None:
    script = Script()
    groups: list[bytes] = []
    async with sending(script) as sender:
        mails = [mail(number) for number in range(4)]
        await sender.send(mails[0], None, mails[1])
        assert sender._opened is not None
        transport = sender._opened.link._transport
        assert transport is not None
        write = transport.write
        transport.write = lambda data: (groups.append(bytes(data)), write(data))[1]  # type: ignore[method-assign]
        for number in (1, 2, 3):
            following = mails[number + 1] if number < 3 else None
            assert (await sender.send(mails[number], None, following)).reply == "250 2.0.0 queued"
    assert taken(script) == [0, 1, 2, 3]
    assert script.connections == 1
    assert [group.count(b"\r\nDATA\r\n") for group in groups] == [1, 1, 0, 0]  # the last one is QUIT
    assert b"\r\n.\r\nMAIL FROM:<hearth@example.com> SIZE=" in groups[0]


async def test_what_is_announced_and_not_allowed_does_not_leave() -> None:
    async def no() -> bool:
        return False

    script = Script()
    async with sending(script) as sender:
        first, second, third = mail(1), mail(2), mail(3)
        await sender.send(first, None, second)
        assert not (await sender.send(second, no, third)).accepted
        assert (await sender.send(third)).accepted
    assert taken(script) == [1, 3]


async def test_another_message_than_the_announced_one_goes_under_its_own_envelope() -> None:
    script = Script()
    async with sending(script) as sender:
        await sender.send(mail(1), None, mail(2))
        assert (await sender.send(mail(3))).accepted
    assert taken(script) == [1, 3]
    assert (script.connections, script.lines[-3]) == (2, b"RCPT TO:<person3@example.com>\r\n")


@pytest.mark.parametrize("verb", ["mail", "rcpt"])
async def test_a_refusal_of_the_announced_one_is_its_own(verb: str) -> None:
    answer = {"mail": b"552 5.3.4 too large\r\n", "rcpt": b"550 5.1.1 nobody\r\n"}[verb]
    script = Script(**at(1, verb, answer))  # type: ignore[arg-type]

    def data(_: int) -> Answer:
        refused = len(script.accepted) == 1 and b"person2" in script.lines[-2]
        return b"503 5.5.1 no\r\n" if refused else b"354 go\r\n"

    script.data = data
    if verb == "mail":
        script.rcpt = lambda _: b"503 5.5.1 no\r\n" if b"person2" in script.lines[-1] else b"250 ok\r\n"
    async with sending(script) as sender:
        first, second, third = mail(1), mail(2), mail(3)
        assert (await sender.send(first, None, second)).accepted
        with pytest.raises(ChannelError, match=answer[:9].decode()):
            await sender.send(second, None, third)
        assert (await sender.send(third)).accepted
    assert taken(script) == [1, 3]
    assert script.connections == 1


async def test_a_refusal_after_the_final_dot_does_not_touch_the_announced_one() -> None:
    script = Script(**at(1, "dot", b"554 5.6.0 broken\r\n"))  # type: ignore[arg-type]
    async with sending(script) as sender:
        first, second, third = mail(1), mail(2), mail(3)
        await sender.send(first, None, second)
        with pytest.raises(ChannelError, match=r"554 5\.6\.0"):
            await sender.send(second, None, third)
        assert (await sender.send(third)).accepted
    assert (taken(script), script.connections) == ([1, 3], 1)


MISFITS = [
    ("an answer to the dot left out", "dot", b""),
    ("an answer to MAIL left out", "mail", b""),
    ("an answer to RCPT left out", "rcpt", b""),
    ("one too many to the dot", "dot", b"250 ok\r\n250 ok\r\n"),
    ("a refusal too many to the dot", "dot", b"250 ok\r\n550 5.1.1 for whom?\r\n"),
    ("one too many to MAIL", "mail", b"250 ok\r\n250 ok\r\n"),
    ("a refusal of RCPT too many", "rcpt", b"550 5.1.1 nobody\r\n250 ok\r\n"),
]


@pytest.mark.parametrize(("verb", "answer"), [row[1:] for row in MISFITS], ids=[row[0] for row in MISFITS])
async def test_answers_that_do_not_fit_leave_the_mail_in_doubt_and_close_the_connection(
    verb: str, answer: bytes
) -> None:
    script = Script(**at(1, verb, answer))  # type: ignore[arg-type]
    if verb == "dot":
        script.dot = lambda count, once=[answer]: once.pop() if once and count == 0 else GOOD["dot"]  # type: ignore[misc]
    async with sending(script) as sender:
        first, second = mail(1), mail(2)
        with pytest.raises(ChannelError) as caught:
            await sender.send(first, None, second)
        assert caught.value.verdict is Verdict.DOUBT
        assert (await sender.send(second)).accepted
    assert (taken(script), script.connections) == ([1, 2], 2)


BREAKS: list[tuple[str, Answer]] = [
    ("mail", None),
    ("rcpt", None),
    ("data", None),
    ("mail", b"421 4.7.0 enough for one connection\r\n"),
    ("data", b"354 go\r\n250 what else\r\n"),
]


@pytest.mark.parametrize(("verb", "answer"), BREAKS)
async def test_a_break_behind_the_answer_to_the_dot_costs_a_connection_and_no_mail(verb: str, answer: Answer) -> None:
    script = Script(**at(1, verb, answer))  # type: ignore[arg-type]
    async with sending(script) as sender:
        first, second = mail(1), mail(2)
        assert (await sender.send(first, None, second)).accepted
        assert (await sender.send(second)).accepted
    assert (taken(script), script.connections) == ([1, 2], 2)


async def test_a_server_that_hangs_at_the_envelope_behind_has_taken_the_mail() -> None:
    script = Script(**at(1, "rcpt", b""))  # type: ignore[arg-type]
    script.data = lambda _: b"" if len(script.accepted) == 1 else b"354 go\r\n"
    async with sending(script) as sender:
        assert (await sender.send(mail(1), None, mail(2))).accepted


async def test_an_answer_without_end_to_the_envelope_behind_does_not_unsay_the_one_to_the_dot() -> None:
    """They may come in one piece."""
    answers = [b"250 2.0.0 queued\r\n250 ok\r\n" + b"250-and so on\r\n" * 10_000]
    async with sending(Script(dot=lambda _: answers.pop() if answers else GOOD["dot"])) as sender:
        first, second = mail(1), mail(2)
        assert (await sender.send(first, None, second)).reply == "250 2.0.0 queued"
        assert (await sender.send(second)).accepted


async def test_a_final_dot_without_an_answer_leaves_the_mail_alone_in_doubt() -> None:
    script = Script(dot=lambda count: None if count == 0 else b"250 ok\r\n")
    async with sending(script) as sender:
        first, second = mail(1), mail(2)
        with pytest.raises(ChannelError) as caught:
            await sender.send(first, None, second)
        assert caught.value.verdict is Verdict.DOUBT
        assert (await sender.send(second)).accepted
    assert taken(script) == [1, 2]


async def test_without_pipelining_each_goes_alone() -> None:
    script = Script(ehlo=b"250 plain\r\n")
    async with sending(script) as sender:
        first, second = mail(1), mail(2)
        await sender.send(first, None, second)
        assert script.lines[-1] == b"DATA\r\n"
        assert script.lines.count(b"DATA\r\n") == 1
        assert (await sender.send(second)).accepted
    assert taken(script) == [1, 2]


async def test_what_the_server_cannot_take_fails_alone() -> None:
    script = Script(ehlo=b"250-test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
    async with sending(script) as sender:
        first, second = mail(1), mail(2, to="张三@example.com")
        assert (await sender.send(first, None, second)).accepted
        with pytest.raises(ChannelError) as caught:
            await sender.send(second)
        assert caught.value.status == "5.6.7"


async def test_a_connection_carries_as_many_messages_as_it_may() -> None:
    script = Script()
    async with sending(script, messages=3) as sender:
        mails = [mail(number) for number in range(8)]
        for number, one in enumerate(mails):
            assert (await sender.send(one, None, mails[number + 1] if number < 7 else None)).accepted
    assert (taken(script), script.connections) == (list(range(8)), 3)
    assert script.lines.count(b"QUIT\r\n") == 3


async def test_a_cancelled_hand_over_leaves_nothing_behind() -> None:
    script = Script(hang_at="dot")
    async with serving(script) as server, CHANNEL.open(patient(server)) as sender:
        task = asyncio.create_task(sender.send(mail(1), None, mail(2)))
        await until(lambda: b"DATA\r\n" in server.lines)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.hang_at = None
        assert (await sender.send(mail(3))).accepted
    assert script.connections == 2


def patient(script: Script) -> SmtpConfig:
    return replace(config(script), timeout=5.0, final_dot_timeout=5.0)
