from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.addresses import plain_mobiles, read_email, read_phone
from customers.moments import read_date, read_instant
from customers.values import (
    Context,
    read_code,
    read_integer,
    read_number,
    read_text,
    read_texts,
    read_yes_no,
    read_zone,
)

CHINA = Context(ZoneInfo("Asia/Shanghai"), "CN")
READERS = (
    read_text,
    read_code,
    read_number,
    read_integer,
    read_date,
    read_instant,
    read_yes_no,
    read_texts,
    read_zone,
    read_email,
    read_phone,
)


@pytest.mark.parametrize(
    ("reader", "given", "expected"),
    [
        (read_text, "  王 伟\u3000", "王 伟"),
        (read_text, "cafe\u0301", "café"),
        (read_text, 17850, "17850"),
        (read_text, "", None),
        (read_number, "1,234.50", Decimal("1234.50")),
        (read_number, "¥1,234", Decimal(1234)),
        (read_number, "￥ 12.5 元", Decimal("12.5")),
        (read_number, "１２３．５", Decimal("123.5")),
        (read_number, "-¥3", Decimal(-3)),
        (read_number, "(12.5)", Decimal("-12.5")),
        (read_number, "1.00000001", Decimal("1.0000")),
        (read_number, 0.1, Decimal("0.1")),
        (read_number, "1e3", Decimal(1000)),
        (read_integer, "3.0", 3),
        (read_date, "2024-03-05", date(2024, 3, 5)),
        (read_date, "2024/3/5", date(2024, 3, 5)),
        (read_date, "2024.3.5", date(2024, 3, 5)),
        (read_date, "2024年3月5日", date(2024, 3, 5)),
        (read_date, "２０２４年３月５号", date(2024, 3, 5)),
        (read_date, "20240305", date(2024, 3, 5)),
        (read_date, "2024/3/5 0:00:00", date(2024, 3, 5)),
        (read_date, "2024-03-05T00:00:00", date(2024, 3, 5)),
        (read_instant, "2024-03-05T14:30:00+08:00", datetime(2024, 3, 5, 6, 30, tzinfo=UTC)),
        (read_instant, "2024-03-05T14:30:00Z", datetime(2024, 3, 5, 14, 30, tzinfo=UTC)),
        (read_instant, "2024/3/5 14:30", datetime(2024, 3, 5, 6, 30, tzinfo=UTC)),
        (read_instant, "2024年3月5日 下午2时30分", datetime(2024, 3, 5, 6, 30, tzinfo=UTC)),
        (read_instant, "2024/3/5 12:05 AM", datetime(2024, 3, 4, 16, 5, tzinfo=UTC)),
        (read_instant, "2024-03-05", datetime(2024, 3, 4, 16, 0, tzinfo=UTC)),
        (read_instant, "2024-03-05 14:30:00.123456", datetime(2024, 3, 5, 6, 30, 0, 123456, tzinfo=UTC)),
        (read_instant, "2024/3/5 14:30 +0100", datetime(2024, 3, 5, 13, 30, tzinfo=UTC)),
        (read_yes_no, "是", True),
        (read_yes_no, "0", False),
        (read_texts, "VIP、以旧换新, VIP", ["VIP", "以旧换新"]),
        (read_email, " Wang@Example.COM ", "wang@example.com"),
        (read_email, "a@例子.cn", "a@xn--fsqu00a.cn"),
        (read_email, "ｗａｎｇ@example.com", "wang@example.com"),
        (read_phone, "13800138000", "+8613800138000"),
        (read_phone, "138-0013-8000", "+8613800138000"),
        (read_phone, "+86 138 0013 8000", "+8613800138000"),
        (read_phone, "008613800138000", "+8613800138000"),
        (read_phone, "１３８００１３８０００", "+8613800138000"),
        (read_phone, 13800138000, "+8613800138000"),
        (read_phone, "13800138000.0", "+8613800138000"),
        (read_phone, "029-88888888", "+862988888888"),
        (read_phone, "+44 20 7946 0958", "+442079460958"),
        (read_zone, "Asia/Shanghai", "Asia/Shanghai"),
    ],
)
def test_values_as_people_write_them(reader: Any, given: Any, expected: Any) -> None:
    assert reader(given, CHINA) == expected


