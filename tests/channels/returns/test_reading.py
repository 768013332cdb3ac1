"""What comes back is told apart, and nothing that comes back can hurt."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.email.returns import BounceClass, ReturnKind, bounce_class, is_mail, read_return
from channels.email.returns.classes import code_in, status_in
from channels.email.returns.parts import MOST_PARTS, parts_of
from tests.channels.returns.corpus import CASES, LOST, Case, arf, dsn, plain

SOAK = bool(os.environ.get("HEARTH_SOAK"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_is_read_as_what_it_is(case: Case) -> None:
    found = read_return(case.raw)
    assert (found.kind, found.bounce) == (case.kind, case.bounce)
    assert case.status in (None, found.status)
    assert case.recipient in (None, found.recipient)


@pytest.mark.parametrize("case", [case for case in CASES if case.raw], ids=lambda case: case.name)
def test_each_is_a_mail(case: Case) -> None:
    assert is_mail(case.raw)
    assert is_mail(b"\r\n" + case.raw.replace(b"\r\n", b"\n"))


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_other_files_are_none(noise: bytes) -> None:
    assert not is_mail(noise.replace(b":", b";"))
    assert not is_mail(b"no header\n\n" + noise)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_line_ends_and_wrapping_do_not_matter(case: Case) -> None:
    bare = read_return(case.raw.replace(b"\r\n", b"\n"))
    wire = read_return(case.raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert (bare.kind, bare.bounce, bare.status) == (wire.kind, wire.bounce, wire.status)
    assert (bare.kind, bare.bounce) == (case.kind, case.bounce)


def test_the_paths_are_those_of_the_mail_and_of_the_original() -> None:
    assert "b-abc234@bounces.example.com" in read_return(dsn("5.1.1", "550 no")).paths
    complaint = read_return(arf())
    assert complaint.paths[0] == "b-xyz567@bounces.example.com"
    assert "b-abc234@bounces.example.com" in complaint.paths


def test_the_date_is_aware_and_optional() -> None:
    assert read_return(dsn("5.1.1", "550 no")).at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    for date in ("nonsense", "Fri, 99 Nov 2026 18:00:00 +0800", "Fri, 20 Nov 99999999999999 18:00:00 +0800", "1"):
        assert read_return(f"Date: {date}\n\nx".encode()).at is None


def test_a_mail_that_comes_twice_is_the_same_mail() -> None:
    mail = plain("MAILER-DAEMON@x.example", "failure notice", "text")
    assert read_return(b"Received: by a; 1\n" + mail).id == read_return(b"Received: by b; 2\n" + mail).id
    assert read_return(mail).id != read_return(mail + b"more").id


def test_the_recipient_that_failed_counts_where_there_are_several() -> None:
    group = (
        b"Final-Recipient: rfc822; first@nowhere.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
        b"Final-Recipient: rfc822; chen"
    )
    found = read_return(dsn("5.1.1", "550 no").replace(b"Final-Recipient: rfc822; chen", group, 1))
    assert (found.kind, found.recipient) == (ReturnKind.BOUNCE, LOST)


def test_a_report_within_a_forwarded_report_is_found() -> None:
    inner = dsn("5.1.1", "550 no such user", boundary="inner")
    outer = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\nsee\r\n--out\r\n"
        b"Content-Type: message/rfc822\r\n\r\n"
    )
    assert read_return(outer + inner + b"\r\n--out--\r\n").bounce is BounceClass.HARD


def test_codes_are_not_read_out_of_ip_addresses() -> None:
    assert status_in("host mx[4.5.1.2] said 10.5.1.1 and 5.1.1.7") == ""
    assert status_in("550-5.1.1 The email") == "5.1.1"
    assert status_in("(#5.2.2)") == "5.2.2"
    assert code_in("said: 550 No such user, 192.0.2.550") == 550
    assert code_in("port 8550 size 5500") is None


@given(
    st.text(max_size=300),
    st.sampled_from(["", "4.2.2", "5.1.1", "5.7.1", "5.0.0", "2.0.0", "9"]),
    st.none() | st.integers(0, 999),
)
def test_every_failure_has_a_class_and_only_permanent_ones_are_hard(words: str, status: str, code: int | None) -> None:
    found = bounce_class(status, code, words)
    if status.startswith("4"):
        assert found is not BounceClass.HARD


@given(st.binary(max_size=3_000))
def test_any_bytes_are_read(raw: bytes) -> None:
    found = read_return(raw)
    assert len(found.words) <= 500
    assert not set(found.words + found.recipient) & {"\0", "\r", "\n"}


@settings(max_examples=10_000 if SOAK else 150, deadline=None)  # row 18 of FAULTS.md
@given(st.sampled_from(CASES), st.randoms(use_true_random=False))
def test_mutated_mails_are_read(case: Case, rng: random.Random) -> None:
    raw = mutated(case.raw, rng)
    began = time.process_time()
    found = read_return(raw)
    assert time.process_time() - began < 1
    assert (found.bounce is not None) is (found.kind is ReturnKind.BOUNCE)


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Cut, doubled, overwritten, its lines shuffled, its parts within each other."""
    data = bytearray(raw or b"x")
    for _ in range(rng.randint(1, 8)):
        start = rng.randrange(len(data) or 1)
        end = min(len(data), start + rng.randint(1, 200))
        way = rng.randrange(5)
        if way == 0:
            del data[start:end]
        elif way == 1:
            data[start:start] = data[start:end] * rng.randint(1, 20)
        elif way == 2:
            data[start:end] = rng.randbytes(end - start)
        elif way == 3:
            lines = bytes(data).split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        else:
            data[start:start] = raw
    return bytes(data)


