# SPDX-License-Identifier: MIT
"""What of a working tree a run tests: the parts that its settings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError
from harness.settings import Settings

__all__ = ["require_worktree_part", "settings_in_tree"]

_KINDS = ("tree", "dir", "patch")
_MOVED_INTO = "guest"  # Linux 6.16 moved tsm.c of drivers/virt/coco to guest/report.c
_HINT = "name a path in the working tree: --kernel tree:. or --tsm dir:drivers/virt/coco"


def require_worktree_part(command: str, settings: Settings, *, temporary: bool) -> None:
    """Raise :class:`UsageError` when every commit would get the verdict of the same code.

    ``temporary``: the commits are checked out in a temporary working tree, so that only relative
    paths lead to them.
    """
    named = [*_operands(settings.tsms), *_operands(settings.kernels)]
    images = [] if temporary else [name for name in settings.kernels if ":" not in name]
    if not named and not images:
        raise UsageError(
            f"{command} tests what is in the working tree, and neither --kernel nor --tsm names a "
            "part of it",
            hint=_HINT,
        )
    if temporary and all(path.is_absolute() for path in named):
        raise UsageError(
            f"{command} tests each commit in a temporary working tree, and {named[0]} is the same "
            "for every commit",
            hint=_HINT,
        )


def _operands(specs: Sequence[str]) -> list[Path]:
    parts = [spec.partition(":") for spec in specs]
    return [Path(operand) for kind, _, operand in parts if kind in _KINDS and operand]


def settings_in_tree(tree: Path, settings: Settings) -> Settings:
    """The settings with the directory where the implementation is in ``tree``.

    ``dir:drivers/virt/coco/guest`` becomes ``dir:drivers/virt/coco`` before the move.
    """
    return replace(settings, tsms=tuple(_before_move(tree, spec) for spec in settings.tsms))


def _before_move(tree: Path, spec: str) -> str:
    kind, _, operand = spec.partition(":")
    path = Path(operand)
    if kind == "dir" and path.name == _MOVED_INTO and not (tree / path).exists():
        return f"dir:{path.parent}"
    return spec
