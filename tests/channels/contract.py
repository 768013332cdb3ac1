"""The promises of every channel, to inherit: `class TestSms(ChannelContract)`, and give the fixtures of your
channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.contract import Capabilities, Channel, ChannelError, Common, Personal, Sent, Verdict
from channels.places import Guest
from channels.pool import SenderPool
from runtime.settings import load_settings


class ChannelContract:
    """`far_side` gives a configuration whose other side takes everything over; `taken` what it took, in order, as
    keys."""

    channel: Channel
    sender = "Hearth <hearth@example.com>"
    addresses = ("a@example.com", "b@example.com")
    bad_address = "no address\r\nat all"

    @asynccontextmanager
    async def far_side(self) -> AsyncIterator[Any]:
        raise AssertionError("give your channel's other side")
        yield

    def taken(self) -> list[str]:
        raise AssertionError("say what the other side took")

    def personal(self, number: int = 0, **changes: Any) -> Personal:
        values = {"key": f"k{number}", "to": self.addresses[number % 2], "text": "Hello", "at": AT, **changes}
        return Personal(**values)

    def outgoing(self, number: int = 0, **changes: Any) -> Any:
        return self.channel.composer(Common(sender=self.sender, label="c.r.w")).compose(
            self.personal(number, **changes)
        )

    def test_it_says_what_it_is(self) -> None:
        assert self.channel.name
        assert self.channel.address_kind
        assert isinstance(self.channel.capabilities, Capabilities)

    def test_its_configuration_says_how_many_may_work_at_once(self) -> None:
        environ = {"HEARTH_SECRET_KEY": "x" * 32}
        assert self.channel.configure(load_settings(environ)).connections >= 1

    def test_an_envelope_carries_key_and_address(self) -> None:
        outgoing = self.outgoing(1)
        assert (outgoing.key, outgoing.to) == ("k1", self.addresses[1])

    def test_a_bad_address_is_refused_for_good_before_anything_is_sent(self) -> None:
        with pytest.raises(ChannelError) as caught:
            self.outgoing(to=self.bad_address)
        assert caught.value.verdict is Verdict.SUPPRESS

    async def test_messages_are_taken_over_one_by_one(self) -> None:
        async with self.far_side() as config, self.channel.open(config) as sender:
            for number in range(5):
                sent = await sender.send(self.outgoing(number))
                assert isinstance(sent, Sent)
                assert sent.accepted
                assert self.taken() == [f"k{before}" for before in range(number + 1)]

    async def test_what_is_not_allowed_any_more_does_not_leave(self) -> None:
        async with self.far_side() as config, self.channel.open(config) as sender:
            assert not (await sender.send(self.outgoing(0), no)).accepted
            assert self.taken() == []
            assert (await sender.send(self.outgoing(1), yes)).accepted
            assert self.taken() == ["k1"]

    async def test_a_sender_that_is_never_used_connects_nowhere(self) -> None:
        async with self.far_side() as config:
            async with self.channel.open(config):
                pass
            assert self.taken() == []

    async def test_senders_are_kept_in_a_pool(self) -> None:
        async with self.far_side() as config:
            pool = SenderPool(self.channel, config)
            async with pool.borrow(Guest()) as first:
                await first.send(self.outgoing(0))
            async with pool.borrow(Guest()) as second, pool.borrow(Guest()) as third:
                assert second is first
                assert third is not first
                await third.send(self.outgoing(1))
            await pool.close()
            assert self.taken() == ["k0", "k1"]


AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


async def no() -> bool:
    return False


async def yes() -> bool:
    return True
