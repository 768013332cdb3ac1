"""Lists in the console: an upload looked at and confirmed, its people, its lines, what uses it."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from campaigns import store
from customers.imports.pending import confirm_import, forget_pending
from customers.models import import_chunks, imports
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from runtime.leader import acquire
from segments.audiences import create_from_upload
from tests.campaigns.scene import body, work_off
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, fields_of, invalid_fields, links, put, text_of, value_of

PHONES = "姓名,手机号\n王,138 0013 8000\n王,+86-138-0013-8000\n王,8613800138000\n"
LIST = r"/audiences/\d+"


async def stored(client: httpx.AsyncClient, data: bytes | str, name: str = "fair.csv", **more: Any) -> str:
    """The address of the sheet over an uploaded file."""
    content = data.encode() if isinstance(data, str) else data
    answer = await client.post("/audiences/new", data=more, files={"file": (name, content, "text/csv")})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def as_segment(client: httpx.AsyncClient, audience_id: int, name: str) -> str:
    """The id of a new segment of the people of a list."""
    form = {"name": name, "rule": json.dumps({"all": [{"in_audience": audience_id}]})}
    return str((await client.post("/segments/new", data=form)).headers["location"]).rpartition("/")[2]


async def confirmed(client: httpx.AsyncClient, path: str, **more: str) -> httpx.Response:
    return await client.post(path, data={**fields_of(await client.get(path)), **more})


async def made(client: httpx.AsyncClient, house: House, data: bytes | str, **more: str) -> str:
    """The address of the list that a file became."""
    answer = await confirmed(client, await stored(client, data), **more)
    assert answer.status_code == 303, text_of(answer)
    await work_off(house)
    return str(answer.headers["location"])


async def test_a_phone_in_three_spellings_is_one_person_once(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    client = await sign_in("marketer", name="Mei")
    assert "No lists yet" in (await client.get("/audiences")).text
    path = await stored(client, PHONES.encode("gb18030"), "秋季展.csv")
    sheet = text_of(await client.get(path))
    assert "found out: GB18030" in sheet
    assert "Of the first 3 lines: 1 matched 2 duplicate" in sheet
    assert "That is the whole file." in sheet
    answer = await confirmed(client, path)
    waiting = await client.get(answer.headers["location"])
    assert "waits for a worker" in waiting.text
    assert 'hx-trigger="every 1s"' in waiting.text
    await work_off(house)
    done = await client.get(answer.headers["location"])
    told = text_of(done)
    for words in (
        "秋季展",
        "Mei",
        "What became of the 3 lines",
        "Matched 1",
        "Duplicates 2",
        "王小明",
        "In no segment",
    ):
        assert words in told, words
    assert "李雷" not in told
    assert links(await client.get("/audiences"), LIST) == ["秋季展"]
    assert (await client.get(path)).status_code == 404, "what was confirmed is no draft any more"


async def test_the_encoding_and_the_delimiter_can_be_changed_and_seen(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    path = await stored(client, "姓名;手机号\n张三;13800138000\n".encode("gb18030"))
    assert "张三" in (await client.get(path)).text
    other = await client.get(path, params={"encoding": "big5hkscs"}, headers={"HX-Target": "sheet"})
    assert other.text.lstrip().startswith('<div id="sheet"')
    assert "张三" not in other.text
    broken = text_of(await client.get(path, params={"encoding": "utf-8"}))
    assert "\ufffd" in broken
    assert "not text in the file's encoding" in broken
    one = text_of(await client.get(path, params={"delimiter": "comma"}))
    assert "Everything stands in one column" in one


@pytest.mark.parametrize("asked", [{"encoding": "utf-16"}, {"c1234x": "email"}, {"c99999999": "email"}])
async def test_what_no_form_of_ours_asks_breaks_no_sheet(sign_in: SignIn, asked: dict[str, str]) -> None:
    client = await sign_in("marketer")
    path = await stored(client, PHONES)
    assert (await client.get(path, params=asked)).status_code == 200


@pytest.mark.parametrize("mapping", ['{"encoding": 5}', '{"columns": 1}', "[]"])
async def test_a_mapping_that_comes_with_a_list_is_read_at_once(sign_in: SignIn, mapping: str) -> None:
    client = await sign_in("marketer")
    files = {"file": ("list.csv", PHONES.encode(), "text/csv")}
    assert (await client.post("/audiences/new", data={"mapping": mapping}, files=files)).status_code == 422


async def test_an_upload_is_confirmed_once(sign_in: SignIn, house: House) -> None:
    """Two clicks: both saw the draft before either took it."""
    path = await stored(await sign_in("marketer"), PHONES)
    upload_id, mapping = int(path.rpartition("/")[2]), {"columns": {"phone": "手机"}}
    async with house.database.begin() as conn:
        await create_from_upload(conn, upload_id, name="One", mapping=mapping, consent=None, by=None)
        with pytest.raises(NotFound):
            await create_from_upload(conn, upload_id, name="Two", mapping=mapping, consent=None, by=None)
        with pytest.raises(NotFound):
            await confirm_import(conn, upload_id, kind="customers", mapping=mapping, dry_run=False)


async def test_columns_chosen_for_other_columns_are_not_taken(sign_in: SignIn) -> None:
    """The encoding was changed after the columns were told, without a look."""
    client = await sign_in("marketer")
    path = await stored(client, PHONES.encode("gb18030"))
    answer = await confirmed(client, path, encoding="big5hkscs")
    assert answer.status_code == 422
    assert "look at them once more" in text_of(answer)
    assert "No lists yet" in (await client.get("/audiences")).text


async def test_a_column_is_what_it_is_said_to_be(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", {**WANG, "identities": [{"kind": "wechat", "value": "wx-1"}]}, LI)
    client = await sign_in("marketer")
    path = await stored(client, "who,x\nwx-1,C2\n")
    guessed = await client.get(path)
    assert "No column has a meaning yet" in text_of(guessed)
    tried = await client.get(path, params={**fields_of(guessed), "c0": "identities.wechat"})
    assert "1 matched" in text_of(tried)
    both = await client.post(path, data={**fields_of(guessed), "c0": "external_id", "c1": "external_id"})
    assert invalid_fields(both) == {"c1"}
    answer = await client.post(path, data={**fields_of(guessed), "c1": "external_id"})
    await work_off(house)
    assert "李雷" in text_of(await client.get(answer.headers["location"]))


async def test_values_tell_what_a_column_without_a_telling_name_is(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    fields = fields_of(await client.get(await stored(client, "a,b,c\nx@example.com,138 0013 8000,?\n")))
    assert [fields[name] for name in ("c0", "c1", "c2")] == ["email", "phone", "-"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"phone,phone\n13800138000,1\n", "Several columns are called phone"),
        (b"phone\n", "Only a header"),
        (b"\xff\xfe\x00", "not text in the file's encoding"),
        (b"phone,note\n13800138000,\xff\xff\xff\n", "is not text in UTF-8, UTF-16, GB18030 or Big5"),
        ("phone,备注\n13800138000,很好很好很好很好\n".encode() + b"1,\xff\n", "Some cells hold bytes"),
        (b"phone,note\n13800138000," + b"x" * 10_000_000 + b"\n", "the cell is longer than 100000 characters"),
        (b'phone,note\n13800138000,"two\nlines"\n12,"open\n', "a quote is opened and never closed"),
        (b"PK\x03\x04 not really", "the file is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 10, "Excel workbook"),
    ],
)
async def test_what_is_odd_is_said_at_once(sign_in: SignIn, data: bytes, words: str) -> None:
    client = await sign_in("marketer")
    shown = await client.get(await stored(client, data))
    assert words in text_of(shown)
    assert len(shown.content) < 300_000


async def test_a_bare_list_of_numbers_needs_no_header(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    path = await stored(client, "138 0013 8000\n13900000000\n")
    fields = fields_of(await client.get(path))
    assert (fields["first_line"], fields["c0"]) == ("data", "phone")
    named = await client.get(path, params={**fields, "first_line": "names"})
    assert "The first line looks like data, but is taken for names" in text_of(named)
    answer = await client.post(path, data=fields)
    await work_off(house)
    told = text_of(await client.get(answer.headers["location"]))
    assert "What became of the 2 lines" in told
    assert "王小明" in told
    lines = await client.get(f"{answer.headers['location']}/lines/unmatched.csv")
    assert lines.text.splitlines() == [
        "\ufeffline,column,reason,column 1",
        "2,,no customer is known by this,13900000000",
    ]


@pytest.mark.parametrize("pack", ["gz", "zip", "plain"])
async def test_the_head_of_a_large_file_is_enough(sign_in: SignIn, house: House, pack: str) -> None:
    await put(house, "customers", WANG)
    rows = "".join(f"138{number:08d},filling {number * 7919 % 1_000_003}\n" for number in range(400_000))
    data = ("phone,note\n13800138000,\n" + rows).encode()
    if pack == "gz":
        data = gzip.compress(data, 1)
    if pack == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            packed.writestr("list.csv", data)
        data = archive.getvalue()
    client = await sign_in("marketer")
    sheet = text_of(await client.get(await stored(client, data, f"list.csv.{pack}")))
    assert "Of the first 20 lines: 1 matched 19 unmatched" in sheet
    assert "the rest is read once you confirm" in sheet


async def test_new_people_need_a_consent_that_is_named(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    path = await stored(client, "姓名,邮箱\n张三,z@example.com\n")
    sheet = await client.get(path, params={**fields_of(await client.get(path)), "create_missing": "yes"})
    assert "1 new customer" in text_of(sheet)
    assert fields_of(sheet)["c0"] == "name", "of new people more is kept than who they are"
    fields = {**fields_of(sheet), "create_missing": "yes", "consent_channels": "email"}
    assert invalid_fields(await client.post(path, data=fields)) == {"consent_source"}
    unnamed = {**fields, "consent_source": "Fair 2026", "consent_channels": ""}
    refused = await client.post(path, data=unnamed)
    assert invalid_fields(refused) == {"consent_channels"}
    assert value_of(refused, "consent_source") == "Fair 2026", "nothing typed is lost"
    answer = await client.post(path, data={**fields, "consent_source": "Fair 2026", "consent_text": "Offers by mail"})
    await work_off(house)
    told = text_of(await client.get(answer.headers["location"]))
    for words in ("1 of them new customers", "Consent of new customers Fair 2026", "Offers by mail", "张三"):
        assert words in told, words


async def test_a_begun_upload_waits_and_can_be_forgotten(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer", name="Mei")
    path = await stored(client, PHONES, "later.csv")
    assert f'href="{path}"' in (await client.get("/audiences")).text
    assert "later.csv" not in (await client.get("/imports")).text
    analyst = await sign_in("analyst")
    assert "later.csv" not in (await analyst.get("/audiences")).text
    assert (await analyst.get(path)).status_code == 403
    await client.post(f"{path}/discard")
    assert (await client.get(path)).status_code == 404
    async with house.database.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(import_chunks)) == 0


async def test_drafts_are_forgotten_after_a_day(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    old, new = await stored(client, PHONES), await stored(client, PHONES)
    async with house.database.begin() as conn:
        old_id = int(old.rpartition("/")[2])
        early = utc_now() - timedelta(hours=25)
        await conn.execute(update(imports).where(imports.c.id == old_id).values(created_at=early))
        term = await acquire(conn, "scheduler", "test")
    assert term is not None
    await forget_pending(house, term, utc_now())
    assert [(await client.get(path)).status_code for path in (old, new)] == [404, 200]


async def test_the_people_of_a_list_are_searched_and_paged(sign_in: SignIn, house: House) -> None:
    people = [{"external_id": f"P{number}", "name": f"Person {number:02d}"} for number in range(30)]
    await put(house, "customers", WANG, *people)
    client = await sign_in("marketer")
    path = await made(client, house, "external_id\n" + "".join(f"P{number}\n" for number in range(30)))
    row = r"/customers/\d+"
    first = await client.get(path)
    assert len(links(first, row)) == 25
    assert links(await client.get(f"{path}?q=person+07"), row) == ["Person 07"]
    assert links(await client.get(f"{path}?q=小明"), row) == []
    part = await client.get(f"{path}?sort=-name", headers={"HX-Target": "people"})
    assert part.text.lstrip().startswith('<div id="people"')
    assert links(part, row)[0] == "Person 29"


async def test_lines_are_downloaded_alone_and_together(sign_in: SignIn, house: House) -> None:
    shared = [{"external_id": name, "phone": "13700137000"} for name in ("s1", "s2")]
    await put(house, "customers", WANG, *shared)
    client = await sign_in("marketer")
    file = "phone,note\n13800138000,\n13800138000,=cmd()\n13900000000,@x\n12,\n13700137000,-1+2\n"
    path = await made(client, house, file)
    told = text_of(await client.get(path))
    for words in ("Matched 1", "Unmatched 2", "Ambiguous 1", "Duplicates 1", "2 customers are known by this"):
        assert words in told, words
    answers = {
        kind: await client.get(f"{path}/lines/{kind}.csv")
        for kind in ("unmatched", "ambiguous", "duplicates", "rejects")
    }
    assert {kind: one.text.count("\r\n") - 1 for kind, one in answers.items()} == {
        "unmatched": 2,
        "ambiguous": 1,
        "duplicates": 1,
        "rejects": 4,
    }
    assert "'=cmd()" in answers["duplicates"].text
    assert "'-1+2" in answers["ambiguous"].text
    assert "attachment" in answers["rejects"].headers["content-disposition"]
    assert (await client.get(f"{path}/lines/others.csv")).status_code == 404


async def test_a_list_becomes_a_segment_and_a_campaign_and_then_stays(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    path = await made(client, house, PHONES, name="Fair")
    number = int(path.rpartition("/")[2])
    shown = await client.get(path)
    opened = re.search(r'href="(/segments/new\?[^"]*)"', shown.text)
    assert opened is not None
    builder = await client.get(unescape(opened[1]))
    assert json.loads(value_of(builder, "rule")) == {"all": [{"in_audience": number}]}
    assert value_of(builder, "name") == "Fair"
    assert "In no segment" in text_of(shown)
    await as_segment(client, number, "Of the fair")
    async with house.database.begin() as conn:
        given = body(name="To the fair", rule=None, audience_id=number)
        given = {key: value for key, value in given.items() if key not in ("rule", "segment_id")}
        await store.create_campaign(conn, given, settings=house.settings, by="x")
    told = text_of(await client.get(path))
    assert "Where it is used Of the fair To the fair" in told
    kept = await client.post(f"{path}/delete", data={"confirm": "Fair"})
    assert kept.headers["location"] == path
    assert "is used by segment" in text_of(await client.get(path))
    assert f'value="{number}" selected' in (await client.get(f"/campaigns/new?audience={number}")).text


async def test_a_list_is_renamed_looked_at_again_and_deleted_by_its_name(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    path = await made(client, house, PHONES, name="Fair")
    await client.post(f"{path}/rename", data={"name": "Autumn fair"})
    assert "Autumn fair" in text_of(await client.get(path))
    await client.post(f"{path}/rename", data={"name": " "})
    assert "name: is missing" in text_of(await client.get(path))
    await put(house, "customers", WANG)
    await client.post(f"{path}/again")
    await work_off(house)
    assert "Matched 1" in text_of(await client.get(path))
    assert (await client.post(f"{path}/delete", data={"confirm": "Fair"})).status_code == 422
    await client.post(f"{path}/delete", data={"confirm": "Autumn fair"})
    assert (await client.get(path)).status_code == 404


async def test_a_list_that_fails_says_why(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    path = await stored(client, PHONES)
    answer = await confirmed(client, path)
    async with house.database.begin() as conn:
        await conn.execute(update(import_chunks).values(bytes=b"a,b\n1,2\n"))
    await work_off(house)
    told = text_of(await client.get(answer.headers["location"]))
    assert "Failed" in told
    assert "there is no column" in told


@pytest.mark.parametrize("name", ["../../etc/passwd", "<script>alert(1)</script>.csv", "列表\u202e.csv", "x" * 300])
async def test_hostile_file_names_are_only_names(sign_in: SignIn, name: str) -> None:
    client = await sign_in("marketer")
    shown = await client.get(await stored(client, PHONES, name))
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text
    assert len(value_of(shown, "name")) <= 200


@pytest.mark.parametrize("files", [{}, {"file": ("empty.csv", b"", "text/csv")}])
async def test_an_upload_without_content_is_refused_by_name(sign_in: SignIn, files: Any) -> None:
    client = await sign_in("marketer")
    assert invalid_fields(await client.post("/audiences/new", data={"x": "y"}, files=files)) == {"file"}
    told = await client.post("/audiences/new", data={"x": "y"}, files=files, headers={"HX-Request": "true"})
    assert (told.status_code, told.headers["content-type"].split(";")[0]) == (422, "text/plain")


async def test_analysts_look_and_salespeople_do_not(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    path = await made(await sign_in("marketer"), house, PHONES)
    analyst, salesperson = await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")
    shown = await analyst.get(path)
    assert "王小明" in shown.text
    assert "Rename" not in shown.text
    assert (await analyst.get(f"{path}/lines/rejects.csv")).status_code == 200
    for act in ("rename", "again", "delete"):
        assert (await analyst.post(f"{path}/{act}")).status_code == 403
    assert (await salesperson.get(path)).status_code == 403


async def test_a_campaign_goes_to_a_segment_or_to_a_list(sign_in: SignIn, house: House) -> None:
    """Whoever chooses both is asked which, rather than written to the wrong people."""
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    path = await made(client, house, PHONES, name="Fair")
    segment = await as_segment(client, int(path.rpartition("/")[2]), "Of the fair")
    form = {"name": "c", "subject": "s", "format": "html", "source": "<p>x</p>", "when": "now"}
    to_list = {"audience_id": path.rpartition("/")[2]}
    both = await client.post("/campaigns/new", data={**form, **to_list, "segment_id": segment})
    assert invalid_fields(both) == {"audience_id"}
    one = await client.post("/campaigns/new", data={**form, **to_list})
    assert one.status_code == 303
    assert f'href="{path}"' in (await client.get(one.headers["location"])).text
