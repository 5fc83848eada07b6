# SPDX-License-Identifier: MIT
"""Formats of splats: for each a sample that is found as one splat, and look-alikes that are not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from harness.detectors import SplatKind
from harness.oracle.records import LogRecord, parse_console, parse_kmsg
from harness.oracle.splats import Splat, SplatReader, find_splats

DATA = Path(__file__).parent / "data" / "kmsg" / "composed"
K = SplatKind


class Sample(NamedTuple):
    """What is found in a sample: one splat, which has all lines but those ``outside``."""

    kind: SplatKind
    title: str
    function: str
    task: str
    outside: int = 0


COMPOSED = {
    "atomic_panic_on_warn": Sample(
        K.SLEEPING,
        "BUG: scheduling while atomic: kworker/0:1/156/0x00000002 in report_work",
        "report_work",
        "kworker/0:1/156",
    ),
    "hung_kworker": Sample(
        K.HUNG_TASK,
        "INFO: task kworker/u8:0:154 blocked for more than 10 seconds. in outblob_read",
        "outblob_read",
        "kworker/u8:0/154",
    ),
    "hung_line_feed": Sample(
        K.HUNG_TASK,
        "INFO: task ev\ufffdil:154 blocked for more than 10 seconds. in outblob_read",
        "outblob_read",
        "ev\ufffdil/154",
        outside=1,
    ),
    "hung_no_text": Sample(
        K.HUNG_TASK,
        "INFO: task ���[31m:154 blocked for more than 10 seconds. in outblob_read",
        "outblob_read",
        "\ufffd\ufffd\ufffd[31m/154",
    ),
    "hung_panic": Sample(
        K.HUNG_TASK,
        "INFO: task cat:154 blocked for more than 10 seconds. in outblob_read",
        "outblob_read",
        "cat/154",
        outside=4,
    ),
    "hung_utf8": Sample(
        K.HUNG_TASK,
        "INFO: task café:154 blocked for more than 10 seconds. in outblob_read",
        "outblob_read",
        "café/154",
    ),
    "interleaved_driver_lines": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:27 at tsm_unregister+0x5/0x10 [tsm_class], "
        "CPU#1: rmmod/158: e1000: eth0: link is up",
        "tsm_unregister",
        "rmmod/158",
        outside=6,
    ),
    "kcsan": Sample(
        K.KCSAN,
        "BUG: KCSAN: data-race in privlevel_show [tsm_class] / privlevel_store [tsm_class]",
        "privlevel_show",
        "cat/143",
        outside=1,
    ),
    "kcsan_unknown_origin": Sample(
        K.KCSAN,
        "BUG: KCSAN: data-race in generation_show+0x21/0x40 [tsm_class]",
        "generation_show",
        "cat/143",
        outside=1,
    ),
    "kfence_bounds": Sample(
        K.KFENCE,
        "BUG: KFENCE: out-of-bounds write in inblob_write+0x5c/0x90 [tsm_class]",
        "inblob_write",
        "cat/143",
        outside=1,
    ),
    "kfence_corruption": Sample(
        K.KFENCE,
        "BUG: KFENCE: memory corruption in report_free+0x21/0x30 [tsm_class]",
        "report_free",
        "cat/143",
        outside=1,
    ),
    "kfence_read": Sample(
        K.KFENCE,
        "BUG: KFENCE: use-after-free read in outblob_read+0x5c/0x90 [tsm_class]",
        "outblob_read",
        "cat/143",
        outside=1,
    ),
    "kmsan_infoleak": Sample(
        K.KMSAN,
        "BUG: KMSAN: kernel-infoleak in _copy_to_user+0xbc/0x110 in outblob_read",
        "outblob_read",
        "cat/143",
        outside=1,
    ),
    "kmsan_infoleak_after_free": Sample(
        K.KMSAN,
        "BUG: KMSAN: kernel-infoleak-after-free in _copy_to_user+0xbc/0x110 in outblob_read",
        "outblob_read",
        "cat/143",
        outside=1,
    ),
    "kmsan_uninit_value": Sample(
        K.KMSAN,
        "BUG: KMSAN: uninit-value in outblob_check+0x1a2/0x2b0 [tsm_class 0c1d2e3f4a5b]",
        "outblob_check",
        "cat/143",
        outside=1,
    ),
    "kmsan_usb_infoleak": Sample(
        K.KMSAN,
        "BUG: KMSAN: kernel-usb-infoleak in usb_submit_urb+0x597/0x2350",
        "usb_submit_urb",
        "cat/143",
        outside=1,
    ),
    "kmsan_use_after_free": Sample(
        K.KMSAN,
        "BUG: KMSAN: use-after-free in outblob_read+0x5c/0x90 [tsm_class]",
        "outblob_read",
        "cat/143",
        outside=1,
    ),
    "kobject_failed": Sample(
        K.KOBJECT,
        "kobject: kobject_add_internal failed for tsm0 (error: -2 parent: tsm)",
        "",
        "",
        outside=1,
    ),
    "oops_debug_registers": Sample(
        K.OOPS,
        "BUG: kernel NULL pointer dereference, address: 0000000000000018 in outblob_read",
        "outblob_read",
        "gdbserver/150",
    ),
    "oops_dropped_lines": Sample(
        K.OOPS,
        "BUG: kernel NULL pointer dereference, address: 0000000000000018 in outblob_read",
        "outblob_read",
        "",
    ),
    "preemptible_kworker": Sample(
        K.SLEEPING,
        "BUG: using smp_processor_id() in preemptible [00000000] code: kworker/0:1/31 "
        "in report_work",
        "report_work",
        "kworker/0:1/31",
    ),
    "rcu_stall_then_expedited": Sample(
        K.RCU_STALL,
        "rcu: INFO: rcu_preempt self-detected stall on CPU in report_spin",
        "report_spin",
        "cat/152",
    ),
    "rcu_stall_two_heads": Sample(
        K.RCU_STALL,
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: in report_spin",
        "report_spin",
        "cat/152",
    ),
    "rcu_tasks": Sample(
        K.RCU_STALL,
        "INFO: rcu_tasks detected stalls on tasks: in report_poll",
        "report_poll",
        "napi/tsm-8265/4830",
    ),
    "rcu_tasks_trace": Sample(
        K.RCU_STALL,
        "INFO: rcu_tasks_trace detected stalls on tasks: in report_poll",
        "report_poll",
        "cat/143",
    ),
    "rwlock_wrong_owner": Sample(
        K.SPINLOCK,
        "BUG: rwlock wrong owner on CPU#1, cat/143, 00000000c2a9d1e4 in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "soft_lockup_kworker": Sample(
        K.LOCKUP,
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:2:150] in report_spin",
        "report_spin",
        "kworker/1:2/150",
        outside=1,
    ),
    "spinlock_already_unlocked": Sample(
        K.SPINLOCK,
        "BUG: spinlock already unlocked on CPU#1, cat/143 in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "spinlock_bad_magic": Sample(
        K.SPINLOCK,
        "BUG: spinlock bad magic on CPU#0, kworker/0:1/31 in report_work",
        "report_work",
        "kworker/0:1/31",
    ),
    "spinlock_recursion": Sample(
        K.SPINLOCK,
        "BUG: spinlock recursion on CPU#1, cat/143 in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "spinlock_wrong_cpu": Sample(
        K.SPINLOCK,
        "BUG: spinlock wrong CPU on CPU#1, cat/143 in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "spinlock_wrong_owner": Sample(
        K.SPINLOCK,
        "BUG: spinlock wrong owner on CPU#1, cat/143 in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "sysfs_duplicate": Sample(
        K.KOBJECT,
        "sysfs: cannot create duplicate filename '/class/tsm/tsm0' in tsm_register",
        "tsm_register",
        "insmod/139",
    ),
    "sysfs_duplicate_and_kobject": Sample(
        K.KOBJECT,
        "sysfs: cannot create duplicate filename '/devices/virtual/tsm/tsm0' in tsm_register",
        "tsm_register",
        "insmod/139",
        outside=1,
    ),
    "unknown_bug": Sample(
        K.BUG,
        "BUG: mempool element poison mismatch in report_get",
        "report_get",
        "cat/143",
    ),
    "unknown_bug_alone": Sample(
        K.BUG,
        "BUG: non-zero pgtables_bytes on freeing mm: 4096",
        "",
        "",
        outside=2,
    ),
    "unknown_bug_with_stack": Sample(
        K.BUG,
        "BUG: tsm report list is circular in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "warn_bound_kworker": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:118 at report_work+0x5c/0x90 [tsm_class], "
        "CPU#0: kworker/0:1/31",
        "report_work",
        "kworker/0:1/31",
    ),
    "warn_bug_message": Sample(
        K.WARNING,
        "WARNING: CPU: 0 PID: 143 at fs/dcache.c:1536 umount_check+0x63/0x80: BUG: "
        "Dentry 00000000f2b1a3c4{i=2a1,n=outblob}  still in use (1) [unmount of "
        "configfs configfs]",
        "umount_check",
        "umount/143",
        outside=1,
    ),
    "warn_condition": Sample(
        K.WARNING,
        "WARNING: [refs[n] == 0] drivers/virt/coco/tsm.c:27 at tsm_put+0x5/0x10 "
        "[tsm_class], CPU#1: my prog/158",
        "tsm_put",
        "my prog/158",
    ),
    "warn_debug_registers": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:27 at tsm_put+0x5/0x10 [tsm_class], CPU#0: gdbserver/150",
        "tsm_put",
        "gdbserver/150",
    ),
    "warn_idle_task": Sample(
        K.WARNING,
        "WARNING: kernel/time/timer.c:1730 at call_timer_fn+0xd5/0x130, CPU#0: swapper/0/0",
        "call_timer_fn",
        "swapper/0/0",
    ),
    "warn_limit": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:27 at tsm_put+0x5/0x10 [tsm_class], CPU#0: cat/150",
        "tsm_put",
        "cat/150",
        outside=1,
    ),
    "warn_message_after": Sample(
        K.WARNING,
        "WARNING: CPU: 1 PID: 158 at drivers/virt/coco/tsm.c:27 "
        "tsm_unregister+0x5/0x10 [tsm_class]: provider tsm_sim is still in use",
        "tsm_unregister",
        "rmmod/158",
    ),
    "warn_message_of_a_check_after": Sample(
        K.REFCOUNT,
        "refcount_t: underflow; use-after-free. in tsm_put",
        "tsm_put",
        "cat/143",
    ),
    "warn_no_address": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:61 at 0x0, CPU#1: cat/143: tsm: report 3 is "
        "0 bytes long in outblob_read",
        "outblob_read",
        "cat/143",
    ),
    "warn_no_file": Sample(
        K.WARNING,
        "WARNING: at tsm_unregister+0x5/0x10 [tsm_class], CPU#1: rmmod/158",
        "tsm_unregister",
        "rmmod/158",
    ),
    "warn_panic_on_warn": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:27 at tsm_put+0x5/0x10 [tsm_class], CPU#0: cat/150",
        "tsm_put",
        "cat/150",
    ),
    "warn_softirq_thread": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:77 at report_timeout+0x21/0x30 [tsm_class], "
        "CPU#1: ksoftirqd/1/22",
        "report_timeout",
        "ksoftirqd/1/22",
    ),
    "warn_unbound_kworker": Sample(
        K.WARNING,
        "WARNING: drivers/virt/coco/tsm.c:118 at report_work+0x5c/0x90 [tsm_class], "
        "CPU#0: kworker/u8:0/10040",
        "report_work",
        "kworker/u8:0/10040",
    ),
    "workqueue_leak": Sample(
        K.LOCK_LEAK,
        "BUG: workqueue leaked atomic, lock or RCU: kworker/u8:3[106] in report_work",
        "report_work",
        "kworker/u8:3/106",
    ),
    "workqueue_leak_old": Sample(
        K.LOCK_LEAK,
        "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000001/106 in report_work",
        "report_work",
        "kworker/0:1/106",
    ),
}

# Samples in which two processors print at the same time, without caller tags.
INTERLEAVED = {
    "interleaved_messages": [
        (K.REFCOUNT, "refcount_t: underflow; use-after-free. in tsm_put", "tsm_put", "cat/143"),
        (
            K.LIST_CORRUPTION,
            "list_del corruption, ffff888003c1a078->next is LIST_POISON1 (dead000000000100) "
            "in tsm_unregister",
            "tsm_unregister",
            "rmmod/158",
        ),
    ],
    "interleaved_messages_after": [
        (
            K.WARNING,
            "WARNING: CPU: 0 PID: 143 at drivers/virt/coco/tsm.c:61 "
            "outblob_read+0x7e/0x2b0 [tsm_class]: report 3 is 0 bytes long",
            "outblob_read",
            "cat/143",
        ),
        (
            K.WARNING,
            "WARNING: CPU: 1 PID: 158 at drivers/virt/coco/tsm.c:27 "
            "tsm_unregister+0x5/0x10 [tsm_class]: provider in use",
            "tsm_unregister",
            "rmmod/158",
        ),
    ],
    "interleaved_warnings": [
        (
            K.WARNING,
            "WARNING: drivers/virt/coco/tsm.c:61 at 0x0, CPU#0: cat/143: "
            "tsm: report 3 is 0 bytes long in outblob_read",
            "outblob_read",
            "cat/143",
        ),
        (
            K.WARNING,
            "WARNING: drivers/virt/coco/tsm.c:27 at 0x0, CPU#1: rmmod/158: "
            "tsm: provider in use in tsm_unregister",
            "tsm_unregister",
            "rmmod/158",
        ),
    ],
}


def sample(name: str) -> list[LogRecord]:
    """Return a sample as /dev/kmsg shows it, one record a line."""
    lines = (DATA / f"{name}.txt").read_bytes().splitlines()
    records = [parse_kmsg(b"4,%d,%d,-;%s" % (n, 5_000_000 + n, x)) for n, x in enumerate(lines)]
    return [record for record in records if record is not None]


def log(*lines: str, time_s: float = 1.0, caller: str | None = None) -> list[LogRecord]:
    return [LogRecord(n, time_s, 4, caller, line) for n, line in enumerate(lines)]


def kinds(records: list[LogRecord]) -> list[SplatKind]:
    return [splat.kind for splat in find_splats(records)]


def only(name: str) -> Splat:
    [splat] = find_splats(sample(name))
    return splat


@pytest.mark.parametrize("name", COMPOSED)
def test_a_sample_is_one_splat(name: str) -> None:
    records = sample(name)
    [splat] = find_splats(records)
    expected = COMPOSED[name]
    assert (splat.kind, splat.title) == (expected.kind, expected.title)
    assert (splat.function, splat.task) == (expected.function, expected.task)
    assert splat.module == ("tsm_class" if expected.function in TSM_FUNCTIONS else "")
    lines = [line for record in records for line in record.text.split("\n") if line]
    assert len(splat.lines) == len(lines) - expected.outside


TSM_FUNCTIONS = {
    "inblob_write",
    "generation_show",
    "outblob_check",
    "outblob_read",
    "privlevel_show",
    "report_free",
    "report_get",
    "report_poll",
    "report_spin",
    "report_timeout",
    "report_work",
    "tsm_put",
    "tsm_register",
    "tsm_unregister",
}


@pytest.mark.parametrize("name", INTERLEAVED)
def test_splats_that_interleave_are_separate(name: str) -> None:
    found = [(s.kind, s.title, s.function, s.task) for s in find_splats(sample(name))]
    assert found == INTERLEAVED[name]


def test_every_composed_sample_is_used() -> None:
    assert {path.stem for path in DATA.glob("*.txt")} == set(COMPOSED) | set(INTERLEAVED)


@pytest.mark.parametrize("name", COMPOSED)
def test_the_words_of_a_sample_are_no_splat_when_a_program_writes_them(name: str) -> None:
    lines = (DATA / f"{name}.txt").read_bytes().splitlines()
    records = [parse_kmsg(b"12,%d,5000000,-;%s" % (n, line)) for n, line in enumerate(lines)]
    assert kinds([record for record in records if record is not None]) == []


@pytest.mark.parametrize("name", COMPOSED)
def test_the_words_of_a_sample_are_no_splat_inside_the_line_of_a_driver(name: str) -> None:
    records = sample(name)
    quoted = [f"tsm_sim: heard {line}" for r in records for line in r.text.split("\n")]
    assert kinds(log(*quoted)) == []


@pytest.mark.parametrize("name", COMPOSED)
def test_a_log_that_is_read_line_by_line_has_the_same_splats(name: str) -> None:
    reader = SplatReader()
    for record in sample(name):
        reader.read([record])
        assert len(reader.splats()) <= 1
    assert reader.splats() == find_splats(sample(name))


LOOKALIKES = {
    "warn": "WARNING: drivers/virt/coco/tsm.c at CPU#0 is hot",
    "warn without a task": "WARNING: a.c:1 at f+0x1/0x2, CPU#0: kworker/u8:0",
    "warn of a program": "WARNING: cpu 3 of 4 is at 0x0",
    "flushing": "WARNING: Flushing system-wide workqueues will be prohibited in near future.",
    "kmsan": "kmsan: BUG: KMSAN: uninit-value in f+0x1/0x2",
    "kmsan starts": "Starting KernelMemorySanitizer",
    "kcsan": "kcsan: enabled early",
    "kfence": "kfence: initialized - using 2097152 bytes for 255 objects at 0x00000000a1-0x0",
    "spinlock": "spinlock bad magic on CPU#0, cat/143",
    "rwlock": "locking: rwlock wrong owner on CPU#1, cat/143, 00000000c2a9d1e4",
    "workqueue": "workqueue: report_work hogged CPU for >10000us 4 times, consider switching to "
    "WQ_UNBOUND",
    "rcu_tasks": "rcu_tasks_wait_gp: rcu_tasks grace period number 85 (since boot) is 10658 "
    "jiffies old.",
    "rcu": "rcu: INFO: Stall ended before state dump start",
    "rcu setup": "rcu: \tRCU event tracing is enabled.",
    "hung task": "INFO: task force is blocked for more than one reason",
    "hung task without a number": "INFO: task ev blocked for more than 3 seconds.",
    "lockup": "watchdog: Delayed init of the lockup detector failed: -19",
    "sysfs": "tsm: sysfs: cannot create duplicate filename '/class/tsm/tsm0'",
    "sysfs of a program": "sysfs: cannot create a file",
    "kobject": "kobject: 'tsm0' (00000000a1b2c3d4): kobject_add_internal: parent: 'tsm'",
    "panic": "panic: Kernel panic - not syncing: Fatal exception",
    "panic option": "Command line: panic_on_warn=1 hung_task_panic=1",
    "end of a panic": "---[ end Kernel panic - not syncing: Fatal exception ]---",
    "debug registers": "DR0: 0000000000403f10 DR1: 0000000000000000 DR2: 0000000000000000",
    "message": "provider tsm_sim is still in use",
    "replayed": "** replaying previous printk message **",
    "suppressed": "net_ratelimit: 12 callbacks suppressed",
    "bug in the middle": "tsm_sim: this is no BUG: all is well",
    "bug in lower case": "bug: not one of the kernel's",
    "bug without a colon": "BUG report address: linux-coco@lists.linux.dev",
    "debug": "DEBUG: value is 3",
    "memory debugging": "SLUB: BUG: HWalign=64",
}


@pytest.mark.parametrize("line", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_look_alike_is_no_splat(line: str) -> None:
    assert kinds(log(line)) == []
    assert kinds(log("------------[ cut here ]------------", line, "Modules linked in:")) == []


# --- frames -------------------------------------------------------------------------------------


def test_stacks_without_call_trace_have_frames() -> None:
    uninit = only("kmsan_uninit_value")
    assert uninit.stack[:2] == ("outblob_check", "outblob_read")
    assert uninit.allocated_by[:2] == ("__kmalloc_cache_noprof", "report_new")
    assert uninit.blamed[:2] == ("outblob_check", "outblob_read")
    freed = only("kmsan_use_after_free")
    assert (freed.allocated_by, freed.freed_by[:2]) == ((), ("kfree", "report_free"))
    local = only("kmsan_usb_infoleak")
    assert local.allocated_by == ("token_send", "token_work")
    for name in ("kfence_read", "kfence_bounds", "kfence_corruption"):
        fence = only(name)
        assert fence.stack[0] == fence.function
        assert fence.allocated_by[0] == "report_new"
        assert fence.freed_by[:1] == (("report_free",) if name == "kfence_read" else ())


def test_a_data_race_has_the_stack_of_the_function_in_its_title() -> None:
    race = only("kcsan")
    assert race.function == "privlevel_show"
    assert race.stack == ("privlevel_show", "configfs_read_iter", "vfs_read")
    assert only("kcsan_unknown_origin").stack == ("generation_show", "configfs_read_iter")


def test_a_module_with_its_build_id_is_known() -> None:
    splat = only("warn_no_address")
    assert (splat.function, splat.module) == ("outblob_read", "tsm_class")


def test_a_service_of_a_module_is_at_fault_itself() -> None:
    head = "BUG: KMSAN: uninit-value in report_get+0x1/0x2"
    frames = [" report_get+0x1/0x2", " outblob_read+0x3/0x4 [tsm]"]
    assert [s.function for s in find_splats(log(head, *frames))] == ["outblob_read"]
    own = [line.replace("report_get+0x1/0x2", "report_get+0x1/0x2 [tsm]") for line in frames]
    [splat] = find_splats(log(f"{head} [tsm]", *own))
    assert splat.function == "report_get"


# --- further lines of one event -----------------------------------------------------------------

WARNING = "WARNING: drivers/virt/coco/tsm.c:27 at tsm_put+0x5/0x10 [tsm], CPU#0: cat/150"
PANICS = {
    "hung_task: blocked tasks": ["INFO: task cat:154 blocked for more than 3 seconds."],
    "softlockup: hung tasks": ["watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:150]"],
    "RCU Stall": ["rcu: INFO: rcu_preempt self-detected stall on CPU"],
    "Fatal exception": ["BUG: unable to handle page fault for address: ffffc8ffdead0000"],
    "Attempted to kill init! exitcode=0x00000009": [
        "kernel BUG at drivers/virt/coco/tsm.c:37!",
        "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
    ],
    "kernel: panic_on_warn set ...": [WARNING],
    "panic_on_warn set ...": [WARNING],
    "KASAN: panic_on_warn set ...": ["BUG: KASAN: slab-use-after-free in f+0x1/0x2"],
    "kmsan.panic set ...": ["BUG: KMSAN: uninit-value in f+0x1/0x2"],
    "kasan.fault=panic set ...": ["BUG: KASAN: double-free in f+0x1/0x2"],
    "scheduling while atomic": ["BUG: scheduling while atomic: cat/156/0x00000002"],
}


@pytest.mark.parametrize("text", PANICS)
def test_a_panic_belongs_to_its_cause_only(text: str) -> None:
    panic = f"Kernel panic - not syncing: {text}"
    stack = ["Call Trace:", " <TASK>", " f+0x1/0x2", " </TASK>"]
    unrelated = ["random: crng reseeded", "Showing all locks held in the system:"]
    [splat] = find_splats(log(*PANICS[text], *stack, *unrelated, panic))
    assert splat.panicked
    assert splat.lines[-1] == panic
    assert kinds(log(panic)) == [K.PANIC]
    late = [*log(*PANICS[text], *stack), LogRecord(99, 60.0, 0, None, panic)]
    assert kinds(late)[1:] == [K.PANIC]


@pytest.mark.parametrize(
    "text",
    [
        "hung_task: blocked tasks",
        "RCU Stall",
        "Fatal exception",
        "Attempted to kill init! exitcode=0x0000000b",
        "VFS: Unable to mount root fs",
        "tsm: told to panic",
    ],
)
def test_a_panic_of_another_cause_is_a_splat_of_its_own(text: str) -> None:
    found = kinds(log(WARNING, " </TASK>", f"Kernel panic - not syncing: {text}"))
    assert found == [K.WARNING, K.PANIC]


def test_a_panic_belongs_to_the_last_of_several_splats() -> None:
    first = "BUG: KASAN: slab-use-after-free in f+0x1/0x2"
    found = find_splats(
        log(first, WARNING, "Kernel panic - not syncing: kernel: panic_on_warn set")
    )
    assert [splat.panicked for splat in found] == [False, True]


def test_a_panic_belongs_to_the_last_splat_though_all_are_closed() -> None:
    first = ["BUG: KASAN: slab-use-after-free in f+0x1/0x2", " </TASK>"]
    lines = [*first, WARNING, " </TASK>", "random: crng reseeded"]
    found = find_splats(log(*lines, "Kernel panic - not syncing: KASAN: panic_on_warn set ..."))
    assert [splat.panicked for splat in found] == [False, True]


def test_the_task_is_the_one_with_the_pid_of_the_first_line() -> None:
    head = "WARNING: CPU: 1 PID: 158 at a.c:1 f+0x1/0x2"
    others = [f"CPU: 0 UID: 0 PID: {pid} Comm: {comm} Not tainted" for pid, comm in TASKS.items()]
    [splat] = find_splats(log(head, *others))
    assert splat.task == "rm mod/158"


TASKS = {143: "cat", 158: "rm mod", 159: "sh"}


def test_a_second_splat_of_the_same_task_has_its_own_stack() -> None:
    cpu = "CPU: 0 UID: 0 PID: 150 Comm: cat Not tainted"
    stack = ["Call Trace:", " <TASK>", " f+0x1/0x2", " </TASK>"]
    second = "BUG: scheduling while atomic: cat/150/0x00000002"
    found = find_splats(log(WARNING, cpu, *stack, second, cpu, *stack))
    assert [splat.stack for splat in found] == [("f",), ("f",)]
    nested = find_splats(log(WARNING, cpu, second, cpu, *stack))
    assert [splat.stack for splat in nested] == [(), ("f",)]


def test_a_complete_splat_takes_no_register_of_the_next() -> None:
    nameless = "WARNING: drivers/virt/coco/tsm.c:27 at 0x0, CPU#0: cat/150"
    lines = [WARNING, " </TASK>", nameless, "RIP: 0010:report_get+0x5/0x10 [tsm]"]
    assert [s.function for s in find_splats(log(*lines))] == ["tsm_put", "report_get"]


def test_stalls_far_apart_are_two() -> None:
    head = "rcu: INFO: rcu_preempt self-detected stall on CPU"
    near = [*log(head), LogRecord(1, 2.0, 3, "C1", head)]
    assert [(s.kind, s.repeats) for s in find_splats(near)] == [(K.RCU_STALL, 1)]
    far = [*log(head), LogRecord(1, 60.0, 3, "C1", head)]
    assert [(s.kind, s.repeats) for s in find_splats(far)] == [(K.RCU_STALL, 0)] * 2


def test_a_text_after_the_body_has_begun_is_no_message() -> None:
    [splat] = find_splats(log(WARNING, "Modules linked in:", "tsm_sim: ready"))
    assert splat.title == WARNING


def test_a_message_takes_only_the_frame_of_its_own_caller() -> None:
    message = log("refcount_t: underflow; use-after-free.", caller="T143")
    frame = "WARNING: lib/refcount.c:28 at refcount_warn_saturate+0xf7/0x150, CPU#1: cat/143"
    assert kinds([*message, *log("x", caller="T144"), *log(frame, caller="T143")]) == [K.REFCOUNT]
    assert kinds([*message, *log(frame, caller="T144")]) == [K.REFCOUNT, K.WARNING]


def test_the_message_of_another_check_after_a_warning_is_another_splat() -> None:
    message = "refcount_t: underflow; use-after-free."
    assert kinds(log(WARNING, message)) == [K.WARNING, K.REFCOUNT]


@pytest.mark.parametrize("between", ["** 3 printk messages dropped **", "tsm_sim: ready"])
def test_lines_between_the_parts_of_an_oops_do_not_divide_it(between: str) -> None:
    parts = [
        "BUG: kernel NULL pointer dereference, address: 0000000000000018",
        "Oops: Oops: 0000 [#1] SMP NOPTI",
        " </TASK>",
        "---[ end trace 0000000000000000 ]---",
        "Kernel panic - not syncing: Fatal exception",
    ]
    lines = [line for part in parts for line in (part, between)]
    assert kinds(log(*lines)) == [K.OOPS]


# --- unknown bugs -------------------------------------------------------------------------------


def test_an_unknown_bug_keeps_no_unrelated_lines() -> None:
    lines = ["BUG: list of reports is circular", *["tsm_sim: ready"] * 9, "CPU: 0 UID: 0 PID: 1 x"]
    [splat] = find_splats(log(*lines))
    assert splat.lines == ("BUG: list of reports is circular",)


def test_only_the_first_line_of_a_message_is_an_unknown_bug() -> None:
    assert kinds(log("tsm_sim: two lines\nBUG: the second")) == []
    assert kinds(log("BUG: two lines\nBUG: the second")) == [K.BUG]
    assert kinds(log("tsm_sim: two lines\nBUG: KASAN: double-free in f+0x1/0x2")) == [K.KASAN]


def test_a_name_with_a_line_feed_hides_no_further_splat() -> None:
    hung = "INFO: task a\nb:5 blocked for more than 3 seconds."
    both = log(hung, " </TASK>", f"{hung}\nBUG: KASAN: double-free in f+0x1/0x2")
    assert kinds(both) == [K.HUNG_TASK, K.KASAN]
    [first, _] = find_splats(both)
    assert (first.task, first.repeats) == ("a\ufffdb/5", 1)
    assert kinds(log("BUG: scheduling while atomic: a\nb/5/0x00000002")) == [K.SLEEPING]
    assert kinds(log("INFO: task a\nb: is unblocked")) == []


# --- consoles -----------------------------------------------------------------------------------


def test_a_line_that_a_console_replays_counts_once() -> None:
    bug = b"BUG: kernel NULL pointer dereference, address: 0000000000000018"
    replay = b"** replaying previous printk message **"
    replayed = b"\r\n".join([b"[    1.000000] BUG: kern", replay, b"[    1.000000] " + bug])
    assert kinds(list(parse_console(replayed))) == [K.OOPS]
    apart = replayed.replace(replay, b"[    1.000000] x")
    assert kinds(list(parse_console(apart))) == [K.BUG, K.OOPS]


def test_a_line_without_a_stamp_is_of_a_program_if_others_have_one() -> None:
    panic = b"Kernel panic - not syncing: Fatal exception"
    assert kinds(list(parse_console(panic))) == [K.PANIC]
    assert kinds(list(parse_console(b"[    1.000000] ready\n" + panic))) == []
    assert kinds(list(parse_console(b"[    1.000000] ready\n[    2.000000] " + panic))) == [K.PANIC]


def test_lines_that_a_console_dropped_are_noted_and_divide_no_splat() -> None:
    dropped = b"** 12 printk messages dropped **"
    oops = [
        b"[    1.0000%02d] %s" % (n, r.text.encode())
        for n, r in enumerate(sample("oops_debug_registers"))
    ]
    torn = b"\n".join([*oops[:20], dropped, *oops[20:]])
    [splat] = find_splats(parse_console(torn))
    assert splat.kind is K.OOPS
    assert dropped.decode() in splat.lines
    assert kinds(list(parse_console(b"[    1.000000] x\n" + dropped))) == [K.DETECTOR_OFF]


# --- bytes --------------------------------------------------------------------------------------


def test_bytes_that_are_text_are_shown_as_text() -> None:
    assert only("hung_utf8").task == "caf\u00e9/154"
    record = parse_kmsg(
        b"3,1,1,-;INFO: task \\x1b[31m\\xff\\x5cx0a:7 blocked for more than 3 seconds."
    )
    assert record is not None
    assert find_splats([record])[0].task == "\ufffd[31m\ufffd\\x0a/7"
