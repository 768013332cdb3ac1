"""What a template may name (DESIGN.md, "What a template sees")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Value:
    """A single value: text, number, date."""


@dataclass(frozen=True)
class Record:
    """A thing with named parts; where it is `open` any name may stand (the customer's own attributes)."""

    parts: Mapping[str, Shape]
    open: bool = False


@dataclass(frozen=True)
class Listing:
    """Several things of one shape, for loops."""

    item: Shape


Shape = Value | Record | Listing
VALUE = Value()


def words(text: str) -> list[str]:
    """The blank-separated words of a list that is easier read as a text."""
    return text.split()


def _values(names: str) -> dict[str, Shape]:
    return dict.fromkeys(words(names), VALUE)


APPLIANCE = Record(
    _values(
        "number category brand model serial status source power_watts repairs_count purchased_on installed_on"
        " warranty_until expires_on next_consumable_due_on"
    )
)
ORDER_ITEM = Record(_values("sku name brand category quantity price amount"))
ORDER = Record(
    {
        **_values("number platform status amount refunded margin ordered_at delivered_at"),
        "items": Listing(ORDER_ITEM),
    }
)
CUSTOMER = _values(
    "external_id name email phone gender city district address community platform language timezone dealer salesperson"
    " household_size engagement_score orders_count total_spent average_order_value gross_margin order_gap_days birthday"
    " created_at first_order_at last_order_at next_order_expected_at last_opened_at last_clicked_at last_contacted_at"
    " last_replied_at last_rating last_rated_at nps_group"
)
LINKS = Record(_values("unsubscribe preferences view"))


def shapes(attributes: Collection[str] | None = None) -> dict[str, Shape]:
    """Everything by its first name. `attributes`: the keys that `customer.attributes` may have, None for any."""
    own = Record(dict.fromkeys(attributes or (), VALUE), open=attributes is None)
    customer = {
        **CUSTOMER,
        "tags": Listing(VALUE),
        "attributes": own,
        "rfm": Record(_values("recency frequency monetary")),
    }
    return {
        "customer": Record(customer),
        "salesperson": Record(_values("code name phone email")),
        "dealer": Record(_values("code name phone")),
        "household": Record(_values("size address community")),
        "appliance": APPLIANCE,
        "appliances": Listing(APPLIANCE),
        "order": ORDER,
        "orders": Listing(ORDER),
        "campaign": Record(_values("name")),
        "today": VALUE,
        "links": LINKS,
    }


def suggestion(name: str, known: Collection[str]) -> str:
    """`; did you mean …?` for a name that nearly is a known one, else the empty text."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
