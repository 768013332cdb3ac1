"""Surveys in a body become tracked links, one for each answer; what is no survey is refused."""

from __future__ import annotations

import re

import pytest

from campaigns.content import CompiledContent, RenderFailed, compile_content
from customers.surveys import CSAT, NPS, SURVEYS
from runtime.errors import Invalid
from tests.campaigns.content.people import LINKS, person


def answers(content: CompiledContent) -> list[tuple[str, int | None]]:
    found = [content.survey(link.index) for link in content.links]
    return [(survey.name, score) for survey, score in filter(None, found)]


@pytest.mark.parametrize("name", SURVEYS)
def test_a_block_has_a_link_for_each_answer(name: str) -> None:
    content = compile_content(subject="s", html=f"<p>Hello</p>{{{{ survey('{name}') }}}}<p>Bye</p>")
    assert answers(content) == [(name, score) for score in SURVEYS[name].scores]
    assert [link.label for link in content.links] == [f"{name.upper()} {score}" for score in SURVEYS[name].scores]
    rendered = content.render(person(), LINKS)
    assert rendered.html is not None
    for place, score in enumerate(SURVEYS[name].scores):
        assert f'href="https://hearth.example/c/{place}?a=1&amp;b=2"' in rendered.html
        assert f"{score} (https://hearth.example/c/{place}?a=1&b=2)" in rendered.text
    assert ".invalid" not in rendered.html + rendered.text


def test_questions_and_languages() -> None:
    own = compile_content(subject="s", html="""{{ survey("csat", "Was the repair 'good'?") }}""")
    assert "Was the repair" in str(own.html)
    assert "How satisfied are you" in str(compile_content(subject="s", html='{{ survey("csat") }}').html)
    assert "您对我们的服务满意吗" in str(compile_content(subject="s", html='{{ survey("csat") }}', language="zh").html)


def test_quotes_of_an_editor_and_an_address_for_a_button_of_ones_own() -> None:
    content = compile_content(
        subject="s",
        html="<a href=\"{{ survey_link('csat', 5) }}\">Great</a> {{ survey(&quot;nps&quot;) }}"
        '<a href="{{ survey_link("nps") }}">Tell us</a>',
    )
    assert answers(content) == [("csat", 5), *(("nps", score) for score in NPS.scores), ("nps", None)]


def test_plain_text_has_a_line_for_each_answer_or_one_address() -> None:
    content = compile_content(
        subject="s", text='Hello\n{{ survey("csat") }}\n{{ survey("nps") }}\n{{ survey_link("csat") }}'
    )
    assert answers(content) == [*(("csat", score) for score in (5, 4, 3, 2, 1)), ("nps", None), ("csat", None)]
    text = content.render(person(), LINKS).text
    assert "5: https://hearth.example/c/0?a=1&b=2\n" in text


def test_within_mjml() -> None:
    content = compile_content(
        subject="s",
        mjml="<mjml><mj-body><mj-section><mj-column><mj-text>{{ survey('csat') }}</mj-text>"
        "<mj-button href=\"{{ survey_link('nps') }}\">Tell us</mj-button></mj-column></mj-section></mj-body></mjml>",
    )
    assert answers(content) == [*(("csat", score) for score in CSAT.scores), ("nps", None)]


@pytest.mark.parametrize(
    "tag",
    [
        '{{ survey("stars") }}',
        "{{ survey() }}",
        "{{ survey }}",
        "{{ survey(customer.name) }}",
        '{{ survey("csat", 5) }}',
        '{{ survey_link("csat", 6) }}',
        '{{ survey_link("nps", 11) }}',
        '{{ survey_link("csat", "five") }}',
        '{{ survey("csat") | upper }}',
    ],
)
def test_what_is_no_survey_is_refused(tag: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_content(subject="s", html=f"<p>one</p>\n{tag}")
    assert caught.value.problems[0].path == "html"
    assert "line 2" in caught.value.problems[0].message
    assert "is no survey" in caught.value.problems[0].message


def test_a_subject_has_no_room_for_one() -> None:
    with pytest.raises(Invalid):
        compile_content(subject='{{ survey("csat") }}', html="<p>one</p>")


def test_an_answer_leads_nowhere_without_its_message() -> None:
    content = compile_content(subject="s", html='{{ survey("csat") }}<a href="https://a.example">a</a>')
    with pytest.raises(RenderFailed):
        content.click_target(0, person())
    assert content.click_target(5, person()) == "https://a.example"
    assert content.survey(5) is None


def test_it_survives_the_snapshot_and_keeps_settled_lines() -> None:
    content = compile_content(subject="s", html='{{ survey("nps") }}')
    again = CompiledContent.from_json(content.to_json())
    assert again == content
    assert answers(again) == answers(content)
    written = content.write(person(), LINKS)
    assert max(map(len, re.split(rb"\r\n", written.text.raw))) < 998
    assert written.html is not None
    assert written.html.settled
    assert written.text.settled
