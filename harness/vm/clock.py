# SPDX-License-Identifier: MIT
"""Whether the clock of a guest runs at the speed of the host's.

Linux measures the frequency of the TSC at boot, against an emulated timer. On a busy host QEMU
may not run for a moment meanwhile, and the frequency may be wrong by any factor. Every clock of
the guest then runs too fast or too slow: timeouts such as that of the hung task detector, too.
"""

from __future__ import annotations

import time

from harness.guest.guest import Guest
from tsmw.ops import Op

__all__ = ["clock_rate", "keeps_time"]

_SECONDS = 0.1
_TOLERANCE = 0.1


def _guest_clock(guest: Guest) -> tuple[float, float, float]:
    """CLOCK_MONOTONIC of the guest in seconds, and the host's before and after reading it."""
    before = time.monotonic()
    result = guest.actors[0].run(Op.stat("/"), "stat of /")
    return result.start_ns / 1e9, before, time.monotonic()


def clock_rate(guest: Guest) -> tuple[float, float]:
    """Between which bounds the seconds of the guest in one second of the host lie."""
    first, earliest, started = _guest_clock(guest)
    while time.monotonic() < started + _SECONDS:
        guest.session.ping()
    last, ended, latest = _guest_clock(guest)
    return (last - first) / (latest - earliest), (last - first) / (ended - started)


def keeps_time(rate: tuple[float, float]) -> bool:
    """Whether the bounds of :func:`clock_rate` leave room for a clock that is right."""
    lowest, highest = rate
    return lowest <= 1 + _TOLERANCE and highest >= 1 - _TOLERANCE
