"""Records for the console's pages, put in as an import would."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx

from customers.upsert import upsert
from runtime.clock import utc_now
from runtime.house import House

CONSENT = [{"channel": "email", "purpose": "marketing", "granted": True, "source": "shop"}]
WANG: dict[str, Any] = {
    "external_id": "C1",
    "name": "王小明",
    "email": "wang@example.com",
    "phone": "13800138000",
    "city": "西安",
    "community": "QJ",
    "salesperson": "s1",
    "consents": CONSENT,
}
LI: dict[str, Any] = {
    "external_id": "C2",
    "name": "李雷",
    "email": "li@example.com",
    "city": "咸阳",
    "salesperson": "s2",
    "consents": CONSENT,
}


async def put(house: House, kind: str, *records: dict[str, Any]) -> list[int]:
    """Take records in; their ids. Fails where one is rejected."""
    async with house.database.begin() as conn:
        result = await upsert(conn, kind, records, settings=house.settings, now=utc_now())
    assert not result.rejected, result.rejected
    return list(result.ids)


def order(external_id: str, number: str, amount: str = "100", **more: Any) -> dict[str, Any]:
    """A completed order of a customer."""
    customer = {"customer": {"external_id": external_id}}
    return {**customer, "number": number, "status": "completed", "ordered_at": "2026-10-01", "amount": amount, **more}


def links(answer: httpx.Response, pattern: str) -> list[str]:
    """The texts of the links whose address matches, in their order."""
    assert answer.status_code == 200, answer.text
    found = re.findall(rf'<a[^>]* ?href="{pattern}"[^>]*>([^<]+)</a>', answer.text)
    return [unescape(text).strip() for text in found]


def next_page(answer: httpx.Response) -> str:
    """The address of the page after this one."""
    found = re.search(r'href="([^"]*cursor=[^"]*)"', answer.text)
    assert found is not None, "there is no next page"
    return unescape(found[1])


def text_of(answer: httpx.Response) -> str:
    """What a person reads: no markup, one space between words."""
    main = answer.text.partition('<main id="content"')[2] or answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def invalid_fields(answer: httpx.Response) -> set[str]:
    """The fields of a form that say what is wrong with them."""
    assert answer.status_code == 422, answer.text
    return set(re.findall(r'id="error-([\w-]+)"', answer.text))


def value_of(answer: httpx.Response, name: str) -> str:
    """What a form's field holds."""
    area = re.search(rf'<textarea[^>]*\bname="{name}"[^>]*>(.*?)</textarea>', answer.text, flags=re.S)
    if area is not None:
        return unescape(area[1])
    field = re.search(rf'<input[^>]*\bname="{name}"[^>]*>', answer.text)
    assert field is not None, f"there is no field {name}"
    found = re.search(r'\bvalue="([^"]*)"', field[0])
    return unescape(found[1]) if found else ""


def fields_of(answer: httpx.Response, within: str = "sheet-form") -> dict[str, str]:
    """What a browser would send of the form with the id `within`, untouched."""
    assert answer.status_code in (200, 422), answer.text
    form = re.search(rf'<form[^>]*id="{within}".*?</form>', answer.text, flags=re.S)
    assert form is not None, f"there is no form {within}"
    found = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        name, kind = re.search(r'name="([^"]*)"', tag), re.search(r'type="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and (kind is None or kind[1] not in ("checkbox", "radio") or " checked" in tag):
            found[unescape(name[1])] = unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form[0], flags=re.S):
        values = re.findall(r'<option value="([^"]*)"( selected)?', options)
        found[unescape(name)] = unescape(next((value for value, chosen in values if chosen), values[0][0]))
    return found
