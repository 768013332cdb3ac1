"""The contract of a channel: what it takes, what it answers, and how it says no.

A channel is a pure sender. It knows nothing of customers or campaigns, and nobody outside this room asks which
channel it is: what differs between channels is said by `Capabilities`. How to add one: ADDING.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from runtime.errors import HearthError
from runtime.settings import Settings

# Asked at the last moment before a message cannot be taken back (for e-mail: before the final dot).
Allowed = Callable[[], Awaitable[bool]]


class EventKind(StrEnum):
    """What can come of a message, in one vocabulary for all channels; what a provider says besides is UNKNOWN, its
    raw kept."""

    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    REPLIED = "replied"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What the sender of a message has to do about a failure."""

    RETRY = "retry"  # nothing was taken over; try again later
    DOUBT = "doubt"  # it may have been taken over: see Capabilities.resend_in_doubt
    SUPPRESS = "suppress"  # the address does not exist: never write to it again
    PAUSE = "pause"  # the server refuses us or this campaign, not the person: stop and tell a human
    FAIL = "fail"  # this message will never go


class ChannelError(HearthError):
    """A message was not taken over (or it is not known); says whether trying again may help, and whose fault it is.

    `text` is the server's or provider's own words where there are any. `permanent`: trying again is pointless.
    `bad_address`: the recipient does not exist. `policy`: the refusal is about the sender, the content or the
    account. `in_doubt`: the answer never came after the point of no return. `connection`: about the link and not
    about this message (others behind it would meet the same). `about_recipient`: said once the recipient was named,
    so others at the same provider may meet the same. `retry_after`: seconds that the other side asks to wait. `code`
    and `status`: its codes (SMTP 550, "5.1.1").
    """

    def __init__(
        self,
        text: str,
        *,
        permanent: bool = False,
        bad_address: bool = False,
        policy: bool = False,
        in_doubt: bool = False,
        connection: bool = False,
        about_recipient: bool = False,
        retry_after: float | None = None,
        code: int | None = None,
        status: str | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.permanent = permanent
        self.bad_address = bad_address
        self.policy = policy
        self.in_doubt = in_doubt
        self.connection = connection
        self.about_recipient = about_recipient
        self.retry_after = retry_after
        self.code = code
        self.status = status

    @property
    def verdict(self) -> Verdict:
        """The one thing to do about it."""
        if self.in_doubt:
            return Verdict.DOUBT
        if self.policy and self.permanent:
            return Verdict.PAUSE
        if self.bad_address and self.permanent:
            return Verdict.SUPPRESS
        return Verdict.FAIL if self.permanent else Verdict.RETRY


class Unsupported(ChannelError):
    """The channel cannot carry this; refused loudly rather than dropped."""

    def __init__(self, channel: str, thing: str) -> None:
        super().__init__(f"{channel} cannot carry {thing}", permanent=True)
        self.channel = channel
        self.thing = thing


@dataclass(frozen=True)
class Capabilities:
    """What a channel can carry, what it reports, and how a sender must treat it.

    `resend_in_doubt`: when the answer never came, the message may be submitted once more under the same key (the
    receiving side recognises it, or a duplicate is bearable); otherwise it is held for a person.
    `commit_before_submit`: the state `sending` must be committed before a message is handed over, since it is never
    handed over twice.
    """

    subject: bool = False
    html: bool = False
    attachments: bool = False
    buttons: bool = False
    media: bool = False
    approved_templates: bool = False
    delivery_receipts: bool = False
    read_receipts: bool = False
    replies: bool = False
    one_click_unsubscribe: bool = False
    resend_in_doubt: bool = False
    commit_before_submit: bool = True


@dataclass(frozen=True)
class Common:
    """What all messages of one run share. `sender` is the channel's kind of sender (`Name <address>`, a number, an
    account).

    `label` names the run to providers and feedback loops (`campaign.run.workspace`; letters, digits, `.`, `-`, `_`,
    `:`). `headers` are further fixed headers, for channels that have such. `reporters`: providers that report of the
    messages, and find each by its key in a form of their own.
    """

    sender: str
    label: str = ""
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reporters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Text as a mail carries it, made once: UTF-8 in CRLF lines, no bare CR or LF, no NUL. `str()` gives the text.
    `settled`: known to have no line that begins with a dot or with `--=`, and none of more than 998 bytes."""

    raw: bytes
    settled: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, text: str) -> Lines:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        raw = text.encode("utf-8", "replace").replace(b"\n", b"\r\n")
        return cls(raw.replace(b"\0", b"") if b"\0" in raw else raw)

    def __str__(self) -> str:
        return self.raw.decode().replace("\r\n", "\n")


class Personal(NamedTuple):
    """What is this recipient's alone. A text may come as Lines, for channels that send such; `str()` gives its text.

    `key` is stable across retries (letters, digits, `.`, `-`, `_`) and becomes the message's identity at the receiving
    side; `at` (aware) is when it was first due, stable as well; `return_to` is the address for bounces.
    """

    key: str
    to: str
    text: str | Lines
    at: datetime
    name: str = ""
    subject: str = ""
    html: str | Lines | None = None
    unsubscribe_url: str | None = None
    return_to: str | None = None


class Outgoing(Protocol):
    """A ready envelope, made by the channel's own composer for the channel's own sender; opaque to everybody else."""

    @property
    def key(self) -> str: ...

    @property
    def to(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel's answer. `accepted` False means that `allowed` said no: nothing left, nothing is wrong.

    `provider_id` is the id under which later events will speak of the message, `reply` the other side's words.
    """

    accepted: bool
    provider_id: str | None = None
    reply: str = ""


WITHHELD = Sent(accepted=False)


class ChannelConfig(Protocol):
    """How to reach the other side; its `repr` shows no secret. `connections` is how many senders may work at once,
    `idle` for how many seconds one is kept that nobody needs."""

    @property
    def connections(self) -> int: ...

    @property
    def idle(self) -> float: ...


class Composer(Protocol):
    """Built once a run; per recipient it only joins."""

    def compose(self, personal: Personal) -> Outgoing:
        """The envelope of one message. Raises ChannelError (permanent) for an address or content that can never go."""
        ...


class Sender(Protocol):
    """One connection, one message at a time; not for concurrent use."""

    async def send(self, outgoing: Any, allowed: Allowed | None = None, following: Any | None = None) -> Sent:
        """Hand one message over; returns once the other side has taken it over.

        `allowed` is awaited right before the point of no return. `following` is what this sender will be given next,
        so that it can be announced on the way; nothing of it is beyond recall, and what goes wrong with it is raised
        by its own call. A channel that cannot announce takes no notice. Raises ChannelError; afterwards the sender is
        usable again (it reconnects by itself).
        """
        ...


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str: ...

    @property
    def address_kind(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def configure(self, settings: Settings) -> Any:
        """The channel's configuration from the workspace's settings. Raises BadSetting naming the setting."""
        ...

    def composer(self, common: Common) -> Composer:
        """Raises Invalid where `common` cannot be used (a sender address that is none)."""
        ...

    def open(self, config: Any) -> AbstractAsyncContextManager[Sender]:
        """A sender that connects when first used and says good-bye on leaving."""
        ...
