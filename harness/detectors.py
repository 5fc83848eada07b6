# SPDX-License-Identifier: MIT
"""What kernels detect about themselves: kinds of splats, and the sanitizers to build with.

A sanitizer is one entry of :data:`SANITIZERS`. The kernel spec (``tree:PATH+kasan``), the
configuration of a build, the recognition of splats, the help texts and the reference document are
derived from it. Splats that need no sanitizer are in :mod:`harness.oracle.patterns`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "SANITIZERS",
    "SYMBOL",
    "TASK",
    "TASK_NAME",
    "Pattern",
    "Sanitizer",
    "Setting",
    "SplatKind",
    "pattern",
]


class SplatKind(enum.Enum):
    """The check of the kernel that failed."""

    KASAN = "KASAN"
    SLUB = "SLUB"
    KFENCE = "KFENCE"
    KMSAN = "KMSAN"
    KCSAN = "KCSAN"
    UBSAN = "UBSAN"
    VFREE = "VFREE"
    LARGE_KMALLOC = "LARGE_KMALLOC"
    WARNING = "WARNING"
    OOPS = "OOPS"
    PANIC = "PANIC"
    HUNG_TASK = "HUNG_TASK"
    LOCKUP = "LOCKUP"
    RCU_STALL = "RCU_STALL"
    LOCKDEP = "LOCKDEP"
    LOCK_LEAK = "LOCK_LEAK"
    REFCOUNT = "REFCOUNT"
    LIST_CORRUPTION = "LIST_CORRUPTION"
    SPINLOCK = "SPINLOCK"
    SLEEPING = "SLEEPING"
    BAD_PAGE = "BAD_PAGE"
    KMEMLEAK = "KMEMLEAK"
    USERCOPY = "USERCOPY"
    ODEBUG = "ODEBUG"
    KOBJECT = "KOBJECT"
    BUG = "BUG"
    """A line that begins with ``BUG:`` and that no other pattern knows."""
    DETECTOR_OFF = "DETECTOR_OFF"
    """A detector switched itself off, or lines are lost: a clean log proves nothing after that."""


@dataclass(frozen=True)
class Pattern:
    """How a splat of ``kind`` begins.

    Every matching line contains the literal ``needle``, which is searched for before ``regex`` is
    tried. Named groups of ``regex`` (subtype, cache, function, module, task, pid, reason) fill the
    splat; ``subtype`` overrides the group. A later first line of the same event has a token in
    ``continues``, and its predecessor has this token in ``awaits``. ``printed_by`` are the files
    whose ``WARN()`` or ``BUG()`` prints this message: the frame of another file is another event.
    ``single``: the splat is this one line. ``maybe_single``: a stack may follow the line.
    """

    kind: SplatKind
    needle: str
    regex: re.Pattern[str]
    example: str
    subtype: str = ""
    awaits: frozenset[str] = frozenset()
    continues: str = ""
    printed_by: tuple[str, ...] = ()
    single: bool = False
    maybe_single: bool = False


SYMBOL = (
    r"(?:0x[0-9a-f]{1,16}(?![\w.$])|(?P<function>[\w.$]{1,256})(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
    r"(?: \[(?P<module>[\w-]{1,64})(?: [0-9a-f]{1,40})?\])?)"
)
"""Expression for what ``%pS`` and ``%pSb`` print: a function, or a bare address without a name."""

TASK_NAME = r"(?P<task>[\s\S]{1,64}?)"
"""Expression for the name of a task: any bytes, also ``/``, ``:`` and line feeds."""

TASK = TASK_NAME + r"/(?P<pid>\d{1,10})"
"""Expression for ``%s/%d`` of a task; what follows it must be part of the expression."""


def pattern(  # noqa: PLR0913 - one keyword for each field of Pattern
    kind: SplatKind,
    needle: str,
    regex: str,
    example: str,
    *,
    subtype: str = "",
    awaits: str = "",
    continues: str = "",
    printed_by: str = "",
    single: bool = False,
    maybe_single: bool = False,
) -> Pattern:
    """Make a :class:`Pattern`; ``awaits`` and ``printed_by`` are separated by blanks."""
    return Pattern(
        kind,
        needle,
        re.compile(regex),
        example,
        subtype,
        frozenset(awaits.split()),
        continues,
        tuple(printed_by.split()),
        single,
        maybe_single,
    )


@dataclass(frozen=True)
class Setting:
    """A Kconfig symbol without its prefix, its ``value`` (``n``: not set) and the reason for it."""

    symbol: str
    value: str
    reason: str


@dataclass(frozen=True)
class Sanitizer:
    """A detector that a source tree is built with: ``tree:PATH+NAME``.

    ``detector`` is the Kconfig symbol that is ``y`` in a kernel that has it, ``finds`` what it
    detects. ``excludes`` names sanitizers that Kconfig does not allow beside it. ``patterns`` are
    the first lines of its splats, ``internals`` the prefixes of its own functions in their stacks:
    the code at fault called those.
    """

    name: str
    detector: str
    finds: str
    settings: tuple[Setting, ...]
    patterns: tuple[Pattern, ...]
    internals: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @property
    def fragment(self) -> str:
        """The settings as a Kconfig fragment."""
        return "".join(
            f"# CONFIG_{setting.symbol} is not set\n"
            if setting.value == "n"
            else f"CONFIG_{setting.symbol}={setting.value}\n"
            for setting in self.settings
        )


_K = SplatKind

# Sources of the formats, Linux 6.7 to 7.3: mm/kasan/report.c.
_KASAN = Sanitizer(
    name="kasan",
    detector="KASAN",
    finds="use after free, double free and accesses out of bounds, in slab and vmalloc memory",
    settings=(
        Setting("KASAN", "y", "the detector"),
        Setting("KASAN_GENERIC", "y", "the mode that x86 has; it finds every access"),
        Setting("KASAN_VMALLOC", "y", "the blobs of a report may be in vmalloc memory"),
        Setting(
            "KASAN_INLINE",
            "y",
            "an emulated guest runs twice as fast as with outline checks; the kernel is larger "
            "and takes longer to build",
        ),
    ),
    patterns=(
        # KASAN prints a wild access first; the access then faults, which prints an oops.
        pattern(
            _K.KASAN,
            "BUG: KASAN: ",
            r"BUG: KASAN: (?P<subtype>null-ptr-deref|wild-memory-access|user-memory-access|"
            r"maybe wild-memory-access) in " + SYMBOL,
            "BUG: KASAN: null-ptr-deref in outblob_read+0x5c/0x1f0 [tsm]",
            awaits="fault",
        ),
        pattern(
            _K.KASAN,
            "BUG: KASAN: ",
            r"BUG: KASAN: (?P<subtype>[a-z][a-z -]{1,60}?) in " + SYMBOL,
            "BUG: KASAN: slab-use-after-free in outblob_read+0x1a2/0x2b0 [tsm]",
        ),
    ),
    internals=("kasan_",),
    excludes=("kcsan",),
)

# kernel/locking/lockdep.c, kernel/locking/rwsem.c, kernel/sched/core.c.
_LOCKDEP = Sanitizer(
    name="lockdep",
    detector="PROVE_LOCKING",
    finds="locks taken in an order that can deadlock, locks that are not released, and sleeping in "
    "atomic context",
    settings=(
        Setting("PROVE_LOCKING", "y", "checks the order of locks, whether or not it deadlocks"),
        Setting("DEBUG_ATOMIC_SLEEP", "y", "checks that no code sleeps in atomic context"),
    ),
    patterns=(
        pattern(
            _K.LOCK_LEAK,
            "WARNING: ",
            r"WARNING: (?P<subtype>lock held when returning to user space!|"
            r"[^\n]{1,40} still has locks held!|held lock freed!)",
            "WARNING: lock held when returning to user space!",
        ),
        pattern(
            _K.LOCK_LEAK,
            "BUG: ",
            r"(?:\[ )?BUG: (?P<subtype>"
            r"lock held (?:when returning to user space|at task exit time)!|"
            r"[^\n]{1,40} still has locks held!|held lock freed!)",
            "BUG: cat/143 still has locks held!",
        ),
        pattern(
            _K.LOCKDEP,
            "WARNING: ",
            r"WARNING: (?P<subtype>possible circular locking dependency detected|"
            r"possible recursive locking detected|possible irq lock inversion dependency detected|"
            r"inconsistent lock state|bad unlock balance detected!|suspicious RCU usage|"
            r"Nested lock was not taken|bad contention detected!|chain_key collision|"
            r"[A-Z_]{3,20}-safe -> [A-Z_]{3,20}-unsafe lock order detected)",
            "WARNING: possible circular locking dependency detected",
        ),
        pattern(
            _K.LOCKDEP,
            "INFO: trying to register non-static key",
            r"INFO: (?P<subtype>trying to register non-static key)",
            "INFO: trying to register non-static key.",
        ),
        pattern(
            _K.LOCKDEP,
            "BUG: Invalid wait context",
            r"\[ BUG: (?P<subtype>Invalid wait context) \]",
            "[ BUG: Invalid wait context ]",
        ),
        pattern(
            _K.LOCKDEP,
            "_WARN_ON(",
            r"(?P<subtype>DEBUG_(?:LOCKS|RWSEMS)_WARN_ON)\(",
            "DEBUG_RWSEMS_WARN_ON(sem->magic != sem): count = 0x1, magic = 0x0, owner = 0x0",
            awaits="frame",
        ),
        pattern(
            _K.SLEEPING,
            "BUG: s",
            r"BUG: (?P<subtype>sleeping function called from invalid context) at ",
            "BUG: sleeping function called from invalid context at kernel/locking/rwsem.c:1519",
        ),
        pattern(
            _K.DETECTOR_OFF,
            "INFO: lockdep is turned off.",
            r"INFO: (?P<subtype>lockdep is turned off)\.",
            "INFO: lockdep is turned off.",
            continues="note",
            single=True,
        ),
        pattern(
            _K.DETECTOR_OFF,
            " too low!",
            r"BUG: (?P<subtype>MAX_\w{1,40}) too low!",
            "BUG: MAX_LOCKDEP_CHAINS too low!",
            awaits="validator",
        ),
        pattern(
            _K.DETECTOR_OFF,
            "turning off the locking correctness validator",
            r"turning off the (?P<subtype>locking correctness validator)",
            "turning off the locking correctness validator.",
            continues="validator",
        ),
    ),
    internals=("lock_", "validate_chain", "might_resched"),
)

# kernel/kcsan/report.c.
_KCSAN = Sanitizer(
    name="kcsan",
    detector="KCSAN",
    finds="data races between two processors (--smp 2)",
    settings=(
        Setting("KCSAN", "y", "the detector"),
        Setting("KCSAN_SELFTEST", "n", "the self-test takes long in an emulated guest"),
        Setting("KCSAN_INTERRUPT_WATCHER", "n", "no interrupt handler touches a TSM's data"),
        Setting(
            "KCSAN_REPORT_RACE_UNKNOWN_ORIGIN",
            "n",
            "a value that no processor of the guest changed was changed by the host's devices",
        ),
    ),
    patterns=(
        pattern(
            _K.KCSAN,
            "BUG: KCSAN: ",
            r"BUG: KCSAN: (?P<subtype>[a-z][a-z: -]{1,60}?) in " + SYMBOL,
            "BUG: KCSAN: data-race in privlevel_show [tsm] / privlevel_store [tsm]",
        ),
    ),
    internals=("kcsan_",),
    excludes=("kasan",),
)

# lib/ubsan.c.
_UBSAN = Sanitizer(
    name="ubsan",
    detector="UBSAN",
    finds="undefined behaviour: shifts, array bounds, invalid values of bool and enum",
    settings=(
        Setting("UBSAN", "y", "the detector"),
        Setting("UBSAN_SHIFT", "y", "shifts by a negative number or by more than the width"),
        Setting("UBSAN_BOUNDS", "y", "indices outside an array whose size is known"),
        Setting("UBSAN_BOOL", "y", "loads of a bool that is neither 0 nor 1"),
        Setting("UBSAN_ENUM", "y", "loads of an enum with a value it does not declare"),
    ),
    patterns=(
        pattern(
            _K.UBSAN,
            "UBSAN: ",
            r"UBSAN: (?P<subtype>[a-z][a-z -]{1,60}) in ",
            "UBSAN: array-index-out-of-bounds in drivers/virt/coco/tsm.c:120:14",
        ),
    ),
)

SANITIZERS: Mapping[str, Sanitizer] = {
    sanitizer.name: sanitizer for sanitizer in (_KASAN, _LOCKDEP, _KCSAN, _UBSAN)
}
"""The sanitizers by name, in the order in which their settings are applied."""
