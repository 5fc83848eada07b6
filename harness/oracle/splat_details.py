# SPDX-License-Identifier: MIT
"""Reads the stacks, the task, the taint and the cache from the lines of one splat."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.detectors import SANITIZERS

__all__ = ["Details", "read_details"]

MAX_FRAMES = 64

# A module may be printed with its build id.
_SYMBOL = r"([\w.$]{1,256})\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[([\w-]{1,64})(?: [0-9a-f]{1,40})?\])?"
_FRAME = re.compile(r"\s*(\? )?" + _SYMBOL)
_RIP = re.compile(r"RIP: 0010:" + _SYMBOL)
_TASK = re.compile(
    r"PID: (?P<pid>\d{1,10}) (?:tgid: \d{1,10} )?Comm: "
    r"(?:(?P<comm>.{1,64}?) (?:Not tainted|Tainted: |Kdump: )|(?P<word>\S{1,64}))"
)
_SHOWN_TASK = re.compile(r"task:(?P<comm>.{1,64}?) +state:\S.{0,80} pid: ?(?P<pid>\d{1,10})")
_BY_TASK = re.compile(r"(?:Free of|Read of|Write of) .{0,60} by task (.{1,64}/\d{1,10})\s*$")
_TAINT = re.compile(r"Tainted: ([A-Z][A-Z ]{0,40})")
_CACHE = re.compile(r"belongs to the cache (\S{1,128}) of size|, cache=(\S{1,128})")
# KMSAN and KFENCE print their stacks without "Call Trace:", KCSAN one for each access.
_TRACE = re.compile(
    r"Call [Tt]race:|BUG: KMSAN: |(?:Invalid f|F)ree of |Corrupted memory at |"
    r"(?:Out-of-bounds|Use-after-free|Invalid) (?:read|write) at "
)
_ACCESS = re.compile(r"[a-z][a-z \-(),]{1,80} to 0x[0-9a-f]{1,16} of \d{1,20} bytes by ")
_AFTER_FREE = re.compile(r"BUG: KMSAN: [a-z-]{0,40}after-free")
_ALLOCATED = re.compile(
    r"Allocated in |[Aa]llocated by task |Uninit was created at:|Local variable "
)
_FREED = re.compile(r"Freed in |[Ff]reed by task |rcu freeing by task ")
_WORK = re.compile(
    r"(?:.{0,200} workfn=| {4,8}last function: )([\w.$]{1,256})(?: \[([\w-]{1,64})\])?"
)

# Functions of allocators, locks and detectors: the function at fault is their caller.
_SERVICE = re.compile(
    r"_{0,3}(?:dump_stack|show_stack|warn|report_|print_|object_err|slab_|check_|free_to_partial|"
    r"free_debug|alloc_debug|get_partial|kmem_cache|kmalloc|kvmalloc|kfree|kvfree|vfree|"
    r"free_large_kmalloc|remove_vm_area|kfence_|refcount_warn|list_|schedule|mutex_lock|"
    r"rwsem_|down_|wait_for_|rtnl_|copy_overflow|usercopy_abort|check_heap|bad_page|free_unref|"
    r"free_pages|put_page|panic|die|exc_|asm_|do_trap|handle_|delay_|slab|debug_object|"
    r"debug_check|end_report|kmsan_|msan_|(?:do_)?raw_(?:spin|read|write)_|spin_(?:dump|bug)|"
    r"rwlock_bug|queued_|sysfs_|kernfs_|kobject_|kset_|device_(?:add|register|create)|"
    r"internal_create_|copy_(?:to|from)_|instrument_copy|"
    + "|".join(prefix for sanitizer in SANITIZERS.values() for prefix in sanitizer.internals)
    + ")"
)


@dataclass(frozen=True)
class Details:
    """The contents of a splat; a member that the splat does not have is empty.

    ``at_fault`` is the function at fault and its module: the one that the first line names, or
    the innermost of the faulting context, but none of allocators, locks or detectors if there is
    another.
    """

    task: str
    taint: str
    cache: str
    at_fault: tuple[str, str]
    stack: tuple[str, ...]
    allocated_by: tuple[str, ...]
    freed_by: tuple[str, ...]


def read_details(lines: Sequence[str], named: Mapping[str, str]) -> Details:
    """Read the lines of one splat; the first occurrence of each item counts.

    ``named`` is what its first lines name: ``function``, ``module``, ``pid``.
    """
    stacks = _read_stacks(lines)
    modules = dict(stacks.modules)
    if function := named.get("function"):
        modules.setdefault(function, named.get("module", ""))
    stack = stacks.of_access(function or "")
    by_task = _first(_BY_TASK, lines)
    cache, taint = _first(_CACHE, lines), _first(_TAINT, lines)
    culprit = _culprit([stacks.work, function or "", stacks.rip, *stack], modules)
    return Details(
        task=by_task[1] if by_task else _task(lines, named.get("pid", "")),
        taint=taint[1].replace(" ", "") if taint else "",
        cache=(cache[1] or cache[2]) if cache else "",
        at_fault=(culprit, modules.get(culprit, "")),
        stack=tuple(stack),
        allocated_by=tuple(stacks.allocated),
        freed_by=tuple(stacks.freed),
    )


@dataclass
class _Stacks:
    """The stacks of a splat; ``other`` is that of the second access of a data race."""

    stack: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    allocated: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    rip: str = ""
    work: str = ""
    after_free: bool = False
    modules: dict[str, str] = field(default_factory=dict)

    def of_access(self, function: str) -> list[str]:
        """The stack that has the function, which the first line of a data race names."""
        return self.other if function in self.other and function not in self.stack else self.stack

    def section(self, line: str) -> list[str] | None:
        """The stack that begins after this line, or None."""
        if _ALLOCATED.match(line):
            # For KMSAN, a free creates uninitialised memory, too.
            return self.freed if self.after_free else self.allocated
        self.after_free = self.after_free or _AFTER_FREE.match(line) is not None
        if _FREED.match(line):
            return self.freed
        if _ACCESS.match(line):
            return self.other if self.stack else self.stack
        return self.stack if _TRACE.match(line) else None


def _read_stacks(lines: Sequence[str]) -> _Stacks:
    stacks = _Stacks()
    section: list[str] | None = None
    for line in lines:
        opened = stacks.section(line)
        if opened is not None:
            section = None if opened else opened
        elif frame := _FRAME.match(line):
            stacks.modules.setdefault(frame[2], frame[3] or "")
            if section is not None and not frame[1] and len(section) < MAX_FRAMES:
                section.append(frame[2])
        elif not line.startswith(" "):
            section = None
        if not stacks.rip and (rip := _RIP.match(line)):
            stacks.rip = rip[1]
            stacks.modules.setdefault(rip[1], rip[2] or "")
        elif not stacks.work and (work := _WORK.match(line)):
            stacks.work = work[1]
            stacks.modules.setdefault(work[1], work[2] or "")
    return stacks


def _task(lines: Sequence[str], pid: str) -> str:
    """Return the task as ``comm/pid``: the one with this pid, or the first."""
    found = [task for line in lines if (task := _TASK.search(line) or _SHOWN_TASK.match(line))]
    if not found:
        return ""
    task = next((task for task in found if task["pid"] == pid), found[0])
    names = task.groupdict()
    return f"{names['comm'] or names['word']}/{task['pid']}"


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((found for line in lines if (found := pattern.search(line))), None)


def _culprit(frames: Sequence[str], modules: Mapping[str, str]) -> str:
    named = [frame for frame in frames if frame]
    at_fault = (name for name in named if modules.get(name) or not _SERVICE.match(name))
    return next(at_fault, named[0] if named else "")
