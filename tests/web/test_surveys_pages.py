"""The results page, its CSV, and the list of the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

from customers.ratings import About, Answer, Asked, How, comment_rating, record_rating
from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, put, text_of


@pytest.fixture
async def people(house: House) -> list[int]:
    """Wang (s1) was dissatisfied with a repair and says why, Li (s2) is a promoter."""
    ids = await put(house, "customers", WANG, LI)
    now = utc_now()
    async with house.database.begin() as conn:
        first = Asked(ids[0], 1, 0, "csat")
        about = About("service_visits", "V1", "=Kuaixiu", "air_conditioner")
        await record_rating(
            conn, Answer(ids[0], first, 4, now - timedelta(hours=2), How.BUTTON, about=about, salesperson="s1")
        )
        await record_rating(
            conn, Answer(ids[0], first, 2, now - timedelta(hours=1), How.BUTTON, about=about, salesperson="s1")
        )
        await comment_rating(conn, ids[0], first, "<b>Late</b> & =loud", now)
        await record_rating(conn, Answer(ids[1], Asked(ids[1], 1, 0, "nps"), 10, now, How.TOUCHED, salesperson="s2"))
        await record_rating(conn, Answer(ids[1], Asked(ids[1], 1, 0, "csat"), 5, now, How.SEEN, machine="together"))
    return ids


async def test_results_of_a_survey(sign_in: SignIn, people: list[int]) -> None:
    client = await sign_in("analyst")
    csat = await client.get("/surveys")
    assert "Satisfied 0%" in text_of(csat)
    assert "=Kuaixiu" in csat.text
    assert "&lt;b&gt;Late&lt;/b&gt;" in csat.text
    nps = await client.get("/surveys?survey=nps&months=3")
    assert "Net Promoter Score 100" in text_of(nps)
    assert "李雷" in nps.text
    assert "王小明" not in nps.text
    for query in ("provider=nobody", "kind=bad&q=late", "kind=commented", "survey=x&months=x&sort=x&category=x"):
        assert (await client.get(f"/surveys?{query}")).status_code == 200
    assert "No answers yet" in (await client.get("/surveys?provider=nobody")).text
    found = await client.get("/surveys?q=LATE", headers={"HX-Request": "true", "HX-Target": "results"})
    assert "王小明" in found.text
    assert "<html" not in found.text


async def test_the_csv_holds_no_formulas(sign_in: SignIn, people: list[int]) -> None:
    client = await sign_in("marketer")
    answer = await client.get("/surveys/answers.csv?survey=csat")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, line, end = answer.text.split("\r\n")
    assert header == "\ufeffat,survey,score,comment,customer,provider,salesperson,category,channel,campaign"
    assert line.endswith(",csat,2,<b>Late</b> & =loud,C1,'=Kuaixiu,s1,air_conditioner,,")
    assert end == ""


async def test_salespeople_have_no_page_of_everybodys_answers(sign_in: SignIn, people: list[int]) -> None:
    client = await sign_in("salesperson", salesperson="s1")
    assert (await client.get("/surveys")).status_code == 403
    shown = text_of(await client.get(f"/customers/{people[0]}"))
    assert "Rated: Satisfaction 2 of 5: dissatisfied" in shown
    assert "4 of 5: satisfied changed later" in shown


async def test_the_list_of_ratings(api: OpenApi, people: list[int]) -> None:
    client = await api("analyst")
    items = (await client.get("/ratings")).json()["items"]
    assert [(one["survey"], one["score"], one["counts"]) for one in items] == [("nps", 10, True), ("csat", 2, True)]
    assert items[1]["about"] == {"kind": "service_visits", "number": "V1"}
    assert items[1]["comment"] == "<b>Late</b> & =loud"
    every = (await client.get("/ratings?all=true&survey=csat")).json()["items"]
    assert [(one["score"], one["machine"]) for one in every] == [(5, "together"), (2, None), (4, None)]
    page = (await client.get("/ratings?limit=1")).json()
    after = (await client.get(f"/ratings?limit=1&cursor={page['next']}")).json()
    assert [page["items"][0]["score"], after["items"][0]["score"], after["next"]] == [10, 2, None]
    assert len((await client.get(f"/ratings?customer_id={people[0]}&provider=%3DKuaixiu")).json()["items"]) == 1
    for query in ("survey=stars", "customer_id=x", "cursor=x"):
        assert (await client.get(f"/ratings?{query}")).status_code in (400, 422)


async def test_a_salespersons_token_sees_their_own(api: OpenApi, people: list[int]) -> None:
    client = await api("salesperson", salesperson="s1")
    items = (await client.get("/ratings")).json()["items"]
    assert [one["customer_id"] for one in items] == [people[0]]
    assert (await client.get(f"/ratings?customer_id={people[1]}")).json()["items"] == []
