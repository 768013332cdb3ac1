"""How a provider is told the key of a mail that goes out through its SMTP, in the header that it gives back with every
report. Most providers put a Message-ID and a return path of their own in place of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

KEY = "{key}"
# What each gives back: Postmark `Metadata.hearth`, SendGrid `hearth` (without it, late bounces name nothing), Mailgun
# `user-variables.hearth`, SES `mail.tags.hearth` where events are published (a configuration set).
HEADERS: Mapping[str, str] = {
    "postmark": "X-PM-Metadata-hearth: {key}\r\n",
    "sendgrid": 'X-SMTPAPI: {"unique_args": {"hearth": "{key}"}}\r\n',
    "mailgun": 'X-Mailgun-Variables: {"hearth": "{key}"}\r\n',
    "ses": "X-SES-MESSAGE-TAGS: hearth={key}\r\n",
}


def mark_headers(reporters: Iterable[str]) -> str | None:
    """Header lines with KEY in them, for the providers that report to us; None where none wants one."""
    return "".join(HEADERS[name] for name in reporters if name in HEADERS) or None
