"""Template bombs: stopped at 1 s or 1 MB, in the one message that carries them."""

from __future__ import annotations

import itertools
import time

import pytest

from campaigns.content import RenderFailed, compile_content, limits
from campaigns.content.limits import MAX_OUTPUT
from runtime.errors import Invalid
from tests.campaigns.content.people import LINKS, person

DOUBLING = "{% set s = 'aaaaaaaaaa' %}" + "{% set s = s + s %}" * 40 + "{{ s }}"
BOMBS = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}a{% for j in range(99999) %}{% set k = j %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}a{% for j in range(99999) if j < 0 %}b{% endfor %}{% endfor %}",
    "{{ range(99999)|sum }}" * 1000,
    "{{ customer.name * 1 }}{{ 'x' * 9 }}",
    "{% for i in range(99999) %}" + "x" * 1200 + "{% endfor %}",
    "{{ 'x' * 100000000 }}",
    "{{ 100000000 * 'x' }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ (((2 ** 64) ** 64) ** 64) ** 64 }}",
    DOUBLING,
    DOUBLING.replace("s + s", "s ~ s"),
    "{% set s = 1 %}" + "{% set s = s * 99999999999 %}" * 500 + "{{ s }}",
    "{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
    + "|replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" * 20
    + " }}",
    "{{ range(99999)|join('" + "x" * 1000 + "') }}",
    "{{ range(99999)|list }}",
    "{{ '%99999999d' % 1 }}",
    "{{ 1|round(999999999) }}{% for i in range(999999) %}{% endfor %}",
    "{% if range(99999)|list == range(99998)|list %}{% endif %}{{ 1 / 0 }}",
    "{{ customer.name + 1 }}",
    "{{ customer.name|money }}",
    "{{ customer.name|date }}",
    "{{ appliance.brand|join(',') }}",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_stopped_in_time(bomb: str) -> None:
    content = compile_content(subject="s", text=bomb)
    started = time.thread_time()
    with pytest.raises(RenderFailed, match="cannot be rendered for this person"):
        content.render(person(), LINKS)
    assert time.thread_time() - started < 1.5


def test_a_bomb_in_a_link_is_stopped_at_the_click() -> None:
    content = compile_content(subject="s", text="https://a.example/{{ 'x' * 100000000 }}")
    content.render(person(), LINKS)
    with pytest.raises(RenderFailed):
        content.click_target(0, person())


def test_a_value_as_long_as_the_limit_fails_that_person_alone() -> None:
    content = compile_content(subject="s", text="{{ customer.name }}")
    with pytest.raises(RenderFailed, match="longer than 1000000 bytes"):
        content.render(person(customer={"name": "x" * MAX_OUTPUT}), LINKS)
    assert content.render(person(), LINKS).text.startswith("张伟")


def test_the_limit_is_of_bytes_not_of_characters() -> None:
    content = compile_content(subject="s", text="{% for i in range(400) %}" + "空调" * 500 + "{% endfor %}")
    with pytest.raises(RenderFailed, match="longer than 1000000 bytes"):
        content.render(person(), LINKS)


def test_a_process_that_stood_still_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is of computing: minutes pass on the wall while a frozen worker is thawed again."""
    content = compile_content(subject="s", text="{% for i in range(40) %}{{ i }}{% endfor %}")
    minutes = itertools.count(step=60.0)
    monkeypatch.setattr(limits.time, "monotonic", lambda: next(minutes))
    assert content.render(person(), LINKS).text.startswith("0123")


def test_compiling_computes_nothing() -> None:
    started = time.thread_time()
    for bomb in BOMBS[4:8]:
        compile_content(subject="s", text=bomb)
    assert time.thread_time() - started < 2


def test_a_template_of_too_many_parts_is_refused() -> None:
    with pytest.raises(Invalid, match="parts"):
        compile_content(subject="s", text="{{ today }}" * 20_000)


@pytest.mark.parametrize("filter_name", ["round", "money", "number"])
def test_text_that_is_no_number_is_named(filter_name: str) -> None:
    content = compile_content(subject="s", text="{{ customer.name|" + filter_name + " }}")
    with pytest.raises(RenderFailed, match="'12 or so' is no number"):
        content.render(person(customer={"name": "12 or so"}), LINKS)
