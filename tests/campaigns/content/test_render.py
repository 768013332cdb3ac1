"""What people get to read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from campaigns.content import CompiledContent, compile_content, preview_warnings
from tests.campaigns.content.people import LINKS, person


def rendered_text(template: str, language: str = "en", **changes: Any) -> str:
    content = compile_content(subject="s", text=template + "{{ links.unsubscribe }}", language=language)
    return content.render(person(**changes), LINKS).text.removesuffix(LINKS.unsubscribe)


TEXTS = [
    ("Dear {{ customer.name }}", "Dear 张伟"),
    ("{{ customer['name'] }}", "张伟"),
    ("{{ customer.name|upper|trim }}", "张伟"),
    ("{{ customer.city }}", ""),
    ("{{ customer.city|default('your city') }}", "your city"),
    ("{{ customer.city or 'your city' }}", "your city"),
    ("{{ dealer.name }}|{{ dealer.name|default('we') }}", "|we"),
    ("{{ customer.attributes.color|default('white') }}", "white"),
    ("{% if customer.city == 'X' %}a{% elif customer.city %}b{% else %}c{% endif %}", "c"),
    ("{% if customer.city > 5 %}a{% else %}b{% endif %}", "b"),
    ("{% if dealer %}a{% else %}b{% endif %}", "b"),
    ("{% if customer.city is defined %}a{% else %}b{% endif %}", "b"),
    ("{% if customer.city is none %}a{% endif %}", "a"),
    ("{% if 'vip' in customer.tags %}a{% endif %}{{ customer.tags|join(', ') }}", "avip, old"),
    ("{{ customer.tags|length }}/{{ appliances|length }}", "2/2"),
    (
        "{% for a in appliances %}{{ loop.index }}:{{ a.model }}{{ ', ' if not loop.last }}{% endfor %}",
        "1:KFR-35, 2:BCD-200",
    ),
    ("{% for a in appliances if a.brand == 'Haier' %}{{ a.model }}{% else %}none{% endfor %}", "BCD-200"),
    ("{{ appliances|map(attribute='model')|join(' + ') }}", "KFR-35 + BCD-200"),
    ("{{ (appliances|sort(attribute='model')|first).model }}", "BCD-200"),
    ("{{ appliances[1].model }}{{ appliances[9].model }}", "BCD-200"),
    ("{% set a = appliance %}{{ a.brand }} {{ a.model }}", "Gree KFR-35"),
    ("{% for o in orders %}{% for i in o.items %}{{ i.quantity }}x{{ i.name }}{% endfor %}{% endfor %}", "2xFilter"),
    ("{{ order.items[0].price * 2 }}", "99.0"),
    ("{{ orders|sum(attribute='amount') }}", "3999.00"),
    ("{{ appliance.installed_on }} {{ today }}", "2018-05-01 2026-11-22"),
    ("{{ appliance.installed_on|date }}", "May 1, 2018"),
    ("{{ appliance.installed_on|date('yyyy/MM/dd') }}", "2018/05/01"),
    ("{{ order.ordered_at|date('yyyy-MM-dd') }}", "2026-11-02"),  # in the workspace's zone
    ("{{ order.ordered_at|time('HH:mm') }}", "01:30"),
    ("{{ customer.total_spent|money }}", "CN¥12,345.60"),
    ("{{ customer.total_spent|money('EUR') }}", "€12,345.60"),
    ("{{ customer.total_spent|number }} {{ customer.total_spent|number(0) }}", "12,345.6 12,346"),
    ("{{ (customer.total_spent / 100)|round(1) }}", "123.5"),
    ("{{ customer.city|date }}{{ customer.city|money }}{{ customer.city|number }}", ""),
    ("{{ customer.attributes.sizes }}", "S, M"),
    ("{{ customer.city|int }}{{ customer.city|abs }}{{ -customer.city }}{{ customer.city * 2 }}", "0"),
    ("{% for i in range(dealer.code) %}x{% endfor %}{{ 'x' in customer.city }}", "False"),
    ("{{ 'a' ~ customer.name ~ 1 }}", "a张伟1"),
    ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
    ("{{ household.size }} {{ household.community }} {{ campaign.name }}", "3 枫林 Filters"),
    ("a{# a note #}b", "ab"),
    ("<b>{{ salesperson.name }}</b> & co\n", "<b>李四</b> & co\n"),
    ("{{ customer.total_spent + 1 if customer.total_spent > 10 else 0 }}", "12346.60"),
]


@pytest.mark.parametrize(("template", "expected"), TEXTS)
def test_text_as_it_is_written(template: str, expected: str) -> None:
    assert rendered_text(template) == expected


def test_dates_and_money_in_chinese() -> None:
    assert rendered_text("{{ appliance.installed_on|date('long') }} {{ customer.total_spent|money }}", "zh") == (
        "2018年5月1日 ¥12,345.60"
    )


def test_equal_instants_of_two_zones_are_shown_apart() -> None:
    at = datetime(2026, 11, 1, 17, 30, tzinfo=UTC)
    texts = [
        compile_content(subject="s", text="{{ order.ordered_at|time('HH:mm') }}", timezone=zone)
        .render(person(order={"ordered_at": at}), LINKS)
        .text[:5]
        for zone in ("Asia/Shanghai", "Europe/Helsinki")
    ]
    assert texts == ["01:30", "19:30"]


def test_values_are_escaped_in_html_alone() -> None:
    nasty = "<script>alert('x')</script>&\"'"
    content = compile_content(
        subject="{{ customer.name }}",
        html='<p title="{{ customer.name }}" style="color:{{ customer.name }}">{{ customer.name }}</p>'
        "<style>p { color: {{ customer.name }} }</style>",
        text="{{ customer.name }}",
    )
    rendered = content.render(person(customer={"name": nasty}), LINKS)
    assert rendered.html is not None
    assert "<script" not in rendered.html
    assert 'title="&lt;script&gt;' in rendered.html
    assert "color:scriptalertxscript" in rendered.html
    assert rendered.subject == nasty
    assert rendered.text.startswith(nasty)


def test_a_subject_is_one_line() -> None:
    content = compile_content(subject="Hi\n {{ customer.name }}", text="x")
    assert content.render(person(customer={"name": "a\r\nBcc: x@y"}), LINKS).subject == "Hi a Bcc: x@y"


def test_missing_values_are_named() -> None:
    content = compile_content(
        subject="{{ customer.name }}",
        html="{{ dealer.name }} {{ customer.city|upper }} {{ customer.attributes.color }}"
        "{{ customer.gender|default('x') }}"
        "{% for a in appliances %}{{ a.installed_on }}{% endfor %}{% if customer.phone %}{% endif %}",
    )
    nobodys = compile_content(subject="s", text="{{ (orders|first).number }}{{ dealer.phone }}")
    assert nobodys.render(person(orders=[]), LINKS).missing == {"number", "dealer.phone"}
    rendered = content.render(person(), LINKS)
    assert rendered.missing == {"dealer.name", "customer.city", "customer.attributes.color", "appliances.installed_on"}
    assert "Without a value for this person: appliances.installed_on," in preview_warnings(content, rendered)[0]


def test_needed_fields_are_known() -> None:
    content = compile_content(
        subject="{{ customer.name }}",
        html="{% for a in appliances %}{{ a.model }}{% endfor %}{{ customer.attributes.color }}{{ today }}"
        '{% for o in orders %}{{ o.items|length }}{{ o["number"] }}{% endfor %}{% set m = appliance %}{{ m.brand }}'
        '<a href="https://shop.example/?c={{ customer.city }}">x</a>{{ links.view }}',
    )
    assert content.fields == {
        "customer.name",
        "customer.attributes.color",
        "appliances",
        "appliances.model",
        "appliance",
        "appliance.brand",
        "orders",
        "orders.items",
        "orders.number",
        "today",
    }
    assert content.click_fields == {"customer.city"}


def test_a_snapshot_is_the_same_content() -> None:
    content = compile_content(
        subject="{{ customer.name }}", html='<a href="https://a.example/{{ customer.city }}">x</a>', language="zh"
    )
    again = CompiledContent.from_json(json.loads(json.dumps(content.to_json())))
    assert again == content
    assert again.render(person(), LINKS) == content.render(person(), LINKS)


def test_a_plain_mail_has_no_html() -> None:
    rendered = compile_content(subject="s", text="Hello").render(person(), LINKS)
    assert rendered.html is None
    assert (
        rendered.text
        == "Hello\n\n--\nYou would rather not receive these mails? Unsubscribe: https://hearth.example/u/t\n"
    )
