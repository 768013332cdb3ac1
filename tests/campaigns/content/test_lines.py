"""Long lines are broken where a browser does not see it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from campaigns.content import compile_content
from campaigns.content.lines import LONG, break_lines
from tests.campaigns.content.people import LINKS, person

PARAGRAPH = '<p style="margin:0"><b class="a">一</b><b class="b">二</b>{}</p>'


def longest(html: str) -> int:
    return max(len(line.encode()) for line in html.split("\n"))


def test_lines_are_broken_between_parts_of_tables_first() -> None:
    cells = "<b>x</b><i>y</i>" * 20
    html = f'<table><tbody><tr><td class="c">{cells}</td><td>w</td></tr></tbody></table>' + " " * LONG
    assert break_lines(html).rstrip() == (
        f'<table>\n<tbody>\n<tr>\n<td class="c">{cells}</td>\n<td>w</td>\n</tr>\n</tbody>\n</table>'
    )


def test_what_stays_long_is_broken_within_its_tags() -> None:
    one = '<div class="a" id="b">x &lt; y</div><br><a href="#">z</a>'
    assert break_lines(one * 20) == one.replace("<div ", "<div\n").replace("<a ", "<a\n") * 20


def test_short_lines_stay_as_they_are() -> None:
    html = "<table><tr><td>a</td><td>b</td></tr></table>\n" * 50
    assert longest(html) < LONG
    assert break_lines(html) == html


def test_chinese_counts_as_the_bytes_it_takes() -> None:
    html = PARAGRAPH.format("字" * 200) * 10
    assert longest(break_lines(html)) < 998


@given(st.lists(st.sampled_from(["<p>", '<p class="a b">', "字" * 300, "a < b > c", "&amp; x ", "<br />", "</p>"])))
def test_the_page_stays_the_same(pieces: list[str]) -> None:
    html = "".join(pieces)
    parser = etree.HTMLParser()
    before, after = (etree.fromstring(f"<body>{page}</body>", parser) for page in (html, break_lines(html)))
    assert etree.tostring(before) == etree.tostring(after)


def test_what_mjml_makes_fits_into_the_lines_of_a_mail() -> None:
    section = "<mj-section><mj-column><mj-text>{{ customer.name }}，空调该保养了</mj-text></mj-column></mj-section>"
    content = compile_content(subject="s", mjml=f"<mjml><mj-body>{section * 30}</mj-body></mjml>")
    html = content.render(person(), LINKS).html
    assert html is not None
    assert longest(html) <= 998
