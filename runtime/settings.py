"""Settings from the environment and `.env`; a bad one stops the start and is named."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from babel.numbers import list_currencies

from runtime.errors import HearthError

DEFAULT_SMTP_URL = "smtp://127.0.0.1:1025"
LEAST_EVENTS_MONTHS = 13
NO_ARCHIVE = "none"
_HOOK_SECRET = "HEARTH_HOOK_SECRET_"  # noqa: S105 -- the name of settings
_RETURN_PATH = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,11}@)?(?=.{1,180}\Z)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*"
)

_HOST = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*(:\d{1,5})?")


class BadSetting(HearthError):
    """A setting that cannot be used; the text names it and says what it takes."""


@dataclass(frozen=True)
class Settings:
    """What API.md lists. `database_url` None: the embedded PostgreSQL; `secret_key` None: made on first start;
    `dkim_keys`: a folder of keys (channels/email/dkim_keys.py), None where the mail server signs; `return_path`: where
    mails come back to (a domain of its own, or a mailbox), None: to the sender; `hook_secrets`: (provider, secret) of
    HEARTH_HOOK_SECRET_PROVIDER; `visit_sites`: hosts of the shop's own pages, which learn from the address of a click
    who came and may tell what they looked at (HEARTH_VISIT_SITES; none: nothing of the kind); `returns_listen`: where
    mails that come back are taken (HEARTH_RETURNS_LISTEN), `returns_imap_url`: the mailbox they are read from
    (channels/email/returns/mailbox_config.py); `events_months`: how many
    whole months of events stay in the database (HEARTH_EVENTS_MONTHS; None: all); `events_archive`: the folder that
    older ones go to (HEARTH_EVENTS_ARCHIVE), None: they are deleted."""

    database_url: str | None
    data_dir: Path
    secret_key: str | None
    public_url: str
    smtp_url: str | None
    mail_from: str
    timezone: str
    currency: str
    country: str
    dkim_keys: Path | None = None
    return_path: str | None = None
    hook_secrets: tuple[tuple[str, str], ...] = ()
    visit_sites: tuple[str, ...] = ()
    returns_listen: str | None = None
    returns_imap_url: str | None = field(default=None, repr=False)
    events_months: int | None = None
    events_archive: Path | None = None

    @property
    def embedded(self) -> bool:
        return self.database_url is None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path = Path(".env")) -> Settings:
    """Read and check all settings; the environment wins over the file. Raises BadSetting naming the culprit."""
    given = os.environ if environ is None else environ
    values = {
        **_read_env_file(env_file),
        **{name: value for name, value in given.items() if name.startswith("HEARTH_")},
    }

    def get(name: str, default: str) -> str:
        return values.get(name) or default

    data_dir = Path(get("HEARTH_DATA_DIR", "./var")).absolute()
    settings = Settings(
        database_url=_database_url(values.get("HEARTH_DATABASE_URL") or None),
        data_dir=data_dir,
        secret_key=values.get("HEARTH_SECRET_KEY") or None,
        public_url=_public_url(get("HEARTH_PUBLIC_URL", "http://127.0.0.1:8000")),
        smtp_url=_smtp_url(values.get("HEARTH_SMTP_URL") or None),
        mail_from=_mail_from(get("HEARTH_MAIL_FROM", "Hearth <hearth@localhost>")),
        timezone=_timezone(get("HEARTH_TIMEZONE", "Asia/Shanghai")),
        currency=_currency(get("HEARTH_CURRENCY", "CNY")),
        country=_country(get("HEARTH_COUNTRY", "CN")),
        dkim_keys=Path(values["HEARTH_DKIM_KEYS"]).absolute() if values.get("HEARTH_DKIM_KEYS") else None,
        return_path=_return_path(values.get("HEARTH_RETURN_PATH") or None),
        hook_secrets=tuple(
            (name.removeprefix(_HOOK_SECRET).lower(), value)
            for name, value in sorted(values.items())
            if name.startswith(_HOOK_SECRET) and value
        ),
        visit_sites=_visit_sites(values.get("HEARTH_VISIT_SITES") or ""),
        returns_listen=_returns_listen(values.get("HEARTH_RETURNS_LISTEN") or None),
        returns_imap_url=values.get("HEARTH_RETURNS_IMAP_URL") or None,
        events_months=_events_months(values.get("HEARTH_EVENTS_MONTHS") or None),
        events_archive=_events_archive(get("HEARTH_EVENTS_ARCHIVE", str(data_dir / "archive"))),
    )
    _check_secret(settings)
    return settings


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, sign, value = text.partition("=")
        if not sign:
            raise BadSetting(f"{path}, line {number}: expected NAME=value")
        found[name.strip()] = value.strip().strip("\"'")
    return found


def _database_url(url: str | None) -> str | None:
    if url is not None and urlsplit(url).scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise BadSetting("HEARTH_DATABASE_URL: must be postgresql://user:password@host:port/database")
    return url


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadSetting(f"HEARTH_PUBLIC_URL: {url!r} is not an address like https://mail.example.com")
    return url.rstrip("/")


def _smtp_url(url: str | None) -> str | None:
    if url is not None and (urlsplit(url).scheme not in ("smtp", "smtps") or not urlsplit(url).hostname):
        raise BadSetting("HEARTH_SMTP_URL: must be smtp://user:password@host:port or smtps://…")
    return url


def _mail_from(sender: str) -> str:
    if any(sign in sender for sign in "\r\n\0") or "@" not in parseaddr(sender)[1]:
        raise BadSetting(f"HEARTH_MAIL_FROM: {sender!r} is not like 'Name <address@example.com>'")
    return sender


def _return_path(place: str | None) -> str | None:
    """A mailbox's name is short, since 64 octets must hold it and the token behind its `+` (RFC 5321 4.5.3.1.1)."""
    if place is None:
        return None
    if not _RETURN_PATH.fullmatch(place):
        raise BadSetting(
            f"HEARTH_RETURN_PATH: {place!r} is neither a domain for returned mails (bounces.example.com) nor a mailbox "
            "that takes addresses with + (returns@example.com; at most 12 letters, digits, . _ - before the @)"
        )
    return place.lower()


