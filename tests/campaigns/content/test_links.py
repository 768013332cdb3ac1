"""Tracked links, own pages, footer, pixel."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.content import compile_content
from tests.campaigns.content.people import LINKS, person

LINK = "https://shop.example/filters/{{ appliance.model }}?u={{ customer.name }}&x=1#{{ customer.city }}"


def html_of(source: str, **changes: object) -> str:
    rendered = compile_content(subject="s", html=source).render(person(**changes), LINKS)
    assert rendered.html is not None
    return rendered.html


def test_links_are_tracked_and_lead_where_they_should() -> None:
    content = compile_content(
        subject="s",
        html=f'<a href="{LINK}">Filters &amp; more</a>'
        '<a href="http://b.example"><img src="https://c.example/x.png" alt="Shop"></a>'
        f'<a href="{LINK}">again</a>',
        text="See https://b.example, or (https://shop.example/?m={{ appliance.model }}).",
    )
    assert [(link.index, link.label) for link in content.links] == [
        (0, "Filters & more"),
        (1, "Shop"),
        (2, ""),
        (3, ""),
    ]
    assert [content.click_target(index, person()) for index in range(4)] == [
        "https://shop.example/filters/KFR-35?u=%E5%BC%A0%E4%BC%9F&x=1#",
        "http://b.example",
        "https://b.example",
        "https://shop.example/?m=KFR-35",
    ]
    rendered = content.render(person(), LINKS)
    assert rendered.html is not None
    assert rendered.html.count('href="https://hearth.example/c/0?a=1&amp;b=2"') == 2
    assert rendered.html.count('href="https://hearth.example/c/1?a=1&amp;b=2"') == 1
    assert "See https://hearth.example/c/2?a=1&b=2, or (https://hearth.example/c/3?a=1&b=2)." in rendered.text
    for index in (-1, 4):
        with pytest.raises(IndexError):
            content.click_target(index, person())


TEXT_LINK = compile_content(
    subject="s", text="https://shop.example:8443/a/{{ customer.name }}/b?u={{ customer.city }}&v=1"
)


@given(st.text(), st.text() | st.integers() | st.none() | st.dates())
def test_no_value_changes_where_a_link_leads(name: str, city: object) -> None:
    target = urlsplit(TEXT_LINK.click_target(0, {"customer": {"name": name, "city": city}}))
    assert (target.scheme, target.netloc) == ("https", "shop.example:8443")
    assert target.path.startswith("/a/")
    assert target.path.endswith("/b")
    assert target.path.count("/") == 3
    assert parse_qsl(target.query, keep_blank_values=True)[-1] == ("v", "1")
    assert len(parse_qsl(target.query, keep_blank_values=True)) == 2
    assert target.geturl().isascii()
    assert target.geturl().isprintable()


UNTOUCHED = [
    '<a href="mailto:a@b.example?subject=Hi">x</a>',
    '<a href="tel:+8613800000000">x</a>',
    '<a href="#top">x</a>',
]


@pytest.mark.parametrize("html", UNTOUCHED)
def test_other_links_stay_as_they_are(html: str) -> None:
    content = compile_content(subject="s", html=html)
    assert content.links == ()
    assert html in (content.html or "")


def test_own_pages_are_not_tracked() -> None:
    html = html_of(
        '<a href="{{ links.unsubscribe }}">a</a><a href="{{links.view}}">b</a><a href="{{ links.preferences }}">c</a>'
    )
    assert 'href="https://hearth.example/u/t"' in html
    assert 'href="https://hearth.example/v/t"' in html
    assert 'href="https://hearth.example/p/t"' in html
    assert "rather not receive" not in html


WITHOUT_A_WAY_OUT = [
    "<p>Hi</p>",
    '{% if customer.city %}<a href="{{ links.unsubscribe }}">x</a>{% endif %}',
    "<!-- {{ links.unsubscribe }} -->",
    '<a href="https://a.example/{{ links.unsubscribe }}">x</a>',
    "{% for a in appliances %}<a href='{{ links.unsubscribe }}'>x</a>{% endfor %}",
]


@pytest.mark.parametrize("html", WITHOUT_A_WAY_OUT)
def test_a_footer_gives_the_way_out_that_is_lacking(html: str) -> None:
    content = compile_content(subject="s", html=html, language="zh-CN")
    rendered = content.render(person(), LINKS)
    assert '<a href="https://hearth.example/u/t" style="color:#6b7280">退订</a>' in (rendered.html or "")
    assert rendered.text.endswith("退订: https://hearth.example/u/t\n")


def test_one_pixel_at_the_end_of_the_body() -> None:
    html = html_of("<html><body><p>a</p></body></html>")
    assert html.count('src="https://hearth.example/o/t"') == html.count("https://hearth.example/o/t/more") == 1
    assert html.rstrip().endswith('width:1px;height:1px"></body></html>')
    without = compile_content(subject="s", html="x").render(person(), LINKS._replace(pixel="")).html
    assert "<img" not in (without or "<img")


ODD_ENDS = [
    "<html><body><p>a</p></body></html><!-- </body></html> -->",
    "<p>a</p></body></html>{% if customer.city %}</body>{% endif %}",
    "<html><head><title>a</title></head></html>",
    "<frameset></frameset>",
    "just text",
]


@pytest.mark.parametrize("html", ODD_ENDS)
def test_pixel_and_footer_stand_where_they_are_seen(html: str) -> None:
    text = re.sub(r"<!--.*?-->", "", html_of(html), flags=re.DOTALL)
    assert text.count('src="https://hearth.example/o/t"') == 1
    assert text.count("https://hearth.example/u/t") == 1


def test_a_link_of_a_loop_is_left_untracked_with_a_warning() -> None:
    content = compile_content(
        subject="s",
        html='{% for a in appliances %}<a href="https://a.example/{{ a.model }}">x</a>'
        '<a href="https://a.example/all?c={{ customer.name }}">all</a>{% endfor %}',
    )
    rendered = content.render(person(), LINKS)
    assert [link.template for link in content.links] == ["https://a.example/all?c={{ (customer.name)|_url }}"]
    assert 'href="https://a.example/BCD-200"' in (rendered.html or "")
    assert "cannot be tracked" in content.warnings[0]


def test_links_of_outlooks_conditional_comments_are_tracked_too() -> None:
    content = compile_content(
        subject="s",
        html='<p>a</p><!--[if mso]><v:rect href="https://a.example/?x=1&amp;y={{ customer.name }}"><![endif]-->',
    )
    assert content.links[0].template == "https://a.example/?x=1&y={{ (customer.name)|_url }}"
    assert '<v:rect href="https://hearth.example/c/0?a=1&amp;b=2">' in (content.render(person(), LINKS).html or "")


def test_addresses_are_kept_as_written() -> None:
    hrefs = [
        "https://a.example/?a=1&copy=2&reg=3",
        "https://a.example/%E4%BD%A0?q=a%20b+c",
        "https://a.example/(x)/~y;z=1,2",
    ]
    html = "".join(f'<a href="{href}">x</a>' for href in hrefs)
    assert [link.template for link in compile_content(subject="s", html=html).links] == hrefs
    odd = '<a href=" HTTPS://例子.公司/你 好?q=é ">x</a>'
    assert compile_content(subject="s", html=odd).links[0].template == (
        "https://xn--fsqu00a.xn--55qx5d/%E4%BD%A0%20%E5%A5%BD?q=%C3%A9"
    )


def test_forged_names_in_values_stay_values() -> None:
    """A customer called like a placeholder gets no link, and no template of their own."""
    content = compile_content(subject="s", html='{{ customer.name }}<a href="https://a.example">x</a>')
    for name in ("{{ _c0 }}", "jz0qL0z", "{{ 7*7 }}", "{% if %}"):
        html = content.render(person(customer={"name": name}), LINKS).html or ""
        assert name in html
        assert html.count("/c/0") == 1


def test_braces_that_were_no_tag_do_not_become_one() -> None:
    html = html_of("<p>&#123;&#123; customer.name }} {<b>{ 7*7 }}</b> &lbrace;% if %}</p>")
    assert "{{ customer.name }}" in html
    assert "49" not in html
    content = compile_content(subject="s", html="<p>{<b>{ 7*7 }}</b></p>")
    assert "{{ 7*7 }}" in content.render(person(), LINKS).text
