"""Opening a connection: TCP, TLS, EHLO, login, by aiosmtplib; then the link takes its transport over."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache
from socket import getfqdn
from typing import cast

import aiosmtplib
from aiosmtplib import errors

from channels.contract import ChannelError
from channels.email.config import SmtpConfig, StartTls
from channels.email.link import Link
from channels.email.replies import Phase, Reply, clean_text, refusal


@dataclass(frozen=True, slots=True)
class Opened:
    """A link ready for mail, and what its server announced. `max_size` 0 means: no limit said."""

    link: Link
    pipelining: bool
    eight_bit: bool
    utf8: bool
    size: bool
    max_size: int


async def open_link(config: SmtpConfig) -> Opened:
    """Raises ChannelError (`connection=True`): what refuses us for good is `policy`, the rest can be tried again."""
    client = aiosmtplib.SMTP(
        hostname=config.host,
        port=config.port,
        use_tls=config.tls,
        start_tls=False,
        timeout=config.timeout,
        local_hostname=await asyncio.to_thread(_own_name),
    )
    phase = Phase.CONNECT
    try:
        context = _tls_context(config)
        await client.connect(tls_context=context)
        phase = Phase.HELLO
        await _greet(client)
        phase = Phase.TLS
        await _upgrade(client, config, context)
        phase = Phase.LOGIN
        if config.username is not None:
            await client.login(config.username, config.password or "")
    except (errors.SMTPException, OSError, ValueError) as error:
        client.close()
        raise _failure(error, phase, config) from error
    except (ChannelError, asyncio.CancelledError):
        client.close()
        raise
    return _take_over(client)


def _take_over(client: aiosmtplib.SMTP) -> Opened:
    transport = client.transport
    if transport is None or transport.is_closing():
        raise ChannelError("the server closed the connection", connection=True)
    extensions = client.esmtp_extensions
    size = extensions.get("size", "").strip()
    return Opened(
        link=Link.over(cast(asyncio.Transport, transport)),
        pipelining="pipelining" in extensions,
        eight_bit="8bitmime" in extensions,
        utf8="smtputf8" in extensions,
        size="size" in extensions,
        max_size=int(size) if size.isascii() and size.isdigit() and len(size) < 19 else 0,
    )


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, or HELO for servers that are older than that (RFC 5321 4.1.1.1)."""
    try:
        await client.ehlo()
    except errors.SMTPHeloError as error:
        if error.code not in (500, 501, 502, 504):
            raise
        await client.helo()


async def _upgrade(client: aiosmtplib.SMTP, config: SmtpConfig, context: ssl.SSLContext) -> None:
    if config.tls or config.starttls is StartTls.NEVER:
        return
    if client.supports_extension("starttls"):
        await client.starttls(tls_context=context)
        await client.ehlo()
    elif config.starttls is StartTls.REQUIRED:
        raise ChannelError(
            f"{config.host} offers no STARTTLS, which HEARTH_SMTP_URL requires (starttls=required)",
            permanent=True,
            policy=True,
            connection=True,
        )


def _failure(error: Exception, phase: Phase, config: SmtpConfig) -> ChannelError:
    where = f"{config.host}:{config.port}"
    if isinstance(error, errors.SMTPResponseException) and 400 <= error.code <= 599:
        return refusal(Reply(error.code, clean_text(error.message)), phase)
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLCertVerificationError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"{where} has a certificate that cannot be trusted: {cause.verify_message}"
        return ChannelError(
            f"{text}; see HEARTH_SMTP_URL (ca_file, verify)", permanent=True, policy=True, connection=True
        )
    if phase is Phase.LOGIN and type(error) is errors.SMTPException:
        return ChannelError(f"{where} offers no way to log in: {error}", permanent=True, policy=True, connection=True)
    return ChannelError(clean_text(f"{where} ({phase}): {error}"), connection=True)


@lru_cache(maxsize=1)
def _own_name() -> str:
    name = getfqdn()
    return name if name.isascii() and "." in name and " " not in name else "localhost"


@lru_cache(maxsize=16)
def _tls_context(config: SmtpConfig) -> ssl.SSLContext:
    """Opportunistic TLS keeps the certificate unchecked: whoever can forge it could as well take STARTTLS away."""
    context = ssl.create_default_context(cafile=config.ca_file)
    if not config.verify or (not config.tls and config.starttls is StartTls.OPPORTUNISTIC):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
