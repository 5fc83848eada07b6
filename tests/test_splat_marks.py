# SPDX-License-Identifier: MIT
"""Splats of a guest have their place among its calls."""

from __future__ import annotations

import errno
from contextlib import suppress

from harness.guest.guest import Guest
from harness.interface.find import find_interface
from harness.plugin.spans import spans
from harness.plugin.splat_marks import splat_marks
from harness.report.timeline import KERNEL
from tests.conftest import Attach, Clone

_ERROR_S = 0.002  # of both clocks together; the splat takes longer to print


def _double_free(guest: Guest, attach: Attach) -> None:
    """Make the class as posted free a report twice: in the last of three reads."""
    provider = attach(guest)
    report = find_interface(guest).report()
    report.write_inblob(b"a" * 64)
    report.read_outblob()
    provider.fail_next(errno.EIO)
    report.write_inblob(b"b" * 64)
    for _ in range(2):
        with suppress(OSError):
            report.read_outblob()


def test_a_splat_is_placed_in_the_call_that_caused_it(clone: Clone, attach: Attach) -> None:
    guest = clone("class-posted")
    _double_free(guest, attach)
    guest.log.mark()
    first, *_ = splat_marks(guest)
    assert first.lane == KERNEL
    assert "Object already free in ensure_report < tsm_class_read_report" in first.text
    read = spans(guest.calls)[-1]
    assert (read.what, read.outcome) == ("read of tsm0/outblob", "ok")
    assert read.end is not None
    assert read.begin - _ERROR_S < first.time < read.end
    middle = (read.begin + read.end) / 2
    assert first.time < middle  # before the new report is requested


def test_a_guest_without_splats_is_not_asked(clone: Clone, attach: Attach) -> None:
    guest = clone("class-fixed")
    _double_free(guest, attach)
    before = guest.log.mark()
    assert splat_marks(guest) == []
    assert guest.log.mark() == before


def test_the_splats_of_a_guest_that_is_gone_come_last(clone: Clone, attach: Attach) -> None:
    guest = clone("class-posted")
    _double_free(guest, attach)
    guest.log.mark()
    guest.machine.kill()
    first, *_ = splat_marks(guest)
    assert first.time == max(span.end or 0.0 for span in spans(guest.calls))
