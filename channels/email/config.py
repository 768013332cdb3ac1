"""HEARTH_SMTP_URL: where mail goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from channels.email.dkim_keys import Keyring
from runtime.settings import BadSetting

FORM = (
    "smtp://user:password@host:port or smtps://…, with ?starttls=required&connections=20&messages=1000&idle=20"
    "&timeout=60"
)
MAX_CONNECTIONS = 500

T = TypeVar("T")


class StartTls(StrEnum):
    REQUIRED = "required"
    OPPORTUNISTIC = "opportunistic"
    NEVER = "never"


@dataclass(frozen=True)
class SmtpConfig:
    """How to reach the mail server. `timeout`: seconds for a connection and for each answer but the one to the final
    dot, which RFC 5321 (4.5.3.2) wants to be waited for 10 minutes. `connections` at once, at most, each closed after
    so many `messages` (many servers count them) or when it was `idle` for so many seconds. `verify`: check the
    server's certificate where TLS is used. `dkim`: who signs; no keys where the mail server does."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: StartTls = StartTls.OPPORTUNISTIC
    verify: bool = True
    ca_file: str | None = None
    connections: int = 20
    messages: int = 1000
    idle: float = 20.0
    timeout: float = 60.0
    final_dot_timeout: float = 600.0
    dkim: Keyring = field(default_factory=Keyring, repr=False, compare=False)


def parse_smtp_url(url: str) -> SmtpConfig:
    """Raises BadSetting naming HEARTH_SMTP_URL and the bad part, never showing the password.

    Without `starttls`, a login towards another machine requires it (a password never travels in the open unless
    `starttls=never` asks for that); without a login it is used where the server offers it.
    """
    parts = _split(url)
    tls = parts.scheme == "smtps"
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    options = _options(parts.query)
    return SmtpConfig(
        host=parts.hostname or "",
        port=_port(parts) or (465 if tls else 25),
        username=username or None,
        password=password or None,
        tls=tls,
        starttls=_starttls(options.get("starttls"), tls, bool(username), parts.hostname or ""),
        verify=_choice("verify", options.get("verify", "yes"), {"yes": True, "no": False}),
        ca_file=_file("ca_file", options.get("ca_file")),
        connections=_whole("connections", options.get("connections", "20"), 1, MAX_CONNECTIONS),
        messages=_whole("messages", options.get("messages", "1000"), 1, 1_000_000),
        idle=float(_whole("idle", options.get("idle", "20"), 1, 3600)),
        timeout=float(_whole("timeout", options.get("timeout", "60"), 1, 3600)),
        final_dot_timeout=float(_whole("final_dot_timeout", options.get("final_dot_timeout", "600"), 1, 3600)),
    )


def _bad(part: str) -> BadSetting:
    return BadSetting(f"HEARTH_SMTP_URL: {part}; expected {FORM}")


def _split(url: str) -> SplitResult:
    if any(sign <= " " or sign == "\x7f" for sign in url):
        raise _bad("there is a blank or a control character in it (write it as %20 and the like)")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad(f"host: {error}") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise _bad("the scheme must be smtp or smtps")
    if not parts.hostname:
        raise _bad("there is no host")
    if parts.path not in ("", "/") or parts.fragment:
        raise _bad("nothing but options may follow the host (a `/`, `#` or `?` in a password is written %2F, %23, %3F)")
    if parts.password and not parts.username:
        raise _bad("there is a password without a user")
    return parts


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        raise _bad(
            "the port must be a number from 1 to 65535 (a `:` or `@` in a password is written %3A, %40)"
        ) from None
    if port == 0:
        raise _bad("the port must be a number from 1 to 65535")
    return port


KNOWN_OPTIONS = ("starttls", "verify", "ca_file", "connections", "messages", "idle", "timeout", "final_dot_timeout")


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in KNOWN_OPTIONS:
            raise _bad(f"unknown option {name!r}; there are {', '.join(KNOWN_OPTIONS)}")
        if name in options:
            raise _bad(f"option {name!r} is given twice")
        options[name] = value
    return options


def _starttls(value: str | None, tls: bool, has_user: bool, host: str) -> StartTls:
    if tls:
        if value is not None:
            raise _bad("starttls does not go with smtps, which is TLS from the first byte")
        return StartTls.NEVER
    if value is None:
        local = host in ("localhost", "::1") or host.startswith("127.")
        return StartTls.REQUIRED if has_user and not local else StartTls.OPPORTUNISTIC
    return _choice("starttls", value, {mode.value: mode for mode in StartTls})


def _choice(name: str, value: str, choices: Mapping[str, T]) -> T:
    if value not in choices:
        raise _bad(f"{name}={value!r} must be one of {', '.join(choices)}")
    return choices[value]


def _file(name: str, value: str | None) -> str | None:
    if value is not None and not Path(value).is_file():
        raise _bad(f"{name}={value!r} is no file")
    return value


def _whole(name: str, value: str, low: int, high: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
        raise _bad(f"{name}={value!r} must be a whole number from {low} to {high}")
    return int(value)
