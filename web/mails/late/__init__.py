"""The digest of follow-ups that nobody did in time, for the manager of a team."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.settings import Settings

LISTED = 50


def context(settings: Settings, late: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`late`: rows of customer, reason, salesperson and due, as words; the latest first."""
    return {"url": f"{settings.public_url}/follow-ups?state=late", "late": late[:LISTED], "count": len(late)}
