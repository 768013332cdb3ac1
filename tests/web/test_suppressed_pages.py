"""Suppressions in the console and over the API: seen, added, lifted with a note."""

from __future__ import annotations

from datetime import timedelta

import pytest

from customers.suppression_lists import add_list
from customers.suppressions import SuppressedAddress, Suppression, suppress, suppress_addresses
from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, invalid_fields, next_page, put, text_of
from tests.web.test_api_frame import problem

WANG_AT = {"kind": "email", "value": "wang@example.com"}
NOTE = {"note": "mended his mailbox"}
TYPED = {"confirm": "wang@example.com"}


@pytest.fixture
async def against(house: House) -> None:
    """Wang's address bounced and he unsubscribed; Li complained."""
    await put(house, "customers", WANG, LI)
    at = utc_now() - timedelta(days=2)
    async with house.database.begin() as conn:
        await suppress_addresses(conn, [
            SuppressedAddress("email", "wang@example.com", "bounced", at, detail="550 <no> such user"),
            SuppressedAddress("email", "li@example.com", "complained", at - timedelta(days=1)),
            SuppressedAddress("email", "gone@example.com", "manual", at, expires_at=at),
        ])  # fmt: skip
        await suppress(conn, [Suppression(1, "email", "unsubscribed", at)])


