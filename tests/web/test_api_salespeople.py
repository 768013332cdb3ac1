"""Scores over the API: the parts, the records behind them, and only one's own for a salesperson."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from sqlalchemy import insert

from customers.models import appliances, salespeople
from runtime.clock import utc_now
from runtime.house import House
from tests.tracking.people_with_mail import make_people
from tests.web.conftest import MakeToken


@pytest.fixture
async def team(house: House) -> list[int]:
    """W with two homes, one of them on record; L with none."""
    async with house.database.begin() as conn:
        rows = insert(salespeople).returning(salespeople.c.id)
        found = (await conn.execute(rows, [{"code": "W", "name": "Wang"}, {"code": "L", "name": "Li"}])).scalars()
        people = await make_people(conn, 2, salesperson="W")
        await conn.execute(insert(appliances), {"customer_id": people[0], "number": "A", "created_at": utc_now()})
        return list(found)


async def test_a_score_opens_its_evidence(client: httpx.AsyncClient, token: MakeToken, team: list[int]) -> None:
    client.headers["authorization"] = f"Bearer {await token('analyst')}"
    listed = (await client.get("/api/v1/salespeople")).json()
    assert [(each["code"], each["id"]) for each in listed["items"]] == [("L", team[1]), ("W", team[0])]
    found = (await client.get(f"/api/v1/salespeople/{team[0]}/score")).json()
    coverage = found["parts"][0]
    assert (coverage["name"], Decimal(coverage["value"]), coverage["counted"]) == ("coverage", Decimal("0.5"), 1)
    assert sum(Decimal(part["points"]) for part in found["parts"]) == Decimal(found["score"])
    records = (await client.get(coverage["evidence_url"])).json()
    assert sorted(record["counts"] for record in records["items"]) == [False, True]


async def test_a_salesperson_sees_their_own_alone(client: httpx.AsyncClient, token: MakeToken, team: list[int]) -> None:
    client.headers["authorization"] = f"Bearer {await token('salesperson', 'W')}"
    assert [each["code"] for each in (await client.get("/api/v1/salespeople")).json()["items"]] == ["W"]
    for path in ("score", "score/evidence?part=margin"):
        assert (await client.get(f"/api/v1/salespeople/{team[0]}/{path}")).status_code == 200
        assert (await client.get(f"/api/v1/salespeople/{team[1]}/{path}")).status_code == 404


@pytest.mark.parametrize("query", ["score?period=2026-13", "score/evidence?part=charm", "score/evidence"])
async def test_what_cannot_be_asked_is_refused_by_name(
    client: httpx.AsyncClient, token: MakeToken, team: list[int], query: str
) -> None:
    client.headers["authorization"] = f"Bearer {await token('analyst')}"
    answer = await client.get(f"/api/v1/salespeople/{team[0]}/{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] in ("period", "part")
