"""HEARTH_RETURNS_IMAP_URL: the mailbox that mails come back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from runtime.settings import BadSetting, Settings

FORM = "imaps://user:password@host:port/folder, with ?every=60&move=Folder&ca_file=FILE (or imap://…, with STARTTLS)"
_OPTIONS = ("every", "move", "starttls", "verify", "ca_file", "timeout")


@dataclass(frozen=True)
class MailboxConfig:
    """How to reach a mailbox. `tls`: from the first byte, else by STARTTLS, else (`starttls` False) not at all. `every`
    so many seconds it is read; what was read goes to the folder `move`, None: it stays and is marked. `timeout`:
    seconds for each answer."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    tls: bool = True
    starttls: bool = True
    verify: bool = True
    ca_file: str | None = None
    every: float = 60.0
    timeout: float = 20.0
    move: str | None = None

    @property
    def name(self) -> str:
        """What it is called in logs and kept under; without the password."""
        return f"{self.username}@{self.host}:{self.port}/{self.folder}"


def mailbox_of(settings: Settings) -> MailboxConfig | None:
    """The mailbox of these settings, None where there is none. Raises BadSetting."""
    if settings.returns_imap_url is None:
        return None
    if settings.return_path is None:
        raise BadSetting("HEARTH_RETURNS_IMAP_URL: needs HEARTH_RETURN_PATH, the address that leads to this mailbox")
    return parse_mailbox_url(settings.returns_imap_url)


def parse_mailbox_url(url: str) -> MailboxConfig:
    """Raises BadSetting naming HEARTH_RETURNS_IMAP_URL and the bad part, never showing the password."""
    parts = _split(url)
    tls, options = parts.scheme == "imaps", _options(parts.query)
    if tls and "starttls" in options:
        raise _bad("starttls does not go with imaps, which is TLS from the first byte")
    ca_file = options.get("ca_file")
    if ca_file is not None and not Path(ca_file).is_file():
        raise _bad(f"ca_file={ca_file!r} is no file")
    found = MailboxConfig(
        host=parts.hostname or "",
        port=_port(parts) or (993 if tls else 143),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        folder=unquote(parts.path.removeprefix("/")) or "INBOX",
        tls=tls,
        starttls=_choice("starttls", options.get("starttls", "required"), {"required": True, "never": False}),
        verify=_choice("verify", options.get("verify", "yes"), {"yes": True, "no": False}),
        ca_file=ca_file,
        every=float(_whole("every", options.get("every", "60"), 5, 86_400)),
        timeout=float(_whole("timeout", options.get("timeout", "20"), 1, 600)),
        move=options.get("move") or None,
    )
    if found.move == found.folder:
        raise _bad("move names the folder itself")
    return found


def _bad(part: str) -> BadSetting:
    return BadSetting(f"HEARTH_RETURNS_IMAP_URL: {part}; expected {FORM}")


def _split(url: str) -> SplitResult:
    if any(sign <= " " or sign == "\x7f" for sign in unquote(url).replace(" ", "_")) or " " in url:
        raise _bad("there is a blank or a control character in it (a blank is written %20)")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad(f"host: {error}") from None
    if parts.scheme not in ("imap", "imaps"):
        raise _bad("the scheme must be imaps or imap")
    if not parts.hostname:
        raise _bad("there is no host")
    if not parts.username or not parts.password:
        raise _bad("user and password are missing (a `/`, `#`, `?`, `:` or `@` in them is written %2F, %23, %3F, …)")
    if parts.fragment:
        raise _bad("a `#` is written %23")
    return parts


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise _bad("the port must be a number from 1 to 65535")
    return port


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise _bad(f"unknown option {name!r}; there are {', '.join(_OPTIONS)}")
        if name in options:
            raise _bad(f"option {name!r} is given twice")
        options[name] = value
    return options


def _choice(name: str, value: str, choices: Mapping[str, bool]) -> bool:
    if value not in choices:
        raise _bad(f"{name}={value!r} must be one of {', '.join(choices)}")
    return choices[value]


def _whole(name: str, value: str, low: int, high: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
        raise _bad(f"{name}={value!r} must be a whole number from {low} to {high}")
    return int(value)
