# SPDX-License-Identifier: MIT
"""KernelLog: what it lets pass, what it fails, and when it refuses to judge."""

from __future__ import annotations

import threading

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
    """Hands over what its kernel said when it is asked, as the agent does."""

    def __init__(self) -> None:
        self.sequence = 100
        self.waiting: list[bytes] = []
        self.lost = 0
        self.gone = False
        self.log = KernelLog(self.sync)

    def says(self, *texts: str) -> None:
        """Let the kernel print."""
        for text in texts:
            self.waiting.append(b"3,%d,1000,-;%s" % (self.sequence, text.encode()))
            self.sequence += 1

    def sync(self) -> None:
        """Drain, as LOG_SYNC does; a lost guest may still have handed over something."""
        self.log.feed(self.waiting, self.lost)
        self.waiting = []
        if self.gone:
            raise GuestLostError("the agent's port closed")


@pytest.fixture
def guest() -> Guest:
    return Guest()


def test_a_quiet_kernel_is_clean(guest: Guest) -> None:
    guest.says(QUIET, QUIET)
    guest.log.assert_clean()
    guest.log.verify()
    assert len(guest.log.records) == 2
    assert guest.log.lost == 0


def test_an_unexpected_report_fails_with_its_title(guest: Guest) -> None:
    guest.says(QUIET, SLUB, KASAN)
    for judge in (guest.log.assert_clean, guest.log.verify):
        with pytest.raises(KernelSplatError) as raised:
            judge()
        assert "(2):" in str(raised.value)
        assert f"SLUB: {SLUB}" in str(raised.value)
        assert "KASAN: BUG: KASAN: double-free" in str(raised.value)


def test_marks_part_before_from_after(guest: Guest) -> None:
    guest.says(SLUB)
    mark = guest.log.mark()
    guest.says(KASAN)
    assert [r.kind for r in guest.log.splats()] == [SplatKind.SLUB, SplatKind.KASAN]
    assert [r.kind for r in guest.log.splats(since=mark)] == [SplatKind.KASAN]
    later = guest.log.mark()
    guest.log.assert_clean(since=later)
    with pytest.raises(KernelSplatError, match="double-free"):
        guest.log.assert_clean(since=mark)


def test_an_expected_report_passes_and_must_come(guest: Guest) -> None:
    with guest.log.expect(SplatKind.SLUB, "already free"):
        guest.says(SLUB)
    guest.log.assert_clean()
    guest.log.verify()
    with (
        pytest.raises(ClaimViolatedError, match="1 x SLUB 'already free', but did so 0 times"),
        guest.log.expect(SplatKind.SLUB, "already free"),
    ):
        guest.says(QUIET)


@pytest.mark.parametrize("text", [OTHER_SLUB, KASAN])
def test_another_report_than_the_expected_one_fails(guest: Guest, text: str) -> None:
    with (
        pytest.raises(KernelSplatError),
        guest.log.expect(SplatKind.SLUB, "already free"),
    ):
        guest.says(text)


def test_one_report_too_many_or_outside_the_block_fails(guest: Guest) -> None:
    with guest.log.expect(SplatKind.SLUB):
        guest.says(SLUB)
    guest.says(SLUB)
    with pytest.raises(KernelSplatError, match=r"\(1\):"):
        guest.log.verify()


def test_registered_expectation_is_checked_by_verify(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB, count=2)
    guest.says(SLUB)
    guest.log.assert_clean()
    with pytest.raises(ClaimViolatedError, match="did so 1 times"):
        guest.log.verify()
    guest.says(OTHER_SLUB)
    guest.log.verify()


def test_a_specific_expectation_chooses_first(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB)
    guest.log.expect(SplatKind.SLUB, "already free")
    guest.says(SLUB, OTHER_SLUB)
    guest.log.verify()


def test_a_block_inside_a_registered_expectation_chooses_first(guest: Guest) -> None:
    guest.log.expect(SplatKind.SLUB)
    guest.says(QUIET)
    with guest.log.expect(SplatKind.SLUB):
        guest.says(SLUB)
    guest.says(SLUB)
    guest.log.verify()


@pytest.mark.parametrize("before", [True, False])
def test_a_block_covers_only_what_begins_inside_it(guest: Guest, before: bool) -> None:
    if before:
        guest.says(SLUB)
    expectation = guest.log.expect(SplatKind.SLUB)
    with pytest.raises(ClaimViolatedError), expectation:
        guest.says(QUIET)
    if not before:
        guest.says(SLUB)
    assert not expectation.matched
    with pytest.raises(KernelSplatError):
        guest.log.assert_clean()


def test_an_error_in_the_block_is_not_masked(guest: Guest) -> None:
    with pytest.raises(ZeroDivisionError), guest.log.expect(SplatKind.SLUB):
        raise ZeroDivisionError


def test_lost_records_are_inconclusive_never_clean(guest: Guest) -> None:
    guest.says(QUIET)
    guest.lost = 3
    with pytest.raises(HarnessError, match="3 kernel log records are missing"):
        guest.log.assert_clean()
    guest.says(SLUB)
    with pytest.raises(KernelSplatError):
        guest.log.assert_clean()


def test_a_gap_and_a_broken_record_are_losses(guest: Guest) -> None:
    guest.says(QUIET)
    guest.sequence += 2
    guest.says(QUIET)
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
    guest.says(SLUB)
    again = list(guest.waiting)
    assert len(guest.log.splats()) == 1
    guest.log.feed(again, 0)
    assert len(guest.log.splats()) == 1
    assert guest.log.lost == 0


def test_a_detector_that_is_off_is_inconclusive(guest: Guest) -> None:
    guest.says(OFF)
    with pytest.raises(HarnessError, match="switched itself off"):
        guest.log.assert_clean()
    guest.says(SLUB)
    with pytest.raises(KernelSplatError, match=r"\(1\):"):
        guest.log.assert_clean()


def test_a_report_explains_a_lost_guest(guest: Guest) -> None:
    guest.gone = True
    guest.says(QUIET)
    with pytest.raises(GuestLostError):
        guest.log.assert_clean()
    guest.says(KASAN)
    with pytest.raises(KernelSplatError) as raised:
        guest.log.assert_clean()
    assert isinstance(raised.value.__cause__, GuestLostError)


def test_feeding_and_judging_from_several_threads() -> None:
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


def test_a_data_race_counts_only_where_a_tsm_is_part_of_it() -> None:
    guest = Guest()
    guest.says("BUG: KCSAN: data-race in virtqueue_get_buf_ctx / vring_interrupt", "")
    guest.says("write to 0xffff9b5b81081c50 of 2 bytes by task 1 on cpu 1:")
    guest.says(" virtqueue_get_buf_ctx+0x354/0x530", " port_fops_poll+0x1d0/0x300")
    guest.log.verify()
    guest.says("BUG: KCSAN: data-race in privlevel_show [tsm_class] / privlevel_store [tsm_class]")
    with pytest.raises(KernelSplatError, match="privlevel_show"):
        guest.log.verify()
    built_in = Guest()
    built_in.says("BUG: KCSAN: data-race in memcpy+0x10/0x20")
    built_in.says("read to 0xffff9b5b81081c50 of 2 bytes by task 1 on cpu 1:")
    built_in.says(" memcpy+0x10/0x20", " tsm_report_read+0x1d0/0x300")
    with pytest.raises(KernelSplatError, match="memcpy"):
        built_in.log.verify()
