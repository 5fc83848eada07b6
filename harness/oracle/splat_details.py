# SPDX-License-Identifier: MIT
"""Reads the stacks, the task, the taint and the cache from the lines of one splat."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.detectors import SANITIZERS

__all__ = ["Details", "read_details"]

MAX_FRAMES = 64

_FRAME = re.compile(r"\s*(\? )?([\w.$]{1,256})\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[([\w-]{1,64})\])?")
_RIP = re.compile(r"RIP: 0010:([\w.$]{1,256})\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[([\w-]{1,64})\])?")
_TASK = re.compile(r"PID: (\d{1,10}) (?:tgid: \d{1,10} )?Comm: (\S{1,64})")
_BY_TASK = re.compile(r"(?:Free of|Read of|Write of) .{0,60} by task (\S{1,64}/\d{1,10})")
_TAINT = re.compile(r"Tainted: ([A-Z][A-Z ]{0,40})")
_CACHE = re.compile(r"belongs to the cache (\S{1,128}) of size|, cache=(\S{1,128})")
_TRACE = re.compile(r"Call [Tt]race:")
_ALLOCATED = re.compile(r"Allocated in |[Aa]llocated by task ")
_FREED = re.compile(r"Freed in |[Ff]reed by task ")
_FREEING = re.compile(r"(?:Invalid f|F)ree of ")

# Functions of allocators, locks and detectors: the function at fault is their caller.
_SERVICE = re.compile(
    r"_{0,3}(?:dump_stack|show_stack|warn|report_|print_|object_err|slab_|check_|free_to_partial|"
    r"free_debug|alloc_debug|get_partial|kmem_cache|kmalloc|kvmalloc|kfree|kvfree|vfree|"
    r"free_large_kmalloc|remove_vm_area|kfence_|refcount_warn|list_|schedule|mutex_lock|"
    r"rwsem_|down_|wait_for_|rtnl_|copy_overflow|usercopy_abort|check_heap|bad_page|free_unref|"
    r"free_pages|put_page|panic|die|exc_|asm_|do_trap|handle_|delay_|slab|debug_object|"
    r"debug_check|end_report|"
    + "|".join(prefix for sanitizer in SANITIZERS.values() for prefix in sanitizer.internals)
    + ")"
)


@dataclass(frozen=True)
class Details:
    """The contents of a splat's body; a member that the body does not have is empty.

    ``culprit`` is the innermost function of the faulting context that does not belong to
    allocators, locks or detectors.
    """

    task: str
    taint: str
    cache: str
    culprit: str
    stack: tuple[str, ...]
    allocated_by: tuple[str, ...]
    freed_by: tuple[str, ...]
    modules: tuple[tuple[str, str], ...]

    def module_of(self, function: str) -> str:
        """Return the module of a function of the stack; empty for the kernel itself."""
        return dict(self.modules).get(function, "")


def read_details(lines: Sequence[str]) -> Details:
    """Read the lines of one splat; the first occurrence of each item counts."""
    stacks: dict[str, list[str]] = {"stack": [], "allocated": [], "freed": []}
    modules: dict[str, str] = {}
    rip = ""
    section = ""
    for line in lines:
        opened = _section(line)
        if opened:
            section = "" if stacks[opened] else opened
        elif frame := _FRAME.match(line):
            modules.setdefault(frame[2], frame[3] or "")
            if section and not frame[1] and len(stacks[section]) < MAX_FRAMES:
                stacks[section].append(frame[2])
        elif not line.startswith(" "):
            section = ""
        if not rip and (kernel_rip := _RIP.match(line)):
            rip = kernel_rip[1]
            modules.setdefault(rip, kernel_rip[2] or "")
    task, by_task = _first(_TASK, lines), _first(_BY_TASK, lines)
    cache = _first(_CACHE, lines)
    taint = _first(_TAINT, lines)
    return Details(
        task=by_task[1] if by_task else f"{task[2]}/{task[1]}" if task else "",
        taint=taint[1].replace(" ", "") if taint else "",
        cache=(cache[1] or cache[2]) if cache else "",
        culprit=_culprit([rip, *stacks["stack"]], modules),
        stack=tuple(stacks["stack"]),
        allocated_by=tuple(stacks["allocated"]),
        freed_by=tuple(stacks["freed"]),
        modules=tuple(modules.items()),
    )


def _section(line: str) -> str:
    if _TRACE.match(line) or _FREEING.match(line):
        return "stack"
    if _ALLOCATED.match(line):
        return "allocated"
    return "freed" if _FREED.match(line) else ""


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((found for line in lines if (found := pattern.search(line))), None)


def _culprit(frames: Sequence[str], modules: Mapping[str, str]) -> str:
    named = [frame for frame in frames if frame]
    at_fault = (name for name in named if modules.get(name) or not _SERVICE.match(name))
    return next(at_fault, named[0] if named else "")
