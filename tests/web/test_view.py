"""Numbers, money, times and addresses as templates show them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from starlette.requests import Request

from runtime.house import House
from web import view
from web.app import create_app
from web.i18n import use_language
from web.render import environment

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


@pytest.fixture
def request_of(house: House) -> Request:
    return request_for(house, "CNY")


def request_for(house: House, currency: str) -> Request:
    app = create_app(replace(house, settings=replace(house.settings, currency=currency)))
    scope = {"type": "http", "app": app, "path": "/users", "query_string": b"q=a&sort=name&cursor=x", "headers": []}
    return Request({**scope, "server": ("127.0.0.1", 8000), "scheme": "http", "method": "GET"})


@pytest.mark.parametrize(
    ("currency", "language", "amount", "places", "shown"),
    [
        ("CNY", "en", Decimal("1284300.5"), None, "¥1,284,300.50"),
        ("CNY", "zh", Decimal("1284300.5"), 0, "¥1,284,300"),
        ("CNY", "zh", Decimal("-12.345"), None, "-¥12.34"),
        ("USD", "zh", 3, None, "$3.00"),
        ("JPY", "en", 1200, None, "¥1,200"),
        ("CHF", "en", 5, None, "CHF 5.00"),
        ("CNY", "en", None, None, "–"),
    ],
)
def test_money(
    currency: str, language: str, amount: Decimal | None, places: int | None, shown: str, house: House
) -> None:
    use_language(language)
    with view.current_request(request_for(house, currency)):
        assert view.money(amount, places) == shown


def test_numbers() -> None:
    use_language("en")
    assert [view.number(1234567), view.number(Decimal("2.50")), view.number(None)] == ["1,234,567", "2.5", "–"]
    assert [view.percent(0.1234), view.percent(None), view.percent(1)] == ["12.3%", "–", "100%"]
    assert view.compact(12345) == "12.3K"
    use_language("zh")
    assert view.compact(12345) == "1.2万"


def test_times_fall_on_the_workspaces_day(request_of: Request) -> None:
    with view.current_request(request_of):
        use_language("en")
        assert view.day(NOW) == "Nov 23, 2026"  # 02:30 in Shanghai
        assert view.day(date(2026, 1, 2)) == "Jan 2, 2026"
        assert "2:30:00" in view.moment(NOW)
        assert view.ago(NOW - timedelta(hours=3), NOW) == "3 hours ago"
        assert view.ago(NOW + timedelta(days=2), NOW) == "in 2 days"
        use_language("zh")
        assert view.day(NOW) == "2026年11月23日"
        assert view.ago(NOW - timedelta(hours=3), NOW) == "3小时前"
        assert [view.day(None), view.moment(None), view.ago(None)] == ["–", "–", "–"]


def test_addresses(request_of: Request) -> None:
    with view.current_request(request_of):
        assert view.url("user", id=7) == "/users/7"
        assert view.url("users", q="a b", sort=None) == "/users?q=a+b"
        assert view.here(cursor=None) == "/users?q=a&sort=name"
        assert view.here(sort="-name", cursor=None) == "/users?q=a&sort=-name"


def test_a_static_address_changes_with_its_content() -> None:
    assert view.static("hearth.css") != view.static("hearth.js")
    assert view.static("hearth.css") == view.static("hearth.css")


def test_everything_in_a_template_is_escaped(request_of: Request) -> None:
    attack = '"><script>alert(1)</script>'
    source = (
        "{{ m.badge(x) }}{{ m.stat(x, x, x) }}{{ m.help(x) }}{{ m.secret('s', x, x) }}"
        "{{ m.flash({'text': x, 'kind': x}) }}"
        "{{ m.form_row('n', x, x, hint=x, errors={'n': x}, options=[(x, x)], type='select') }}"
        "{{ m.form_row('n', x, x, attrs={'placeholder': x}) }}{{ m.form_row('n', x, x, type='textarea') }}"
        "{{ m.chart(x, 'bar', [x], [{'name': x, 'data': [1]}]) }}{{ m.confirm('c', '/', x, x, x, x) }}"
        "{{ m.empty_state('inbox', x, x, {'href': x, 'label': x}) }}{{ _('Hello %(name)s,', name=x) }}"
    )
    with view.current_request(request_of):
        shown = environment().from_string(source).render(x=attack)
    assert "<script" not in shown
    assert "alert(1)" in shown