HOSTILE = {
    "nested messages": b"Content-Type: message/rfc822\n\n" * 30_000,
    "nested multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(5_000)
    ),
    "endless parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 150_000,
    "one boundary at all depths": b"Content-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 9_000,
    "semicolons": b"Content-Type: text/plain" + b";" * 900_000 + b"\n\nx",
    "quotes": b'Content-Type: text/plain; boundary="' + b'\\"' * 400_000 + b"\n\nx",
    "folded header": b"Subject: a" + b"\n " * 400_000 + b"\n\nx",
    "encoded words": b"Subject: " + b"=?utf-8?Q?a?= " * 60_000 + b"\n\nx",
    "encoded word without end": b"Subject: =?utf-8?B?" + b"=?" * 300_000 + b"\n\nx",
    "blank lines": b"\n" * 1_000_000,
    "line ends": b"Content-Type: message/delivery-status\n\n" + b"\r\n" * 500_000,
    "many groups": b"Content-Type: message/delivery-status\n\n" + b"Action: failed\nStatus: 5.1.1\n\n" * 30_000,
    "long words": b"From: mailer-daemon@x\nSubject: failure notice\n\n" + b"could not be delivered " * 40_000,
    "codes": b"From: mailer-daemon@x\nSubject: failure notice\n\nundeliverable " + b"5.1." * 250_000,
    "addresses": b"From: mailer-daemon@x\nSubject: failure notice\n\nundeliverable " + b"a@" * 500_000,
    "dots": b"From: mailer-daemon@x\nSubject: failure notice\n\nundeliverable " + b"a." * 500_000 + b"@",
    "tags": b"From: mailer-daemon@x\nContent-Type: text/html\n\n" + b"<style>" * 140_000,
    "open tags": b"From: mailer-daemon@x\nContent-Type: text/html\n\n" + b"<a" * 500_000,
    "account account": b"From: mailer-daemon@x\nSubject: failure notice\n\nundeliverable " + b"account" * 140_000,
    "base64": b"Content-Transfer-Encoding: base64\n\n" + b"A=" * 500_000,
    "null": b"\0" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mails_take_no_time(name: str) -> None:
    raw = HOSTILE[name]
    began = time.process_time()
    read_return(raw)
    assert time.process_time() - began < 1
    assert len(parts_of(raw)) <= MOST_PARTS
