"""Compile content once a campaign."""

from __future__ import annotations

from collections.abc import Collection

from campaigns.content.compiled import CompiledContent


def compile_content(
    *,
    subject: str,
    html: str | None = None,
    mjml: str | None = None,
    text: str | None = None,
    language: str = "en",
    currency: str = "CNY",
    timezone: str = "Asia/Shanghai",
    attributes: Collection[str] | None = None,
) -> CompiledContent:
    """Check and compile content; Jinja in subject, body, text and in path and query of links.

    One of `html`, `mjml`, `text` at least; `text` alone makes a plain mail. `language` (BCP 47) is that of dates,
    numbers and the footer; `attributes` the keys that `customer.attributes` may have (None: any). Raises Invalid with
    one Problem per culprit, path `subject`, `html`, `mjml` or `text`, the line in the message.
    """
    raise AssertionError
