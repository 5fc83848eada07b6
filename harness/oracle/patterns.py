# SPDX-License-Identifier: MIT
"""The first lines of kernel reports, as one table.

Formats are those of kernels 6.7 to 7.3: mm/kasan/report.c, mm/slub.c, mm/kfence/report.c,
kernel/kcsan/report.c, kernel/locking/lockdep.c, kernel/hung_task.c, kernel/watchdog.c,
kernel/rcu/tree_stall.h, kernel/panic.c, lib/bug.c, lib/refcount.c, lib/list_debug.c,
lib/ubsan.c, lib/debugobjects.c, mm/usercopy.c, mm/vmalloc.c, arch/x86/mm/fault.c.

One event in the kernel often prints several first lines: a message, then the frame of the
``WARN()`` that carried it, then a panic. A row therefore says which further lines it
``awaits`` and which of them it ``continues``; only a row nobody awaits begins a new report.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

__all__ = ["PATTERNS", "Pattern", "SplatKind", "match_head"]


class SplatKind(enum.Enum):
    """What the kernel complains about."""

    KASAN = "KASAN"
    SLUB = "SLUB"
    KFENCE = "KFENCE"
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
    SLEEPING = "SLEEPING"
    BAD_PAGE = "BAD_PAGE"
    KMEMLEAK = "KMEMLEAK"
    USERCOPY = "USERCOPY"
    ODEBUG = "ODEBUG"
    DETECTOR_OFF = "DETECTOR_OFF"
    """A detector switched itself off: what follows proves nothing, the verdict is ERROR."""


@dataclass(frozen=True)
class Pattern:
    """One row: how a report of ``kind`` begins.

    ``needle`` is a literal every matching line holds, looked for before the expression is tried.
    Named groups of ``regex`` (subtype, cache, function, module, task, pid, reason) fill the report;
    ``subtype`` overrides the group. ``single``: the report is this one line.
    """

    kind: SplatKind
    needle: str
    regex: re.Pattern[str]
    example: str
    subtype: str = ""
    awaits: frozenset[str] = frozenset()
    continues: str = ""
    single: bool = False


_SYMBOL = (
    r"(?P<function>[\w.$]{1,256})(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[(?P<module>[\w-]{1,64})\])?"
)
_TASK = r"(?P<task>[^/:]{1,64})/(?P<pid>\d{1,10})"


def _row(
    kind: SplatKind,
    needle: str,
    regex: str,
    example: str,
    *,
    subtype: str = "",
    awaits: str = "",
    continues: str = "",
    single: bool = False,
) -> Pattern:
    return Pattern(
        kind,
        needle,
        re.compile(regex),
        example,
        subtype,
        frozenset(awaits.split()),
        continues,
        single,
    )


_K = SplatKind

# The order matters: the first row that matches decides.
PATTERNS: tuple[Pattern, ...] = (
    # --- memory error detectors -------------------------------------------------------------
    # A wild access is reported by KASAN first and then faults for real.
    _row(
        _K.KASAN,
        "BUG: KASAN: ",
        r"BUG: KASAN: (?P<subtype>null-ptr-deref|wild-memory-access|user-memory-access|"
        r"maybe wild-memory-access) in " + _SYMBOL,
        "BUG: KASAN: null-ptr-deref in outblob_read+0x5c/0x1f0 [tsm]",
        awaits="fault",
    ),
    _row(
        _K.KASAN,
        "BUG: KASAN: ",
        r"BUG: KASAN: (?P<subtype>[a-z][a-z -]{1,60}?) in " + _SYMBOL,
        "BUG: KASAN: slab-use-after-free in outblob_read+0x1a2/0x2b0 [tsm]",
    ),
    _row(
        _K.KFENCE,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: (?P<subtype>[a-z][a-z -]{1,60}?) in " + _SYMBOL,
        "BUG: KFENCE: use-after-free read in do_kfence+0x3a/0x50 [splat]",
    ),
    _row(
        _K.KCSAN,
        "BUG: KCSAN: ",
        r"BUG: KCSAN: (?P<subtype>[a-z][a-z: -]{1,60}?) in " + _SYMBOL,
        "BUG: KCSAN: data-race in privlevel_show [tsm] / privlevel_store [tsm]",
    ),
    _row(
        _K.UBSAN,
        "UBSAN: ",
        r"UBSAN: (?P<subtype>[a-z][a-z -]{1,60}) in ",
        "UBSAN: array-index-out-of-bounds in drivers/virt/coco/tsm.c:120:14",
    ),
    # --- the slab allocator -----------------------------------------------------------------
    # Since 6.12 the detail precedes the report it belongs to.
    _row(
        _K.SLUB,
        " overwritten] 0x",
        r"\[(?P<subtype>[\w ]{1,40} overwritten)\] 0x",
        "[Poison overwritten] 0xff4374ac42b09064-0xff4374ac42b09064 @offset=4196. "
        "First byte 0x41 instead of 0x6b",
        awaits="slub-head",
    ),
    # "BUG", a cache, its taint: the only report without a colon after BUG.
    _row(
        _K.SLUB,
        "ainted",
        r"BUG (?P<cache>\S{1,128}) \((?:Not tainted|Tainted: [^)]{0,40})[^)]{0,80}\): "
        r"(?P<subtype>[^\n]{1,200})",
        "BUG kmalloc-1k (Tainted: G           OE     ): Object already free",
        awaits="frame slub-destroy",
        continues="slub-head",
    ),
    _row(
        _K.SLUB,
        ": Slab cache still has objects",
        r"kmem_cache_destroy (?P<cache>\S{1,128}): (?P<subtype>Slab cache still has objects)",
        "kmem_cache_destroy splat_left: Slab cache still has objects when called from wr+0x3e4",
        awaits="frame",
        continues="slub-destroy",
    ),
    # The hardened free list of a kernel without slab_debug: an object freed twice in a row.
    _row(
        _K.SLUB,
        "kernel BUG at mm/slub.c:",
        r"kernel BUG at mm/slub\.c:\d+!",
        "kernel BUG at mm/slub.c:547!",
        subtype="hardened free list",
        awaits="oops",
        continues="frame",
    ),
    _row(
        _K.SLUB,
        "WARNING: ",
        r"WARNING: [^\n]{0,300}\b(?:object_err|slab_err|__slab_err|slab_pad_check)\b",
        "WARNING: CPU: 0 PID: 142 at mm/slub.c:1127 object_err+0x1dc/0x2c0",
        subtype="frame of a report whose head is missing",
        continues="frame",
    ),
    _row(
        _K.LARGE_KMALLOC,
        "free_large_kmalloc",
        r"WARNING: [^\n]{0,300}\bfree_large_kmalloc\b",
        "WARNING: CPU: 1 PID: 152 at mm/slub.c:4799 free_large_kmalloc+0x3f/0x70",
        subtype="free of a page that is not a live allocation",
    ),
    # vfree() of an address inside an area first says "bad", then "nonexistent".
    _row(
        _K.VFREE,
        "Trying to vfree() bad address",
        r"Trying to vfree\(\) (?P<subtype>bad address)",
        "Trying to vfree() bad address (ff8e42018065e008)",
        awaits="frame vfree-area",
    ),
    _row(
        _K.VFREE,
        "Trying to vfree() nonexistent vm area",
        r"Trying to vfree\(\) (?P<subtype>nonexistent vm area)",
        "Trying to vfree() nonexistent vm area (ff8e42018055d000)",
        awaits="frame",
        continues="vfree-area",
    ),
    # --- checks of data structures ----------------------------------------------------------
    _row(
        _K.REFCOUNT,
        "refcount_t: ",
        r"refcount_t: (?P<subtype>[a-z0-9][a-z0-9 ;,-]{1,80})",
        "refcount_t: underflow; use-after-free.",
        awaits="frame",
    ),
    _row(
        _K.LIST_CORRUPTION,
        " corruption",
        r"(?P<subtype>h?list_\w{1,20}) corruption[.,: ]",
        "list_del corruption, ff8e420180473b78->next is LIST_POISON1 (dead000000000100)",
        awaits="frame",
    ),
    _row(
        _K.LIST_CORRUPTION,
        "list_add double add:",
        r"(?P<subtype>list_add double add):",
        "list_add double add: new=ffff888003a1, prev=ffff888003a1, next=ffff888003b0.",
        awaits="frame",
    ),
    _row(
        _K.ODEBUG,
        "ODEBUG: ",
        r"ODEBUG: (?P<subtype>[a-z][\w ()]{1,60})",
        "ODEBUG: free active (active state 0) object: 00000000a1 object type: timer_list",
        awaits="frame",
    ),
    _row(
        _K.USERCOPY,
        "usercopy: Kernel memory ",
        r"usercopy: Kernel memory (?P<subtype>exposure|overwrite) attempt detected",
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' "
        "(offset 0, size 256)!",
        awaits="frame",
    ),
    _row(
        _K.USERCOPY,
        "kernel BUG at mm/usercopy.c:",
        r"kernel BUG at mm/usercopy\.c:\d+!",
        "kernel BUG at mm/usercopy.c:102!",
        subtype="refused copy",
        awaits="oops",
        continues="frame",
    ),
    _row(
        _K.USERCOPY,
        "Buffer overflow detected (",
        r"(?P<subtype>Buffer overflow detected) \(\d",
        "Buffer overflow detected (64 < 256)!",
        awaits="frame",
    ),
    _row(
        _K.BAD_PAGE,
        "BUG: Bad ",
        r"BUG: (?P<subtype>Bad page (?:state|map|cache)) in process (?P<task>[^\n]{1,32}?)  pfn:",
        "BUG: Bad page state in process busybox  pfn:02155",
    ),
    _row(
        _K.BAD_PAGE,
        "BUG: Bad ",
        r"BUG: (?P<subtype>Bad rss-counter state|Bad page (?:state|map|cache))",
        "BUG: Bad rss-counter state mm:00000000f2 type:MM_ANONPAGES val:1",
        single=True,
    ),
    _row(
        _K.KMEMLEAK,
        "unreferenced object 0x",
        r"(?:kmemleak: )?(?P<subtype>unreferenced object) 0x[0-9a-f]+",
        "unreferenced object 0xffff888003c1a000 (size 1024):",
    ),
    _row(
        _K.KMEMLEAK,
        "new suspected memory leaks",
        r"kmemleak: \d+ (?P<subtype>new suspected memory leaks)",
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        single=True,
    ),
    # --- locking ----------------------------------------------------------------------------
    _row(
        _K.LOCK_LEAK,
        "WARNING: ",
        r"WARNING: (?P<subtype>lock held when returning to user space!|"
        r"\S{1,40} still has locks held!|held lock freed!)",
        "WARNING: lock held when returning to user space!",
    ),
    _row(
        _K.LOCK_LEAK,
        "BUG: ",
        r"(?:\[ )?BUG: (?P<subtype>lock held (?:when returning to user space|at task exit time)!|"
        r"\S{1,40} still has locks held!|held lock freed!)",
        "BUG: cat/143 still has locks held!",
    ),
    _row(
        _K.LOCKDEP,
        "WARNING: ",
        r"WARNING: (?P<subtype>possible circular locking dependency detected|"
        r"possible recursive locking detected|possible irq lock inversion dependency detected|"
        r"inconsistent lock state|bad unlock balance detected!|suspicious RCU usage|"
        r"Nested lock was not taken|bad contention detected!|"
        r"[A-Z_]{3,20}-safe -> [A-Z_]{3,20}-unsafe lock order detected)",
        "WARNING: possible circular locking dependency detected",
    ),
    _row(
        _K.LOCKDEP,
        "INFO: trying to register non-static key",
        r"INFO: (?P<subtype>trying to register non-static key)",
        "INFO: trying to register non-static key.",
    ),
    _row(
        _K.LOCKDEP,
        "BUG: Invalid wait context",
        r"\[ BUG: (?P<subtype>Invalid wait context) \]",
        "[ BUG: Invalid wait context ]",
    ),
    _row(
        _K.LOCKDEP,
        "_WARN_ON(",
        r"(?P<subtype>DEBUG_(?:LOCKS|RWSEMS)_WARN_ON)\(",
        "DEBUG_RWSEMS_WARN_ON(sem->magic != sem): count = 0x1, magic = 0x0, owner = 0x0",
        awaits="frame",
    ),
    _row(
        _K.DETECTOR_OFF,
        "INFO: lockdep is turned off.",
        r"INFO: (?P<subtype>lockdep is turned off)\.",
        "INFO: lockdep is turned off.",
        continues="note",
        single=True,
    ),
    _row(
        _K.DETECTOR_OFF,
        " too low!",
        r"BUG: (?P<subtype>MAX_\w{1,40}) too low!",
        "BUG: MAX_LOCKDEP_CHAINS too low!",
        awaits="validator",
    ),
    _row(
        _K.DETECTOR_OFF,
        "turning off the locking correctness validator",
        r"turning off the (?P<subtype>locking correctness validator)",
        "turning off the locking correctness validator.",
        continues="validator",
    ),
    _row(
        _K.DETECTOR_OFF,
        "kmemleak: Kernel memory leak detector disabled",
        r"kmemleak: (?P<subtype>Kernel memory leak detector disabled)",
        "kmemleak: Kernel memory leak detector disabled",
        single=True,
    ),
    # --- progress ---------------------------------------------------------------------------
    _row(
        _K.HUNG_TASK,
        "INFO: task ",
        r"INFO: task (?P<task>[^\n]{1,64}):(?P<pid>\d{1,10}) (?P<subtype>blocked(?: in I/O wait)?)"
        r" for more than \d+ seconds",
        "INFO: task rmmod:154 blocked for more than 3 seconds.",
    ),
    # The line that names the culprit, printed beside the report on 6.16 and later.
    _row(
        _K.HUNG_TASK,
        " likely owned by task ",
        r"INFO: task (?P<task>[^\n]{1,64}):(?P<pid>\d{1,10})(?: <\w{1,20}>| is)? "
        r"(?P<subtype>blocked on an? [\w-]{1,20}) likely owned by task ",
        "INFO: task cat:151 <reader> blocked on an rw-semaphore likely owned by task rmmod:154",
        continues="note",
    ),
    _row(
        _K.LOCKUP,
        "lockup",
        r"(?:NMI )?(?:watchdog: )?BUG: (?P<subtype>soft lockup|workqueue lockup)\b",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:150]",
    ),
    _row(
        _K.LOCKUP,
        "lockup suspected",
        r"BUG: (?P<subtype>(?:spinlock|rwlock\S{0,10}) lockup suspected)",
        "BUG: spinlock lockup suspected on CPU#0, cat/150",
    ),
    _row(
        _K.LOCKUP,
        "hard LOCKUP on cpu",
        r"(?:CPU\d{1,5}: )?(?:NMI )?(?:watchdog: )?(?:CPU\d{1,5}: )?"
        r"Watchdog detected (?P<subtype>hard LOCKUP) on cpu",
        "watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1",
    ),
    _row(
        _K.RCU_STALL,
        "detected ",
        r"rcu: INFO: \w{1,40} (?P<subtype>self-detected stall|detected stalls|"
        r"detected expedited stalls)",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
    ),
    _row(
        _K.RCU_STALL,
        " kthread starved for ",
        r"rcu: \w{1,40} (?P<subtype>kthread starved)",
        "rcu: rcu_preempt kthread starved for 2102 jiffies! g-783 f0x0 RCU_GP_WAIT_FQS(5)",
        continues="note",
    ),
    _row(
        _K.SLEEPING,
        "BUG: s",
        r"BUG: (?P<subtype>scheduling while atomic): " + _TASK,
        "BUG: scheduling while atomic: busybox/156/0x00000002",
    ),
    _row(
        _K.SLEEPING,
        "BUG: s",
        r"BUG: (?P<subtype>sleeping function called from invalid context) at ",
        "BUG: sleeping function called from invalid context at kernel/locking/rwsem.c:1519",
    ),
    _row(
        _K.SLEEPING,
        "in preemptible",
        r"BUG: (?P<subtype>using \S{1,60} in preemptible)",
        "BUG: using smp_processor_id() in preemptible [00000000] code: cat/151",
    ),
    # --- faults -----------------------------------------------------------------------------
    _row(
        _K.OOPS,
        "BUG: kernel NULL pointer dereference",
        r"BUG: (?P<subtype>kernel NULL pointer dereference)",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        awaits="oops",
        continues="fault",
    ),
    _row(
        _K.OOPS,
        "BUG: unable to handle ",
        r"BUG: (?P<subtype>unable to handle (?:page fault|kernel \S{1,20}))",
        "BUG: unable to handle page fault for address: ffffc8ffdead0000",
        awaits="oops",
        continues="fault",
    ),
    _row(
        _K.OOPS,
        "kernel BUG at ",
        r"(?P<subtype>kernel BUG) at \S{1,300}:\d+!",
        "kernel BUG at drivers/virt/coco/tsm.c:37!",
        awaits="oops",
        continues="frame",
    ),
    _row(
        _K.OOPS,
        "stack guard page was hit",
        r"BUG: \S{1,20} (?P<subtype>stack guard page was hit)",
        "BUG: TASK stack guard page was hit at 00000000a1 (stack is 00000000b1..00000000c1)",
        awaits="oops",
    ),
    _row(
        _K.OOPS,
        "double fault",
        r"(?:traps: )?PANIC: (?P<subtype>double fault)",
        "traps: PANIC: double fault, error_code: 0x0",
        awaits="oops",
    ),
    _row(
        _K.OOPS,
        "Oops: general protection fault",
        r"Oops: (?P<subtype>general protection fault)",
        "Oops: general protection fault, probably for non-canonical address "
        "0x6b6b6b6b6b6b6b6b: 0000 [#4] PREEMPT SMP NOPTI",
        continues="fault",
    ),
    _row(
        _K.OOPS,
        "general protection fault",
        r"(?P<subtype>general protection fault)[:,]",
        "general protection fault: 0000 [#1] SMP KASAN",
        continues="fault",
    ),
    _row(
        _K.OOPS,
        "Oops",
        r"(?:Internal error: )?Oops: (?:(?P<subtype>[^\n]{1,80}?):? )?[0-9a-f]{4,16} \[#\d+\]",
        "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        continues="oops",
    ),
    _row(
        _K.OOPS,
        "[#",
        r"(?P<subtype>invalid opcode|int3|divide error|stack segment|segment not present): "
        r"[0-9a-f]{4} \[#\d+\]",
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        continues="oops",
    ),
    # --- WARN() -----------------------------------------------------------------------------
    _row(
        _K.WARNING,
        "WARNING: CPU: ",
        r"WARNING: CPU: \d+ PID: (?P<pid>\d{1,10}) at (?:(?P<subtype>\S{1,300}:\d+) )?" + _SYMBOL,
        "WARNING: CPU: 1 PID: 158 at drivers/virt/coco/tsm.c:27 unregister_tsm+0x5/0x10 [tsm]",
        continues="frame",
    ),
    # 6.19 on; with DEBUG_BUGVERBOSE_DETAILED the condition stands before the file.
    _row(
        _K.WARNING,
        ", CPU#",
        r"WARNING: (?:\[[^\n]{0,200}\] )?(?P<subtype>\S{1,300}:\d+) at "
        + _SYMBOL
        + r", CPU#\d+: "
        + _TASK,
        "WARNING: drivers/virt/coco/tsm.c:27 at unregister_tsm+0x5/0x10 [tsm], CPU#1: rmmod/158",
        continues="frame",
    ),
    _row(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>Fatal exception(?: in interrupt)?|"
        r"[\w: ]{0,60}panic_on_warn set|hung_task: blocked tasks|softlockup: hung tasks|"
        r"RCU Stall|Hard LOCKUP|Attempted to kill init! exitcode=0x0000000[9b])",
        "Kernel panic - not syncing: Fatal exception",
        continues="panic",
    ),
    _row(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: ?(?P<subtype>[^\n]{0,200})",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
    ),
)

_ANY_NEEDLE = re.compile("|".join(sorted({re.escape(row.needle) for row in PATTERNS})))


def match_head(line: str) -> tuple[Pattern, re.Match[str]] | None:
    """Find the row whose report begins with this line, and the match; None if there is none."""
    if _ANY_NEEDLE.search(line) is None:
        return None
    for row in PATTERNS:
        if row.needle in line:
            found = row.regex.match(line)
            if found:
                return row, found
    return None
