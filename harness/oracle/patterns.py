# SPDX-License-Identifier: MIT
"""The first lines of splats, as one table: those of the sanitizers, then all others.

Formats are those of Linux 6.7 to 7.3: mm/slub.c, mm/kfence/report.c, mm/kmsan/report.c,
mm/kmemleak.c, kernel/hung_task.c, kernel/watchdog.c, kernel/workqueue.c, kernel/rcu/tree_stall.h,
kernel/rcu/tasks.h, kernel/locking/spinlock_debug.c, kernel/panic.c, kernel/printk/printk.c,
lib/bug.c, lib/refcount.c, lib/list_debug.c, lib/debugobjects.c, lib/kobject.c, fs/sysfs/dir.c,
mm/usercopy.c, mm/vmalloc.c, arch/x86/mm/fault.c. Those of sanitizers that kernels are built with
here are in :mod:`harness.detectors`.

One event in the kernel often prints several first lines: a message, then the frame of the
``WARN()`` that printed it, then a panic. A row names the kinds of further lines that it
``awaits``, and a further line the kind that it ``continues``; a further line that no splat awaits
begins a new splat. Every splat awaits a ``panic``, and takes in a ``note``.
"""

from __future__ import annotations

import re

from harness.detectors import (
    SANITIZERS,
    SYMBOL,
    TASK,
    TASK_NAME,
    Pattern,
    SplatKind,
    pattern,
)

__all__ = ["PATTERNS", "match_head"]

_K = SplatKind

