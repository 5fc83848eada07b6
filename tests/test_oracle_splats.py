# SPDX-License-Identifier: MIT
"""Splats: the patterns, logs recorded from a real kernel, and hostile input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.detectors import Pattern, SplatKind
from harness.oracle.patterns import PATTERNS, match_head
from harness.oracle.records import LogRecord, parse_console, parse_kmsg
from harness.oracle.splats import MAX_SPLATS, Splat, find_splats

DATA = Path(__file__).parent / "data" / "kmsg"
K = SplatKind


def log(*lines: str, caller: str | None = None) -> list[LogRecord]:
    return [LogRecord(n, 1.0, 4, caller, line) for n, line in enumerate(lines)]


def parse_saved(data: bytes) -> Iterator[LogRecord]:
    """Parse records of /dev/kmsg that were saved one a line; other lines are ignored."""
    for line in data.split(b"\n"):
        record = parse_kmsg(line) if line and not line.startswith(b" ") else None
        if record is not None:
            yield record


def recorded(name: str) -> list[Splat]:
    data = (DATA / f"{name}.txt").read_bytes()
    parse = parse_console if name.startswith("console_") else parse_saved
    return find_splats(parse(data))


@pytest.mark.parametrize("row", PATTERNS, ids=lambda row: f"{row.kind.value}-{row.example[:30]}")
def test_every_pattern_finds_its_own_example(row: Pattern) -> None:
    found = match_head(row.example)
    assert found is not None
    assert found[0] is row
    [splat] = find_splats(log(row.example))
    assert splat.kind is row.kind
    assert splat.subtype
    assert splat.lines == (row.example,)


# Splats of Linux 6.12 and 7.3, with and without slab_debug=FZPU, that a test module provoked.
RECORDED = {
    "double_free": (K.SLUB, "Object already free", "kmalloc-1k", "wr"),
    "double_free_lone": (
        K.SLUB,
        "Slab has 0 allocated objects but 1 are to be freed",
        "splat_lone",
        "wr",
    ),
    "remaining": (K.SLUB, "Objects remaining on __kmem_cache_shutdown()", "splat_left", "wr"),
    "waf": (K.SLUB, "Poison overwritten", "kmalloc-1k", "do_waf"),
    "overflow": (K.SLUB, "kmalloc Redzone overwritten", "kmalloc-1k", "wr"),
    "stock_double_free": (K.SLUB, "hardened free list", "", "wr"),
    "large": (K.LARGE_KMALLOC, "free of a page that is not a live allocation", "", "wr"),
    "vfree": (K.VFREE, "nonexistent vm area", "", "wr"),
    "vfree_bad": (K.VFREE, "bad address", "", "do_vfree_bad"),
    "kfence": (K.KFENCE, "use-after-free read", "kmalloc-128", "do_kfence"),
    "kfence_double_free": (K.KFENCE, "invalid free", "kmalloc-1k", "wr"),
    "warn": (K.WARNING, "splat.c:27", "", "do_warn"),
    "warn_msg": (K.WARNING, "splat.c:28", "", "do_warn_msg"),
    "refcount": (K.REFCOUNT, "underflow; use-after-free", "", "do_refcount"),
    "refcount_zero": (K.REFCOUNT, "addition on 0; use-after-free", "", "do_refcount_zero"),
    "list": (K.LIST_CORRUPTION, "list_del", "", "do_list"),
    "usercopy": (K.USERCOPY, "Buffer overflow detected", "", "do_usercopy"),
    "usercopy_exposure": (K.USERCOPY, "exposure", "", "do_usercopy"),
    "badpage": (K.BAD_PAGE, "Bad page state", "", "wr"),
    "bug": (K.OOPS, "kernel BUG", "", "do_bug"),
    "null": (K.OOPS, "kernel NULL pointer dereference", "", "do_null"),
    "paging": (K.OOPS, "unable to handle page fault", "", "do_paging"),
    "gpf": (K.OOPS, "general protection fault", "", "do_gpf"),
    "atomic": (K.SLEEPING, "scheduling while atomic", "", "wr"),
    "stall": (K.RCU_STALL, "self-detected stall", "", "do_stall"),
    "stall_preempt_off": (K.RCU_STALL, "self-detected stall", "", "do_lockup"),
    "hung": (K.HUNG_TASK, "blocked", "", "wr"),
    "hung_name": (K.HUNG_TASK, "blocked", "", "do_sleep"),
    "workqueue_leak": (
        K.LOCK_LEAK,
        "workqueue leaked atomic, lock or RCU",
        "",
        "do_leak_rcu",
    ),
    "warn_kworker": (K.WARNING, "splat.c:10", "", "do_warn"),
    "duplicate_name": (K.KOBJECT, "cannot create duplicate filename", "", "do_init"),
    "unknown_bug": (K.BUG, "the list of reports is circular", "", "do_init"),
    "console_panic": (K.PANIC, "splat: told to panic", "", "do_panic"),
    "console_oopspanic": (K.OOPS, "kernel NULL pointer dereference", "", "do_null"),
}


# Tasks of the samples that busybox did not provoke.
RECORDED_TASKS = {
    "badpage": "",
    "hung_name": "ev\ufffdil/0:1/145",
    "workqueue_leak": "kworker/u4:1/28",
    "warn_kworker": "kworker/u4:1/28",
    "duplicate_name": "insmod/144",
    "unknown_bug": "insmod/144",
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_event_is_one_splat(name: str) -> None:
    splats = [r for r in recorded(name) if not (name == "atomic" and r.kind is K.HUNG_TASK)]
    [splat] = splats
    kind, subtype, cache, function = RECORDED[name]
    assert (splat.kind, splat.subtype) == (kind, subtype)
    assert splat.cache == cache
    assert splat.function == function
    assert splat.module == "splat"
    assert splat.task.startswith("busybox/") or splat.task == RECORDED_TASKS[name]
    assert "O" in splat.taint
    assert splat.omitted_lines == 0


def test_every_recorded_sample_is_used() -> None:
    samples = {path.stem for path in DATA.glob("*.txt")}
    assert samples == set(RECORDED) | {"boot", "lockup"}


def test_details_of_a_double_free() -> None:
    [splat] = recorded("double_free")
    assert splat.title == (
        "BUG kmalloc-1k (Tainted: G           OE     ): Object already free in wr"
    )
    assert splat.allocated_by[:2] == ("do_double_free", "wr")
    assert splat.freed_by[:2] == ("do_double_free", "wr")
    assert splat.stack[:3] == ("free_to_partial_list", "kfree", "wr")
    assert splat.task == "busybox/142"
    assert splat.taint == "GOE"
    assert splat.lines[-1].startswith("FIX kmalloc-1k: Object at ")
    assert splat.signature == ("SLUB", "Object already free", "kmalloc-1k", "wr")


def test_a_function_of_a_module_can_be_at_fault_whatever_its_name() -> None:
    data = (DATA / "double_free.txt").read_bytes().replace(b" wr+", b" report_read+")
    [splat] = find_splats(parse_saved(data))
    assert splat.function == "report_read"
    assert splat.blamed[0] == "report_read"
    assert splat.stack[0] != "report_read"


def test_an_oops_with_its_panic_is_one_splat_that_panicked() -> None:
    [splat] = recorded("console_oopspanic")
    assert splat.panicked
    assert not recorded("null")[0].panicked


def test_a_hang_that_is_printed_repeatedly_is_one_splat() -> None:
    [splat] = recorded("hung")
    assert splat.repeats >= 2
    assert splat.task == "busybox/154"


def test_soft_lockups_are_found() -> None:
    assert {(r.kind, r.subtype) for r in recorded("lockup")} == {(K.LOCKUP, "soft lockup")}


def test_a_boot_has_no_splat() -> None:
    records = list(parse_saved((DATA / "boot.txt").read_bytes()))
    assert len(records) > 300
    assert find_splats(records) == []


@pytest.mark.parametrize(
    "line",
    [
        "splat: BUG: KASAN: slab-use-after-free in f+0x1/0x2",
        "Modules linked in: BUG(OE) WARNING(OE) panic(OE)",
        "WARNING: the mand mount option is being deprecated and",
        "bugs: BUG: not one of ours",
        "FAULT_INJECTION: forcing a failure.",
        "tsm: KASAN: is a word, UBSAN: too",
        "Disabling lock debugging due to kernel taint",
        "systemd[1]: Kernel panic - not syncing: a unit's name",
        "rcu: Hierarchical SRCU implementation.",
        "x86/mm: Checked W+X mappings: passed, no W+X pages found.",
        "Oops, the configuration file is missing",
        "kfence: initialized - using 2097152 bytes for 255 objects",
        "workqueue: round-robin CPU selection forced, expect performance impact",
        "**   unsafe for production use. If you see this message and you are   **",
        "refcount_t stress test passed",
        "INFO: task force, blocked for lunch",
        "BUG report address: linux-coco@lists.linux.dev",
    ],
)
def test_innocent_lines_are_no_splats(line: str) -> None:
    assert find_splats(log(line)) == []


def test_text_from_user_space_is_no_splat() -> None:
    head = "BUG: KASAN: slab-use-after-free in outblob_read+0x1/0x2"
    user = parse_kmsg(f"12,367,5863389,-;{head}".encode())
    kernel = parse_kmsg(f"4,367,5863389,-;{head}".encode())
    assert user is not None
    assert kernel is not None
    assert find_splats([user]) == []
    assert [r.kind for r in find_splats([kernel])] == [K.KASAN]


KASAN_DOUBLE_FREE = (
    "==================================================================",
    "BUG: KASAN: double-free in outblob_read+0x1a2/0x2b0 [tsm]",
    "Free of addr ffff888003c1a000 by task cat/143",
    "",
    "CPU: 1 UID: 0 PID: 143 Comm: cat Tainted: G           OE      6.12.0 #1",
    "Call Trace:",
    " <TASK>",
    " dump_stack_lvl+0x53/0x70",
    " print_report+0xd0/0x620",
    " kasan_report_invalid_free+0x8f/0xc0",
    " kfree+0x1a2/0x2f0",
    " outblob_read+0x1a2/0x2b0 [tsm]",
    " </TASK>",
    "",
    "Allocated by task 143:",
    " kasan_save_stack+0x24/0x50",
    " report_new+0x44/0x90 [tsm_sim]",
    "",
    "Freed by task 144:",
    " kasan_save_stack+0x24/0x50",
    " kfree+0x1a2/0x2f0",
    "",
    "The buggy address belongs to the object at ffff888003c1a000",
    " which belongs to the cache kmalloc-1k of size 1024",
    "==================================================================",
)


def test_details_of_a_kasan_splat() -> None:
    [splat] = find_splats(log(*KASAN_DOUBLE_FREE))
    assert (splat.kind, splat.subtype) == (K.KASAN, "double-free")
    assert (splat.function, splat.module) == ("outblob_read", "tsm")
    assert splat.cache == "kmalloc-1k"
    assert splat.task == "cat/143"
    assert splat.allocated_by == ("kasan_save_stack", "report_new")
    assert splat.freed_by == ("kasan_save_stack", "kfree")
    assert len(splat.lines) == len([line for line in KASAN_DOUBLE_FREE[1:] if line])


def test_a_wild_access_and_its_fault_are_one_event() -> None:
    wild = [
        "BUG: KASAN: null-ptr-deref in outblob_read+0x5c/0x1f0 [tsm]",
        "Read of size 8 at addr 0000000000000000 by task cat/143",
        "Call Trace:",
        " <TASK>",
        " </TASK>",
        "==================================================================",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "Oops: Oops: 0000 [#1] SMP KASAN",
        "RIP: 0010:outblob_read+0x5c/0x1f0 [tsm]",
        "---[ end trace 0000000000000000 ]---",
    ]
    assert [r.kind for r in find_splats(log(*wild))] == [K.KASAN]
    assert [r.kind for r in find_splats(log(*wild[6:]))] == [K.OOPS]


def test_consecutive_splats_are_separate() -> None:
    events = [*KASAN_DOUBLE_FREE, *KASAN_DOUBLE_FREE]
    events += [
        "------------[ cut here ]------------",
        "told to warn",
        "WARNING: drivers/virt/coco/tsm.c:27 at unregister_tsm+0x5/0x10 [tsm], CPU#1: rmmod/158",
        "---[ end trace 0000000000000000 ]---",
        "------------[ cut here ]------------",
        "Trying to vfree() nonexistent vm area (ff8e42018055d000)",
        "WARNING: mm/vmalloc.c:3426 at vfree+0x10f/0x240, CPU#1: cat/154",
        "---[ end trace 0000000000000000 ]---",
        "======================================================",
        "WARNING: possible circular locking dependency detected",
        "6.12.0 #1 Tainted: G           OE",
        "------------------------------------------------------",
        "rmmod/158 is trying to acquire lock:",
    ]
    splats = find_splats(log(*events))
    assert [r.kind for r in splats] == [K.KASAN, K.KASAN, K.WARNING, K.VFREE, K.LOCKDEP]
    assert splats[2].title.endswith("rmmod/158: told to warn")
    assert splats[2].task == "rmmod/158"


def test_two_double_frees_are_two_splats() -> None:
    records = list(parse_saved((DATA / "double_free.txt").read_bytes()))
    assert [r.kind for r in find_splats([*records, *records])] == [K.SLUB, K.SLUB]


def test_caller_tags_separate_interleaved_splats() -> None:
    first = log(*KASAN_DOUBLE_FREE, caller="T143")
    second = [
        LogRecord(r.sequence, r.time_s, r.level, "T144", r.text.replace("1k", "2k")) for r in first
    ]
    both = [record for pair in zip(first, second, strict=True) for record in pair]
    splats = find_splats(both)
    assert [r.cache for r in splats] == ["kmalloc-1k", "kmalloc-2k"]
    assert all(r.allocated_by == ("kasan_save_stack", "report_new") for r in splats)


def test_interleaved_slub_splats_are_not_warnings() -> None:
    records = list(parse_saved((DATA / "double_free.txt").read_bytes()))
    both = [record for record in records for _ in range(2)]
    assert [r.subtype for r in find_splats(both)] == ["Object already free"] * 2


def test_a_finished_or_silent_splat_takes_no_further_frame() -> None:
    bug = "kernel BUG at drivers/virt/coco/tsm.c:37!"
    oops = "Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI"
    assert len(find_splats(log(bug, oops))) == 1
    assert len(find_splats(log(bug, "---[ end trace 0 ]---", oops))) == 2
    late = LogRecord(9, 100.0, 4, None, oops)
    assert len(find_splats([*log(bug), late])) == 2


def test_a_warning_of_another_file_is_not_the_frame_of_a_message() -> None:
    message = "Trying to vfree() nonexistent vm area (ff8e42018055d000)"
    own = "WARNING: CPU: 1 PID: 154 at mm/vmalloc.c:3426 vfree.part.0+0x10f/0x240"
    other = "WARNING: CPU: 0 PID: 9 at fs/configfs/dir.c:99 configfs_dump+0x1/0x2"
    assert [r.kind for r in find_splats(log(message, own))] == [K.VFREE]
    assert [r.kind for r in find_splats(log(message, other))] == [K.VFREE, K.WARNING]


def test_detector_off_is_a_splat_only_outside_of_another() -> None:
    note = "INFO: lockdep is turned off."
    assert [r.kind for r in find_splats(log(note))] == [K.DETECTOR_OFF]
    inside = log("INFO: task cat:1 blocked for more than 3 seconds.", note)
    assert [r.kind for r in find_splats(inside)] == [K.HUNG_TASK]
    after = log("INFO: task cat:1 blocked for more than 3 seconds.", " </TASK>", note)
    assert [r.kind for r in find_splats(after)] == [K.HUNG_TASK]


# --- parsing ------------------------------------------------------------------------------------


def test_kmsg_record_fields() -> None:
    record = parse_kmsg(b"4,580,5990335,-,caller=T12;a\\x0ab \\x5c\n SUBSYSTEM=pci\n DEVICE=+x\n")
    assert record == LogRecord(580, 5.990335, 4, "T12", "a\nb \\", 0)
    assert record.from_kernel


@pytest.mark.parametrize(
    "raw", [b"", b";", b"4,1;x", b"a,1,2,-;x", b"4,1,2,-", b"4,-1,2,-;x", b"4," + b"9" * 30]
)
def test_invalid_kmsg_records_are_ignored(raw: bytes) -> None:
    assert parse_kmsg(raw) is None


def test_console_prefixes_and_junk() -> None:
    data = (
        b"SeaBIOS\r\n<4>[    1.500000][  T51] kernel BUG at mm/x.c:1!\r\n"
        b"# [    2.000000] WARNING: CPU: 1 PID: 2 at f+0x1/0x2\r\n\xff\x1b[0mtorn [   3.0"
    )
    records = list(parse_console(data))
    assert [(r.time_s, r.level, r.caller) for r in records[:3]] == [
        (0.0, 4, None),
        (1.5, 4, "T51"),
        (2.0, 4, None),
    ]
    assert [r.kind for r in find_splats(records)] == [K.OOPS, K.WARNING]
    assert "\x1b" not in records[3].text


def test_console_and_kmsg_agree() -> None:
    records = list(parse_saved((DATA / "double_free.txt").read_bytes()))
    console = "\r\n".join(f"[{r.time_s:12.6f}] {r.text}" for r in records).encode()
    assert [r.signature for r in find_splats(parse_console(console))] == [
        r.signature for r in find_splats(records)
    ]


# --- hostile input ------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    find_splats(parse_console(data))
    find_splats(parse_saved(data))
    parse_kmsg(data)


FRAGMENTS = [row.example for row in PATTERNS] + list(KASAN_DOUBLE_FREE)
FRAGMENTS += ["------------[ cut here ]------------", "---[ end trace 0 ]---", "innocent"]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60))
def test_any_order_of_lines_is_accepted_and_keeps_the_first_head(lines: list[str]) -> None:
    splats = find_splats(log(*lines))
    assert bool(splats) == any(match_head(line) for line in lines if line)


def test_the_number_of_splats_and_lines_is_limited() -> None:
    splats = find_splats(log(*[PATTERNS[1].example] * (MAX_SPLATS + 50)))
    assert len(splats) == MAX_SPLATS
    [splat] = find_splats(log(PATTERNS[1].example, *["body"] * 5000))
    assert len(splat.lines) + splat.omitted_lines == 5001
    assert len(splat.lines) < 1000


def test_work_is_linear() -> None:
    """Lines made to send a careless expression backtracking take no longer than others."""
    worst = [row.needle + "BUG: KASAN: " + row.needle * 200 for row in PATTERNS]
    worst += [row.example[:20] + "A: " * 2000 for row in PATTERNS]
    start = time.process_time()
    find_splats(log(*worst * 20))
    assert time.process_time() - start < 5.0
