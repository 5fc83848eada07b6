# SPDX-License-Identifier: MIT
"""The content check: origin and freshness of bytes, by example and by property."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.oracle.content import (
    Issued,
    Options,
    OptionWrite,
    ReportRead,
    Violation,
    check_content,
)
from harness.oracle.foreign_bytes import differing_bytes, prefix_length, suffix_length

NONCE_A, NONCE_B = b"A" * 64, b"B" * 64


def blob(serial: int, size: int = 1000) -> bytes:
    """Bytes that differ from every other serial's at every offset."""
    return bytes((serial * 16 + offset % 16) & 0xFF or 1 for offset in range(size))


def issued(serial: int, nonce: bytes = NONCE_A, size: int = 1000) -> Issued:
    return Issued(serial, blob(serial, size), b"", b"", Options(inblob=nonce, privlevel=0), 0)


def read(
    data: bytes, *, offset: int = 0, whole: bool = True, start: int = 100, end: int = 200
) -> ReportRead:
    return ReportRead("e0", "outblob", data, offset, whole, start, end, "actor 0")


def write(value: bytes, start: int, end: int, *, ok: bool = True) -> OptionWrite:
    return OptionWrite("e0", "inblob", value, start, end, ok)


ONE, TWO = issued(1), issued(2)


def test_whole_reports_and_slices_are_valid() -> None:
    reads = [
        read(ONE.outblob),
        read(TWO.outblob[100:200], offset=100, whole=False),
        read(b"", offset=1000, whole=False),
    ]
    assert check_content([ONE, TWO], reads) == []


def test_each_blob_is_compared_with_its_own_kind() -> None:
    report = Issued(1, b"out", b"aux", b"manifest", Options(), 0)
    for name in ("outblob", "auxblob", "manifestblob"):
        good = ReportRead("e0", name, report.blob(name), 0, True, 0, 1, "r")
        bad = ReportRead("e0", name, b"no", 0, True, 0, 1, "r")
        [violation] = check_content([report], [good, bad])
        assert violation.read is bad


def test_a_slice_at_the_wrong_offset_is_foreign() -> None:
    [violation] = check_content([ONE], [read(ONE.outblob[101:200], offset=100, whole=False)])
    assert violation.kind is Violation.FOREIGN
    assert violation.first_difference == 100


@pytest.mark.parametrize(
    ("filler", "text"),
    [(0x6B, "freed memory"), (0x5A, "uninitialised"), (0xCC, "redzone"), (0x00, "zeroes")],
)
def test_a_filler_of_the_kernel_is_named(filler: int, text: str) -> None:
    data = ONE.outblob[:700] + bytes([filler]) * 300
    [violation] = check_content([ONE, TWO], [read(data)])
    assert violation.kind is Violation.FOREIGN
    assert violation.serial == 1
    assert violation.first_difference == 700
    assert 280 <= violation.foreign_bytes <= 300
    assert text in violation.message


def test_unknown_bytes_are_not_explained() -> None:
    [violation] = check_content([ONE], [read(ONE.outblob[:-3] + b"\x01\x02\x03")])
    assert "memory" not in violation.message
    assert violation.foreign_bytes == 3


def test_a_read_that_is_only_poison() -> None:
    [violation] = check_content([ONE], [read(b"\x6b" * 999 + b"\xa5")])
    assert violation.first_difference == 0
    assert "freed memory" in violation.message


def test_a_tail_after_a_whole_shorter_report() -> None:
    short = issued(3, size=400)
    [violation] = check_content([ONE, short], [read(short.outblob + b"\0" * 600)])
    assert violation.kind is Violation.FOREIGN
    assert violation.serial == 3
    assert violation.first_difference == 400
    assert "the whole report (400 bytes) precedes them" in violation.message


def test_a_splice_names_both_reports() -> None:
    data = ONE.outblob[:600] + TWO.outblob[600:]
    for offset, whole in ((0, True), (0, False)):
        [violation] = check_content([ONE, TWO], [read(data, offset=offset, whole=whole)])
        assert violation.kind is Violation.TORN
        assert violation.message == "torn: report 1 up to offset 600, then report 2"


def test_a_report_cut_short() -> None:
    [violation] = check_content([ONE], [read(ONE.outblob[:300])])
    assert violation.kind is Violation.CUT
    assert "300 of 1000" in violation.message


def test_bytes_without_any_report() -> None:
    [violation] = check_content([], [read(b"abc")])
    assert violation.foreign_bytes == 3


def test_the_message_names_reader_and_file() -> None:
    [violation] = check_content([ONE], [read(b"abc")])
    assert str(violation).startswith("actor 0 read e0/outblob: ")


# --- freshness ----------------------------------------------------------------------------------

FOR_A, FOR_B = issued(1, NONCE_A), issued(2, NONCE_B)


def stale(report: Issued, *writes: OptionWrite) -> bool:
    violations = check_content([FOR_A, FOR_B], [read(report.outblob)], writes)
    assert all(v.kind is Violation.STALE for v in violations)
    return bool(violations)


def test_the_nonce_in_force_decides() -> None:
    writes = (write(NONCE_A, 10, 20), write(NONCE_B, 30, 40))
    assert stale(FOR_A, *writes)
    assert not stale(FOR_B, *writes)


def test_a_write_during_the_read_allows_both() -> None:
    writes = (write(NONCE_A, 10, 20), write(NONCE_B, 150, 160))
    assert not stale(FOR_A, *writes)
    assert not stale(FOR_B, *writes)


