"""HEARTH_SMTP_URL."""

from __future__ import annotations

import pytest

from channels.email.config import SmtpConfig, StartTls, parse_smtp_url
from runtime.settings import BadSetting

GOOD = [
    ("smtp://mail.example", SmtpConfig("mail.example", 25)),
    ("smtp://mail.example:587?starttls=required", SmtpConfig("mail.example", 587, starttls=StartTls.REQUIRED)),
    ("smtps://mail.example", SmtpConfig("mail.example", 465, tls=True, starttls=StartTls.NEVER)),
    (
        "smtp://user%40x:p%3Aw%2F%23@mail.example",
        SmtpConfig("mail.example", 25, "user@x", "p:w/#", starttls=StartTls.REQUIRED),
    ),
    ("smtp://u:p@127.0.0.1:1025", SmtpConfig("127.0.0.1", 1025, "u", "p")),
    ("smtp://u:p@mail.example?starttls=never", SmtpConfig("mail.example", 25, "u", "p", starttls=StartTls.NEVER)),
    ("smtp://[::1]:2525/?connections=5&timeout=9", SmtpConfig("::1", 2525, connections=5, timeout=9)),
    ("smtp://h?messages=50&idle=5", SmtpConfig("h", 25, messages=50, idle=5)),
    ("smtp://h?verify=no&final_dot_timeout=30", SmtpConfig("h", 25, verify=False, final_dot_timeout=30)),
]


@pytest.mark.parametrize(("url", "config"), GOOD)
def test_what_it_means(url: str, config: SmtpConfig) -> None:
    assert parse_smtp_url(url) == config


BAD = [
    ("http://mail.example", "scheme"),
    ("mail.example:25", "scheme"),
    ("smtp://", "no host"),
    ("smtp://:25", "no host"),
    ("smtp://u:hunter2@mail.example:0", "port"),
    ("smtp://u:hunter2@mail.example:x", "port"),
    ("smtp://u:hunter2@mail.example:99999", "port"),
    ("smtp://u:hunter2:x@mail.example:25:25", "port"),
    ("smtp://u:hunter2/x@mail.example", "p"),
    ("smtp://u:hunter2#x@mail.example", "nothing but options"),
    ("smtp://u:hunter2@mail.example/box", "nothing but options"),
    ("smtp://:hunter2@mail.example", "without a user"),
    ("smtp://u:hunter2@mail.example?starttls=maybe", "starttls='maybe' must be one of required, opportunistic, never"),
    ("smtp://u:hunter2@mail.example?start=1", "unknown option 'start'"),
    ("smtp://mail.example?timeout=1&timeout=2", "'timeout' is given twice"),
    ("smtp://mail.example?connections=0", "connections='0'"),
    ("smtp://mail.example?connections=0000000019", "connections='0000000019'"),
    ("smtp://mail.example?connections=1e3", "connections='1e3'"),
    ("smtp://mail.example?timeout=" + "9" * 5000, "timeout="),
    ("smtps://mail.example?starttls=required", "does not go with smtps"),
    ("smtp://mail.example\r\nx", "control character"),
    ("smtp://[::1", "host"),
    ("smtps://mail.example?ca_file=/does/not/exist", "ca_file='/does/not/exist' is no file"),
]


@pytest.mark.parametrize(("url", "part"), BAD)
def test_what_is_wrong_is_named_and_the_password_is_not(url: str, part: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_smtp_url(url)
    assert str(caught.value).startswith("HEARTH_SMTP_URL: ")
    assert part in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_configuration_shows_no_password() -> None:
    assert "hunter2" not in repr(parse_smtp_url("smtp://u:hunter2@mail.example"))
