# SPDX-License-Identifier: MIT
"""KernelLog: clean logs, unexpected and expected splats, and inconclusive logs."""

from __future__ import annotations

import threading
import time

import pytest

from harness.detectors import SplatKind
from harness.errors import ClaimViolatedError, GuestLostError, HarnessError, KernelSplatError
from harness.oracle.kernel_log import KernelLog

SLUB = "BUG kmalloc-1k (Tainted: G  OE): Object already free"
OTHER_SLUB = "BUG kmalloc-2k (Tainted: G  OE): Object corrupt"
KASAN = "BUG: KASAN: double-free in outblob_read+0x1a2/0x2b0 [tsm]"
OFF = "INFO: lockdep is turned off."
QUIET = "random: crng reseeded"


class Guest:
    """Sends the records of its kernel on request, as the agent does."""

    def __init__(self) -> None:
        self.sequence = 100
        self.waiting: list[bytes] = []
        self.lost = 0
        self.gone = False
        self.log = KernelLog(self.sync)

    def prints(self, *texts: str) -> None:
        """Let the kernel print lines."""
        for text in texts:
            self.waiting.append(b"3,%d,1000,-;%s" % (self.sequence, text.encode()))
            self.sequence += 1

    def sync(self) -> None:
        """Send all records, as LOG_SYNC does; a guest may be lost after it has sent some."""
        self.log.feed(self.waiting, self.lost)
        self.waiting = []
        if self.gone:
            raise GuestLostError("the agent's port closed")


@pytest.fixture
def guest() -> Guest:
    return Guest()


def test_a_quiet_kernel_is_clean(guest: Guest) -> None:
    guest.prints(QUIET, QUIET)
    guest.log.assert_clean()
    guest.log.verify()
    assert len(guest.log.records) == 2
    assert guest.log.lost == 0


def test_an_unexpected_splat_fails_with_its_title(guest: Guest) -> None:
    guest.prints(QUIET, SLUB, KASAN)
    for check in (guest.log.assert_clean, guest.log.verify):
        with pytest.raises(KernelSplatError) as raised:
            check()
        assert "(2):" in str(raised.value)
        assert f"SLUB: {SLUB}" in str(raised.value)
        assert "KASAN: BUG: KASAN: double-free" in str(raised.value)


def test_a_mark_separates_earlier_from_later_splats(guest: Guest) -> None:
    guest.prints(SLUB)
    mark = guest.log.mark()
    guest.prints(KASAN)
    assert [r.kind for r in guest.log.splats()] == [SplatKind.SLUB, SplatKind.KASAN]
    assert [r.kind for r in guest.log.splats(since=mark)] == [SplatKind.KASAN]
    later = guest.log.mark()
    guest.log.assert_clean(since=later)
    with pytest.raises(KernelSplatError, match="double-free"):
        guest.log.assert_clean(since=mark)


def test_an_expected_splat_passes_and_must_come(guest: Guest) -> None:
    with guest.log.expect(SplatKind.SLUB, "already free"):
        guest.prints(SLUB)
    guest.log.assert_clean()
    guest.log.verify()
    with (
        pytest.raises(ClaimViolatedError, match="1 x SLUB 'already free', but did so 0 times"),
        guest.log.expect(SplatKind.SLUB, "already free"),
    ):
        guest.prints(QUIET)


@pytest.mark.parametrize("text", [OTHER_SLUB, KASAN])
def test_another_splat_than_the_expected_one_fails(guest: Guest, text: str) -> None:
    with (
        pytest.raises(KernelSplatError),
        guest.log.expect(SplatKind.SLUB, "already free"),
    ):
        guest.prints(text)


def test_a_further_splat_or_one_outside_the_block_fails(guest: Guest) -> None:
    with guest.log.expect(SplatKind.SLUB):
        guest.prints(SLUB)
    guest.prints(SLUB)
    with pytest.raises(KernelSplatError, match=r"\(1\):"):
        guest.log.verify()


def test_registered_expectation_is_checked_by_verify(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB, count=2)
    guest.prints(SLUB)
    guest.log.assert_clean()
    with pytest.raises(ClaimViolatedError, match="did so 1 times"):
        guest.log.verify()
    guest.prints(OTHER_SLUB)
    guest.log.verify()


def test_a_specific_expectation_gets_its_splat_first(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB)
    guest.log.expect(SplatKind.SLUB, "already free")
    guest.prints(SLUB, OTHER_SLUB)
    guest.log.verify()


def test_a_block_inside_a_registered_expectation_gets_its_splat_first(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB)
    guest.prints(QUIET)
    with guest.log.expect(SplatKind.SLUB):
        guest.prints(SLUB)
    guest.prints(SLUB)
    guest.log.verify()


@pytest.mark.parametrize("before", [True, False])
def test_a_block_covers_only_what_begins_inside_it(guest: Guest, before: bool) -> None:
    if before:
        guest.prints(SLUB)
    expectation = guest.log.expect(SplatKind.SLUB)
    with pytest.raises(ClaimViolatedError), expectation:
        guest.prints(QUIET)
    if not before:
        guest.prints(SLUB)
    assert not expectation.matched
    with pytest.raises(KernelSplatError):
        guest.log.assert_clean()


def test_an_error_in_the_block_is_not_masked(guest: Guest) -> None:
    with pytest.raises(ZeroDivisionError), guest.log.expect(SplatKind.SLUB):
        raise ZeroDivisionError


