# SPDX-License-Identifier: MIT
"""Calls of a guest as spans: names, nonces, and which failure decided the verdict."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from harness.plugin.spans import clock_lead, spans
from tsmw.ops import Op, OpResult


class _Actor:
    def __repr__(self) -> str:
        return "Alice"


ALICE = _Actor()
NONCE = bytes(range(64))
CLASS, CONFIGFS = "/sys/class/tsm/tsm0", "/sys/kernel/config/tsm/report/report1"


def call(
    what: str,
    ops: Sequence[Op] = (),
    *,
    data: bytes = b"",
    err: int = 0,
    raised: OSError | None = None,
    start: float = 100.0,
    returned: bool = True,
) -> Any:  # noqa: ANN401 - stands for a call
    result = OpResult(0, err, data, int((start - 90) * 1e9), int((start - 89.5) * 1e9))
    return SimpleNamespace(
        actor=ALICE, what=what, ops=ops, raised=raised, started_s=start,
        returned=[result] if returned else None,
    )  # fmt: skip


def write_of(path: str, data: bytes) -> list[Op]:
    return [Op.open(path, os.O_WRONLY), Op.write(data), Op.close()]


def test_files_are_named_as_in_messages() -> None:
    made = spans([call(f"read of {CLASS}/outblob"), call(f"write to {CONFIGFS}/inblob")])
    assert [span.what for span in made] == ["read of tsm0/outblob", "write to report1/inblob"]
    assert {span.lane for span in made} == {"Alice"}


@pytest.mark.parametrize(
    ("path", "data", "nonce"),
    [
        (f"{CLASS}/inhex", NONCE.hex().encode() + b"\n", "00010203"),
        (f"{CONFIGFS}/inblob", NONCE, "00010203"),
        (f"{CLASS}/inhex", b"not hexadecimal", ""),
        (f"{CLASS}/privlevel", NONCE, ""),
    ],
)
def test_a_write_has_the_nonce_that_it_wrote(path: str, data: bytes, nonce: str) -> None:
    [span] = spans([call("write", write_of(path, data))])
    assert span.nonce == nonce


def test_a_read_has_the_nonce_that_is_in_the_report() -> None:
    other = bytes(64)
    calls = [
        call("write", write_of(f"{CONFIGFS}/inblob", other)),
        call("write", write_of(f"{CONFIGFS}/inblob", NONCE)),
        call("read", [Op.open(f"{CONFIGFS}/outblob")], data=b"header" + NONCE + b"signature"),
        call("read", [Op.open(f"{CONFIGFS}/outblob")], data=b"a report over no nonce"),
    ]
    assert [span.nonce for span in spans(calls)] == ["00000000", "00010203", "00010203", ""]


def test_the_call_that_raised_the_deciding_error_is_decisive() -> None:
    error, expected = OSError(errno.EIO, "EIO"), OSError(errno.EIO, "EIO")
    calls = [call("read", err=errno.EIO, raised=each) for each in (expected, error, None)]
    made = spans(calls, error)
    assert [span.decisive for span in made] == [False, True, False]
    assert {span.outcome for span in made} == {"EIO"}
    assert not any(span.decisive for span in spans(calls))


def test_the_fastest_request_tells_the_difference_of_the_clocks() -> None:
    calls = [call("a"), call("b", returned=False), call("c", start=101.0)]
    calls[0].started_s -= 0.25
    assert clock_lead(calls) == pytest.approx(-90.0)
    made = spans(calls)
    assert [span.begin for span in made] == pytest.approx([100.0, 100.0, 101.0])
    assert [span.end for span in made] == [pytest.approx(100.5), None, pytest.approx(101.5)]
