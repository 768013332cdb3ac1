"""What the segment builder says, and how it orders and begins what can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.registry import Kind
from web.i18n import N_

REACH = N_("How they can be reached")

SUBJECTS: Mapping[str, Sequence[str]] = {
    N_("Where they live"): ("city", "district", "community", "address", "timezone"),
    N_("Who they are"): (
        *("name", "gender", "birthday", "household_size", "language", "tags", "created_at", "external_id"),
    ),
    N_("What they bought"): (
        *("last_order_at", "first_order_at", "orders_count", "total_spent", "average_order_value", "gross_margin"),
        *(
            "order_gap_days",
            "next_order_expected_at",
            "chance_active",
            "orders_expected",
            "rfm.recency",
            "rfm.frequency",
            "rfm.monetary",
        ),
    ),
    N_("What they do with messages"): (
        *("engagement_score", "last_contacted_at", "last_opened_at", "last_clicked_at", "last_replied_at"),
    ),
    N_("How satisfied they are"): ("last_rating", "last_rated_at", "nps_group"),
    REACH: ("email", "phone"),
    N_("Who looks after them"): ("salesperson", "dealer", "platform"),
}

VERBS: Mapping[str, str] = {
    "orders": N_("Placed orders"),
    "order_items": N_("Bought items"),
    "appliances": N_("Owns appliances"),
    "service_visits": N_("Had service visits"),
    "messages": N_("Received messages"),
    "events": N_("Opened, clicked, replied …"),
    "consents": N_("Gave or refused consent"),
    "ratings": N_("Answered surveys"),
}

MONEY = frozenset(
    {
        *("total_spent", "average_order_value", "gross_margin", "amount", "refunded", "margin", "price", "cost"),
    }
)
UNITS: Mapping[str, str] = {
    "power_watts": N_("watts"),
    "household_size": N_("people"),
    "order_gap_days": N_("days"),
}

FIRST = frozenset({"in", "not_in", "gte", "lte", "older_than", "within_last", "not_within_last", "within_next"})
"""Comparisons that stand first in a menu, in the order of RULES.md."""

KIND_DEFAULTS: Mapping[Kind, Sequence[object]] = {
    Kind.TEXT: ("in",),
    Kind.CODE: ("in",),
    Kind.NUMBER: ("gte",),
    Kind.RANK: ("gte", 4),
    Kind.DATE: ("within_last", "P90D"),
    Kind.INSTANT: ("within_last", "P90D"),
    Kind.YES_NO: ("is", True),
    Kind.LIST: ("has_any",),
}
DEFAULTS: Mapping[str, Sequence[object]] = {
    "birthday": ("anniversary_within_next", "P30D"),
    "installed_on": ("older_than", "P8Y"),
    "purchased_on": ("older_than", "P5Y"),
    "warranty_until": ("within_next", "P30D"),
    "expires_on": ("within_next", "P90D"),
    "next_consumable_due_on": ("within_next", "P14D"),
    "next_order_expected_at": ("within_next", "P30D"),
    "last_order_at": ("not_within_last", "P180D"),
    "last_contacted_at": ("not_within_last", "P90D"),
    "name": ("contains",),
    "address": ("contains",),
    "email": ("ends_with",),
    "phone": ("starts_with",),
}
"""The comparison that a new condition on a field begins with, and its value."""

BUILDER_WORDS: Mapping[str, str] = {
    "all": N_("All of these hold"),
    "any": N_("Any of these holds"),
    "none": N_("None of these holds"),
    "where_all": N_("of which all of these hold"),
    "where_any": N_("of which any of these holds"),
    "where_none": N_("of which none of these holds"),
    "joint_all": N_("and"),
    "joint_any": N_("or"),
    "joint_none": N_("nor"),
    "joint_none_first": N_("neither"),
    "group_kind": N_("How the conditions are joined"),
    "group": N_("Group"),
    "condition": N_("Condition"),
    "add_field": N_("Add condition"),
    "add_condition": N_("Add detail"),
    "add_group": N_("Group"),
    "search": N_("Search"),
    "search_fields": N_("What is it about?"),
    "search_records": N_("What they have or did"),
    "has_group": N_("What they own, bought or did"),
    "more_group": N_("Segments, lists, chance"),
    "recent_group": N_("Used last"),
    "nothing_found": N_("Nothing found"),
    "choose": N_("Choose …"),
    "choose_or_type": N_("Choose or type"),
    "type_value": N_("Type a value"),
    "unknown_value": N_("Your data does not hold “%(value)s”."),
    "did_you_mean": N_("Did you mean:"),
    "there_is": N_("It holds, for instance:"),
    "another": N_("another"),
    "remove_value": N_("Remove %(value)s"),
    "more": N_("More"),
    "move_up": N_("Move up"),
    "move_down": N_("Move down"),
    "duplicate": N_("Duplicate"),
    "wrap": N_("Put into a group"),
    "unwrap": N_("Dissolve the group"),
    "remove": N_("Remove"),
    "drag": N_("Drag to move"),
    "undo": N_("Undo"),
    "said_move": N_("Moved."),
    "said_move_up": N_("Moved up."),
    "said_move_down": N_("Moved down."),
    "said_duplicate": N_("Duplicated."),
    "said_wrap": N_("Put into a group."),
    "said_unwrap": N_("Group dissolved."),
    "said_remove": N_("Removed."),
    "in_segment": N_("Belongs to the segment"),
    "in_audience": N_("Is on the uploaded list"),
    "bucket": N_("Permanent bucket (0 to 9999)"),
    "from": N_("from"),
    "to": N_("to"),
    "field": N_("Field"),
    "operator": N_("Comparison"),
    "measure": N_("How many"),
    "unit": N_("Unit"),
    "exists": N_("at least one"),
    "no_such": N_("none"),
    "count": N_("number of them"),
    "sum": N_("sum of"),
    "avg": N_("average of"),
    "min": N_("smallest"),
    "max": N_("largest"),
    "yes": N_("yes"),
    "no": N_("no"),
    "and": N_("and"),
    "D": N_("days"),
    "W": N_("weeks"),
    "M": N_("months"),
    "Y": N_("years"),
    "H": N_("hours"),
    "rank_low": N_("%(rank)s (lowest)"),
    "rank_high": N_("%(rank)s (best)"),
    "empty_group": N_("No conditions yet: add one below."),
    "empty_rule": N_("Everyone belongs so far. Add a condition to narrow it down."),
    "wants_value": N_("Choose or type a value."),
    "wants_whole": N_("Enter a whole number from %(low)s to %(high)s."),
    "wants_number": N_("Enter a number."),
    "wants_condition": N_("Add a condition, or remove the group."),
    "one_unfinished": N_("One condition waits to be finished and is not counted yet."),
    "unfinished": N_("%(count)s conditions wait to be finished and are not counted yet."),
    "between_estimating": N_("between %(low)s and %(high)s, estimating …"),
    "share_of": N_("%(share)s of %(everyone)s"),
    "took": N_("counted in %(ms)s ms"),
    "not_countable": N_("A condition needs another look."),
    "no_answer": N_("No answer. Change the rule to ask again."),
    "funnel_left": N_("%(count)s left"),
    "funnel_in": N_("%(count)s so far"),
    "funnel_hint": N_("%(share)s of all customers. This condition alone: %(alone)s. Without it: %(without)s."),
    "not_json": N_("This is not JSON: %(reason)s"),
    "not_a_rule": N_("This is not a rule."),
}
