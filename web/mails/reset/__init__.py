"""The mail with which somebody who forgot their password chooses a new one."""

from __future__ import annotations

from typing import Any


def context(name: str, url: str, public_url: str) -> dict[str, Any]:
    """`url`: where the new password is chosen, good for one hour and one use."""
    return {"name": name, "url": url, "public_url": public_url}
