"""What the sheet of an upload says before anything is taken in."""

from __future__ import annotations

import re
from typing import Any

import httpx

from runtime.house import House
from tests.campaigns.scene import work_off
from tests.web.conftest import SignIn
from tests.web.scene import fields_of, text_of

NEW = {"create_missing": "yes", "shown_for": "new"}
AGREED = {**NEW, "consent_source": "Fair 2026", "consent_channels": "email"}


async def stored(client: httpx.AsyncClient, data: bytes | str, name: str = "fair.csv", path: str = "/audiences") -> str:
    content = data if isinstance(data, bytes) else data.encode()
    files: Any = {"file": (name, content, "text/csv")}
    answer = await client.post(f"{path}/new", data={"kind": "customers"}, files=files)
    return str(answer.headers["location"])


async def test_the_look_at_new_people_says_what_comes_of_it(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    people = "email,phone\na@example.com,13800138000\nA@Example.com,\n,138 0013 8000\nb@example.com,13800138000\nno,\n"
    path = await stored(client, people.replace("b@example.com,13800138000", "b@example.com,"))
    shown = await client.get(path, params=NEW)
    told = text_of(shown)
    assert "2 new customer 1 unmatched 2 duplicate" in told
    assert "unreadable" not in told
    done = await client.post(path, data={**fields_of(shown), **AGREED})
    await work_off(house)
    result = text_of(await client.get(done.headers["location"]))
    for words in ("2 Matched", "1 Unmatched", "2 Duplicates"):
        number, name = words.split()
        assert f"{name} {number}" in result or words in result, result


async def test_a_files_name_is_what_it_was(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    path = await stored(client, "email\na@example.com\n", 'a"b.csv')
    told = text_of(await client.get(path))
    assert 'a"b.csv' in told
    assert "%22" not in told


async def test_new_people_without_an_address_for_their_consent_are_warned_of(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    path = await stored(client, "phone,name\n13800138000,王伟\n")
    warning = "No column holds the address for"
    assert warning not in text_of(await client.get(path))
    assert warning in text_of(await client.get(path, params=NEW))
    assert warning in text_of(await client.get(path, params={**NEW, "consent_channels": "email"}))
    assert warning not in text_of(await client.get(path, params={**NEW, "consent_channels": "sms"}))


async def test_an_encoding_that_the_file_does_not_seem_to_have_is_warned_of(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    people = "邮箱,姓名,城市\n" + "".join(f"p{n}@example.com,王小明,西安市雁塔区曲江新区\n" for n in range(10))
    path = await stored(client, people.encode("gb18030"), path="/imports")
    warning = "The file looks like GB18030"
    assert warning not in text_of(await client.get(path))
    assert warning not in text_of(await client.get(path, params={"encoding": "gb18030"}))
    assert warning in text_of(await client.get(path, params={"encoding": "big5hkscs"}))


async def test_a_file_that_is_no_text_is_named_and_not_shown(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
    path = await stored(client, picture, "people.csv", "/imports")
    shown = await client.get(path)
    assert "is no text" in text_of(shown)
    assert "PNG" not in shown.text
    assert re.search(r'id="sheet-go"[^>]* disabled', shown.text)
    swapped = await client.get(path, headers={"HX-Request": "true", "HX-Target": "sheet"})
    assert re.search(r'id="sheet-go" hx-swap-oob="true" disabled', swapped.text)
    sound = await client.get(await stored(client, "email\na@example.com\n"))
    assert re.search(r'id="sheet-go">', sound.text)
