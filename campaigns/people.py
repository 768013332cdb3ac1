"""What a template sees of people, loaded for a batch by a handful of statements: only what the content uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    any_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import array_of_ids
from customers.engagement import ENGAGEMENT
from customers.models import (
    activity,
    appliances,
    communities,
    customers,
    dealers,
    households,
    order_items,
    orders,
    salespeople,
)

Person = dict[str, Any]

MOST_RECORDS = 100  # of one person in a loop: the newest orders, the oldest appliances

_CUSTOMER_NAMES = (
    "external_id name email phone gender city district address community platform language timezone dealer salesperson "
    "household_size birthday tags created_at attributes"
)
_ACTIVITY_NAMES = (
    "orders_count total_spent average_order_value gross_margin order_gap_days first_order_at "
    "last_order_at next_order_expected_at last_opened_at last_clicked_at last_contacted_at last_replied_at "
    "last_rating last_rated_at nps_group"
)
_APPLIANCE_NAMES = (
    "number serial category brand model source status power_watts repairs_count purchased_on installed_on "
    "warranty_until expires_on next_consumable_due_on"
)
_ORDER_NAMES = "number platform status ordered_at delivered_at amount refunded margin items_count"
_ITEM_NAMES = "sku name brand category quantity price amount"

Columns = Mapping[str, ColumnElement[Any]]


def _columns(table: Table, names: str) -> Columns:
    return {name: table.c[name] for name in names.split()}


SINGLE: Mapping[str, Columns] = {
    "customer": {
        **_columns(customers, _CUSTOMER_NAMES),
        **_columns(activity, _ACTIVITY_NAMES),
        "engagement_score": ENGAGEMENT.value_sql(activity.c.engaged_until),
        "rfm": func.jsonb_build_object(
            *("recency", activity.c.rfm_recency),
            *("frequency", activity.c.rfm_frequency),
            *("monetary", activity.c.rfm_monetary),
            type_=JSONB,
        ),
    },
    "salesperson": _columns(salespeople, "code name phone email"),
    "dealer": _columns(dealers, "code name phone"),
    "household": {
        "size": customers.c.household_size,
        "address": func.coalesce(households.c.address, customers.c.address),
        "community": func.coalesce(communities.c.name, customers.c.community),
    },
}
"""Groups of which a customer has one, by fields of the template."""

RECORDS: Mapping[str, Columns] = {
    "appliance": _columns(appliances, _APPLIANCE_NAMES),
    "appliances": _columns(appliances, _APPLIANCE_NAMES),
    "order": _columns(orders, _ORDER_NAMES),
    "orders": _columns(orders, _ORDER_NAMES),
}
"""Groups of records: one chosen (singular) or all of them (plural)."""


@dataclass(frozen=True)
class Setting:
    """What is the same for everybody: the campaign's name, today (in the workspace's zone), and which appliances the
    segment's rule matched (a condition over the table `appliances`; None: the rule asks for none)."""

    campaign: str
    today: date
    matched: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class Needs:
    """The fields of a content by group: `{"customer": {"name"}, "appliance": {"brand"}, "order.items": {"sku"}}`."""

    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Collection[str]) -> Needs:
        """From dotted names, as `CompiledContent.fields` has them."""
        groups: dict[str, set[str]] = defaultdict(set)
        for name in fields:
            group, _, rest = name.partition(".")
            if rest.startswith("items"):
                groups[f"{group}.items"].add(rest.removeprefix("items").lstrip("."))
            elif rest:
                groups[group].add(rest.partition(".")[0])
            else:
                groups[group] |= set()
        return cls({group: frozenset(names) for group, names in groups.items()})

    def columns(self, group: str) -> list[ColumnElement[Any]]:
        """The labelled columns of a group that the content uses."""
        known = {**SINGLE, **RECORDS}[group]
        return [known[name].label(name) for name in sorted(self.groups[group]) if name in known]


async def load_people(
    conn: AsyncConnection, ids: Sequence[int], fields: Collection[str], setting: Setting
) -> dict[int, Person]:
    """For each of `ids` the plain values under the names of DESIGN.md ("What a template sees"), missing ones None.

    One statement for the customer with all that there is one of, and one for each kind of records.
    """
    needs = Needs.of(fields)
    people = _blanks(ids, needs, setting)
    await _load_single(conn, people, needs)
    if "appliance" in needs.groups:
        await _load_records(conn, people, "appliance", _chosen_appliance(ids, needs, setting.matched))
    if "appliances" in needs.groups:
        await _load_records(conn, people, "appliances", _all_appliances(ids, needs))
    for group in ("order", "orders"):
        if group in needs.groups or f"{group}.items" in needs.groups:
            await _load_orders(conn, people, needs, group)
    return people


def joined(needs: Needs) -> FromClause:
    """`customers` with the tables of the single groups that are needed."""
    source: FromClause = customers
    if needs.groups.get("customer", frozenset()) & {*_ACTIVITY_NAMES.split(), "engagement_score", "rfm"}:
        source = source.outerjoin(activity, activity.c.customer_id == customers.c.id)
    if "salesperson" in needs.groups:
        source = source.outerjoin(salespeople, salespeople.c.code == customers.c.salesperson)
    if "dealer" in needs.groups:
        source = source.outerjoin(dealers, dealers.c.code == customers.c.dealer)
    if "household" in needs.groups:
        source = source.outerjoin(households, households.c.id == customers.c.household_id)
        source = source.outerjoin(communities, communities.c.code == customers.c.community)
    return source


