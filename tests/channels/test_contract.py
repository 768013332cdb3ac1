"""Every channel keeps the contract."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from channels.contract import ChannelError, Unsupported, Verdict
from channels.email.channel import EmailChannel
from channels.email.config import SmtpConfig
from channels.install import install
from channels.memory import MemoryChannel, MemoryConfig
from channels.registry import add_channel, channel_named, channels
from runtime.errors import NotFound
from runtime.registry import channel_kinds
from tests.channels.contract import ChannelContract
from tests.channels.smtp_server import Script, serving


class TestEmail(ChannelContract):
    channel = EmailChannel()

    @asynccontextmanager
    async def far_side(self) -> AsyncIterator[Any]:
        self.script = Script()
        async with serving(self.script):
            yield SmtpConfig("127.0.0.1", self.script.port)

    def taken(self) -> list[str]:
        found = [re.search(rb"Message-ID: <(\w+)@", data) for data in self.script.accepted]
        return [match[1].decode() for match in found if match]


class TestMemory(ChannelContract):
    @asynccontextmanager
    async def far_side(self) -> AsyncIterator[Any]:
        yield MemoryConfig()

    @pytest.fixture(autouse=True)
    def fresh(self) -> None:
        self.channel = MemoryChannel()

    def taken(self) -> list[str]:
        assert isinstance(self.channel, MemoryChannel)
        return [message.key for message in self.channel.sent]

    async def test_an_address_can_be_made_to_refuse(self) -> None:
        assert isinstance(self.channel, MemoryChannel)
        self.channel.refusals["a@example.com"] = ChannelError("no such user", permanent=True, bad_address=True)
        async with self.channel.open(MemoryConfig()) as sender:
            with pytest.raises(ChannelError, match="no such user"):
                await sender.send(self.outgoing(0))
            assert (await sender.send(self.outgoing(1))).accepted
        assert self.taken() == ["k1"]

    async def test_a_message_in_doubt_was_taken_over(self) -> None:
        assert isinstance(self.channel, MemoryChannel)
        self.channel.refusals["a@example.com"] = ChannelError("the answer never came", in_doubt=True)
        async with self.channel.open(MemoryConfig()) as sender:
            with pytest.raises(ChannelError):
                await sender.send(self.outgoing(0))
        assert self.taken() == ["k0"]


VERDICTS = [
    ({}, Verdict.RETRY),
    ({"connection": True}, Verdict.RETRY),
    ({"permanent": True}, Verdict.FAIL),
    ({"permanent": True, "bad_address": True}, Verdict.SUPPRESS),
    ({"permanent": True, "policy": True}, Verdict.PAUSE),
    ({"permanent": True, "policy": True, "bad_address": True}, Verdict.PAUSE),
    ({"policy": True}, Verdict.RETRY),
    ({"bad_address": True}, Verdict.RETRY),
    ({"in_doubt": True, "connection": True}, Verdict.DOUBT),
]


@pytest.mark.parametrize(("flags", "verdict"), VERDICTS)
def test_a_failure_says_what_to_do(flags: dict[str, bool], verdict: Verdict) -> None:
    assert ChannelError("x", **flags).verdict is verdict  # type: ignore[arg-type]


def test_what_a_channel_cannot_carry_is_refused_loudly() -> None:
    error = Unsupported("sms", "attachments")
    assert (str(error), error.verdict) == ("sms cannot carry attachments", Verdict.FAIL)


def test_channels_are_found_by_name_and_known_to_the_other_rooms() -> None:
    install()
    assert {channel.name for channel in channels()} <= set(channel_kinds())
    assert channel_kinds()["email"].address_kind == "email"
    with pytest.raises(NotFound, match="there is no channel 'pigeon'; there are: email"):
        channel_named("pigeon")


def test_the_twin_can_take_a_channels_place() -> None:
    real, twin = channel_named("email"), MemoryChannel("email")
    try:
        add_channel(twin)
        assert channel_named("email") is twin
    finally:
        add_channel(real)
