"""Reports of Postmark, which signs nothing: a password that only it and we know, then its own words.

The secret is `user:password`, as it stands in the address pasted at Postmark (`https://user:password@…`), or the value
of a header `X-Hearth-Secret` that is added there. Postmark gives a mail its own id and return path; what names our
message is the metadata `hearth`, from the mail's header `X-PM-Metadata-hearth`.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping

from channels.contract import EventKind
from channels.email.returns import BounceClass

_KINDS = {
    "Delivery": EventKind.DELIVERED,
    "Bounce": EventKind.BOUNCED,
    "SpamComplaint": EventKind.COMPLAINED,
    "SubscriptionChange": EventKind.UNSUBSCRIBED,
}
# Of bounce types (Postmark's Bounce API): what is final and needs no words. Those that are missing (Transient,
# DnsError, AutoResponder, Subscribe …) are no failure of this mail, or not yet.
_CLASSES = {
    "HardBounce": BounceClass.HARD,
    "BadEmailAddress": BounceClass.HARD,
    "SoftBounce": BounceClass.SOFT,
    "Blocked": BounceClass.POLICY,
    "DMARCPolicy": BounceClass.POLICY,
    "ManuallyDeactivated": BounceClass.POLICY,
    "SpamNotification": BounceClass.CONTENT,
    "VirusNotification": BounceClass.CONTENT,
    "SMTPApiError": BounceClass.POLICY,
}


def knows_password(secret: str, headers: Mapping[str, str]) -> bool:
    basic = b"Basic " + b64encode(secret.encode())
    given, header = headers.get("authorization", "").encode(), headers.get("x-hearth-secret", "").encode()
    return hmac.compare_digest(basic, given) | hmac.compare_digest(secret.encode(), header)


def postmark_kind(record: str, kind: str, *, suppresses: bool, reason: str) -> tuple[EventKind, BounceClass | None]:
    """Of `RecordType`, `Type`, `SuppressSending`, `SuppressionReason`; the class of a bounce. A suppression that
    follows from a bounce or complaint is reported on its own too, so only what a person chose counts as leaving."""
    event = _KINDS.get(record, EventKind.UNKNOWN)
    if event is EventKind.BOUNCED:
        found = _CLASSES.get(kind)
        return (event, found) if found else (EventKind.UNKNOWN, None)
    if event is EventKind.UNSUBSCRIBED and not (suppresses and reason == "ManualSuppression"):
        event = EventKind.UNKNOWN
    return event, None
