"""Imports in the console: upload, watch, look at what was refused."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from customers.imports.pending import forget_pending
from customers.imports.uploads import create_import
from customers.models import import_chunks
from runtime.clock import utc_now
from runtime.house import House
from runtime.leader import acquire
from tests.campaigns.scene import work_off
from tests.web.conftest import SignIn
from tests.web.scene import fields_of, invalid_fields, links, next_page, text_of

PEOPLE = "客户编号,姓名,邮箱\n1,王伟,w@example.com\n2,李娜,no address\n"
ROW = r"/imports/\d+"


def csv(text: str = PEOPLE, name: str = "people.csv") -> dict[str, Any]:
    return {"file": (name, text.encode(), "text/csv")}


async def begun(client: httpx.AsyncClient, kind: str = "customers", files: Any = None, **more: str) -> httpx.Response:
    """The answer to confirming an upload as it was guessed."""
    stored = await client.post("/imports/new", data={"kind": kind}, files=files or csv())
    path = stored.headers["location"]
    shown = await client.get(path)
    return await client.post(path, data={**fields_of(shown), **more})


async def test_a_file_is_uploaded_and_watched_until_it_is_done(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer", name="Mei")
    assert "No imports yet" in (await client.get("/imports")).text
    path = (await begun(client)).headers["location"]
    waiting = await client.get(path)
    assert "waits for a worker" in waiting.text
    assert 'hx-trigger="every 1s"' in waiting.text
    await work_off(house)
    done = await client.get(path)
    told = text_of(done)
    assert "no address" in told
    for words in (
        "people.csv",
        "Customers",
        "Mei",
        "Done",
        "Lines 2",
        "Accepted 1",
        "Rejected 1",
        "New 1",
        "no address",
    ):
        assert words in told, words
    assert 'hx-trigger="every 1s"' not in done.text
    part = await client.get(path, headers={"HX-Request": "true", "HX-Target": "live"})
    assert part.text.lstrip().startswith('<div id="live"')
    rejects = await client.get(f"{path}/rejects.csv")
    assert "no address" in rejects.text
    assert "attachment" in rejects.headers["content-disposition"]


async def test_a_dry_run_says_that_nothing_was_changed(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    made = await begun(client, dry_run="yes")
    await work_off(house)
    told = text_of(await client.get(made.headers["location"]))
    assert "Dry run" in told
    assert "Nothing was changed." in told
    assert "No customers yet" in (await client.get("/customers")).text


async def test_what_was_tried_is_imported_without_another_upload(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    path = (await begun(client, dry_run="yes")).headers["location"]
    assert "Import it now" not in text_of(await client.get(path))
    await work_off(house)
    assert "Import it now" in text_of(await client.get(path))
    assert "Import it now" not in text_of(await (await sign_in("analyst")).get(path))
    taken = await client.post(f"{path}/now")
    assert taken.headers["location"] != path
    again = await client.post(f"{path}/now")
    assert again.headers["location"].startswith("/imports")
    assert not re.search(r"/imports/\d", again.headers["location"])
    await work_off(house)
    done = text_of(await client.get(taken.headers["location"]))
    assert "Accepted 1" in done
    assert "Dry run" not in done
    assert "Import it now" not in done + text_of(await client.get(path))
    assert "王伟" in (await client.get("/customers")).text


async def test_the_file_of_a_dry_run_goes_after_a_day(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    path = (await begun(client, dry_run="yes")).headers["location"]
    await work_off(house)
    async with house.database.begin() as conn:
        term = await acquire(conn, "scheduler", "test")
    assert term is not None
    for hours, kept in ((23, True), (25, False)):
        await forget_pending(house, term, utc_now() + timedelta(hours=hours))
        assert ("Import it now" in text_of(await client.get(path))) is kept
    assert "Accepted 1" in text_of(await client.get(path))


async def test_a_file_that_cannot_be_taken_in_says_why(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    stored = await client.post("/imports/new", data={"kind": "orders"}, files=csv("a,b\n1,2\n"))
    path = stored.headers["location"]
    shown = await client.get(path)
    assert "No column has a meaning yet" in text_of(shown)
    refused = await client.post(path, data=fields_of(shown))
    assert refused.status_code == 422
    assert "alert-danger" in refused.text
    await work_off(house)
    assert "No imports yet" in (await client.get("/imports")).text


async def test_a_file_that_fails_later_says_why(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    made = await begun(client, files=csv(PEOPLE))
    async with house.database.begin() as conn:
        await conn.execute(delete(import_chunks))
    await work_off(house)
    page = await client.get(made.headers["location"])
    assert "Failed" in text_of(page)
    assert "alert-danger" in page.text


@pytest.mark.parametrize(
    ("data", "files", "field"),
    [
        ({"kind": "yachts"}, csv(), "kind"),
        ({"kind": "customers"}, {}, "file"),
        ({"kind": "customers"}, csv(""), "file"),
        ({"kind": "customers"}, csv() | {"mapping": ("m.json", b"{")}, "mapping"),
        ({"kind": "customers"}, csv() | {"mapping": ("m.json", b'{"columns": {"colour": "x"}}')}, "mapping"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(sign_in: SignIn, data: Any, files: Any, field: str) -> None:
    client = await sign_in("marketer")
    assert invalid_fields(await client.post("/imports/new", data=data, files=files)) == {field}
    assert "No imports yet" in (await client.get("/imports")).text


async def test_the_list_is_paged_newest_first(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    for number in range(52):
        async with house.database.begin() as conn:
            await create_import(conn, kind="customers", filename=f"f{number}.csv")
    first = await client.get("/imports")
    assert links(first, ROW)[:2] == ["f51.csv", "f50.csv"]
    assert links(await client.get(next_page(first)), ROW) == ["f1.csv", "f0.csv"]


async def test_an_upload_without_the_csrf_token_is_refused(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    del client.headers["x-csrf-token"]
    assert (await client.post("/imports/new", data={"kind": "customers"}, files=csv())).status_code == 403


async def test_analysts_look_and_salespeople_do_not(sign_in: SignIn) -> None:
    made = await begun(await sign_in("marketer"))
    path = made.headers["location"]
    analyst, salesperson = await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")
    assert (await analyst.get(path)).status_code == 200
    assert "/imports/new" not in (await analyst.get("/imports")).text
    assert (await analyst.post("/imports/new", data={"kind": "customers"}, files=csv())).status_code == 403
    for page in ("/imports", path, f"{path}/rejects.csv"):
        assert (await salesperson.get(page)).status_code == 403
    assert (await analyst.get("/imports/99")).status_code == 404