def test_a_write_after_the_read_allows_only_the_old() -> None:
    writes = (write(NONCE_A, 10, 20), write(NONCE_B, 201, 210))
    assert not stale(FOR_A, *writes)
    assert stale(FOR_B, *writes)


def test_overlapping_writes_leave_either() -> None:
    writes = (write(NONCE_A, 10, 40), write(NONCE_B, 30, 50))
    assert not stale(FOR_A, *writes)
    assert not stale(FOR_B, *writes)


def test_the_value_before_the_first_write_is_not_known() -> None:
    assert not stale(FOR_B, write(NONCE_A, 150, 160))
    assert stale(FOR_B, write(NONCE_A, 50, 60))


def test_a_failed_write_changes_nothing() -> None:
    writes = (write(NONCE_A, 10, 20), write(NONCE_B, 30, 40, ok=False))
    assert not stale(FOR_A, *writes)
    assert stale(FOR_B, *writes)


def test_an_uncertain_write_allows_both_values_until_the_next_write() -> None:
    uncertain = OptionWrite("e0", "inblob", NONCE_B, 30, 40, ok=False, uncertain=True)
    writes = (write(NONCE_A, 10, 20), uncertain)
    assert not stale(FOR_A, *writes)
    assert not stale(FOR_B, *writes)
    last = write(bytes(64), 50, 60)
    assert stale(FOR_A, *writes, last)
    assert stale(FOR_B, *writes, last)


def test_another_entrys_options_do_not_matter() -> None:
    other = OptionWrite("e1", "inblob", NONCE_B, 30, 40)
    assert not stale(FOR_A, write(NONCE_A, 10, 20), other)


def test_all_options_must_hold_at_one_instant() -> None:
    """Nonce B came only after privilege level 1, so B at level 0 never was."""
    report = Issued(1, b"x", b"", b"", Options(inblob=NONCE_B, privlevel=0), 0)
    writes = [
        write(NONCE_A, 0, 1),
        OptionWrite("e0", "privlevel", 0, 2, 3),
        OptionWrite("e0", "privlevel", 1, 110, 120),
        write(NONCE_B, 130, 140),
    ]
    [violation] = check_content([report], [read(b"x")], writes)
    assert violation.kind is Violation.STALE
    assert "privlevel 0" in violation.message
    assert check_content([report], [read(b"x")], [writes[0], writes[1], writes[3]]) == []


def test_initial_options_hold_until_the_first_write() -> None:
    initial = {"e0": Options(privlevel=2)}
    [violation] = check_content([FOR_A], [read(FOR_A.outblob)], initial=initial)
    assert violation.kind is Violation.STALE
    level = OptionWrite("e0", "privlevel", 0, 50, 60)
    assert check_content([FOR_A], [read(FOR_A.outblob)], [level], initial) == []


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="no such option"):
        check_content([], [], [OptionWrite("e0", "inhex", b"", 0, 1)])


# --- properties ---------------------------------------------------------------------------------

blobs = st.lists(st.binary(max_size=60), min_size=1, max_size=5, unique=True)


@given(blobs, st.data())
def test_issued_bytes_are_never_a_violation(contents: list[bytes], data: st.DataObject) -> None:
    reports = [Issued(n, c, b"", b"", Options(), 0) for n, c in enumerate(contents)]
    chosen = data.draw(st.sampled_from(contents))
    offset = data.draw(st.integers(0, len(chosen)))
    size = data.draw(st.integers(0, len(chosen)))
    reads = [read(chosen), read(chosen[offset : offset + size], offset=offset, whole=False)]
    assert check_content(reports, reads) == []


@given(blobs, st.binary(max_size=60))
def test_bytes_that_were_not_issued_are_always_a_violation(
    contents: list[bytes], data: bytes
) -> None:
    assume(data not in contents)
    reports = [Issued(n, c, b"", b"", Options(), 0) for n, c in enumerate(contents)]
    [violation] = check_content(reports, [read(data)])
    nearest = contents[violation.serial or 0]
    first = violation.first_difference
    assert first is not None
    assert data[:first] == nearest[:first]
    assert data[first : first + 1] != nearest[first : first + 1]


times = st.integers(0, 50)


@given(st.lists(st.tuples(times, times, st.sampled_from("AB")), max_size=6), times, st.data())
def test_a_linearizable_history_is_never_stale(
    drawn: list[tuple[int, int, str]], length: int, data: st.DataObject
) -> None:
    """Choose an instant inside every write and inside the read; what is then in force is fresh."""
    writes, commits = [], []
    for start, duration, letter in drawn:
        value = letter.encode() * 64
        commits.append((data.draw(st.integers(start, start + duration)), value))
        writes.append(write(value, start, start + duration))
    begin = data.draw(times)
    instant = data.draw(st.integers(begin, begin + length))
    before = [commit for commit in commits if commit[0] <= instant]
    assume(before)
    latest = max(before, key=lambda commit: commit[0])[1]
    report = FOR_A if latest == NONCE_A else FOR_B
    done = read(report.outblob, start=begin, end=begin + length)
    assert check_content([FOR_A, FOR_B], [done], writes) == []


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_comparisons_agree_with_a_simple_implementation(one: bytes, other: bytes) -> None:
    pairs = list(zip(one, other, strict=False))
    equal = [a == b for a, b in pairs]
    assert prefix_length(one, other) == [*equal, False].index(False)
    assert suffix_length(one, other) == prefix_length(one[::-1], other[::-1])
    assert len(differing_bytes(one, other)) == equal.count(False) + max(0, len(one) - len(other))