def first_appliance(matched: ColumnElement[bool] | None) -> tuple[ColumnElement[bool], list[ColumnElement[Any]]]:
    """Which appliances can be the chosen one, and the order in which the first one is: the oldest that the rule
    matched, else the oldest in use."""
    in_use = appliances.c.status == "in_use"
    age = [func.coalesce(appliances.c.installed_on, appliances.c.purchased_on).asc().nulls_last(), appliances.c.number]
    if matched is None:
        return in_use, age
    return or_(matched, in_use), [func.coalesce(matched, False).desc(), *age]


def _blanks(ids: Sequence[int], needs: Needs, setting: Setting) -> dict[int, Person]:
    """People of whom nothing is known."""
    groups = {group.partition(".")[0] for group in needs.groups}
    lists = [group for group in groups if group in RECORDS and _is_list(group)]
    single = dict.fromkeys(group for group in groups if group in SINGLE or (group in RECORDS and not _is_list(group)))
    common = {"campaign": {"name": setting.campaign}, "today": setting.today, **single}
    return {customer_id: {**common, **{group: [] for group in lists}} for customer_id in ids}


def _is_list(group: str) -> bool:
    return group.endswith("s")


async def _load_single(conn: AsyncConnection, people: dict[int, Person], needs: Needs) -> None:
    groups = [group for group in SINGLE if group in needs.groups]
    if not groups:
        return
    columns, named = [customers.c.id.label("id")], []
    for group in groups:
        own = needs.columns(group)
        named.append((group, [column.name for column in own]))
        columns += [column.label(f"{group}.{column.name}") for column in own]
    statement = select(*columns).select_from(joined(needs)).where(customers.c.id == any_(array_of_ids(people)))
    for row in (await conn.execute(statement)).all():
        values = iter(row)
        person = people[next(values)]
        for group, names in named:  # each takes as many values as it has names
            person[group] = dict(zip(names, values, strict=False))


async def _load_records(conn: AsyncConnection, people: dict[int, Person], group: str, statement: Select[Any]) -> None:
    """The records of `statement`, which end with their customer's id."""
    result = await conn.execute(statement)
    names = list(result.keys())[:-1]
    records = ((row[-1], dict(zip(names, row, strict=False))) for row in result.all())
    if _is_list(group):
        for customer_id, record in records:
            people[customer_id][group].append(record)
    else:
        for customer_id, record in records:
            people[customer_id][group] = record


def _chosen_appliance(ids: Sequence[int], needs: Needs, matched: ColumnElement[bool] | None) -> Select[Any]:
    possible, order = first_appliance(matched)
    person = appliances.c.customer_id
    return (
        select(*needs.columns("appliance"), person)
        .where(person == any_(array_of_ids(ids)), possible)
        .ext(distinct_on(person))
        .order_by(person, *order)
    )


def _all_appliances(ids: Sequence[int], needs: Needs) -> Select[Any]:
    _, order = first_appliance(None)
    return _at_most(appliances, needs.columns("appliances"), ids, order, MOST_RECORDS)


async def _load_orders(conn: AsyncConnection, people: dict[int, Person], needs: Needs, group: str) -> None:
    """The latest order or orders, newest first, each with its items where the content uses them."""
    most = MOST_RECORDS if group == "orders" else 1
    newest = [orders.c.ordered_at.desc(), orders.c.number.desc()]
    columns = needs.columns(group) if group in needs.groups else []
    number = orders.c.number.label("_number")
    statement = _at_most(orders, [*columns, number], list(people), newest, most)
    await _load_records(conn, people, group, statement)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for customer_id, person in people.items():
        for order in person[group] if group == "orders" else filter(None, [person[group]]):
            order["items"] = []
            found[customer_id, order.pop("_number")] = order
    if f"{group}.items" in needs.groups and found:
        await _load_items(conn, found, needs.groups[f"{group}.items"])


async def _load_items(
    conn: AsyncConnection, found: Mapping[tuple[int, str], dict[str, Any]], names: Collection[str]
) -> None:
    owner, order = order_items.c.customer_id, order_items.c.order_number
    numbers = literal([key[1] for key in found], ARRAY(Text))
    pairs = func.unnest(array_of_ids([key[0] for key in found]), numbers)
    wanted = pairs.table_valued("customer_id", "number").render_derived()
    statement = (
        select(owner, order, *(order_items.c[name] for name in _ITEM_NAMES.split() if name in names))
        .join(wanted, (wanted.c.customer_id == owner) & (wanted.c.number == order))
        .order_by(owner, order, order_items.c.position)
    )
    result = await conn.execute(statement)
    shown = list(result.keys())[2:]
    for customer_id, number, *values in result.all():
        found[customer_id, number]["items"].append(dict(zip(shown, values, strict=True)))


def _at_most(
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    ids: Sequence[int],
    order: Sequence[ColumnElement[Any]],
    most: int,
) -> Select[Any]:
    """The first `most` records of each person in `order`; the person comes last."""
    person = table.c.customer_id
    place = func.row_number().over(partition_by=person, order_by=order)
    ranked = select(*columns, person, place.label("_place")).where(person == any_(array_of_ids(ids))).subquery()
    kept = [column for column in ranked.c if column.name != "_place"]
    return select(*kept).where(ranked.c._place <= most).order_by(ranked.c.customer_id, ranked.c._place)
