# SPDX-License-Identifier: MIT
"""Describes the patches of a run for its run report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from harness.errors import TsmHarnessError
from harness.implementations.from_patch import read_posting, split_base
from harness.verdict import Patchset, RunResult

__all__ = ["with_patchsets"]


def with_patchsets(run: RunResult, tsms: Iterable[str]) -> RunResult:
    """Return the run with the patches among the implementations ``tsms``."""
    found = {tsm: patchset for tsm in tsms if (patchset := _patchset(tsm)) is not None}
    return replace(run, patchsets=found)


def _patchset(tsm: str) -> Patchset | None:
    """Return the patches of an implementation; None without any, or if they are gone by now."""
    if not tsm.startswith("patch:"):
        return None
    try:
        posting = read_posting(split_base(tsm)[0])
    except TsmHarnessError:
        return None
    digests = tuple(hashlib.sha256(patch.diff).hexdigest() for patch in posting.patches)
    return Patchset(posting.subject, posting.message_id, digests)