@pytest.mark.parametrize(
    ("reader", "given", "word"),
    [
        (read_text, "a\0b", "NUL"),
        (read_text, "x" * 2001, "longer"),
        (read_text, "a\udcff", "surrogate"),
        (read_text, {"a": 1}, "an object"),
        (read_code, "a\nb", "one line"),
        (read_number, "1,23", "not a number"),
        (read_number, "12 apples", "not a number"),
        (read_number, "99999999999999999", "range"),
        (read_number, float("nan"), "range"),
        (read_number, "1e99", "range"),
        (read_number, True, "yes/no"),
        (read_integer, "3.5", "whole"),
        (read_date, "05.03.2024", "a mapping can give its format"),
        (read_date, "3/5/24", "a mapping can give its format"),
        (read_date, "2024-02-30", "calendar"),
        (read_date, "20241301", "calendar"),
        (read_date, "1024-01-01", "calendar"),
        (read_date, "2024-03-05 soon", "not a date"),
        (read_date, 20240305, "expected a date"),
        (read_instant, "2024-03-05 25:00", "not a time"),
        (read_instant, "2024-03-05 14:30 +2500", "not a time"),
        (read_instant, "yesterday", "not a time"),
        (read_yes_no, "maybe", "neither"),
        (read_texts, 5, "a list"),
        (read_email, "wang@", "not an e-mail"),
        (read_email, "wang@example.com\r\nBcc: x@y.z", "one line"),
        (read_email, "a b@example.com", "not an e-mail"),
        (read_email, "a@b", "not an e-mail"),
        (read_email, '"x"@example.com', "not an e-mail"),
        (read_phone, "12345", "not a phone number of CN"),
        (read_phone, "call me", "not a phone number"),
        (read_zone, "../etc/passwd", "time zone"),
        (read_zone, "Mars/Base", "time zone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(reader: Any, given: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        reader(given, CHINA)


@pytest.mark.parametrize("reader", READERS)
@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text())))
def test_a_reader_gives_a_value_or_a_reason_and_takes_its_own_value_again(reader: Any, value: Any) -> None:
    try:
        plain = reader(value, CHINA)
    except ValueError:
        return
    assert reader(plain, CHINA) == plain


SHAPES = [
    "{:%Y-%m-%d}",
    "{0.year}/{0.month}/{0.day}",
    "{0.year}年{0.month}月{0.day}日",
    "{:%Y%m%d}",
    "{0.year}.{0.month}.{0.day}",
]


@given(day=st.dates(date(1900, 1, 1), date(2199, 12, 31)), shape=st.sampled_from(SHAPES))
def test_every_shape_of_a_date_is_that_date(day: date, shape: str) -> None:
    assert read_date(shape.format(day), CHINA) == day


@given(number=st.decimals(-(10**12) + 1, 10**12 - 1, places=4))
def test_every_shape_of_a_number_is_that_number(number: Decimal) -> None:
    for text in (f"{number}", f"{number:,}", f"¥{number:,}", f" {number} 元"):
        assert read_number(text, CHINA) == number


@given(moment=st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30)))  # noqa: DTZ001
def test_an_instant_without_offset_is_of_the_workspaces_zone(moment: datetime) -> None:
    expected = moment.replace(tzinfo=CHINA.zone).astimezone(UTC)
    assert read_instant(moment.isoformat(), CHINA) == expected
    assert read_instant(f"{moment:%Y/%m/%d %H:%M:%S.%f}", CHINA) == expected


def test_usual_mobiles_are_plain() -> None:
    given = ["13812345678", "+86 186-1234-5678", "17412345678", "029-88888888", ""]
    assert plain_mobiles(given) == ["+8613812345678", "+8618612345678", None, None, None]


WRITTEN = ("{0}{1}{2}", "{0} {1} {2}", "{0}-{1}-{2}", "+86{0}{1}{2}", "+86-{0}-{1}-{2}", "+86 {0} {1} {2}",
           "86{0}{1}{2}", "86 {0} {1} {2}", "0086{0}{1}{2}", "0086-{0}-{1}-{2}", "{0}{1}{2}.0")  # fmt: skip

NOT_PLAIN = (161, 174)  # mobiles here and there: the library reads them


def parsed(text: str) -> phonenumbers.PhoneNumber | None:
    """What the phone library makes of a valid number of China."""
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(f"+{text[2:]}" if text.startswith("00") else text, "CN")
        return number if phonenumbers.is_valid_number(number) else None
    return None


@given(
    form=st.sampled_from(WRITTEN),
    start=st.integers(100, 199),
    middle=st.integers(0, 9999),
    end=st.integers(0, 9999),
)
def test_plain_mobiles_are_read_as_the_phone_library_reads_them(form: str, start: int, middle: int, end: int) -> None:
    text = form.format(start, f"{middle:04}", f"{end:04}")
    plain = text.removesuffix(".0")
    number = parsed(plain)
    if number is not None:
        made = read_phone(text, CHINA)
        assert made == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        mobile = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
        at_once = text == plain and mobile and start not in NOT_PLAIN
        assert plain_mobiles([text, ""]) == [made if at_once else None, None]
    else:
        assert plain_mobiles([text]) == [None]
        with pytest.raises(ValueError, match="not a phone number"):
            read_phone(text, CHINA)
