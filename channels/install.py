"""Tell the other rooms which channels there are and which kind of address each needs."""

from __future__ import annotations

from channels.registry import channels
from runtime.registry import ChannelKind, register_channel


def install() -> None:
    """Register every channel; may run twice."""
    for channel in channels():
        register_channel(ChannelKind(channel.name, channel.address_kind))
