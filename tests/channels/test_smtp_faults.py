"""What the e-mail channel makes of servers that refuse, hang, lie or go away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from channels.contract import ChannelError, Common, Personal, Verdict
from channels.email.channel import EmailChannel
from channels.email.config import SmtpConfig, parse_smtp_url
from channels.email.mime import Mail
from tests.channels.smtp_server import Script, serving

CHANNEL = EmailChannel()
COMPOSER = CHANNEL.composer(Common(sender="Hearth <hearth@example.com>", label="c1.r1.w"))
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def mail(number: int = 1, **changes: object) -> Mail:
    personal = Personal(key=f"m{number}", to=f"person{number}@example.com", text="Hello\n.dot\n", at=AT, subject="Hi")
    return COMPOSER.compose(personal._replace(**changes))  # type: ignore[arg-type]


def config(script: Script, **changes: object) -> SmtpConfig:
    quick = replace(parse_smtp_url(script.url), timeout=0.3, final_dot_timeout=0.3)
    return replace(quick, **changes)  # type: ignore[arg-type]


async def failure(script: Script, **changes: object) -> ChannelError:
    async with serving(script), CHANNEL.open(config(script, **changes)) as sender:
        with pytest.raises(ChannelError) as caught:
            await sender.send(mail())
        return caught.value


async def test_a_mail_arrives_as_it_was_composed() -> None:
    async with serving(Script()) as script, CHANNEL.open(config(script)) as sender:
        sent = await sender.send(mail())
        assert sent.accepted
        assert sent.reply == "250 2.0.0 queued"
        assert script.accepted[0].endswith(b"Hello\r\n..dot\r\n.\r\n")
        assert b"Message-ID: <m1@example.com>\r\n" in script.accepted[0]
        assert script.lines[1:3] == [
            b"MAIL FROM:<hearth@example.com> SIZE=%d BODY=8BITMIME\r\n" % (len(script.accepted[0])),
            b"RCPT TO:<person1@example.com>\r\n",
        ]


async def test_one_connection_carries_many_mails() -> None:
    async with serving(Script()) as script:
        async with CHANNEL.open(config(script)) as sender:
            for number in range(20):
                await sender.send(mail(number))
        assert (script.connections, len(script.accepted)) == (1, 20)


async def test_works_without_pipelining() -> None:
    async with serving(Script(ehlo=b"250 plain\r\n")) as script, CHANNEL.open(config(script)) as sender:
        await sender.send(mail())
        assert b"MAIL FROM:<hearth@example.com>\r\n" in script.lines
        assert len(script.accepted) == 1


async def test_a_server_older_than_ehlo() -> None:
    async with serving(Script(ehlo=b"502 5.5.1 what?\r\n")) as script, CHANNEL.open(config(script)) as sender:
        assert (await sender.send(mail())).accepted
        assert [line[:4] for line in script.lines[:3]] == [b"EHLO", b"HELO", b"MAIL"]


REFUSALS = [
    ("greeting", b"421 4.3.2 busy\r\n", Verdict.RETRY, True),
    ("greeting", b"554 5.7.1 you are listed\r\n", Verdict.PAUSE, True),
    ("ehlo", b"421 4.3.2 busy\r\n", Verdict.RETRY, True),
    ("mail", b"421 4.7.0 slow down\r\n", Verdict.RETRY, True),
    ("mail", b"451 4.3.0 later\r\n", Verdict.RETRY, False),
    ("mail", b"550 5.7.1 sender rejected\r\n", Verdict.PAUSE, False),
    ("mail", b"553 5.1.8 no such sender domain\r\n", Verdict.PAUSE, False),
    ("mail", b"552 5.3.4 too large\r\n", Verdict.FAIL, False),
    ("rcpt", b"421 4.7.0 slow down\r\n", Verdict.RETRY, True),
    ("rcpt", b"450 4.2.0 greylisted, come again in 300 seconds\r\n", Verdict.RETRY, False),
    ("rcpt", b"550 5.1.1 no such user\r\n", Verdict.SUPPRESS, False),
    ("rcpt", b"550 5.1.10 null MX\r\n", Verdict.SUPPRESS, False),
    ("rcpt", b"550 No such user here\r\n", Verdict.SUPPRESS, False),
    ("rcpt", b"550 5.1.8 sender unknown\r\n", Verdict.PAUSE, False),
    ("rcpt", b"554 5.7.1 relay access denied\r\n", Verdict.PAUSE, False),
    ("rcpt", b"552 5.2.2 mailbox full\r\n", Verdict.FAIL, False),
    ("data", b"421 4.3.0 going down\r\n", Verdict.RETRY, True),
    ("data", b"554 5.5.1 no\r\n", Verdict.FAIL, False),
    ("dot", b"421 4.3.0 going down\r\n", Verdict.RETRY, True),
    ("dot", b"451 4.3.0 disk full\r\n", Verdict.RETRY, False),
    ("dot", b"550 5.7.1 spam\r\n", Verdict.PAUSE, False),
    ("dot", b"554 5.6.0 broken message\r\n", Verdict.FAIL, False),
]


@pytest.mark.parametrize(("phase", "answer", "verdict", "connection"), REFUSALS)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_refusals_by_phase_and_code(
    phase: str, answer: bytes, verdict: Verdict, connection: bool, pipelining: bool
) -> None:
    ehlo = {} if pipelining or phase == "ehlo" else {"ehlo": b"250 plain\r\n"}
    script = Script(**{phase: answer, **ehlo})  # type: ignore[arg-type]
    error = await failure(script)
    assert (error.verdict, error.connection) == (verdict, connection)
    assert error.text == answer.decode().strip()
    assert script.accepted == []


async def test_a_server_says_how_long_to_wait() -> None:
    error = await failure(Script(rcpt=b"450 4.2.0 greylisted, come again in 5 minutes\r\n"))
    assert error.retry_after == 300


@pytest.mark.parametrize("phase", ["rcpt", "dot"])
async def test_a_refused_mail_does_not_touch_the_next(phase: str) -> None:
    answers = {"rcpt": b"550 5.1.1 nobody\r\n", "dot": b"554 5.6.0 broken\r\n"}
    refused = iter([True])
    good = {"rcpt": b"250 ok\r\n", "dot": b"250 ok\r\n"}
    script = Script(**{phase: lambda _: answers[phase] if next(refused, False) else good[phase]})  # type: ignore[arg-type]
    if phase == "rcpt":
        script.data = lambda _: b"354 go\r\n" if b"person2" in script.lines[-2] else b"503 5.5.1 no recipients\r\n"
    async with serving(script), CHANNEL.open(config(script)) as sender:
        with pytest.raises(ChannelError):
            await sender.send(mail(1))
        assert (await sender.send(mail(2))).accepted
        assert [b"<m2@" in data for data in script.accepted] == [True]
        assert script.connections == 1


async def test_a_server_that_wants_the_message_of_a_refused_recipient_gets_nothing() -> None:
    script = Script(rcpt=b"550 5.1.1 nobody\r\n")  # and yet 354 to DATA
    error = await failure(script)
    assert error.verdict is Verdict.SUPPRESS
    assert script.accepted == []


@pytest.mark.parametrize("phase", ["greeting", "ehlo", "mail", "rcpt", "data"])
@pytest.mark.parametrize("fault", ["close", "hang", "tarpit"])
async def test_a_break_before_the_final_dot_is_safe_to_retry(phase: str, fault: str) -> None:
    script = Script()
    if fault == "close":
        setattr(script, phase, None)
    elif fault == "hang":
        script.hang_at = phase
    else:
        setattr(script, phase, b"250-" + b"x" * 500 + b"\r\n")
        script.byte_delay = 0.05
    error = await asyncio.wait_for(failure(script), 10)
    assert (error.verdict, error.connection, error.in_doubt) == (Verdict.RETRY, True, False)


@pytest.mark.parametrize("fault", ["close", "hang", "nonsense", "endless", "wrong"])
async def test_a_break_after_the_final_dot_is_in_doubt(fault: str) -> None:
    script = Script()
    if fault == "hang":
        script.hang_at = "dot"
    else:
        script.dot = {
            "close": None,
            "nonsense": b"hello?\r\n",
            "endless": b"250-more\r\n" * 10_000,
            "wrong": b"354 go on\r\n",
        }[fault]
    error = await failure(script)
    assert (error.verdict, error.permanent) == (Verdict.DOUBT, False)


async def test_after_a_break_the_sender_opens_a_new_connection() -> None:
    script = Script(dot=lambda number: None if number == 0 else b"250 ok\r\n")
    async with serving(script), CHANNEL.open(config(script)) as sender:
        with pytest.raises(ChannelError):
            await sender.send(mail(1))
        assert (await sender.send(mail(2))).accepted
        assert script.connections == 2


async def test_a_kept_connection_that_died_of_age_is_no_failure() -> None:
    script = Script(dot=b"250 ok\r\n421 4.4.2 timeout, closing\r\n")
    async with serving(script), CHANNEL.open(config(script)) as sender:
        for number in range(3):
            assert (await sender.send(mail(number))).accepted
        assert script.connections == 3


@pytest.mark.parametrize("extra", [b"250 ok\r\n", b"25", b"550 5.1.1 for whom?\r\n"])
async def test_an_extra_answer_is_never_put_down_to_the_next_mail(extra: bytes) -> None:
    script = Script(dot=lambda number: b"250 ok\r\n" + (extra if number == 0 else b""))
    async with serving(script), CHANNEL.open(config(script)) as sender:
        assert (await sender.send(mail(1))).accepted
        assert (await sender.send(mail(2))).accepted
        assert script.connections == 2


@pytest.mark.parametrize(
    ("phase", "answer"),
    [
        ("mail", b"250 ok\r\n250 ok\r\n"),
        ("rcpt", b"250 ok\r\n250 extra\r\n"),
        ("data", b"250 what?\r\n"),
        ("mail", b"354 go\r\n"),
    ],
)
async def test_answers_that_do_not_fit_stop_before_the_message(phase: str, answer: bytes) -> None:
    script = Script(**{phase: answer})  # type: ignore[arg-type]
    error = await failure(script)
    assert error.verdict is Verdict.RETRY
    assert script.accepted == []


async def test_split_answers_are_put_together() -> None:
    async with serving(Script(byte_delay=0.0005)) as script, CHANNEL.open(config(script, timeout=5.0)) as sender:
        assert (await sender.send(mail(1))).accepted
        assert (await sender.send(mail(2))).accepted
        assert script.connections == 1


async def test_nothing_leaves_where_it_is_not_allowed_any_more() -> None:
    async def no() -> bool:
        return False

    async with serving(Script()) as script, CHANNEL.open(config(script)) as sender:
        assert not (await sender.send(mail(1), no)).accepted
        assert (await sender.send(mail(2))).accepted
        assert [b"<m2@" in data for data in script.accepted] == [True]


async def test_what_the_server_announced_is_kept_to() -> None:
    script = Script(ehlo=b"250-test\r\n250 SIZE 200\r\n")
    error = await failure(script)
    assert (error.verdict, error.status) == (Verdict.FAIL, "5.3.4")
    plain = Script(ehlo=b"250 test\r\n")
    async with serving(plain), CHANNEL.open(config(plain)) as sender:
        with pytest.raises(ChannelError) as caught:
            await sender.send(mail(to="张三@example.com"))
        assert (caught.value.verdict, caught.value.status) == (Verdict.FAIL, "5.6.7")
        await sender.send(mail(text="你好"))
        assert b"Content-Transfer-Encoding: base64" in plain.accepted[0]


async def test_addresses_beyond_ascii() -> None:
    async with serving(Script()) as script, CHANNEL.open(config(script)) as sender:
        await sender.send(mail(to="张三@例子.公司", text="你好"))
        assert "RCPT TO:<张三@xn--fsqu00a.xn--55qx5d>\r\n".encode() in script.lines
        assert any(line.startswith(b"MAIL") and line.endswith(b"BODY=8BITMIME SMTPUTF8\r\n") for line in script.lines)
        assert "你好".encode() in script.accepted[0]


async def test_a_server_that_stops_reading_is_left_before_the_final_dot() -> None:
    big = "x" * 70 + "\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(b"250 x\r\n")
        for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with CHANNEL.open(replace(parse_smtp_url(url), timeout=2, final_dot_timeout=2)) as sender:
        with pytest.raises(ChannelError) as caught:
            await sender.send(mail(text=big * 300_000))
    server.close()
    assert (caught.value.verdict, caught.value.in_doubt) == (Verdict.RETRY, False)


async def test_no_server_at_all_is_worth_another_try() -> None:
    script = Script()
    async with serving(script):
        pass
    for url in (script.url, "smtp://does-not-exist.invalid"):
        async with CHANNEL.open(parse_smtp_url(url)) as sender:
            with pytest.raises(ChannelError) as caught:
                await sender.send(mail())
        assert (caught.value.verdict, caught.value.connection) == (Verdict.RETRY, True)
