"""Two records of one person: found, compared, merged by name; over the API too."""

from __future__ import annotations

from runtime.house import House
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, links, order, put, text_of
from tests.web.test_api_frame import problem

TWIN = {"external_id": "C9", "name": "王小明", "phone": "13800138000", "birthday": "1980-05-01", "city": "宝鸡"}


async def test_who_looks_alike_is_offered_and_any_other_is_found(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI, TWIN)
    client = await sign_in("marketer")
    assert 'href="/customers/1/merge"' in (await client.get("/customers/1")).text
    offered = await client.get("/customers/1/merge")
    assert 'href="/customers/1/merge/3"' in offered.text
    assert "李雷" not in text_of(offered)
    assert "Nobody shares" in text_of(await client.get("/customers/2/merge"))
    searched = await client.get("/customers/1/merge?q=李雷")
    assert 'href="/customers/1/merge/2"' in searched.text
    assert 'href="/customers/1/merge/1"' not in (await client.get("/customers/1/merge?q=王")).text


async def test_both_are_laid_side_by_side_and_what_happens_is_said(sign_in: SignIn, house: House) -> None:
    await put(house, "communities", {"code": "QJ", "name": "曲江明月府"})
    await put(house, "customers", {**WANG, "gender": "male"}, TWIN)
    await put(house, "orders", order("C9", "N1"), order("C9", "N2"))
    told = text_of(await (await sign_in("marketer")).get("/customers/1/merge/2"))
    for words in (
        "王小明 (#2) goes into 王小明 (#1)",
        "曲江明月府",
        "Moves over: 2 orders.",
        "it is missing here: Birthday.",
        "Is forgotten, since what stays says otherwise: City 宝鸡.",
        "May 1, 1980",
        "male",
    ):
        assert words in told, words
    chinese = text_of(await (await sign_in("marketer", language="zh")).get("/customers/1/merge/2"))
    assert "转移：2 订单" in chinese


async def test_a_merge_takes_the_name_of_the_one_that_goes(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, {**TWIN, "name": "Wang"})
    await put(house, "orders", order("C9", "N1"))
    client = await sign_in("marketer")
    assert (await client.post("/customers/1/merge/2", data={"confirm": "王小明"})).status_code == 422
    done = await client.post("/customers/1/merge/2", data={"confirm": "Wang"})
    assert done.headers["location"] == "/customers/1"
    told = text_of(await client.get("/customers/1"))
    for words in ("Wang is merged into this customer.", "N1", "C9"):
        assert words in told, words
    assert (await client.get("/customers/2")).headers["location"] == "/customers/1"
    assert (await client.get("/customers/1/merge/2")).status_code == 409
    assert (await client.get("/customers/1/merge/77")).status_code == 404


async def test_analysts_and_salespeople_merge_nobody(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, TWIN)
    for client in (await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")):
        assert "/merge" not in (await client.get("/customers/1")).text
        for method, path in (
            ("GET", "/customers/1/merge"),
            ("GET", "/customers/1/merge/2"),
            ("POST", "/customers/1/merge/2"),
        ):
            assert (await client.request(method, path, data={"confirm": "王小明"})).status_code == 403


async def test_possible_duplicates_are_a_list_to_work_off(sign_in: SignIn, house: House) -> None:
    people = [{"external_id": f"P{n}", "name": f"Person {n // 2}", "phone": f"1390013800{n // 2}"} for n in range(6)]
    await put(house, "customers", WANG, {**LI, "phone": WANG["phone"]}, *people)
    client = await sign_in("marketer")
    page = await client.get("/customers/duplicates")
    assert links(page, r"/customers/\d+") == [f"Person {n // 2}" for n in (4, 5, 2, 3, 0, 1)]
    assert 'href="/customers/3/merge/4"' in page.text
    assert "/customers/1/merge/2" not in page.text
    assert "/customers/1/merge/2" in (await client.get("/customers/duplicates?by=contact")).text
    assert "Person 1" not in text_of(await client.get("/customers/duplicates?q=8000"))
    assert "cursor=" in (await client.get("/customers/duplicates?limit=2")).text
    analyst = await (await sign_in("analyst")).get("/customers/duplicates")
    assert analyst.status_code == 200
    assert "/merge/" not in analyst.text


async def test_the_api_merges(api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG, TWIN)
    client = await api("marketer")
    merged = await client.post("/customers/1/merge", json={"lose": 2})
    assert merged.status_code == 200, merged.text
    assert (merged.json()["birthday"], merged.json()["city"]) == ("1980-05-01", "西安")
    assert (await client.get("/customers/2")).json()["id"] == 1
    problem(await client.post("/customers/1/merge", json={"lose": 2}), 409)
    problem(await client.post("/customers/1/merge", json={"lose": 99}), 404)
    problem(await client.post("/customers/1/merge", json={"lose": 0}), 422)
    problem(await (await api("analyst")).post("/customers/1/merge", json={"lose": 2}), 403)