# The first row that matches a line is used, so the order matters.
PATTERNS: tuple[Pattern, ...] = (
    *(row for sanitizer in SANITIZERS.values() for row in sanitizer.patterns),
    # --- memory error detectors -------------------------------------------------------------
    pattern(
        _K.KFENCE,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: (?P<subtype>[a-z][a-z -]{1,60}?) in " + SYMBOL,
        "BUG: KFENCE: use-after-free read in do_kfence+0x3a/0x50 [splat]",
    ),
    pattern(
        _K.KMSAN,
        "BUG: KMSAN: ",
        r"BUG: KMSAN: (?P<subtype>[a-z][a-z -]{1,60}?) in " + SYMBOL,
        "BUG: KMSAN: uninit-value in outblob_read+0x1a2/0x2b0 [tsm]",
    ),
    # --- the slab allocator -----------------------------------------------------------------
    # Since 6.12 the detail precedes the report it belongs to.
    pattern(
        _K.SLUB,
        " overwritten] 0x",
        r"\[(?P<subtype>[\w ]{1,40} overwritten)\] 0x",
        "[Poison overwritten] 0xff4374ac42b09064-0xff4374ac42b09064 @offset=4196. "
        "First byte 0x41 instead of 0x6b",
        awaits="slub-head",
        printed_by="mm/slub.c mm/slab_common.c",
    ),
    # "BUG", a cache, its taint: the only report without a colon after BUG.
    pattern(
        _K.SLUB,
        "ainted",
        r"BUG (?P<cache>\S{1,128}) \((?:Not tainted|Tainted: [^)]{0,40})[^)]{0,80}\): "
        r"(?P<subtype>[^\n]{1,200})",
        "BUG kmalloc-1k (Tainted: G           OE     ): Object already free",
        awaits="frame slub-destroy",
        continues="slub-head",
        printed_by="mm/slub.c mm/slab_common.c",
    ),
    pattern(
        _K.SLUB,
        ": Slab cache still has objects",
        r"kmem_cache_destroy (?P<cache>\S{1,128}): (?P<subtype>Slab cache still has objects)",
        "kmem_cache_destroy splat_left: Slab cache still has objects when called from wr+0x3e4",
        awaits="frame",
        continues="slub-destroy",
        printed_by="mm/slub.c mm/slab_common.c",
    ),
    # The hardened free list of a kernel without slab_debug: an object freed twice in a row.
    pattern(
        _K.SLUB,
        "kernel BUG at mm/slub.c:",
        r"kernel BUG at mm/slub\.c:\d+!",
        "kernel BUG at mm/slub.c:547!",
        subtype="hardened free list",
        awaits="oops",
        continues="frame",
    ),
    pattern(
        _K.SLUB,
        "WARNING: ",
        r"WARNING: [^\n]{0,300}\b(?:object_err|slab_err|__slab_err|slab_pad_check)\b",
        "WARNING: CPU: 0 PID: 142 at mm/slub.c:1127 object_err+0x1dc/0x2c0",
        subtype="frame of a report whose head is missing",
        continues="frame",
    ),
    pattern(
        _K.LARGE_KMALLOC,
        "free_large_kmalloc",
        r"WARNING: [^\n]{0,300}\bfree_large_kmalloc\b",
        "WARNING: CPU: 1 PID: 152 at mm/slub.c:4799 free_large_kmalloc+0x3f/0x70",
        subtype="free of a page that is not a live allocation",
    ),
    # vfree() of an address inside an area first says "bad", then "nonexistent".
    pattern(
        _K.VFREE,
        "Trying to vfree() bad address",
        r"Trying to vfree\(\) (?P<subtype>bad address)",
        "Trying to vfree() bad address (ff8e42018065e008)",
        awaits="frame vfree-area",
        printed_by="mm/vmalloc.c",
    ),
    pattern(
        _K.VFREE,
        "Trying to vfree() nonexistent vm area",
        r"Trying to vfree\(\) (?P<subtype>nonexistent vm area)",
        "Trying to vfree() nonexistent vm area (ff8e42018055d000)",
        awaits="frame",
        continues="vfree-area",
        printed_by="mm/vmalloc.c",
    ),
    # --- checks of data structures ----------------------------------------------------------
    pattern(
        _K.REFCOUNT,
        "refcount_t: ",
        r"refcount_t: (?P<subtype>[a-z0-9][a-z0-9 ;,-]{1,80})",
        "refcount_t: underflow; use-after-free.",
        awaits="frame",
        printed_by="lib/refcount.c",
    ),
    pattern(
        _K.LIST_CORRUPTION,
        " corruption",
        r"(?P<subtype>h?list_\w{1,20}) corruption[.,: ]",
        "list_del corruption, ff8e420180473b78->next is LIST_POISON1 (dead000000000100)",
        awaits="frame",
        printed_by="lib/list_debug.c",
    ),
    pattern(
        _K.LIST_CORRUPTION,
        "list_add double add:",
        r"(?P<subtype>list_add double add):",
        "list_add double add: new=ffff888003a1, prev=ffff888003a1, next=ffff888003b0.",
        awaits="frame",
        printed_by="lib/list_debug.c",
    ),
    pattern(
        _K.ODEBUG,
        "ODEBUG: ",
        r"ODEBUG: (?P<subtype>[a-z][\w ()]{1,60})",
        "ODEBUG: free active (active state 0) object: 00000000a1 object type: timer_list",
        awaits="frame",
        printed_by="lib/debugobjects.c",
    ),
    pattern(
        _K.USERCOPY,
        "usercopy: Kernel memory ",
        r"usercopy: Kernel memory (?P<subtype>exposure|overwrite) attempt detected",
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' "
        "(offset 0, size 256)!",
        awaits="frame",
    ),
    pattern(
        _K.USERCOPY,
        "kernel BUG at mm/usercopy.c:",
        r"kernel BUG at mm/usercopy\.c:\d+!",
        "kernel BUG at mm/usercopy.c:102!",
        subtype="refused copy",
        awaits="oops",
        continues="frame",
    ),
    pattern(
        _K.USERCOPY,
        "Buffer overflow detected (",
        r"(?P<subtype>Buffer overflow detected) \(\d",
        "Buffer overflow detected (64 < 256)!",
        awaits="frame",
    ),
    pattern(
        _K.BAD_PAGE,
        "BUG: Bad ",
        r"BUG: (?P<subtype>Bad page (?:state|map|cache)) in process (?P<task>[^\n]{1,32}?)  pfn:",
        "BUG: Bad page state in process busybox  pfn:02155",
    ),
    pattern(
        _K.BAD_PAGE,
        "BUG: Bad ",
        r"BUG: (?P<subtype>Bad rss-counter state|Bad page (?:state|map|cache))",
        "BUG: Bad rss-counter state mm:00000000f2 type:MM_ANONPAGES val:1",
        single=True,
    ),
    pattern(
        _K.KMEMLEAK,
        "unreferenced object 0x",
        r"(?:kmemleak: )?(?P<subtype>unreferenced object) 0x[0-9a-f]+",
        "unreferenced object 0xffff888003c1a000 (size 1024):",
    ),
    pattern(
        _K.KMEMLEAK,
        "new suspected memory leaks",
        r"kmemleak: \d+ (?P<subtype>new suspected memory leaks)",
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        single=True,
    ),
    pattern(
        _K.DETECTOR_OFF,
        "kmemleak: Kernel memory leak detector disabled",
        r"kmemleak: (?P<subtype>Kernel memory leak detector disabled)",
        "kmemleak: Kernel memory leak detector disabled",
        single=True,
    ),
    # --- progress ---------------------------------------------------------------------------
    pattern(
        _K.HUNG_TASK,
        "INFO: task ",
        r"INFO: task " + TASK_NAME + r":(?P<pid>\d{1,10}) "
        r"(?P<subtype>blocked(?: in I/O wait)?) for more than \d+ seconds",
        "INFO: task rmmod:154 blocked for more than 3 seconds.",
        awaits="hung-panic",
    ),
    # The line that names the culprit, printed beside the report on 6.16 and later.
    pattern(
        _K.HUNG_TASK,
        " likely owned by task ",
        r"INFO: task " + TASK_NAME + r":(?P<pid>\d{1,10})(?: <\w{1,20}>| is)? "
        r"(?P<subtype>blocked on an? [\w-]{1,20}) likely owned by task ",
        "INFO: task cat:151 <reader> blocked on an rw-semaphore likely owned by task rmmod:154",
        continues="note",
    ),
    pattern(
        _K.LOCKUP,
        "lockup",
        r"(?:NMI )?(?:watchdog: )?BUG: (?P<subtype>soft lockup|workqueue lockup)\b"
        r"(?: - CPU#\d+ stuck for \d+s! \[" + TASK_NAME + r":(?P<pid>\d{1,10})\])?",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:150]",
        awaits="lockup-panic",
    ),
    pattern(
        _K.LOCKUP,
        "lockup suspected",
        r"BUG: (?P<subtype>(?:spinlock|rwlock\S{0,10}) lockup suspected)"
        r"(?: on CPU#\d+, " + TASK + r"\s*$)?",
        "BUG: spinlock lockup suspected on CPU#0, cat/150",
    ),
    pattern(
        _K.LOCKUP,
        "hard LOCKUP on cpu",
        r"(?:CPU\d{1,5}: )?(?:NMI )?(?:watchdog: )?(?:CPU\d{1,5}: )?"
        r"Watchdog detected (?P<subtype>hard LOCKUP) on cpu",
        "watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1",
        awaits="lockup-panic",
    ),
    pattern(
        _K.RCU_STALL,
        "detected ",
        r"rcu: INFO: \w{1,40} (?P<subtype>self-detected stall|detected stalls?|"
        r"detected expedited stalls)",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        awaits="stall stall-panic",
        continues="stall",
    ),
    pattern(
        _K.RCU_STALL,
        "INFO: rcu_tasks",
        r"(?:rcu: )?INFO: rcu_tasks\w{0,20} (?P<subtype>detected stalls)"
        r"(?: on tasks|\? \(Late IPI)",
        "INFO: rcu_tasks detected stalls on tasks:",
        awaits="stall-panic",
    ),
    pattern(
        _K.RCU_STALL,
        " kthread starved for ",
        r"rcu: \w{1,40} (?P<subtype>kthread starved)",
        "rcu: rcu_preempt kthread starved for 2102 jiffies! g-783 f0x0 RCU_GP_WAIT_FQS(5)",
        continues="note",
    ),
    pattern(
        _K.SLEEPING,
        "BUG: s",
        r"BUG: (?P<subtype>scheduling while atomic): " + TASK + r"/0x[0-9a-f]{8}",
        "BUG: scheduling while atomic: busybox/156/0x00000002",
    ),
    pattern(
        _K.SLEEPING,
        "BUG: s",
        r"BUG: (?P<subtype>scheduling in a non-blocking section): " + TASK + r"/-?\d+\s*$",
        "BUG: scheduling in a non-blocking section: busybox/156/1",
    ),
    pattern(
        _K.SLEEPING,
        "BUG: assuming ",
        r"BUG: (?P<subtype>assuming (?:atomic|non migratable) context) at ",
        "BUG: assuming atomic context at drivers/virt/coco/tsm.c:40",
    ),
    pattern(
        _K.SLEEPING,
        "in preemptible",
        r"BUG: (?P<subtype>using \S{1,60} in preemptible)"
        r"(?: \[[0-9a-f]{8}\] code: " + TASK + r"\s*$)?",
        "BUG: using smp_processor_id() in preemptible [00000000] code: cat/151",
    ),
    # --- locks ------------------------------------------------------------------------------
    pattern(
        _K.SPINLOCK,
        "BUG: spinlock ",
        r"BUG: (?P<subtype>spinlock [a-zA-Z ]{1,40}?) on CPU#\d+, " + TASK + r"\s*$",
        "BUG: spinlock bad magic on CPU#0, cat/143",
    ),
    pattern(
        _K.SPINLOCK,
        "BUG: rwlock ",
        r"BUG: (?P<subtype>rwlock [a-zA-Z ]{1,40}?) on CPU#\d+, " + TASK + r", [0-9a-fx]{1,18}\s*$",
        "BUG: rwlock wrong owner on CPU#1, cat/143, 00000000c2a9d1e4",
    ),
    pattern(
        _K.LOCK_LEAK,
        "BUG: workqueue leaked ",
        r"BUG: (?P<subtype>workqueue leaked atomic, lock or RCU): "
        + TASK_NAME
        + r"\[(?P<pid>\d{1,10})\]",
        "BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[106]",
    ),
    # Until 6.9.
    pattern(
        _K.LOCK_LEAK,
        "BUG: workqueue leaked ",
        r"BUG: (?P<subtype>workqueue leaked lock or atomic): "
        + TASK_NAME
        + r"/0x[0-9a-f]{8}/(?P<pid>\d{1,10})",
        "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000001/106",
    ),
    # --- names ------------------------------------------------------------------------------
    pattern(
        _K.KOBJECT,
        "sysfs: cannot create duplicate filename ",
        r"sysfs: (?P<subtype>cannot create duplicate filename) '",
        "sysfs: cannot create duplicate filename '/class/tsm/tsm0'",
        awaits="kobject",
        maybe_single=True,
    ),
    pattern(
        _K.KOBJECT,
        "kobject_add_internal failed for ",
        r"(?:kobject: )?(?P<subtype>kobject_add_internal failed) for ",
        "kobject: kobject_add_internal failed for tsm0 with -EEXIST, don't try to register things "
        "with the same name in the same directory.",
        continues="kobject",
        maybe_single=True,
    ),
    # --- faults -----------------------------------------------------------------------------
    pattern(
        _K.OOPS,
        "BUG: kernel NULL pointer dereference",
        r"BUG: (?P<subtype>kernel NULL pointer dereference)",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        awaits="oops",
        continues="fault",
    ),
    pattern(
        _K.OOPS,
        "BUG: unable to handle ",
        r"BUG: (?P<subtype>unable to handle (?:page fault|kernel \S{1,20}))",
        "BUG: unable to handle page fault for address: ffffc8ffdead0000",
        awaits="oops",
        continues="fault",
    ),
    pattern(
        _K.OOPS,
        "ernel BUG at ",
        r"[kK]ernel BUG at (?:\S{1,300}:\d+!|[^\n]{1,300} \[verbose debug info unavailable\])",
        "kernel BUG at drivers/virt/coco/tsm.c:37!",
        subtype="kernel BUG",
        awaits="oops",
        continues="frame",
    ),
    pattern(
        _K.OOPS,
        "stack guard page was hit",
        r"BUG: \S{1,20} (?P<subtype>stack guard page was hit)",
        "BUG: TASK stack guard page was hit at 00000000a1 (stack is 00000000b1..00000000c1)",
        awaits="oops",
    ),
    pattern(
        _K.OOPS,
        "double fault",
        r"(?:traps: )?PANIC: (?P<subtype>double fault)",
        "traps: PANIC: double fault, error_code: 0x0",
        awaits="oops",
    ),
    pattern(
        _K.OOPS,
        "Oops: general protection fault",
        r"Oops: (?P<subtype>general protection fault)",
        "Oops: general protection fault, probably for non-canonical address "
        "0x6b6b6b6b6b6b6b6b: 0000 [#4] PREEMPT SMP NOPTI",
        continues="fault",
    ),
    pattern(
        _K.OOPS,
        "general protection fault",
        r"(?P<subtype>general protection fault)[:,]",
        "general protection fault: 0000 [#1] SMP KASAN",
        continues="fault",
    ),
    pattern(
        _K.OOPS,
        "Oops",
        r"(?:Internal error: )?Oops: (?:(?P<subtype>[^\n]{1,80}?):? )?[0-9a-f]{4,16} \[#\d+\]",
        "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        continues="oops",
    ),
    pattern(
        _K.OOPS,
        "[#",
        r"(?P<subtype>invalid opcode|int3|divide error|stack segment|segment not present): "
        r"[0-9a-f]{4} \[#\d+\]",
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        continues="oops",
    ),
    # --- WARN() -----------------------------------------------------------------------------
    pattern(
        _K.WARNING,
        "WARNING: CPU: ",
        r"WARNING: CPU: \d+ PID: (?P<pid>\d{1,10}) at (?:(?P<subtype>\S{1,300}:\d+) )?" + SYMBOL,
        "WARNING: CPU: 1 PID: 158 at drivers/virt/coco/tsm.c:27 unregister_tsm+0x5/0x10 [tsm]",
        continues="frame",
    ),
    # 6.19 on; with DEBUG_BUGVERBOSE_DETAILED the condition stands before the file.
    pattern(
        _K.WARNING,
        ", CPU#",
        r"WARNING: (?:\[[^\n]{0,400}\] )?(?:(?P<subtype>\S{1,300}:\d+) )?at "
        + SYMBOL
        + r", CPU#\d+: "
        + TASK
        + r"\s*$",
        "WARNING: drivers/virt/coco/tsm.c:27 at unregister_tsm+0x5/0x10 [tsm], CPU#1: rmmod/158",
        continues="frame",
    ),
    # --- panics -----------------------------------------------------------------------------
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>hung_task: blocked tasks)",
        "Kernel panic - not syncing: hung_task: blocked tasks",
        continues="hung-panic",
    ),
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>softlockup: hung tasks|Hard LOCKUP)",
        "Kernel panic - not syncing: softlockup: hung tasks",
        continues="lockup-panic",
    ),
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>RCU Stall)",
        "Kernel panic - not syncing: RCU Stall",
        continues="stall-panic",
    ),
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>Fatal exception(?: in interrupt)?|"
        r"Aiee, killing interrupt handler!|Oopsed too often|Oops failed to kill thread|"
        r"Attempted to kill the idle task!|Attempted to kill init! exitcode=0x0000000[9b])",
        "Kernel panic - not syncing: Fatal exception",
        continues="oops-panic",
    ),
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: (?P<subtype>[^\n]{0,80}(?:panic_on_warn set|"
        r"system warned too often)|k[am]san\.\S{1,30} set|scheduling while atomic\s*$)",
        "Kernel panic - not syncing: kernel: panic_on_warn set ...",
        continues="panic",
    ),
    pattern(
        _K.PANIC,
        "Kernel panic - not syncing",
        r"Kernel panic - not syncing: ?(?P<subtype>[^\n]{0,200})",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
    ),
    # --- what is lost, and what is unknown --------------------------------------------------
    pattern(
        _K.DETECTOR_OFF,
        " printk messages dropped **",
        r"\*\* \d{1,20} (?P<subtype>printk messages dropped) \*\*",
        "** 12 printk messages dropped **",
        continues="note",
        single=True,
    ),
    # The kernel's own word for a bug; the row is the last, so that all others come first.
    pattern(
        _K.BUG,
        "BUG: ",
        r"BUG: (?P<subtype>[^\n]{1,200})",
        "BUG: mempool element poison mismatch",
        awaits="frame",
        maybe_single=True,
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
