"""What the dealer's marketer set up: segments by RULES.md and campaigns as `POST /campaigns` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from demo.market import BRANDS
from demo.people import ZONE

MAILS = Path(__file__).parent / "mails"
SENDER = "长安家电 <service@changan.example>"

OLD_AIR_CONDITIONERS = "Air conditioners older than 8 years (空调超 8 年)"
FILTERS_DUE = "Water filter due within 60 days (滤芯到期)"
BEST_CUSTOMERS = "Best customers by RFM (高价值客户)"
WARRANTY_ENDS = "Warranty ends within 30 days (即将过保)"


def _is(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


def _owns(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"has": "appliances", "where": {"all": [_is("status", "eq", "in_use"), *conditions]}}


SEGMENTS: Mapping[str, dict[str, Any]] = {
    OLD_AIR_CONDITIONERS: _owns(_is("category", "eq", "air_conditioner"), _is("installed_on", "older_than", "P8Y")),
    FILTERS_DUE: _owns(_is("category", "eq", "water_purifier"), _is("next_consumable_due_on", "within_next", "P60D")),
    BEST_CUSTOMERS: {"all": [_is("rfm.monetary", "gte", 4), _is("rfm.recency", "gte", 4)]},
    WARRANTY_ENDS: _owns(_is("warranty_until", "within_next", "P30D")),
    "Lapsed: nothing bought for two years (沉睡客户)": {
        "all": [_is("orders_count", "gte", 1), _is("last_order_at", "not_within_last", "P2Y")]
    },
    "Unhappy with a repair in the last year (维修不满意)": {
        "has": "service_visits",
        "where": {
            "all": [
                _is("kind", "eq", "repair"),
                _is("satisfaction", "lte", 3),
                _is("completed_at", "within_last", "P1Y"),
            ]
        },
    },
    "Birthday within two weeks (近期生日)": _is("birthday", "anniversary_within_next", "P14D"),
}


@dataclass(frozen=True)
class Plan:
    """A campaign of the demo. `launched`: it is started; `played`: its recipients then open, click and order
    what is sold for the category `sells`."""

    name: str
    segment: str
    subject: str
    content: Mapping[str, str]
    schedule: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    launched: bool = True
    played: bool = False
    sells: str = ""

    def body(self, segment_id: int) -> dict[str, Any]:
        """The body of `POST /campaigns`."""
        return {
            "name": self.name,
            "channel": "email",
            "segment_id": segment_id,
            "from": SENDER,
            "content": {"subject": self.subject, **self.content},
            "schedule": None if self.schedule is None else dict(self.schedule),
            "options": dict(self.options),
        }


TRADE_IN = "Air-conditioner trade-in (空调以旧换新)"
FILTER_CHANGE = "Water filter reminder (滤芯更换提醒)"
YEARS = '{{ today | date("yyyy") | int - appliance.installed_on | date("yyyy") | int }}'


def plans(now: datetime) -> list[Plan]:
    """The campaigns, in the order in which they are started; the last that is played is the one that is reported."""
    return [
        Plan(
            FILTER_CHANGE,
            FILTERS_DUE,
            "{{ customer.name }}，您家净水器的滤芯快到期了",
            {"html": _mail("filter_change.html")},
            played=True,
            sells="water_purifier",
        ),
        Plan(
            TRADE_IN,
            OLD_AIR_CONDITIONERS,
            f"{{{{ customer.name }}}}，您家的{_brand()}空调用了约 {YEARS} 年，旧机最高抵 800 元",
            {"mjml": _mail("trade_in.mjml")},
            options={"holdout_percent": 2},
            played=True,
            sells="air_conditioner",
        ),
        Plan(
            "Warranty ends, every month (保修到期提醒)",
            WARRANTY_ENDS,
            f"{{{{ customer.name }}}}，您家的{_brand()}{{{{ appliance.model }}}}即将过保，免费检查一次",
            {"html": _mail("warranty.html")},
            schedule={"cron": "0 10 1 * *", "timezone": str(ZONE)},
        ),
        Plan(
            "Double Twelve for best customers (双十二老客户专享)",
            BEST_CUSTOMERS,
            "{{ customer.name }}，双十二老客户先选",
            {"html": _mail("best_customers.html")},
            schedule={"at": _in_days(now, 14).isoformat()},
            launched=False,
        ),
    ]


def _mail(name: str) -> str:
    return (MAILS / name).read_text(encoding="utf-8").replace("[[AGE]]", YEARS).replace("[[BRAND]]", _brand())


def _brand() -> str:
    """The appliance's brand as Chinese customers call it."""
    names = {brand: one.zh for brand, one in BRANDS.items() if brand != one.zh}
    swaps = "".join(f' | replace("{brand}", "{zh}")' for brand, zh in names.items())
    return f"{{{{ appliance.brand{swaps} }}}}"


def _in_days(now: datetime, days: int) -> datetime:
    return datetime.combine((now.astimezone(ZONE) + timedelta(days=days)).date(), time(10), ZONE)
