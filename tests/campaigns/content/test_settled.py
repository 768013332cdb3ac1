"""Lines that are called settled need nothing on the wire, whatever template and values they come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import ChainableUndefined, Environment

from bench.reference import compiled, person
from campaigns.content import CompiledContent, compile_content
from campaigns.content.compiled import environment
from campaigns.content.limits import Budget, current
from campaigns.content.output import as_they_stand
from campaigns.content.sandbox import run, scope
from channels.contract import Lines
from tests.campaigns.content.people import LINKS

CONSTANTS = [
    ".",
    "-",
    "--",
    "..",
    "\n",
    "\n.",
    "\n-",
    "\n--",
    "=",
    "a",
    "你",
    " ",
    "x" * 120,
    "x" * 740,
    "\n" + "x" * 998,
]
EXPRESSIONS = [
    *(
        "{{ customer.name }}",
        "{{ customer.city }}",
        "{{ one.brand }}",
        "{{ customer.name|upper }}",
        "{{ customer.none }}",
    ),
    *("{{ _c0 }}", "{{ _c1 }}", "{% set own = customer.city %}", "{{ own }}", "{{ loop.index }}"),
]


OPENINGS = {
    "{% if customer.name %}": "{% endif %}",
    "{% if customer.city %}": "{% endif %}",
    "{% for one in appliances %}": "{% endfor %}",
}
TOKENS = [*CONSTANTS, *EXPRESSIONS, *OPENINGS, "{% else %}", "{% end %}"]


def woven(tokens: list[str]) -> str:
    """The template of these tokens, each of its blocks ended by the nearest `end`, or at the end."""
    pieces: list[str] = []
    open_blocks: list[list[str]] = []  # what may still come in each
    for token in tokens:
        if token in OPENINGS:
            open_blocks.append([OPENINGS[token], "{% else %}"])
        elif token == "{% else %}":
            token = open_blocks[-1].pop() if open_blocks and len(open_blocks[-1]) > 1 else ""
        elif token == "{% end %}":
            token = open_blocks.pop()[0] if open_blocks else ""
        pieces.append(token)
    return "".join([*pieces, *(block[0] for block in reversed(open_blocks))])


def read(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


templates = st.lists(st.sampled_from(TOKENS), max_size=14).map(woven)
signs = st.text(alphabet=".-=\r\n\0<&'a你\ud800", max_size=5).map(lambda text: text if read(text) else "")
values = signs | st.sampled_from(["", "x" * 249, "x" * 251, "你" * 90])
clicks = st.sampled_from(["https://a.example/c/x", "", ".", "--=", "=", "a\nb", "&", "x" * 150, "x" * 151])


def is_settled(raw: bytes) -> bool:
    return all(not line.startswith((b".", b"--=")) and len(line) <= 998 for line in raw.split(b"\r\n"))


@given(templates, values, values, st.lists(values, max_size=3), clicks, clicks, st.booleans())
def test_any_template_says_what_plain_jinja_says_and_is_settled_where_it_is_called_so(
    template: str, name: str, city: str, brands: list[str], first: str, second: str, escaped: bool
) -> None:
    someone = {"customer": {"name": name, "city": city}, "appliances": [{"brand": brand} for brand in brands]}
    found = rendered(template, someone, [first, second], escaped=escaped)
    plain = Environment(autoescape=escaped, keep_trailing_newline=True, undefined=ChainableUndefined)
    told: dict[str, Any] = {
        "customer": {"name": read(name), "city": read(city)},
        "appliances": [{"brand": read(brand)} for brand in brands],
        "_c0": read(first),
        "_c1": read(second),
    }
    assert found.raw == Lines.of(plain.from_string(template).render(told)).raw
    assert is_settled(found.raw) or not found.settled


def rendered(template: str, someone: dict[str, Any], links: list[str], *, escaped: bool) -> Lines:
    content = environment("en", "CNY", "Asia/Shanghai", autoescape=escaped).from_string(template)
    budget = Budget.fresh()
    token = current.set(budget)
    try:
        return run(content, scope(someone), budget, as_they_stand(links, budget)[escaped])
    finally:
        current.reset(token)


SETTLED = [
    "{{ customer.name }}, hello\n--\nYours",
    "\n- one\n- {{ customer.name }}.\n",
    "{% for one in appliances %}- {{ one.brand }}.\n{% endfor %}",
    "{{ customer.none }} {{ customer.name }}",
    "Hi{% if customer.name %} {{ customer.name }}{% endif %}.",
    "{{ _c0 }}\n{{ _c1 }}",
    "{% for one in appliances %}{% for two in appliances %}{{ two.brand }}\n{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("template", SETTLED)
def test_ordinary_templates_are_settled(template: str) -> None:
    someone = {"customer": {"name": "张伟"}, "appliances": [{"brand": "Gree"}] * 30}
    assert rendered(template, someone, ["https://a.example/c/x"] * 2, escaped=True).settled


OTHERS = [
    "{% for one in appliances %}{{ one.brand }}{% endfor %}",
    "{{ customer.name }}.",
    "a\n--=",
    "--{{ _c0 }}=",
    "x" * 999,
]


@pytest.mark.parametrize("template", OTHERS)
def test_what_cannot_be_known_is_not_settled(template: str) -> None:
    someone = {"customer": {"name": "张伟"}, "appliances": [{"brand": "Gree"}]}
    assert not rendered(template, someone, [""], escaped=False).settled


@pytest.mark.parametrize("content", [compiled(), compile_content(subject="s", text="Hello {{ customer.name }}\n")])
def test_mails_as_people_write_them_are_settled_in_all_parts(content: CompiledContent) -> None:
    written = content.write(person(1), LINKS)
    assert written.text.settled
    assert written.html is None or written.html.settled
