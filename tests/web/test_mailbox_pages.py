"""The demo mailbox: list, one mail in its sandbox, images on request."""

from __future__ import annotations

from email.message import EmailMessage

from channels.email import mailbox
from runtime.clock import utc_now
from runtime.house import House
from tests.web.conftest import SignIn
from tests.web.scene import links, next_page, text_of

ROW = r"/mailbox/\d+"


def mail(subject: str = "Hello", html: str | None = "<p>Hi</p>", text: str = "Hi") -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = subject, "shop@example.com", "wang@example.com"
    made.set_content(text)
    if html is not None:
        made.add_alternative(html, subtype="html")
    return bytes(made)


async def caught(house: House, *mails: bytes, to: str = "wang@example.com") -> None:
    async with house.database.begin() as conn:
        await mailbox.store(conn, [mailbox.Caught(utc_now(), "shop@example.com", (to,), raw) for raw in mails])


async def test_the_list_is_searched_and_paged_newest_first(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    assert "The mailbox is empty" in (await client.get("/mailbox")).text
    for subject in ("first", "second", "third"):
        await caught(house, mail(subject))
    await caught(house, mail(""), to="li@example.com")
    assert links(await client.get("/mailbox"), ROW) == ["(no subject)", "third", "second", "first"]
    first = await client.get("/mailbox?limit=3")
    assert links(await client.get(next_page(first)), ROW) == ["first"]
    assert links(await client.get("/mailbox?q=SECOND"), ROW) == ["second"]
    assert links(await client.get("/mailbox?q=li@"), ROW) == ["(no subject)"]
    assert "Nothing found" in (await client.get("/mailbox?q=nothing")).text


async def test_a_mail_is_shown_with_text_and_headers(sign_in: SignIn, house: House) -> None:
    await caught(house, mail("您好 <b>"))
    page = await (await sign_in("marketer")).get("/mailbox/1")
    told = text_of(page)
    for words in ("您好 <b>", "shop@example.com → wang@example.com", "Hi", "MIME-Version"):
        assert words in told, words
    assert "<b>" not in page.text.partition("<main")[2].replace("<b></b>", "")


async def test_its_frame_runs_nothing_and_opens_links_elsewhere(sign_in: SignIn, house: House) -> None:
    await caught(house, mail(html='<!DOCTYPE html><html><body><a href="https://x.example/">x</a></body></html>'))
    frame = await (await sign_in("marketer")).get("/mailbox/1/body")
    policy = frame.headers["content-security-policy"].split("; ")
    assert policy[0] == "sandbox allow-popups allow-popups-to-escape-sandbox"
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    assert frame.text.startswith('<!DOCTYPE html><base target="_blank">')


async def test_images_wait_until_they_are_asked_for(sign_in: SignIn, house: House) -> None:
    await caught(house, mail(html='<img src="https://x.example/pixel.gif">'))
    client = await sign_in("marketer")
    held_back = await client.get("/mailbox/1")
    assert "counts as having opened" in held_back.text
    assert 'src="/mailbox/1/body"' in held_back.text
    shown = await client.get("/mailbox/1?images=yes")
    assert 'src="/mailbox/1/body?images=yes"' in shown.text
    frame = await client.get("/mailbox/1/body?images=yes")
    assert "img-src data: https: http:" in frame.headers["content-security-policy"]


async def test_a_mail_without_html_has_no_frame(sign_in: SignIn, house: House) -> None:
    await caught(house, mail(html=None, text="plain words"))
    page = await (await sign_in("marketer")).get("/mailbox/1")
    assert "plain words" in page.text
    assert "<iframe" not in page.text


async def test_only_marketers_read_mail(sign_in: SignIn, house: House) -> None:
    await caught(house, mail())
    for role in ("analyst", "salesperson"):
        client = await sign_in(role, salesperson="s1")
        for path in ("/mailbox", "/mailbox/1", "/mailbox/1/body"):
            assert (await client.get(path)).status_code == 403
    client = await sign_in("marketer")
    assert (await client.get("/mailbox/2")).status_code == 404
