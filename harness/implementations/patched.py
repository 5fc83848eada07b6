# SPDX-License-Identifier: MIT
"""Implementations that a patch makes of another one, its base.

The base is what ``,base=`` names: a tree, a directory or another patch. Without it the base of a
patch that changes merged files is the kernel under test, so its sources are known only then. A
patch that brings a whole implementation has no base.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.apply import apply_patches, refuse_name
from harness.implementations.core import INCLUDE, core_of
from harness.implementations.merged import MergedImplementation
from harness.implementations.model import Build, InterfaceKind, ModuleSource
from harness.implementations.touched import (
    align,
    chosen_changes,
    left_out,
    not_judged,
)
from harness.kernels.kernel_source import kernel_source, read_source
from harness.kernels.model import Kernel
from harness.mail.model import Posting
from harness.progress import Progress

__all__ = ["Changed", "PatchToKernel", "change", "merged_in_tree", "patch_to_tree"]


_BASE_HINT = (
    "name the sources that it was made for with --base tree:PATH, dir:PATH or patch:FILE, with "
    "--base unpatch:FILE if the kernel has another version of the patch, or test a kernel that "
    "has them"
)


@dataclass(frozen=True)
class Changed:
    """The sources after a posting; ``judged`` are the files of the implementation it changed."""

    files: Mapping[str, str]
    judged: frozenset[str]
    notes: tuple[str, ...]


def change(
    name: str, posting: Posting, files: Mapping[str, str], origin: str, *, reverse: bool = False
) -> Changed:
    """Apply ``posting`` to the sources ``files``, which are from ``origin``, or undo it there.

    Raises :class:`NotJudgedError` when it changes nothing of the implementation, and
    :class:`UsageError` with git's words when it does not apply.
    """
    for path in posting.paths:
        refuse_name(path)
    aligned = align(files, posting)
    chosen = chosen_changes(aligned, posting)
    try:
        applied = apply_patches(aligned.files, posting.patches, chosen, reverse=reverse)
    except UsageError as error:
        fails = "cannot be undone in" if reverse else "does not apply to"
        raise UsageError(
            f"{name} {fails} {origin}:\n{error}", hint=error.hint or _BASE_HINT
        ) from error
    after = aligned.restored(applied.files)
    core = core_of(after)
    touched = {aligned.moved.get(path, path) for each in chosen for path in (each.new, each.old)}
    owned = core.files if core else frozenset(after)
    before = core_of(files)
    judged = touched & (owned | (before.files if before else frozenset()))
    if not judged:
        raise not_judged(name, posting)
    names = {*judged, *(theirs for theirs, ours in aligned.moved.items() if ours in judged)}
    rest = left_out(posting, names | ({core.makefile} if core else set()))
    done = "undone in" if reverse else "applied to"
    notes = [f"{done} {origin}", *applied.notes]
    notes += [f"{theirs} is {ours} there" for theirs, ours in aligned.moved.items()]
    notes += [f"not judged: {', '.join(rest)}"] if rest else []
    return Changed(after, frozenset(judged), (*posting.notes, *notes))


def merged_in_tree(spec: str) -> MergedImplementation:
    """Read ``tree:PATH``: the merged implementation in a kernel tree."""
    source = read_source(Path(spec.partition(":")[2]).resolve())
    return replace(MergedImplementation.of(spec, dict(source.files)), shims=True)


def patch_to_tree(name: str, posting: Posting, base: str) -> MergedImplementation:
    """The implementation that a posting makes of the one in the tree that ``base`` names."""
    files = dict(read_source(Path(base.partition(":")[2]).resolve()).files)
    changed = change(name, posting, files, base)
    made = MergedImplementation.of(name, changed.files, base=base, notes=changed.notes)
    return replace(made, shims=True)


@dataclass(frozen=True)
class PatchToKernel:
    """A patch to the implementation of the kernel under test, or to what ``under`` makes of it.

    It has no sources of its own: :meth:`on` applies it to those of a kernel, or undoes it there
    with ``reverse``.
    """

    name: str
    posting: Posting = field(repr=False)
    under: PatchToKernel | None = None
    reverse: bool = False
    interface: InterfaceKind = "configfs"
    defects: tuple[str, ...] = ()
    verdicts_known: bool = False
    files: tuple[tuple[str, str], ...] = ()

    @property
    def base(self) -> str:
        """The kernel's own implementation, or the patch that comes first.

        A kernel without a patch is itself a base, and has none.
        """
        if self.reverse:
            return ""
        return self.under.name if self.under else "mainline"

    @property
    def digest(self) -> str:
        """SHA-256 of the patches."""
        parts = [self.under.digest if self.under else "", str(self.reverse)]
        parts += [patch.diff.decode("latin-1") for patch in self.posting.patches]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def source(self) -> ModuleSource | None:
        """None: the kernel is not known."""
        return None

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> MergedImplementation:
        """The implementation with the sources of ``kernel``, changed by the patch."""
        if self.under:
            files, origin = self.under.on(kernel, cache, progress).files, self.under.name
        else:
            source = kernel_source(kernel, cache, progress)
            files, origin = source.files, source.origin
        changed = change(self.name, self.posting, dict(files), origin, reverse=self.reverse)
        made = MergedImplementation.of(
            self.name, changed.files, base=self.base, notes=changed.notes
        )
        headers = [(name, text) for name, text in files if name.startswith(INCLUDE)]
        own = not self.under and all(changed.files.get(name) == text for name, text in headers)
        return replace(made, own_headers=own)

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build what the patch makes of the kernel's own implementation."""
        return self.on(kernel, cache, progress).build(kernel, cache, progress)
