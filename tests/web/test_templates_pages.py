"""Templates in the console: list, page with preview, the editor, copies, deletion."""

from __future__ import annotations

from html import unescape

import pytest

import campaigns.templates as kept
from campaigns import store
from runtime.house import House
from tests.campaigns.scene import EVERYBODY
from tests.web.conftest import SignIn
from tests.web.scene import WANG, invalid_fields, links, next_page, put, text_of, value_of

FORM = {"name": "Hello", "subject": "Hi {{ customer.name }}", "format": "html", "source": "<p>{{ customer.city }}</p>"}
ROW = r"/templates/\d+"


async def keep(house: House, name: str = "Hello", **more: str) -> int:
    body = {"name": name, "channel": "email", "subject": "Hi {{ customer.name }}", "html": "<p>x</p>", **more}
    async with house.database.begin() as conn:
        return await kept.create_template(conn, body, settings=house.settings, by="me")


async def test_the_list_is_searched_sorted_and_paged(sign_in: SignIn, house: House) -> None:
    client = await sign_in("analyst")
    assert "No templates yet" in (await client.get("/templates")).text
    for name in ("Bee", "Ant", "Cow"):
        await keep(house, name)
    assert links(await client.get("/templates"), ROW) == ["Ant", "Bee", "Cow"]
    first = await client.get("/templates?sort=-name&limit=2")
    assert links(first, ROW) == ["Cow", "Bee"]
    assert links(await client.get(next_page(first)), ROW) == ["Ant"]
    assert links(await client.get("/templates?q=o"), ROW) == ["Cow"]


async def test_a_new_one_begins_with_a_mail_that_can_be_saved_in_either_language(sign_in: SignIn, house: House) -> None:
    for language, words in (("en", "Book a visit"), ("zh", "预约上门")):
        client = await sign_in("marketer", language=language)
        page = await client.get("/templates/new")
        begun = {name: value_of(page, name) for name in ("subject", "source")}
        assert words in begun["source"]
        made = await client.post("/templates/new", data={"name": words, "format": "mjml", **begun})
        assert made.status_code == 303, text_of(made)


async def test_a_template_is_made_previewed_changed_and_deleted(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    made = await client.post("/templates/new", data=FORM)
    path = made.headers["location"]
    assert "The template is saved." in (await client.get(path)).text
    shown = await client.get(f"{path}/preview")
    assert "Hi 王小明" in shown.text
    assert "西安" in shown.text
    assert "sandbox" in shown.headers["content-security-policy"]
    assert (await client.post(f"{path}/edit", data={**FORM, "name": "Bye", "text": "Bye"})).status_code == 303
    edit = unescape((await client.get(f"{path}/edit")).text)
    assert 'value="Bye"' in edit
    assert 'value="html" checked' in edit
    assert (await client.post(f"{path}/delete", data={"confirm": "Hello"})).status_code == 422
    assert (await client.post(f"{path}/delete", data={"confirm": "Bye"})).headers["location"] == "/templates"
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Taken"}, "name"),
        ({"subject": "{{ customer.nmae }}"}, "subject"),
        ({"source": "{{ customer.name"}, "source"),
        ({"source": "<mjml", "format": "mjml"}, "source"),
        ({"source": ""}, "source"),
        ({"text": "{{ nothing }}"}, "text"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    sign_in: SignIn, house: House, change: dict[str, str], field: str
) -> None:
    template = await keep(house, "Mine")
    await keep(house, "Taken")
    client = await sign_in("marketer")
    for path in ("/templates/new", f"/templates/{template}/edit"):
        answer = await client.post(path, data={**FORM, **change})
        assert invalid_fields(answer) == {field}
        if "source" in change:
            assert change["source"] in unescape(answer.text)


async def test_a_copy_is_a_form_of_its_own(sign_in: SignIn, house: House) -> None:
    template = await keep(house)
    page = await (await sign_in("marketer")).get(f"/templates/{template}/copy")
    assert 'value="Hello (copy)"' in page.text
    assert 'action="/templates/new"' in page.text
    assert 'value="Hi {{ customer.name }}"' in page.text


async def test_a_template_in_use_stays_and_says_so(sign_in: SignIn, house: House) -> None:
    template = await keep(house)
    body = {"name": "Spring", "channel": "email", "rule": EVERYBODY, "template_id": template}
    async with house.database.begin() as conn:
        await store.create_campaign(conn, body, settings=house.settings, by="me")
    client = await sign_in("marketer")
    refused = await client.post(f"/templates/{template}/delete", data={"confirm": "Hello"})
    assert refused.headers["location"] == f"/templates/{template}"
    assert "is used by campaign" in text_of(await client.get(f"/templates/{template}"))


async def test_a_template_leads_to_a_campaign(sign_in: SignIn, house: House) -> None:
    template = await keep(house)
    client = await sign_in("marketer")
    assert f'href="/campaigns/new?template={template}"' in (await client.get(f"/templates/{template}")).text
    assert (
        f'<option value="{template}" selected>Hello' in (await client.get(f"/campaigns/new?template={template}")).text
    )


async def test_analysts_look_and_salespeople_do_not(sign_in: SignIn, house: House) -> None:
    template = await keep(house)
    analyst, salesperson = await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")
    page = await analyst.get(f"/templates/{template}")
    assert page.status_code == 200
    assert "/edit" not in page.text
    assert (await analyst.get(f"/templates/{template}/preview")).status_code == 200
    for path in ("/templates/new", f"/templates/{template}/edit", f"/templates/{template}/delete"):
        assert (await analyst.post(path, data=FORM)).status_code == 403
    for path in ("/templates", f"/templates/{template}"):
        assert (await salesperson.get(path)).status_code == 403
