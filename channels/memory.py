"""The in-memory twin: a channel that keeps what it is given. For previews, demos and tests of whoever sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from channels.contract import WITHHELD, Allowed, Capabilities, ChannelError, Common, Personal, Sent
from runtime.settings import Settings


@dataclass(frozen=True)
class MemoryConfig:
    connections: int = 4
    idle: float = 20.0


@dataclass(frozen=True)
class MemoryMessage:
    """What was handed over, as it was composed."""

    common: Common
    personal: Personal

    @property
    def key(self) -> str:
        return self.personal.key

    @property
    def to(self) -> str:
        return self.personal.to


class MemoryChannel:
    """`sent` holds the messages taken over, in order; an address in `refusals` is refused with that error instead."""

    def __init__(
        self, name: str = "memory", address_kind: str = "email", capabilities: Capabilities | None = None
    ) -> None:
        self.name = name
        self.address_kind = address_kind
        self.capabilities = capabilities or Capabilities(
            subject=True, html=True, one_click_unsubscribe=True, resend_in_doubt=True, commit_before_submit=False
        )
        self.sent: list[MemoryMessage] = []
        self.refusals: dict[str, ChannelError] = {}

    def configure(self, settings: Settings) -> MemoryConfig:
        return MemoryConfig()

    def composer(self, common: Common) -> MemoryComposer:
        return MemoryComposer(common)

    @asynccontextmanager
    async def open(self, config: MemoryConfig) -> AsyncIterator[MemorySender]:
        yield MemorySender(self)


@dataclass(frozen=True)
class MemoryComposer:
    common: Common

    def compose(self, personal: Personal) -> MemoryMessage:
        if any(sign in personal.to for sign in "\r\n\0"):
            raise ChannelError(f"{personal.to!r} is not an address", permanent=True, bad_address=True)
        return MemoryMessage(self.common, personal)


class MemorySender:
    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel

    async def send(
        self, outgoing: MemoryMessage, allowed: Allowed | None = None, following: MemoryMessage | None = None
    ) -> Sent:
        refusal = self._channel.refusals.get(outgoing.to)
        if refusal is not None and not refusal.in_doubt:
            raise refusal
        if allowed is not None and not await allowed():
            return WITHHELD
        self._channel.sent.append(outgoing)
        if refusal is not None:
            raise refusal
        return Sent(accepted=True, provider_id=outgoing.key, reply="kept in memory")
