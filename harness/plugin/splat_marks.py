# SPDX-License-Identifier: MIT
"""A guest's splats as events of a timeline.

The kernel log has the kernel's own clock (``local_clock()``), which began before CLOCK_MONOTONIC.
The difference is measured in the guest: an actor writes lines to ``/dev/kmsg``.
"""

from __future__ import annotations

import os
import uuid

from harness.errors import ScenarioError, TsmHarnessError
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.oracle.splats import Splat, find_splats
from harness.plugin.spans import clock_lead
from harness.report.timeline import KERNEL, Mark
from tsmw.ops import Op

__all__ = ["splat_marks"]

_SECONDS = 2.0
_LINES = 8
_MAX_SPLATS = 8
_MAX_FUNCTIONS = 4


def splat_marks(guest: Guest) -> list[Mark]:
    """Return a mark for each of the first splats.

    A guest that cannot be asked for its clock any more gets them at the end of its timeline.
    """
    found = [each for each in find_splats(guest.log.records) if not each.outside_tsm]
    if not found:
        return []
    shift = _kernel_lead(guest)
    if shift is None:
        return [Mark(_last_time(guest), _text(splat), KERNEL) for splat in found[:_MAX_SPLATS]]
    shift += clock_lead(guest.calls)
    return [Mark(splat.time_s - shift, _text(splat), KERNEL) for splat in found[:_MAX_SPLATS]]


def _text(splat: Splat) -> str:
    """Return the title, and the callers of the function at fault outwards."""
    functions = splat.blamed[:_MAX_FUNCTIONS]
    if functions and splat.title.endswith(f" in {functions[0]}"):
        functions = functions[1:]
    return " < ".join([splat.title, *functions])


def _kernel_lead(guest: Guest) -> float | None:
    """Return by how many seconds the clock of the log is ahead of CLOCK_MONOTONIC, or None.

    The line that was written fastest tells it best.
    """
    texts = [f"tsm-harness: clock {uuid.uuid4().hex}" for _ in range(_LINES)]
    writes = [Op.write(f"<7>{text}\n".encode()) for text in texts]
    ops = [Op.open("/dev/kmsg", os.O_WRONLY), *writes, Op.close()]
    for actor in _idle(guest):
        try:
            call = actor.start(ops, lambda results: results, "write of lines", in_timeline=False)
            results = call.result(seconds=_SECONDS)[1:-1]
            guest.log.mark()
        except ScenarioError:  # nothing was spawned in this slot
            continue
        except (TsmHarnessError, OSError):
            return None
        times = {record.text: record.time_s for record in guest.log.records[-2 * _LINES :]}
        measured = [
            (result.end_ns - result.start_ns, times[text] - (result.start_ns + result.end_ns) / 2e9)
            for text, result in zip(texts, results, strict=False)
            if text in times
        ]
        return min(measured)[1] if measured else None
    return None


def _idle(guest: Guest) -> list[Actor]:
    return [a for a in guest.actors if not a.open_calls and a.slot not in guest.session.deaths]


def _last_time(guest: Guest) -> float:
    """Return when the last call returned, or was made, on the host's clock."""
    calls, lead = guest.calls, clock_lead(guest.calls)
    return max(
        (c.returned[-1].end_ns / 1e9 - lead if c.returned else c.started_s for c in calls),
        default=0.0,
    )
