# SPDX-License-Identifier: MIT
"""Reads ``patch:FILE[,base=BASE]``: a whole implementation, or changes to another one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache as memoized
from pathlib import Path

from harness.errors import UsageError
from harness.implementations.model import Implementation
from harness.implementations.patched import PatchToKernel, change, patch_to_tree
from harness.implementations.touched import changes_core, require_judged
from harness.implementations.user import (
    implementation_of_posting,
    read_user_implementation,
    user_implementation,
)
from harness.mail.choice import choose_posting, split_selector
from harness.mail.model import Posting
from harness.mail.sources import read_postings

__all__ = [
    "BASE_KINDS",
    "postings_of",
    "read_patch_implementation",
    "read_posting",
    "read_unpatched_kernel",
    "split_base",
    "with_base",
]

BASE_KINDS = ("tree", "dir", "patch", "unpatch")
"""The kinds of a base."""

_BASE = re.compile(rf"(?P<name>.+?),base=(?P<base>(?:{'|'.join(BASE_KINDS)}):.+)", re.DOTALL)


def split_base(spec: str) -> tuple[str, str]:
    """Split the base off a spec; it is empty when the spec names none."""
    found = _BASE.fullmatch(spec)
    return (found["name"], found["base"]) if found else (spec, "")


def with_base(specs: Sequence[str], base: str) -> tuple[str, ...]:
    """Name ``base`` in the spec of each patch that names none.

    Raises :class:`UsageError` when it is none, or when there is no such patch.
    """
    if base.partition(":")[0] not in BASE_KINDS:
        raise UsageError(
            f"no such base: {base}", hint="use tree:PATH, dir:PATH, patch:FILE or unpatch:FILE"
        )
    named = tuple(
        f"{spec},base={base}" if spec.startswith("patch:") and not split_base(spec)[1] else spec
        for spec in specs
    )
    if named == tuple(specs):
        raise UsageError(
            f"--base {base} has no effect: no patch needs it", hint="add --tsm patch:FILE"
        )
    return named


def read_patch_implementation(spec: str) -> Implementation:
    """Read the patch, and its base where it has one.

    Raises :class:`UsageError` for files that cannot be read and a patch that does not apply, and
    :class:`harness.errors.NotJudgedError` for a patch that changes nothing that is judged.
    """
    name, base = split_base(spec)
    posting = read_posting(name)
    if base:
        return _on_base(spec, posting, base)
    if changes_core(posting):
        return PatchToKernel(spec, posting)
    require_judged(spec, posting)
    return implementation_of_posting(name, posting)


def read_unpatched_kernel(spec: str) -> PatchToKernel:
    """Read ``unpatch:FILE``: the implementation of the kernel under test without a patch in it.

    Raises what :func:`read_patch_implementation` raises.
    """
    posting = read_posting(spec)
    if not changes_core(posting):
        raise UsageError(
            f"{spec}: the patch changes no file of the merged implementation",
            hint="use unpatch:FILE for a patch that the kernel under test has",
        )
    return PatchToKernel(spec, posting, reverse=True)


def _on_base(spec: str, posting: Posting, base: str) -> Implementation:
    if base.startswith("tree:"):
        return patch_to_tree(spec, posting, base)
    under = _BASES[base.partition(":")[0]](base)
    if isinstance(under, PatchToKernel):
        return PatchToKernel(spec, posting, under)
    changed = change(spec, posting, dict(under.files), base)
    made = user_implementation(spec, changed.files, spec)
    return replace(made, base=base, notes=changed.notes)


def read_posting(spec: str) -> Posting:
    """Read the posting that ``patch:SOURCE[#SELECTOR]`` names."""
    source, selector = split_selector(spec.partition(":")[2])
    return choose_posting(postings_of(source), selector)


def postings_of(source: str) -> tuple[Posting, ...]:
    """Read every posting of a file, a directory or ``-``."""
    return _postings(source, _modified(source))


@memoized
def _postings(source: str, modified: int) -> tuple[Posting, ...]:
    return read_postings(source)


def _modified(source: str) -> int:
    """When the file was changed last; 0 for what is none."""
    try:
        return Path(source).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


_BASES: Mapping[str, Callable[[str], Implementation]] = {
    "dir": read_user_implementation,
    "patch": read_patch_implementation,
    "unpatch": read_unpatched_kernel,
}
"""What reads a base of each kind; a tree is read with the patch."""
