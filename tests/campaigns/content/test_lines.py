"""Long lines of MJML are broken where a browser does not see it."""

from __future__ import annotations

from campaigns.content import compile_content
from campaigns.content.lines import LONG, break_lines
from tests.campaigns.content.people import LINKS, person


def test_lines_are_broken_between_parts_of_tables_alone() -> None:
    cells = '<div class="a">x</div><div class="b">y</div><a href="#">z</a>' * 20
    html = f"<table><tbody><tr><td>{cells}</td><td>w</td></tr></tbody></table>"
    assert break_lines(html) == f"<table>\n<tbody>\n<tr>\n<td>{cells}</td>\n<td>w</td>\n</tr>\n</tbody>\n</table>"


def test_short_lines_stay_as_they_are() -> None:
    html = "<table><tr><td>a</td><td>b</td></tr></table>\n" * 50
    assert max(map(len, html.split("\n"))) < LONG
    assert break_lines(html) == html


def test_what_mjml_makes_fits_into_the_lines_of_a_mail() -> None:
    section = "<mj-section><mj-column><mj-text>{{ customer.name }}，空调该保养了</mj-text></mj-column></mj-section>"
    content = compile_content(subject="s", mjml=f"<mjml><mj-body>{section * 30}</mj-body></mjml>")
    html = content.render(person(), LINKS).html
    assert html is not None
    assert max(len(line.encode()) for line in html.split("\n")) <= 998
