# SPDX-License-Identifier: MIT
"""Collects what was recorded of an item that has a guest."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from harness.errors import TsmHarnessError
from harness.guest.guest import Guest
from harness.oracle.source_lines import Frame, SourceLines
from harness.oracle.splats import find_splats
from harness.plugin.cells import axes_of
from harness.plugin.spans import spans
from harness.plugin.splat_marks import splat_marks
from harness.plugin.stash import GUEST, SESSION
from harness.plugin.verdicts import Verdict
from harness.report.artifacts import Evidence
from harness.verdict import SourceExcerpt

__all__ = ["evidence_of", "fault_frames", "fault_places", "fault_source", "transcript_of"]

_MAX_PLACES = 4  # kernel.log among the artifacts has all frames


def evidence_of(item: pytest.Item, error: BaseException | None = None) -> Evidence:
    """Return the evidence; without a guest, the versions of the host's programs.

    ``error`` decided the verdict: the timeline marks the call that raised it.
    """
    guest = item.stash.get(GUEST, None)
    versions = item.config.stash[SESSION].versions()
    if guest is None:
        return Evidence(versions=versions)
    records = guest.log.records
    return Evidence(
        console=guest.machine.console,
        kernel_log=records,
        transcript=transcript_of(guest),
        qemu_command=guest.machine.command,
        spans=spans(guest.calls, error),
        splats=splat_marks(guest),
        versions=versions,
        source=_source_lines(item),
    )


def _source_lines(item: pytest.Item) -> SourceLines:
    axes = axes_of(item)
    try:
        return item.config.stash[SESSION].source_lines(axes.kernel, axes.tsm)
    except TsmHarnessError:
        return SourceLines()


def transcript_of(guest: Guest) -> list[dict[str, object]]:
    """Return the frames of all of the guest's providers, in order."""
    return [asdict(entry) for loop in guest.providers for entry in loop.transcript.items()]


def fault_frames(evidence: Evidence) -> list[Frame]:
    """Return the functions at fault in the first splat that have a source line, innermost first."""
    splat = next((s for s in find_splats(evidence.kernel_log) if not s.outside_tsm), None)
    if splat is None:
        return []
    frames = {f.function: f for f in evidence.source.frames(splat.lines) if f.locations}
    return [frames[function] for function in splat.blamed if function in frames]


def fault_places(evidence: Evidence) -> list[str]:
    """Return the lines that name the first of :func:`fault_frames`."""
    frames = fault_frames(evidence)[:_MAX_PLACES]
    return [f"  {frame.function} at {frame.place}" for frame in frames]


def fault_source(item: pytest.Item, evidence: Evidence, verdict: Verdict) -> SourceExcerpt | None:
    """Quote the code under test where it went wrong.

    That is the first line of a splat, of a stack in the verdict, or of a proof about the sources.
    """
    axes = axes_of(item)
    try:
        files = item.config.stash[SESSION].source_files(axes.kernel, axes.tsm)
    except TsmHarnessError:
        return None
    frames = fault_frames(evidence) or evidence.source.frames(verdict.detail.splitlines())
    return files.first_excerpt(frames) or files.excerpt_at(verdict.place)
