# SPDX-License-Identifier: MIT
"""A guest's calls as the spans of a timeline."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from harness.guest.call import Call
from harness.report.timeline import Span

__all__ = ["spans"]


def spans(calls: Sequence[Call[Any]]) -> list[Span]:
    """The calls of one guest, in the host's time.

    The guest's clock is taken to be ahead of the host's by the difference that the call with the
    fastest request shows.
    """
    differences = [
        call.returned[0].start_ns / 1e9 - call.started_s for call in calls if call.returned
    ]
    ahead = min(differences, default=0.0)
    return [_span(call, ahead) for call in calls]


def _span(call: Call[Any], ahead: float) -> Span:
    actor, results = repr(call.actor), call.returned
    if not results:
        return Span(actor, call.what, call.started_s, None, "has not returned")
    failed = next((result.err for result in results if result.err), 0)
    outcome = errno.errorcode.get(failed, str(failed)) if failed else "ok"
    begin = max(results[0].start_ns / 1e9 - ahead, call.started_s)
    end = max(results[-1].end_ns / 1e9 - ahead, begin)
    return Span(actor, call.what, begin, end, outcome)
