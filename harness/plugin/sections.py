# SPDX-License-Identifier: MIT
"""Adds the guest's log and timeline to pytest's output for a failed test that has no claim."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

from harness.guest.guest import Guest
from harness.oracle.printable import printable
from harness.plugin.evidence import transcript_of
from harness.plugin.spans import spans
from harness.plugin.stash import GUEST
from harness.report.artifacts import Evidence

__all__: list[str] = []

_MAX_LINES = 25  # of each section


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of the kernel log and of the timeline; the result of a claim has its own."""
    report = yield
    guest = item.stash.get(GUEST, None)
    if guest is not None and report.failed and not item.get_closest_marker("claim"):
        report.sections += list(_sections(guest))
    return report


def _sections(guest: Guest) -> Iterable[tuple[str, str]]:
    log = [record.text for record in guest.log.records[-_MAX_LINES:]]
    yield "guest's kernel log", "\n".join(printable(line) for line in log)
    evidence = Evidence(transcript=transcript_of(guest), spans=spans(guest.calls))
    lines = evidence.timeline()
    yield "guest's system calls, provider", "\n".join(lines[-_MAX_LINES:])
