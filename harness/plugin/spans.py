# SPDX-License-Identifier: MIT
"""A guest's calls as the spans of a timeline."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from harness.guest.call import Call
from harness.interface.find import CLASS_DEVICE, CONFIGFS_REPORTS
from harness.report.timeline import Span
from tsmw.constants import OpCode

__all__ = ["clock_lead", "spans"]

_DIRECTORIES = (CLASS_DEVICE.rpartition("/")[0] + "/", CONFIGFS_REPORTS + "/")
_NONCE_FILES = (b"/inblob", b"/inhex")
_SHORTEST_NONCE = 16  # bytes; fewer could be in a report by chance
_NONCE_DIGITS = 8


def clock_lead(calls: Sequence[Call[Any]]) -> float:
    """Return by how many seconds the guest's CLOCK_MONOTONIC is ahead of the host's.

    It is the difference that the call with the fastest request shows.
    """
    differences = [
        call.returned[0].start_ns / 1e9 - call.started_s for call in calls if call.returned
    ]
    return min(differences, default=0.0)


def spans(calls: Sequence[Call[Any]], error: BaseException | None = None) -> list[Span]:
    """Return the calls of one guest, in the host's time; ``error`` decided the verdict."""
    lead = clock_lead(calls)
    nonces = list(dict.fromkeys(nonce for call in calls if (nonce := _written_nonce(call))))
    return [_span(call, lead, nonces, error) for call in calls]


def _span(
    call: Call[Any], lead: float, nonces: Sequence[bytes], error: BaseException | None
) -> Span:
    actor, results, what = repr(call.actor), call.returned, _short(call.what)
    nonce = (_written_nonce(call) or _read_nonce(call, nonces)).hex()[:_NONCE_DIGITS]
    if not results:
        return Span(actor, what, call.started_s, None, "has not returned", nonce)
    failed = next((result.err for result in results if result.err), 0)
    outcome = errno.errorcode.get(failed, str(failed)) if failed else "ok"
    begin = max(results[0].start_ns / 1e9 - lead, call.started_s)
    end = max(results[-1].end_ns / 1e9 - lead, begin)
    decisive = call.raised is not None and call.raised is error
    return Span(actor, what, begin, end, outcome, nonce, decisive)


def _short(what: str) -> str:
    """Name files as messages do: by entry and attribute."""
    for directory in _DIRECTORIES:
        what = what.replace(directory, "")
    return what


def _written_nonce(call: Call[Any]) -> bytes:
    """Return the bytes that a call wrote to a file that takes a nonce; empty for other calls."""
    to_nonce_file = False
    for op in call.ops:
        if op.code is OpCode.OPEN:
            to_nonce_file = op.data.endswith(_NONCE_FILES)
            is_text = op.data.endswith(b"/inhex")
        elif op.code is OpCode.WRITE and to_nonce_file:
            return _from_hex(op.data) if is_text else op.data
    return b""


def _from_hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return b""


def _read_nonce(call: Call[Any], nonces: Sequence[bytes]) -> bytes:
    """Return which nonce is in the bytes that a call read; empty if none is."""
    data = b"".join(result.data for result in call.returned or ())
    return next((n for n in nonces if len(n) >= _SHORTEST_NONCE and n in data), b"")
