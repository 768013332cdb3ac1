"""Contact addresses made plain: e-mail lower-cased, phone numbers in E.164."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import phonenumbers

from customers.values import Context, narrow, read_code, read_word

_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{2,59})|localhost")
_PLAIN_EMAIL = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@[a-z0-9]+(?:\.[a-z0-9]+)*\.[a-z]{2,63}")  # as most are
_PLAIN_LENGTH = 64  # so short, neither part is too long
# The ranges that the phone library takes for mobiles of China (a test compares); it reads all others itself.
_RANGE = r"1(?:3\d|4[57]|5[0-35-9]|6[25-7]|7[0-35-8]|8\d|9[0-35-9])"
_CHINESE_MOBILE = re.compile(rf"(?:\+86|0086|86)?[- ]?({_RANGE})[- ]?(\d{{4}})[- ]?(\d{{4}})", re.ASCII)


def read_email(value: Any, context: Context) -> str | None:
    """An e-mail address in lower case, an international domain in its ASCII form."""
    if isinstance(value, str) and len(value) <= _PLAIN_LENGTH and _PLAIN_EMAIL.fullmatch(value):
        return value
    text = read_code(value, context)
    if text is None:
        return None
    address = narrow(text).removeprefix("mailto:").lower()
    local, sign, domain = address.rpartition("@")
    if not domain.isascii():
        domain = _ascii_domain(domain)
    if not sign or len(local) > 64 or len(domain) > 253 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{text[:80]!r} is not an e-mail address")
    return f"{local}@{domain}"


def read_phone(value: Any, context: Context) -> str | None:
    """A phone number in E.164; national numbers are of the workspace's country."""
    if isinstance(value, str) and context.country == "CN" and (mobile := _CHINESE_MOBILE.fullmatch(value)):
        return "+86" + "".join(mobile.groups())
    text = read_code(value, context)
    if text is None:
        return None
    text = narrow(text)
    text = text.removesuffix(".0") if text.endswith(".0") and text[:-2].isdigit() else text
    if context.country == "CN" and (mobile := _CHINESE_MOBILE.fullmatch(text)):
        return "+86" + "".join(mobile.groups())
    number = _e164(text, context.country)
    if number is None:
        raise ValueError(f"{text[:40]!r} is not a phone number of {context.country}, nor one with a country code (+…)")
    return number


def plain_mobiles(values: Iterable[str]) -> list[str | None]:
    """What `read_phone` makes of those that are mobiles of China, where that is the country; of the others None."""
    found = map(_CHINESE_MOBILE.fullmatch, values)
    return ["+86" + "".join(mobile.groups()) if mobile else None for mobile in found]


def national_digits(phone: str) -> str:
    """The digits of a number in E.164 without its country code: what is common to all ways of writing it."""
    return str(phonenumbers.parse(phone).national_number)


def read_address(kind: str, value: Any, context: Context) -> str | None:
    """The plain form of an address or identity of `kind`: only e-mail and phone have one of their own."""
    if kind == "email":
        return read_email(value, context)
    if kind == "phone":
        return read_phone(value, context)
    return read_code(value, context)


def read_identity_kind(value: Any, context: Context) -> str | None:
    """`external_id`, `email`, `wechat` …; a phone is a contact address, since a couple may share it."""
    kind = read_word(value, context)
    if kind is not None and (len(kind) > 40 or not re.fullmatch(r"[a-z][a-z0-9_.:-]*", kind)):
        raise ValueError(f"{kind[:60]!r} is not a kind of identity like external_id, email, wechat")
    return kind


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


@lru_cache(maxsize=20_000)
def _e164(text: str, country: str) -> str | None:
    if text.startswith("00") and country == "CN":
        text = "+" + text[2:]
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
