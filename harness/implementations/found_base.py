# SPDX-License-Identifier: MIT
"""Finds the base of a patch that does not apply to the sources of the kernel under test.

The kernel often has the patch already, in this version or in another one of the same thread. The
base is then the kernel without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import NotJudgedError, UsageError
from harness.implementations.from_patch import postings_of, read_posting
from harness.implementations.patched import PatchToKernel, change
from harness.mail.choice import split_selector

__all__ = ["found_base"]


def found_base(patch: PatchToKernel, files: Mapping[str, str]) -> str:
    """Return the spec of the base, or an empty string.

    It is empty when the patch applies to ``files``, and when nothing that the mails have makes it
    apply.
    """
    if patch.under or patch.reverse or _applies(patch, files):
        return ""
    source, _ = split_selector(patch.name.partition(":")[2])
    specs = [f"unpatch:{source}#{number}" for number, _ in enumerate(postings_of(source), 1)]
    own = patch.name.replace("patch:", "unpatch:", 1)
    return next((spec for spec in [own, *specs] if _applies_without(patch, spec, files)), "")


def _applies(patch: PatchToKernel, files: Mapping[str, str]) -> bool:
    try:
        change(patch.name, patch.posting, files, "")
    except UsageError:
        return False
    except NotJudgedError:  # which no other base changes
        return True
    return True


def _applies_without(patch: PatchToKernel, spec: str, files: Mapping[str, str]) -> bool:
    """Whether the patch applies once the posting that ``spec`` names is undone."""
    try:
        undone = change(spec, read_posting(spec), files, "", reverse=True)
    except (UsageError, NotJudgedError):
        return False
    return _applies(patch, undone.files)
