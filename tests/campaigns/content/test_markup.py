"""HTML and MJML through the tools and out again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.content import compile_content, preview_warnings
from channels.contract import Lines
from runtime.errors import Invalid
from tests.campaigns.content.people import LINKS, person

MJML = """<mjml><mj-head><mj-title>{{ campaign.name }}</mj-title><mj-preview>{{ customer.name }}, look</mj-preview>
<mj-style inline="inline">.note { color: #c00 }</mj-style></mj-head><mj-body background-color="#eeeeee">
{% if appliance %}<mj-section background-url="https://cdn.example/{{ appliance.category }}.png"><mj-column>
<mj-text>Dear {{ customer.name }},
{% if appliance.brand == "Gree" %}Gree{% else %}other{% endif %} owner &lt;3</mj-text>
{% if customer.city %}<mj-text>never</mj-text>{% endif %}
<mj-button href="https://shop.example/{{ appliance.model }}?u={{ customer.name }}">Order</mj-button>
<mj-table>{% for a in appliances %}<tr><td class="note">{{ a.model }}</td></tr>{% endfor %}</mj-table>
<mj-text><a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text>
</mj-column></mj-section>{% endif %}</mj-body></mjml>"""


def test_mjml_with_tags_in_every_place() -> None:
    content = compile_content(subject="s", mjml=MJML)
    rendered = content.render(person(), LINKS)
    html = rendered.html or ""
    assert html.startswith("<!doctype html>")
    assert "<title>Filters</title>" in html
    assert "Dear 张伟,\nGree owner &lt;3" in html
    assert "https://cdn.example/air_conditioner.png" in html
    assert "never" not in html
    assert [row for row in ("KFR-35", "BCD-200") if f">{row}</td>" in html] == ["KFR-35", "BCD-200"]
    assert 'href="https://hearth.example/c/0?a=1&amp;b=2"' in html
    assert [link.template for link in content.links] == [
        "https://shop.example/{{ (appliance.model)|_url }}?u={{ (customer.name)|_url }}"
    ]
    assert "Order (https://hearth.example/c/0?a=1&b=2)" in rendered.text
    assert "Unsubscribe (https://hearth.example/u/t)" in rendered.text
    assert "never" not in rendered.text


HTML = """<!DOCTYPE html>
{% set a = appliance %}<html><head>{% if customer.name %}<title>T {{ customer.name }}</title>{% endif %}
<style>p { color: red } td { padding: {{ household.size }}px }
@media (max-width: 600px) { p { color: blue } } a:hover { color: green }
@font-face { font-family: X; src: url(https://cdn.example/x.woff) }</style></head>
<body>
<table>{% for x in appliances %}<tr><td>{{ x.model }}</td></tr>{% else %}<tr><td>none</td></tr>{% endfor %}</table>
<select>{% for x in appliances %}<option>{{ x.brand }}</option>{% endfor %}</select>
<ul>{% if a.brand == &quot;Gree&quot; and customer.total_spent &gt; 5 %}<li>
{{ a.brand|default(&quot;&lt;?&gt;&quot;) }}</li>{% endif %}</ul>
<p style="width: {{ household.size }}%">你好&nbsp;{{ customer.name }}</p></body></html>"""


def test_html_with_tags_in_every_place() -> None:
    html = compile_content(subject="s", html=HTML).render(person(), LINKS).html or ""
    assert html.startswith("<!DOCTYPE html>\n")
    assert "<title>T 张伟</title>" in html
    assert '<tr><td style="padding:3px">KFR-35</td></tr><tr><td style="padding:3px">BCD-200</td></tr>' in html
    assert "<option>Gree</option><option>Haier</option>" in html
    assert "<ul><li>\nGree</li></ul>" in html
    assert 'style="color:red; width: 3%"' in html
    assert "color:red" in html
    assert "@media (max-width: 600px)" in html
    assert "a:hover" in html
    assert "@font-face" in html
    assert "你好\u00a0张伟" in html


LOST = [
    "<style>p { width: {{ household.size }}% }</style><p>x</p>",  # no CSS that the inliner can read
    "<p>x</p></body></html><!doctype {{ customer.name }}>",
]


@pytest.mark.parametrize("html", LOST)
def test_a_tag_that_would_be_lost_is_named(html: str) -> None:
    with pytest.raises(Invalid, match=r"line 1: {{ (household.size|customer.name) }}"):
        compile_content(subject="s", html=html)


def test_the_text_part_reads_like_the_mail() -> None:
    html = """<html><head><title>no</title></head><body><div style="display:none">preheader</div>
    <h1>Hello {{ customer.name }}</h1>
    <p>Your   filter<br>is due.</p><ul><li>One</li><li>Two</li></ul>
    {% for a in appliances %}<p>{{ a.model }}</p>{% endfor %}<img src="https://c.example/x.png" alt="Picture">
    <p><a href="https://a.example">Order</a> <a href="mailto:a@b.example">Write</a></p></body></html>"""
    text = compile_content(subject="s", html=html).render(person(), LINKS).text
    lines = [line for line in text.split("\n") if line]
    assert lines == [
        "Hello 张伟",
        "Your filter",
        "is due.",
        "- One",
        "- Two",
        "KFR-35",
        "BCD-200",
        "Picture",
        "Order (https://hearth.example/c/0?a=1&b=2) Write",
        "--",
        "You would rather not receive these mails? Unsubscribe: https://hearth.example/u/t",
    ]


ACTIVE = [
    "<script>alert(1)</script>",
    "<iframe src='https://a.example'></iframe>",
    "<svg onload=alert(1)></svg>",
    "<object data='x'></object>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv='refresh' content='0;url=https://evil.example'>",
    "<p onclick='alert(1)'>x</p>",
    "<img src='https://a.example/x' onerror='alert(1)'>",
]


@pytest.mark.parametrize("html", ACTIVE)
def test_active_content_is_taken_out(html: str) -> None:
    content = compile_content(subject="s", html=f"<p>before</p>{html}after")
    out = (content.html or "").lower()
    assert not any(
        word in out for word in ("alert", "<script", "<iframe", "<svg", "<object", "<base", "refresh", "evil")
    )
    assert "after" in out
    assert "taken out" in content.warnings[0]


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    html = """<html><head><link rel="stylesheet" href="http://127.0.0.1:9/a.css"><style>@import url(http://127.0.0.1:9/b.css);
    @\\69mport "http://127.0.0.1:9/c.css"; p{color:red}</style></head><body><p>x</p></body></html>"""
    assert "color:red" in (compile_content(subject="s", html=html).html or "")
    mjml = '<mjml><mj-body><mj-section><mj-column><mj-include path="http://127.0.0.1:9/x"/></mj-column></mj-section></mj-body></mjml>'
    with pytest.raises(Invalid):
        compile_content(subject="s", mjml=mjml)


def test_no_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("p{content:secret}")
    html = f'<link rel="stylesheet" href="https://a.example/x"><style>@import url(file://{secret});</style><p>x</p>'
    assert "content:secret" not in (compile_content(subject="s", html=html).html or "")


def test_warnings_for_the_preview() -> None:
    content = compile_content(
        subject="{{ customer.name }}" * 20,
        html='<img src="http://a.example/x.png"><a href="http://a.example">x</a><a href="">y</a>'
        + "<p>long</p>" * 12_000,
    )
    found = "\n".join(preview_warnings(content, content.render(person(), LINKS)))
    for words in (
        "not encrypted (http)",
        "A link has no address.",
        "The subject is 80 columns wide",
        "Gmail cuts it off after 102 KB",
        "1 of 2 images have no alt text",
        "loaded without encryption",
    ):
        assert words in found
    good = compile_content(subject="Hello", html='<img src="https://a.example/x.png" alt="A">')
    assert preview_warnings(good, good.render(person(), LINKS)) == []


@given(st.text(alphabet=st.sampled_from(list("<>/=\"' abp{}%#&;!-jz0qEL1\n{")), max_size=60) | st.text(max_size=40))
def test_any_html_compiles_or_is_refused(source: str) -> None:
    try:
        content = compile_content(subject="s", html=source)
    except Invalid:
        return
    rendered = content.render(person(), LINKS)
    assert LINKS.unsubscribe in (rendered.html or "")
    assert LINKS.unsubscribe in rendered.text


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_value_renders_and_stays_inside(name: str, city: str) -> None:
    content = VALUES
    rendered = content.render(person(customer={"name": name, "city": city, "attributes": {"color": city}}), LINKS)
    html = rendered.html or ""
    assert html.count("<") == BLANK.count("<")
    assert html.count('"') == BLANK.count('"')
    assert str(Lines.of(name)) in rendered.text


VALUES = compile_content(
    subject="{{ customer.name }}",
    html="<style>p:hover{color:{{ customer.attributes.color }}}</style>"
    '<p title="{{ customer.name }}" style="color:{{ customer.city }}">'
    '{{ customer.name }}<a href="mailto:x@y.example?subject={{ customer.city }}">x</a></p><!-- {{ customer.city }} -->',
)
BLANK = VALUES.render(person(customer={}), LINKS).html or ""
