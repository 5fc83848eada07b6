# SPDX-License-Identifier: MIT
"""Completes the patches of a run by the base that makes them apply to the kernels under test."""

from __future__ import annotations

from dataclasses import replace

from harness.errors import HarnessError
from harness.implementations.found_base import found_base
from harness.implementations.patched import PatchToKernel
from harness.implementations.spec import parse_implementation
from harness.kernels.kernel_source import kernel_source
from harness.progress import stderr_progress
from harness.session import Session
from harness.settings import Settings

__all__ = ["with_found_bases"]


def with_found_bases(settings: Settings) -> tuple[Settings, list[str]]:
    """Return the settings, and a note on each patch that got a base.

    A patch gets one when the kernels under test have the patch already, or another version of it
    that the same mails contain. It has to be the same base for all of them: otherwise the run says
    where the patch does not apply.
    """
    tsms, notes = [], []
    for tsm in settings.tsms:
        patch = parse_implementation(tsm)
        base = _base(patch, settings) if isinstance(patch, PatchToKernel) else ""
        tsms.append(f"{tsm},base={base}" if base else tsm)
        if base:
            notes.append(
                f"{tsm}: the kernel has the patch already, or another version of it; its base is "
                f"the kernel without it, {base}"
            )
    return replace(settings, tsms=tuple(tsms)), notes


def _base(patch: PatchToKernel, settings: Settings) -> str:
    with Session(settings, stderr_progress()) as session:
        try:
            found = {_base_on(patch, kernel, session) for kernel in settings.kernels}
        except HarnessError:
            return ""  # the preparation of the run reports it
    return found.pop() if len(found) == 1 else ""


def _base_on(patch: PatchToKernel, kernel: str, session: Session) -> str:
    source = kernel_source(session.kernel(kernel), session.cache, session.progress)
    return found_base(patch, dict(source.files))