def _returns_listen(url: str | None) -> str | None:
    if url is not None:
        parts = urlsplit(url)
        try:
            good = parts.scheme in ("smtp", "lmtp") and parts.hostname and parts.port is not None
        except ValueError:
            good = False
        if not good or url != f"{parts.scheme}://{parts.netloc}" or parts.username is not None:
            raise BadSetting(
                f"HEARTH_RETURNS_LISTEN: {url!r} is not where to listen, like smtp://0.0.0.0:25 or lmtp://127.0.0.1:24"
            )
    return url


def _visit_sites(hosts: str) -> tuple[str, ...]:
    found = tuple(host.strip().lower() for host in hosts.split(",") if host.strip())
    for host in found:
        if not _HOST.fullmatch(host):
            raise BadSetting(f"HEARTH_VISIT_SITES: {host!r} is not a host like shop.example.com (several: by commas)")
    return found


def _events_months(count: str | None) -> int | None:
    if count is None:
        return None
    if not (count.isascii() and count.isdigit() and LEAST_EVENTS_MONTHS <= int(count) <= 1200):
        raise BadSetting(
            f"HEARTH_EVENTS_MONTHS: {count!r} is not a number of months from {LEAST_EVENTS_MONTHS} on (send times are "
            "learnt from a year); leave it out to keep all events"
        )
    return int(count)


def _events_archive(folder: str) -> Path | None:
    return None if folder == NO_ARCHIVE else Path(folder).absolute()


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSetting(f"HEARTH_TIMEZONE: {name!r} is not a zone like Asia/Shanghai") from None
    return name


def _currency(code: str) -> str:
    if code not in list_currencies():
        raise BadSetting(f"HEARTH_CURRENCY: {code!r} is not a currency code like CNY (ISO 4217)")
    return code


def _country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise BadSetting(f"HEARTH_COUNTRY: {code!r} is not a country code like CN (ISO 3166)")
    return code


def _check_secret(settings: Settings) -> None:
    if settings.secret_key is None and not settings.embedded:
        raise BadSetting("HEARTH_SECRET_KEY: required with HEARTH_DATABASE_URL; make one with `openssl rand -hex 32`")
    for part in (settings.secret_key or "x" * 16).split(","):
        if len(part) < 16:
            raise BadSetting("HEARTH_SECRET_KEY: too short; at least 16 characters, better `openssl rand -hex 32`")
