"""The report of a week or month to those who asked for it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from campaigns.programme import Programme
from customers.growth import Growth
from runtime.settings import Settings
from web.i18n import current_language

LOCALES = {"en": "en", "zh": "zh_Hans_CN"}


def context(settings: Settings, start: date, end: date, found: Programme, base: Growth, every: str) -> dict[str, Any]:
    """Numbers ready to be read, in the language in use; `end` is the first day after the period."""
    locale = LOCALES[current_language()]

    def money(amount: Decimal) -> str:
        return str(format_currency(amount, settings.currency, locale=locale))

    def number(value: int | Decimal) -> str:
        return str(format_decimal(value, locale=locale))

    def percent(share: float | None) -> str:
        return "–" if share is None else str(format_percent(share, format="#,##0.##%", locale=locale))

    def day(value: date) -> str:
        return str(format_date(value, "medium", locale=locale))

    return {
        "every": every,
        "begins": day(start),
        "ends": day(end - timedelta(days=1)),
        "found": found,
        "whole": found.whole,
        "month": base.months[-2],
        "base": base,
        "url": f"{settings.public_url}/reports",
        "money": money,
        "number": number,
        "percent": percent,
    }
