"""One person's message: rendered from the snapshot, composed for the channel."""

from __future__ import annotations

from functools import partial

from campaigns.content import MessageLinks
from campaigns.dispatch.work import Run
from campaigns.people import Person
from channels.contract import Common, Outgoing, Personal
from runtime.house import House
from runtime.signing import Mac
from tracking.ledger import Due, MessageKey
from tracking.return_paths import ReturnPaths
from tracking.tokens import MessageUrls

_KEY_BYTES = 16


def stable_key(mac: Mac, key: MessageKey) -> str:
    """The message's identity at the receiving side, the same at every attempt; nobody else can compute it."""
    ids = f"{key.customer_id}:{key.run_id}:{key.step}".encode()
    return mac.digest(ids)[:_KEY_BYTES].hex()


def message_links(urls: MessageUrls, offset: int = 0) -> MessageLinks:
    """The tracked addresses of one message, for its rendering; `offset`: where its edition's links begin."""
    return MessageLinks(
        clicks=partial(urls.clicks, first=offset),
        pixel=urls.open,
        unsubscribe=urls.unsubscribe,
        preferences=urls.preferences,
        view=urls.view,
    )


class Writer:
    """Made once a batch; raises Invalid where the run's sender cannot be used."""

    def __init__(self, house: House, run: Run, secret: bytes) -> None:
        self._house = house
        self._editions = run.editions
        self._mac = Mac(secret)
        self._returns = ReturnPaths.of(house)
        label = f"{run.campaign_id}.{run.id}.{house.signer.fingerprints[-1]}"
        reporters = tuple(name for name, _ in house.settings.hook_secrets)
        self._composers = {
            sender: run.channel.composer(Common(sender=sender or run.sender, label=label, reporters=reporters))
            for sender in {edition.sender for edition in run.editions.all}
        }

    def letter(self, message: Due, person: Person) -> Outgoing:
        """Raises RenderFailed, or ChannelError for an address or content that can never go."""
        urls = MessageUrls(self._house.signer, self._house.settings.public_url, message.key)
        edition = self._editions.of(message.variant)
        written = edition.content.write(person, message_links(urls, edition.offset))
        return self._composers[edition.sender].compose(
            Personal(
                key=stable_key(self._mac, message.key)
                if self._returns is None
                else self._returns.mail_key(message.key),
                to=message.address,
                text=written.text,
                at=message.created_at,
                name=(person["customer"] or {}).get("name") or "",
                subject=written.subject,
                html=written.html,
                unsubscribe_url=urls.unsubscribe,
                return_to=None if self._returns is None else self._returns.address(message.key),
            )
        )
