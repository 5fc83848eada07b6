# SPDX-License-Identifier: MIT
"""Hostile mails: each limit is reached, and reading stays short and raises usage errors only."""

from __future__ import annotations

import gzip
import lzma
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.mail.files import MAX_BYTES
from harness.mail.sources import parse_postings, read_postings
from tests.mails import TSM, contents, diff, mail, mbox, new_file, only, parse, text

CPU_SECONDS = 20  # generous: a quadratic reader takes minutes


@pytest.fixture(autouse=True)
def short() -> Iterator[None]:
    """Fail a test that takes too much CPU time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < CPU_SECONDS


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_bomb_is_refused(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(compress(bytes(MAX_BYTES + 1)))
    with pytest.raises(UsageError, match="larger than 32 MiB"):
        read_postings(str(tmp_path / "bomb"))


def test_bomb_of_many_streams_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(lzma.compress(bytes(8 << 20)) * 5)
    with pytest.raises(UsageError, match="larger than 32 MiB"):
        read_postings(str(tmp_path / "bomb"))


def test_large_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UsageError, match="larger than 32 MiB"):
        read_postings(str(tmp_path / "large"))


def test_pipe_and_device_are_refused() -> None:
    for name in ("/dev/zero", "/dev/stdin"):
        with pytest.raises(UsageError):
            read_postings(name)


def nested(depth: int) -> str:
    """A mail with a multipart in a multipart, and so on; the innermost part is a patch."""
    head = "From: a@example.com\nSubject: [PATCH] tsm\n"
    for level in range(depth):
        head += f'Content-Type: multipart/mixed; boundary="{level:05}"\n\n--{level:05}\n'
    return f"{head}Content-Type: text/plain\n\n{new_file()}"


def test_parts_are_read_down_to_a_limit() -> None:
    assert contents(only(nested(20))) == {TSM: text()}
    for depth in (120, 5000):
        with pytest.raises(UsageError, match="left out a mail with more than 100 parts"):
            parse(nested(depth))


def test_mails_in_mails_are_read_down_to_a_limit() -> None:
    inner = f"From: a@example.com\nSubject: [PATCH] tsm\n\n{new_file()}"
    for _ in range(20):
        inner = f"From: a\nSubject: Fwd\nContent-Type: message/rfc822\n\n{inner}"
    assert contents(only(inner)) == {TSM: text()}
    with pytest.raises(UsageError, match="more than 100 parts"):
        parse("Subject: x\nContent-Type: message/rfc822\n\n" * 3000 + inner)


def test_mail_with_large_headers_is_left_out() -> None:
    for line in ("X: y\n", "Subject: [PATCH] tsm\n", f"X: {'y' * 1000}\n"):
        with pytest.raises(UsageError, match="headers exceed 256 KiB"):
            parse(f"Subject: [PATCH] tsm\n{line * (300_000 // len(line))}\n{new_file()}")


@pytest.mark.parametrize("name", ["Subject", "From", "Content-Type", "Message-ID", "References"])
@pytest.mark.parametrize("piece", ["a", "(", "<", '"', "=?utf-8?q?a?= ", "a;b=c", "\n ", ",", "@"])
def test_long_header_takes_little_time(name: str, piece: str) -> None:
    long = mail(headers={name: (piece * (200_000 // len(piece))).rstrip()})
    try:
        parse(long)
    except UsageError as error:
        assert error.hint


def test_subject_for_a_terminal_has_no_control_characters() -> None:
    posting = only(mail("[PATCH] a\x1b]0;x\x07b\u202ec =?utf-8?q?=1B=5B2J?= d" + "x" * 1000))
    assert posting.subject.isprintable()
    assert len(posting.subject) < 320


def test_many_mails_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 5000 mails"):
        parse(mbox(*(mail(f"[PATCH] {n}", "x\n") for n in range(5001))))


def test_many_files_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 5000 files"):
        parse("".join(new_file(f"a{n}.c", ["x"]) for n in range(5001)))


def test_many_lines_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 1000000 lines"):
        parse("x\n" * 1_000_001)


def test_many_postings_are_assembled_quickly() -> None:
    mails = [
        mail(f"[PATCH v{n % 90} {k}/3] tsm", diff(), ident=f"{n}.{k}", parent=f"{n - 1}.{k}")
        for n in range(800)
        for k in (1, 2, 3)
    ]
    assert len(parse(mbox(*mails))) == 800


def test_replies_that_answer_each_other_in_a_circle_are_read() -> None:
    mails = [mail(f"[PATCH {n}/3] tsm", ident=str(n), parent=str(n % 3 + 1)) for n in (1, 2, 3)]
    assert len(only(mbox(*mails)).patches) == 3


LONG = {
    "plus": "+" * 20_000_000,
    "name": "--- " + "a" * 5_000_000,
    "git": "diff --git a/x " + "b" * 5_000_000,
    "entities": "&lt;" * 10**6,
}


@pytest.mark.parametrize("kind", LONG)
def test_long_line_takes_little_time(kind: str) -> None:
    line = LONG[kind]
    for body in (f"{line}\n", f"{line}\n+++ b/x\n@@ -0,0 +1 @@\n+x\n", new_file(code=[line])):
        try:
            parse_postings(body.encode(), "a test")
        except UsageError as error:
            assert error.hint


def test_endless_signature_takes_little_time() -> None:
    begin = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: a\n\nx\n"
    assert contents(only(mail(body=begin * 20_000 + new_file()))) == {TSM: text()}
