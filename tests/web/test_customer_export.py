"""A copy of everything about a customer: for machines and for people, from the console and over the API."""

from __future__ import annotations

import io
import json
import zipfile

from customers.models import customers, households, suppressed_addresses
from customers.spread import lookup_tables, person_tables
from customers.upsert import upsert
from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import OpenApi, SignIn
from web.exports import title_of
from web.i18n import use_language

PERSON = {"email": "li@example.com", "name": "<script>alert(1)</script>", "attributes": {"note": "</td><img src=x>"}}


async def test_the_copy_is_one_zip_and_escapes_what_it_holds(house: House, api: OpenApi, sign_in: SignIn) -> None:
    async with house.database.begin() as conn:
        result = await upsert(conn, "customers", [PERSON], settings=house.settings, now=utc_now())
    [customer] = result.ids
    client, browser = await api("marketer"), await sign_in("marketer")
    for answer in (
        await client.get(f"customers/{customer}/export"),
        await browser.get(f"/customers/{customer}/export"),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        assert answer.headers["content-disposition"] == f'attachment; filename="customer-{customer}.zip"'
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            found = json.loads(archive.read("everything.json"))
            page = archive.read("everything.html").decode()
        assert found["customers"][0]["name"] == PERSON["name"]
        assert found["contact_addresses"][0]["value"] == "li@example.com"
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "li@example.com" in page
    assert f"/customers/{customer}/export" in (await browser.get(f"/customers/{customer}")).text
    assert (await client.get("customers/999/export")).status_code == 404
    for refused in (await api("analyst"), await api("salesperson", "S1")):
        assert (await refused.get(f"customers/{customer}/export")).status_code == 403


def test_each_part_of_the_copy_is_named_in_the_reader_s_words() -> None:
    use_language("zh")
    tables = (customers, households, suppressed_addresses, *person_tables(), *lookup_tables())
    assert [table.name for table in tables if title_of(table.name).isascii()] == []
