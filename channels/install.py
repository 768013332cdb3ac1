"""Tell the other rooms which channels there are, which kind of address each needs, and what it is set up with."""

from __future__ import annotations

from channels.email.returns.mailbox_config import mailbox_of
from channels.registry import channels
from runtime.registry import ChannelKind, register_channel, register_configuration


def install() -> None:
    """Register every channel, and that its settings are read at the start; may run twice."""
    for channel in channels():
        register_channel(ChannelKind(channel.name, channel.address_kind))
        register_configuration(f"channel {channel.name}", channel.configure)
    register_configuration("mailbox of returns", mailbox_of)
