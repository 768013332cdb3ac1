"""Whatever a record holds, the door takes it or refuses it by name; the database never has to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.imports.targets import KINDS
from customers.schemas import (
    APPLIANCE,
    COMMUNITY,
    CUSTOMER,
    DEALER,
    ORDER,
    ORDER_ITEM,
    PRODUCT,
    SALESPERSON,
    SERVICE_VISIT,
    Schema,
)
from tests.customers.door import Door

numbers = st.one_of(st.integers(), st.decimals(-(10**13), 10**13, places=5).map(str), st.floats())
days = st.one_of(st.dates().map(str), st.datetimes().map(str), st.just("2024/3/5 14:30"))
anything = st.one_of(st.none(), st.text(max_size=40), st.text("ﷺ王\u0130ß", min_size=190), numbers, days, st.just("x"))


def record(schema: Schema, **more: Any) -> Any:
    return st.fixed_dictionaries({}, optional={**dict.fromkeys(schema.fields, anything), **more})


pairs = st.lists(st.fixed_dictionaries({"kind": st.sampled_from(["wechat", "email"]), "value": anything}), max_size=3)
attributes = st.dictionaries(st.one_of(st.text(max_size=10), st.sampled_from("abc")), anything, max_size=4)
consents = st.lists(
    st.fixed_dictionaries(
        {"channel": st.sampled_from(["email", "sms"]), "granted": st.booleans()}, optional={"at": days}
    ),
    max_size=3,
)
person = record(
    CUSTOMER, identities=pairs, attributes=attributes, consents=consents, tags=st.lists(anything, max_size=3)
)
owner = st.one_of(st.fixed_dictionaries({"external_id": st.sampled_from("abc")}), person, anything)
RECORDS = {
    "customers": person,
    "orders": record(ORDER, customer=owner, items=st.lists(record(ORDER_ITEM), max_size=4)),
    "appliances": record(APPLIANCE, customer=owner),
    "service_visits": record(SERVICE_VISIT, customer=owner),
    "communities": record(COMMUNITY),
    "dealers": record(DEALER),
    "salespeople": record(SALESPERSON),
    "products": record(PRODUCT),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_any_record_is_taken_or_refused_and_then_the_same_again(door: Door, kind: str, data: Any) -> None:
    records = data.draw(st.lists(RECORDS[kind], max_size=8))
    first = await door(kind, *records)
    assert first.accepted + len(first.rejected) == len(records)
    assert all(reject.problems for reject in first.rejected)
    assert len(first.ids) == first.accepted == first.created + first.updated + first.unchanged
    second = await door(kind, *records)
    assert second.created == 0
    assert [reject.index for reject in second.rejected] == [reject.index for reject in first.rejected]
