"""The channels there are: one line each."""

from __future__ import annotations

from channels.contract import Channel
from channels.email.channel import EmailChannel
from runtime.errors import NotFound

_CHANNELS: dict[str, Channel] = {}


def add_channel(channel: Channel) -> None:
    """Make a channel known; the same name again replaces it (tests put the in-memory twin in its place)."""
    _CHANNELS[channel.name] = channel


def channel_named(name: str) -> Channel:
    """The channel of that name. Raises NotFound listing those there are."""
    try:
        return _CHANNELS[name]
    except KeyError:
        raise NotFound(f"there is no channel {name!r}; there are: {', '.join(sorted(_CHANNELS))}") from None


def channels() -> list[Channel]:
    return list(_CHANNELS.values())


add_channel(EmailChannel())