@pytest.mark.usefixtures("against")
async def test_the_list_tells_what_stands_and_what_ended(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    told = text_of(await client.get("/suppressed"))
    for words in ("wang@example.com", "address bounced", "550 <no> such user", "li@example.com", "complained"):
        assert words in told, words
    assert "gone@example.com" not in told
    assert "gone@example.com" in text_of(await client.get("/suppressed?state=ended"))
    assert "li@example.com" not in text_of(await client.get("/suppressed?q=WANG"))
    first = await client.get("/suppressed?limit=1")
    assert "li@example.com" in text_of(await client.get(next_page(first)))
    assert "/suppressed/lift" not in first.text


async def test_an_address_is_suppressed_in_its_plain_form(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    done = await client.post("/suppressed/new", data={"kind": "email", "value": " Wang@Example.com ", "detail": "fair"})
    assert done.headers["location"] == "/suppressed"
    told = text_of(await client.get("/suppressed"))
    assert "wang@example.com is suppressed." in told
    assert "fair" in told
    assert "Suppressed" in text_of(await client.get("/customers/1"))
    for value, field in (("nobody", "value"), ("", "value")):
        assert invalid_fields(await client.post("/suppressed/new", data={"kind": "email", "value": value})) == {field}
    assert invalid_fields(await client.post("/suppressed/new", data={"kind": "owl", "value": "x"})) == {"kind"}
    assert (await (await sign_in("analyst")).post("/suppressed/new", data=WANG_AT)).status_code == 403


@pytest.mark.usefixtures("against")
async def test_both_kinds_are_lifted_from_the_customer_s_page(sign_in: SignIn) -> None:
    client = await sign_in("marketer", name="Mei")
    page = (await client.get("/customers/1")).text
    assert 'action="/suppressed/lift"' in page
    assert 'action="/customers/1/lift"' in page
    lifted = await client.post("/suppressed/lift", data={**WANG_AT, **NOTE, **TYPED, "customer": "1"})
    assert lifted.headers["location"] == "/customers/1"
    about = {"channel": "email", "reason": "unsubscribed"}
    assert (await client.post("/customers/1/lift", data={**about, "note": " "})).status_code == 422
    assert (await client.post("/customers/1/lift", data={**about, **NOTE})).headers["location"] == "/customers/1"
    told = text_of(await client.get("/customers/1"))
    assert "Suppressed" not in told
    for words in ("Suppression lifted", "by Mei: mended his mailbox"):
        assert words in told, words
    assert "by Mei: mended his mailbox" in text_of(await client.get("/suppressed?state=ended"))
    assert (await client.post("/customers/1/lift", data={**about, **NOTE})).status_code == 404
    assert (await client.post("/suppressed/lift", data={**WANG_AT, **NOTE, **TYPED})).status_code == 404


@pytest.mark.usefixtures("against")
async def test_a_complaint_is_lifted_by_administrators_alone(sign_in: SignIn, api: OpenApi) -> None:
    complaint = {"kind": "email", "value": "li@example.com", **NOTE}
    typed = {**complaint, "confirm": "li@example.com"}
    marketer = await sign_in("marketer")
    assert "/suppressed/lift" not in (await marketer.get("/customers/2")).text
    assert (await marketer.post("/suppressed/lift", data=typed)).status_code == 403
    problem(await (await api("marketer")).post("/suppressed-addresses/lift", json=complaint), 403)
    admin = await sign_in("admin")
    assert "/suppressed/lift" in (await admin.get("/customers/2")).text
    assert (await admin.post("/suppressed/lift", data=typed)).headers["location"] == "/suppressed"


@pytest.mark.usefixtures("against")
async def test_analysts_and_salespeople_lift_nothing(sign_in: SignIn) -> None:
    for client in (await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")):
        assert "/lift" not in (await client.get("/customers/1")).text
        assert (await client.post("/suppressed/lift", data={**WANG_AT, **NOTE})).status_code == 403
        assert (await client.post("/customers/1/lift", data={"channel": "email", **NOTE})).status_code == 403


@pytest.mark.usefixtures("against")
async def test_the_api_lists_adds_and_lifts(api: OpenApi) -> None:
    client = await api("marketer")
    listed = (await client.get("/suppressed-addresses")).json()
    assert [one["value"] for one in listed["items"]] == ["wang@example.com", "li@example.com"]
    first = (await client.get("/suppressed-addresses?limit=1")).json()
    second = (await client.get("/suppressed-addresses", params={"limit": 1, "cursor": first["next"]})).json()
    assert [one["reason"] for one in second["items"]] == ["complained"]
    made = await client.post("/suppressed-addresses", json={"kind": "email", "value": "New@example.com"})
    assert (made.status_code, made.json()["value"], made.json()["reason"]) == (201, "new@example.com", "manual")
    again = await client.post("/suppressed-addresses", json={"kind": "email", "value": "wang@example.com"})
    assert again.json()["reason"] == "bounced"
    lifted = await client.post("/suppressed-addresses/lift", json={**WANG_AT, **NOTE})
    assert (lifted.status_code, lifted.content) == (204, b"")
    person = await client.post("/customers/1/lift", json={"channel": "email", **NOTE})
    assert (person.status_code, person.json()["id"]) == (200, 1)
    problem(await client.post("/customers/1/lift", json={"channel": "email", **NOTE}), 404)
    problem(await client.post("/suppressed-addresses/lift", json={**WANG_AT, "note": ""}), 422)
    problem(await client.post("/suppressed-addresses", json={"kind": "email", "value": "x"}), 422)


@pytest.mark.usefixtures("against")
async def test_lifting_takes_the_address_typed(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    for typed in ({}, {"confirm": "li@example.com"}):
        assert (await client.post("/suppressed/lift", data={**WANG_AT, **NOTE, **typed})).status_code == 422
    assert "wang@example.com" in text_of(await client.get("/suppressed"))


@pytest.mark.usefixtures("against")
async def test_people_are_suppressed_listed_and_lifted(sign_in: SignIn, api: OpenApi) -> None:
    client = await sign_in("marketer")
    assert "王小明" in text_of(await client.get("/suppressed?state=people"))
    made = await client.post("/suppressed/person", data={"number": "2", "channel": "email", "until": "2099-12-31"})
    assert made.headers["location"] == "/suppressed?state=people"
    told = text_of(await client.get("/suppressed?state=people&sort=expires_at"))
    assert "suppressed by hand" in told
    assert "2099" in told or "2100" in told
    assert "李雷" not in text_of(await client.get("/suppressed?state=people&q=wang"))
    for wrong, field in (({"number": "x"}, "number"), ({"number": "99"}, "number"), ({"channel": "owl"}, "channel")):
        given = {"number": "2", "channel": "email", **wrong}
        assert field in invalid_fields(await client.post("/suppressed/person", data=given))
    old = {"number": "2", "channel": "email", "until": "2020-01-01"}
    assert invalid_fields(await client.post("/suppressed/person", data=old)) == {"until"}
    calls = await api("marketer")
    listed = (await calls.get("suppressed-people")).json()["items"]
    assert [(one["customer_id"], one["reason"]) for one in listed] == [(2, "manual"), (1, "unsubscribed")]
    assert (
        await calls.post("customers/1/suppress", json={"channel": "email", "detail": "at his word"})
    ).status_code == 204
    assert len((await calls.get("suppressed-people")).json()["items"]) == 3
    problem(await calls.post("customers/1/suppress", json={"channel": "owl"}), 422)


async def test_a_domain_is_suppressed_until_a_day(sign_in: SignIn, api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    given = {"kind": "domain", "value": "@Example.COM", "expires": "2099-12-31"}
    assert (await client.post("/suppressed/new", data=given)).status_code == 303
    told = text_of(await client.get("/suppressed"))
    assert "the whole domain" in told
    assert "Suppressed" in text_of(await client.get("/customers/1"))
    for value in ("wang@example.com", "not a domain", ""):
        assert invalid_fields(await client.post("/suppressed/new", data={"kind": "domain", "value": value})) == {
            "value"
        }
    calls = await api("marketer")
    [one] = (await calls.get("suppressed-addresses", params={"kind": "domain", "q": "EXAMPLE"})).json()["items"]
    assert (one["value"], one["expires_at"][:4]) == ("example.com", "2099")
    problem(await calls.post("suppressed-addresses", json={**given, "expires_at": "2020-01-01T00:00:00Z"}), 422)
    both = {"items": [{"kind": "domain", "value": "example.com"}, {"kind": "email", "value": "a@b.example"}]}
    assert (await calls.post("suppressed-addresses/list", json=both)).json() == {"added": 1, "unchanged": 1}
    wrong = await calls.post("suppressed-addresses/list", json={"items": [{"kind": "email", "value": "x"}]})
    assert [path for path, _ in problem(wrong, 422)] == ["items[0].value"]
    lifted = {"kind": "domain", "value": "example.com", "note": "over"}
    assert (await calls.post("suppressed-addresses/lift", json=lifted)).status_code == 204


@pytest.mark.usefixtures("against")
async def test_a_list_goes_out_as_csv_and_comes_in_again(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    lines = [
        "address,reason,note",
        "new@example.com,bounced,=1+1",
        "li@example.com,manual,",
        "x y,,",
        "rival.example,,",
    ]
    text = "\ufeff" + "\r\n".join(lines)
    taken = await client.post("/suppressed/import", files={"file": ("list.csv", text.encode(), "text/csv")})
    told = text_of(taken)
    assert "2 addresses and domains are suppressed now" in told
    assert "1 was suppressed already" in told
    assert "Line 4" in told
    out = (await client.get("/suppressed/export")).text
    assert "email,li@example.com,complained" in out, "what stood stays as it was"
    assert "domain,rival.example,manual" in out
    assert "'=1+1" in out
    again = text_of(await client.post("/suppressed/import", files={"file": ("again.csv", out.encode(), "text/csv")}))
    assert "0 addresses and domains are suppressed now" in again
    assert "could not be used" not in again
    assert invalid_fields(await client.post("/suppressed/import", data={})) == {"file"}
    assert (await (await sign_in("analyst")).get("/suppressed/export")).status_code == 403


async def test_an_expiry_that_no_clock_tells_is_refused(api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG)
    marketer = await api("marketer")
    for at in ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+12:00"):
        for path, given in (("suppressed-addresses", WANG_AT), ("customers/1/suppress", {"channel": "email"})):
            answer = await marketer.post(path, json={**given, "expires_at": at})
            assert [name for name, _message in problem(answer, 422)] == ["expires_at"], (path, at)


@pytest.mark.usefixtures("against")
async def test_a_number_that_is_nobodys_leads_to_the_list(sign_in: SignIn) -> None:
    given = {**WANG_AT, **TYPED, **NOTE, "customer": "9" * 5_000}
    assert (await (await sign_in("admin")).post("/suppressed/lift", data=given)).headers["location"] == "/suppressed"


async def test_a_list_may_be_long_and_come_from_any_spreadsheet(sign_in: SignIn, house: House) -> None:
    client, now = await sign_in("marketer"), utc_now()
    lines = "value\tnote\nspam@example.com\t报销\n".replace("\t", ",").encode("utf-16")
    taken = await client.post("/suppressed/import", files={"file": ("old.csv", lines)})
    assert "1 address or domain is suppressed now." in text_of(taken)
    many = [SuppressedAddress("email", f"a{number}@example.com", "manual", now) for number in range(33_000)]
    async with house.database.begin() as conn:  # twice as many values as a statement takes
        assert await add_list(conn, many, now) == len(many)
        assert await add_list(conn, many, now) == 0


async def test_a_stray_quotation_mark_is_the_file_s_fault(sign_in: SignIn) -> None:
    lines = b'value\na@example.com\n"' + b"b@example.com\n" * 200_000
    refused = await (await sign_in("marketer")).post("/suppressed/import", files={"file": ("old.csv", lines)})
    assert invalid_fields(refused) == {"file"}
