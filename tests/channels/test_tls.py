"""TLS and login: where they are required and missing, nothing leaves."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from channels.contract import ChannelError, Verdict
from channels.email.config import SmtpConfig, StartTls
from tests.channels.smtp_server import Script, serving
from tests.channels.test_smtp_faults import CHANNEL, mail

STARTTLS = b"250-test\r\n250 STARTTLS\r\n"
AUTH = b"250-test\r\n250 AUTH PLAIN LOGIN\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate for `localhost`, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{path}.key", "-out", f"{path}.crt"]
    subprocess.run([*command, *names], check=True, capture_output=True)
    path.write_text(Path(f"{path}.key").read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def config(script: Script, **changes: object) -> SmtpConfig:
    plain = SmtpConfig("localhost", script.port, timeout=2.0, final_dot_timeout=2.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def trusting(certificate: Path) -> str:
    return f"{certificate}.crt"


async def attempt(script: Script, settings: SmtpConfig) -> ChannelError:
    async with CHANNEL.open(settings) as sender:
        with pytest.raises(ChannelError) as caught:
            await sender.send(mail())
    assert script.accepted == []
    assert not any(line.startswith((b"MAIL", b"AUTH")) for line in script.lines)
    return caught.value


async def test_starttls_and_login(server_tls: ssl.SSLContext, certificate: Path) -> None:
    script = Script(ehlo=b"250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", starttls=b"220 go\r\n", tls=server_tls)
    secure = {"starttls": StartTls.REQUIRED, "ca_file": trusting(certificate), "username": "u", "password": "p"}
    async with serving(script), CHANNEL.open(config(script, **secure)) as sender:
        for number in range(3):
            assert (await sender.send(mail(number))).accepted
    assert script.connections == 1
    verbs = [line[:4] for line in script.lines]
    assert verbs[:4] == [b"EHLO", b"STAR", b"EHLO", b"AUTH"]


async def test_tls_from_the_first_byte(server_tls: ssl.SSLContext, certificate: Path) -> None:
    script, trusted = Script(), trusting(certificate)
    async with serving(script, server_tls), CHANNEL.open(config(script, tls=True, ca_file=trusted)) as sender:
        assert (await sender.send(mail(text="x\n" * 200_000))).accepted
        assert (await sender.send(mail())).accepted


async def test_starttls_taken_away_stops_everything() -> None:
    async with serving(Script()) as script:
        error = await attempt(script, config(script, starttls=StartTls.REQUIRED, username="u", password="p"))
    assert (error.verdict, error.connection) == (Verdict.PAUSE, True)
    assert "offers no STARTTLS" in error.text


async def test_starttls_refused_stops_everything() -> None:
    async with serving(Script(ehlo=STARTTLS, starttls=b"454 4.7.0 not now\r\n")) as script:
        error = await attempt(script, config(script, starttls=StartTls.REQUIRED))
    assert error.verdict is Verdict.RETRY


@pytest.mark.parametrize("starttls", [StartTls.REQUIRED, None])
async def test_a_certificate_that_nobody_vouches_for(server_tls: ssl.SSLContext, starttls: StartTls | None) -> None:
    if starttls is None:
        async with serving(Script(), server_tls) as script:
            error = await attempt(script, config(script, tls=True))
    else:
        async with serving(Script(ehlo=STARTTLS, starttls=b"220 go\r\n", tls=server_tls)) as script:
            error = await attempt(script, config(script, starttls=starttls))
    assert (error.verdict, error.connection) == (Verdict.PAUSE, True)
    assert "certificate that cannot be trusted" in error.text


async def test_a_broken_certificate_file_lets_nothing_leave(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    async with serving(Script()) as script:
        error = await attempt(script, config(script, starttls=StartTls.REQUIRED, ca_file=str(tmp_path / "ca.pem")))
    assert error.connection


async def test_a_certificate_for_another_host(server_tls: ssl.SSLContext, certificate: Path) -> None:
    async with serving(Script(), server_tls) as script:
        error = await attempt(script, config(script, host="127.0.0.1", tls=True, ca_file=trusting(certificate)))
    assert error.verdict is Verdict.PAUSE


async def test_opportunistic_tls_takes_any_certificate_and_does_without(server_tls: ssl.SSLContext) -> None:
    for script in (Script(ehlo=STARTTLS, starttls=b"220 go\r\n", tls=server_tls), Script()):
        async with serving(script), CHANNEL.open(config(script)) as sender:
            assert (await sender.send(mail())).accepted


async def test_plain_text_slipped_in_before_tls_is_not_believed(server_tls: ssl.SSLContext, certificate: Path) -> None:
    """Answers smuggled in behind the 220 do not become answers to commands inside TLS (CVE-2011-0411 and its kin)."""
    injected = b"220 go\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE 1\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n"
    script = Script(ehlo=STARTTLS, starttls=injected, tls=server_tls)
    secure = config(script, starttls=StartTls.REQUIRED, ca_file=trusting(certificate))
    async with serving(script), CHANNEL.open(replace(secure, port=script.port)) as sender:
        sent = await sender.send(mail())
    assert sent.reply == "250 2.0.0 queued"
    assert [line for line in script.lines if line.startswith(b"MAIL")] == [b"MAIL FROM:<hearth@example.com>\r\n"]


REFUSED = [
    (b"535 5.7.8 wrong\r\n", Verdict.PAUSE),
    (b"454 4.7.0 later\r\n", Verdict.RETRY),
    (b"421 4.3.0 bye\r\n", Verdict.RETRY),
]


@pytest.mark.parametrize(("answer", "verdict"), REFUSED)
async def test_a_refused_login(answer: bytes, verdict: Verdict) -> None:
    script = Script(ehlo=AUTH, auth=answer)
    async with serving(script), CHANNEL.open(config(script, username="user", password="hunter2")) as sender:
        with pytest.raises(ChannelError) as caught:
            await sender.send(mail())
    assert (caught.value.verdict, caught.value.connection) == (verdict, True)
    assert "hunter2" not in str(caught.value)
    assert script.accepted == []


async def test_a_server_without_any_login() -> None:
    async with serving(Script()) as script:
        error = await attempt(script, config(script, username="user", password="hunter2"))
    assert (error.verdict, error.connection) == (Verdict.PAUSE, True)
    assert "hunter2" not in str(error)