def test_a_log_with_lost_records_is_inconclusive(guest: Guest) -> None:
    guest.prints(QUIET)
    guest.lost = 3
    with pytest.raises(HarnessError, match="3 kernel log records are missing"):
        guest.log.assert_clean()
    guest.prints(SLUB)
    with pytest.raises(KernelSplatError):
        guest.log.assert_clean()


def test_a_gap_and_a_broken_record_are_losses(guest: Guest) -> None:
    guest.prints(QUIET)
    guest.sequence += 2
    guest.prints(QUIET)
    guest.waiting.append(b"not a record")
    with pytest.raises(HarnessError, match="3 kernel log records"):
        guest.log.verify()


def test_losses_before_the_log_began_do_not_count() -> None:
    log = KernelLog(lambda: None, lost=7)
    log.feed([b"6,5,0,-;x"], 7)
    log.verify()
    log.feed([], 8)
    with pytest.raises(HarnessError):
        log.verify()


def test_records_fed_twice_count_once(guest: Guest) -> None:
    guest.prints(SLUB)
    again = list(guest.waiting)
    assert len(guest.log.splats()) == 1
    guest.log.feed(again, 0)
    assert len(guest.log.splats()) == 1
    assert guest.log.lost == 0


def test_a_detector_that_is_off_is_inconclusive(guest: Guest) -> None:
    guest.prints(OFF)
    with pytest.raises(HarnessError, match="switched itself off"):
        guest.log.assert_clean()
    guest.prints(SLUB)
    with pytest.raises(KernelSplatError, match=r"\(1\):"):
        guest.log.assert_clean()


def test_a_splat_explains_a_lost_guest(guest: Guest) -> None:
    guest.gone = True
    guest.prints(QUIET)
    with pytest.raises(GuestLostError):
        guest.log.assert_clean()
    guest.prints(KASAN)
    with pytest.raises(KernelSplatError) as raised:
        guest.log.assert_clean()
    assert isinstance(raised.value.__cause__, GuestLostError)


def test_threads_can_feed_and_check_concurrently() -> None:
    log = KernelLog(lambda: None)
    lock = threading.Lock()
    sequence = iter(range(10_000))

    def feed() -> None:
        for _ in range(250):
            with lock:
                log.feed([b"6,%d,0,-;x" % next(sequence)], 0)

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.assert_clean()
    assert len(log.records) == 1000
    assert log.lost == 0


def test_an_unknown_bug_fails_with_its_line(guest: Guest) -> None:
    guest.prints("BUG: list of reports is circular")
    with pytest.raises(KernelSplatError, match=r"BUG: BUG: list of reports is circular"):
        guest.log.verify()


def test_an_unknown_bug_of_a_program_or_inside_a_line_is_none(guest: Guest) -> None:
    guest.waiting.append(b"11,100,1000,-;BUG: list of reports is circular")
    guest.sequence += 1
    guest.prints("tsm_sim: BUG: list of reports is circular")
    guest.log.verify()


def test_dropped_lines_are_inconclusive(guest: Guest) -> None:
    guest.prints("** 3 printk messages dropped **")
    with pytest.raises(HarnessError, match=r"or lines are lost: .* 3 printk messages dropped"):
        guest.log.verify()


def test_a_splat_that_arrives_in_parts_is_one(guest: Guest) -> None:
    guest.prints("------------[ cut here ]------------", "provider in use")
    assert guest.log.splats() == []
    guest.prints("WARNING: a.c:1 at f+0x1/0x2, CPU#0: kworker/u8:0/5")
    [begun] = guest.log.splats()
    guest.prints("Call Trace:", " <TASK>", " g+0x1/0x2", " </TASK>")
    [complete] = guest.log.splats()
    assert begun.title == complete.title
    assert begun.title.endswith("kworker/u8:0/5: provider in use")
    assert (begun.stack, complete.stack) == ((), ("g",))


def test_the_work_of_repeated_checks_is_linear() -> None:
    log = KernelLog(lambda: None)
    log.feed([b"3,0,1,-;%s" % KASAN.encode()], 0)
    start = time.process_time()
    for sequence in range(1, 4000):
        log.feed([b"6,%d,9000000,-;quiet" % sequence], 0)
        assert len(log.splats()) == 1
    assert time.process_time() - start < 5.0


def test_a_data_race_counts_only_in_tsm_code() -> None:
    guest = Guest()
    guest.prints("BUG: KCSAN: data-race in virtqueue_get_buf_ctx / vring_interrupt", "")
    guest.prints("write to 0xffff9b5b81081c50 of 2 bytes by task 1 on cpu 1:")
    guest.prints(" virtqueue_get_buf_ctx+0x354/0x530", " port_fops_poll+0x1d0/0x300")
    guest.log.verify()
    guest.prints(
        "BUG: KCSAN: data-race in privlevel_show [tsm_class] / privlevel_store [tsm_class]"
    )
    with pytest.raises(KernelSplatError, match="privlevel_show"):
        guest.log.verify()
    built_in = Guest()
    built_in.prints("BUG: KCSAN: data-race in memcpy+0x10/0x20")
    built_in.prints("read to 0xffff9b5b81081c50 of 2 bytes by task 1 on cpu 1:")
    built_in.prints(" memcpy+0x10/0x20", " tsm_report_read+0x1d0/0x300")
    with pytest.raises(KernelSplatError, match="memcpy"):
        built_in.log.verify()
