"""A letter's bytes say what plain Jinja says: whatever stands in the values, and wherever they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from campaigns.content import CompiledContent, compile_content
from campaigns.content.filters import filters_for
from channels.contract import Lines
from tests.campaigns.content.people import LINKS, person

TEXT = """{{ customer.name }}
.{{ customer.name }}.
{{ customer.city }}{{ customer.name }}
{% for one in appliances %}
{{ one.brand }}.{{ one.model }}
.{{ loop.index }}{{ ", " if not loop.last }}{% if loop.index == 2 %}
{% endif %}{% else %}.{% endfor %}{{ appliance.installed_on|date("yyyy.MM.dd") }}
{{ customer.attributes.sizes }} {{ customer.total_spent }} {{ customer.name|upper }} {{ customer["city"] }}
{% set own = customer.city %}{{ own }} {{ own ~ customer.name }} {{ customer.total_spent * 2 }}
https://shop.example/?c={{ customer.city }} https://shop.example/b {{ links.unsubscribe }}"""
HTML = f'<p title="{{{{ customer.name }}}}">{TEXT}</p><a href="https://shop.example/c">{{{{ customer.city }}}}</a>'
CONTENT = compile_content(subject="{{ customer.name }}.", html=HTML, text=TEXT)

values = st.text(alphabet=".\r\n\0<>&\"' \t\x0b\x85a你🎉%{", max_size=8) | st.text(max_size=30)
people = st.builds(
    lambda name, city, records, tags: person(
        customer={"name": name, "city": city, "attributes": {"sizes": tags}, "total_spent": Decimal("1.50")},
        appliances=[{"brand": brand, "model": model} for brand, model in records],
        appliance={"installed_on": date(2018, 5, 1)},
    ),
    values,
    values,
    st.lists(st.tuples(values, values), max_size=3),
    st.lists(values, max_size=2),
)


def plainly(content: CompiledContent, template: str, someone: Mapping[str, Any], *, escaped: bool) -> str:
    """What Jinja makes of a compiled template by itself."""
    environment = Environment(autoescape=escaped, keep_trailing_newline=True, finalize=comma_separated)
    environment.filters.update(filters_for("en", "CNY", "Asia/Shanghai"))
    clicks = {f"_c{index}": click for index, click in enumerate(LINKS.clicks(len(content.links)))}
    own = {"links": LINKS.pages, "_pixel": LINKS.pixel}
    return environment.from_string(template).render({**mapped(someone, read), **own, **clicks})


def comma_separated(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def read(text: str) -> str:
    """A value as it is read: without a NUL, its lines ended like all others."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: mapped(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [mapped(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


@given(people)
def test_bytes_say_what_plain_jinja_says(someone: dict[str, Any]) -> None:
    written = CONTENT.write(someone, LINKS)
    assert written.html is not None
    assert written.text.raw == Lines.of(plainly(CONTENT, CONTENT.text, someone, escaped=False)).raw
    assert written.html.raw == Lines.of(plainly(CONTENT, CONTENT.html or "", someone, escaped=True)).raw
    assert written.subject == " ".join(plainly(CONTENT, CONTENT.subject, someone, escaped=False).split())
    for body in (written.text, written.html):
        rest = body.raw.replace(b"\r\n", b"")
        assert not {b"\r", b"\n", b"\0"} & {rest[place : place + 1] for place in range(len(rest))}


@given(people)
def test_what_is_sent_is_what_is_read(someone: dict[str, Any]) -> None:
    written, rendered = CONTENT.write(someone, LINKS), CONTENT.render(someone, LINKS)
    assert (written.subject, str(written.html), str(written.text)) == (rendered.subject, rendered.html, rendered.text)


@pytest.mark.parametrize(
    "click", ["https://a.example/c/x", "https://a.example/?a=1&b='2'", "https://a.example/ x\ny", ""]
)
def test_any_click_address_stands_escaped_in_html(click: str) -> None:
    links = LINKS._replace(clicks=lambda count: [click] * count)
    content = compile_content(subject="s", html='<a href="https://shop.example/{{ customer.city }}">x</a>')
    written = content.write(person(), links)
    escaped = click.replace("&", "&amp;").replace("'", "&#39;").replace("\n", "\r\n")
    assert f'href="{escaped}"'.encode() in (written.html or Lines(b"")).raw
    assert f"({click})" in str(written.text)


@given(st.text())
def test_lines_keep_their_text(text: str) -> None:
    lines = Lines.of(text)
    assert str(lines) == read(text)
    assert Lines.of(str(lines)) == lines
