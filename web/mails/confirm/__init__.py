"""The mail by which somebody who signed up confirms that it was them."""

from __future__ import annotations

from typing import Any


def context(sender: str, title: str, url: str) -> dict[str, Any]:
    """`sender`: the name under which they know the firm; `title`: of the form; `url`: where it is confirmed."""
    return {"sender": sender, "title": title, "url": url}
