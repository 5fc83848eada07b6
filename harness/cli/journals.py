# SPDX-License-Identifier: MIT
"""Opens the journal of a run, or that of an earlier run with which this one goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cli.messages import print_note
from harness.errors import HostError
from harness.matrix.jobs import Job
from harness.option import Use
from harness.report.journal import Journal, newest_journal
from harness.settings import Settings

__all__ = ["open_journal"]

_PLACES = ("cache", "shared_cache")  # no verdict depends on where the cache is


@contextlib.contextmanager
def open_journal(
    settings: Settings, resume: Path | None, jobs: Sequence[Job] = ()
) -> Iterator[Journal | None]:
    """Open a journal in the results directory; None if it cannot be written there.

    ``resume`` is the results directory, or the journal, of a run to go on with; the empty path
    stands for the results directory of the settings. Raises :class:`UsageError` if that run had
    other settings or is still going on.
    """
    journal = _journal(settings, resume, jobs)
    ended = False
    try:
        yield journal
        ended = True
    finally:
        if journal is not None:
            journal.close(ended=ended)
    if journal is not None and journal.problem:
        print_note(f"the journal {journal.path} lacks verdicts: {journal.problem}")


def _journal(settings: Settings, resume: Path | None, jobs: Sequence[Job]) -> Journal | None:
    values = {
        each.flag: " ".join(map(str, each.values(settings)))
        for each in Settings.options()
        if each.use is not Use.OUTPUT and each.name not in _PLACES
    }
    values["jobs"] = "; ".join(map(str, jobs))
    if resume is not None:
        place = settings.artifacts if resume == Path() else resume
        return Journal.resume(newest_journal(place), values)
    try:
        return Journal.create(settings.artifacts, values, settings.command())
    except HostError as error:  # no verdict depends on it
        print_note(f"the verdicts are in no journal: {error}; {error.hint}")
        return None
