# SPDX-License-Identifier: MIT
"""A page of HTML as its tests look at it, and runs that fill a page."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

from harness.oracle.records import LogRecord
from harness.report.artifacts import Evidence, write_artifacts
from harness.report.formats import html_format
from harness.report.timeline import KERNEL, Mark, Span
from harness.verdict import Cell, CellResult, ClaimSummary, RunResult, SourceExcerpt, Status

__all__ = ["KASAN", "RICH", "Page", "failing", "page_of", "rich_run"]

_VOID = {"meta", "br", "img", "link", "input", "hr", "base"}

KASAN = """\
==================================================================
BUG: KASAN: double-free in kvfree+0x2c/0x40
Free of addr ffff88810a3c4000 by task actor-1/131

CPU: 1 UID: 0 PID: 131 Comm: actor-1 Tainted: G           OE      6.12.95 #1
Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.3 04/01/2014
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 print_report+0xc1/0x5e0
 kasan_report_invalid_free+0xaa/0xd0
 kfree+0x2e1/0x3a0
 kvfree+0x2c/0x40
 report_outblob_read+0x1f2/0x330 [tsm]
 sysfs_kf_bin_read+0xd6/0x140
 kernfs_fop_read_iter+0x24d/0x3d0
 vfs_read+0x6c0/0x9e0
 ksys_read+0xff/0x200
 do_syscall_64+0x82/0x190
 entry_SYSCALL_64_after_hwframe+0x76/0x7e
 </TASK>

Allocated by task 137:
 kasan_save_stack+0x33/0x60
 __kmalloc_node_noprof+0x1de/0x420
 sim_report_new+0x8d/0x1c0 [tsm_sim]

Freed by task 131:
 kasan_save_stack+0x33/0x60
 kfree+0x13d/0x3a0
 report_outblob_read+0x9a/0x330 [tsm]

The buggy address belongs to the object at ffff88810a3c4000
 which belongs to the cache kmalloc-2k of size 2048
=================================================================="""

_LINK = "https://lore.kernel.org/r/1@example"
_NONCE = {"a": "cd072cd8", "b": "0442027a"}


class Page(HTMLParser):
    """The links, anchors and texts of a page; asserts that its elements are nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes of an element."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if (tag, name) == ("a", "href"):
                self.links.append(value or "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element ends."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data

    def values(self, tag: str, name: str) -> list[str]:
        """Return the values of an attribute."""
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def page_of(run: RunResult, path: Path) -> Page:
    """Write the report of a run to ``path``, and read it."""
    html_format.write(path, run)
    return Page(path.read_text())


def failing(root: Path, result: CellResult, *, hostile: str = "") -> CellResult:
    """Return the result with recorded evidence: two callers, a splat, an expected errno."""
    spans = [
        Span("Alice", f"write to tsm0/inhex{hostile}", 1.0105, 1.0128, "ok", _NONCE["a"]),
        Span("Alice", "read of tsm0/outblob", 1.0137, 1.0181, "ok", _NONCE["a"]),
        Span("Bob", "write to tsm0/inhex", 1.0191, 1.0197, "ok", _NONCE["b"]),
        Span("Alice", "read of tsm0/outblob", 1.0201, 1.0213, "EIO"),
        Span("Bob", "read of tsm0/outblob", 1.0219, 1.2734, "EFAULT", "", decisive=True),
        Span("actor 3", "read of tsm0/generation", 1.2, None, "has not returned"),
    ]
    ports = [("REPORT", 1.0156, 2), ("REPORT_REPLY", 1.0163, 2), ("REPORT", 1.0210, 3)]
    transcript = [
        {
            "time": time, "type": kind, "id": ident, "session": 1, "status": "OK",
            "fault": "inject=-5" if ident == 3 else "",
            "summary": f"privlevel=0 inblob={_NONCE['a']}1f2e3d4c{hostile}",
        }
        for kind, time, ident in ports
    ]  # fmt: skip
    splat = "BUG: KASAN: double-free in kvfree < report_outblob_read < sysfs_kf_bin_read"
    evidence = Evidence(
        kernel_log=[
            LogRecord(n, 2.0 + n / 1e4, 3, None, line + hostile)
            for n, line in enumerate(KASAN.split("\n"))
        ],
        transcript=transcript,
        qemu_command=["qemu-system-x86_64", "-append", f"a b{hostile}"],
        spans=spans,
        splats=[Mark(1.0223, splat + hostile, KERNEL)],
    )
    return dataclasses.replace(result, artifacts=write_artifacts(root, result, evidence))


def rich_run(root: Path, *, hostile: str = "", repeats: int = 3) -> RunResult:
    """Return a run with every status, on two kernels, with several failures of one cell."""
    results = []
    patch = f"patch:mail/fix.mbox{hostile}"
    for kernel in (f"6.12.95+kasan{hostile}", "7.3.4+deb13-cloud-amd64"):
        for tsm in (patch, "mainline", "class-posted"):
            for claim, status, expected in (
                ("R1", Status.FAIL, Status.FAIL if tsm == "class-posted" else Status.PASS),
                ("J1", Status.PASS, Status.PASS),
                ("T1", Status.ERROR, Status.PASS),
                ("F1", Status.SKIP, Status.SKIP),
                ("P4", Status.MISS, Status.PASS),
            ):
                scenario = f"test_{claim.lower()}_of_a_scenario{hostile}"
                for seed in range(repeats if claim == "R1" else 1):
                    cell = Cell(claim + hostile, scenario, kernel, tsm, f"sev-snp{hostile}", seed)
                    rerun = f"tsm-harness run {claim} --tsm {tsm} --seed {seed}"
                    detail = f"a reason{hostile}\n  in several lines, {seed % 2}"
                    source = SourceExcerpt(
                        f"report_outblob_read{hostile}", "drivers/virt/coco/tsm.c", 187, 186,
                        ("\tif (rc)", f"\t\tkvfree(report->outblob);{hostile}", "\treturn rc;"),
                    )  # fmt: skip
                    result = CellResult(
                        cell, status, expected, 0.25, detail, rerun + hostile,
                        source=source if status is Status.FAIL else None,
                    )  # fmt: skip
                    bad = status in (Status.FAIL, Status.ERROR)
                    results.append(failing(root, result, hostile=hostile) if bad else result)
    claims = {
        claim + hostile: ClaimSummary(
            f"The demand of {claim}.{hostile}", f"a reviewer{hostile}", link
        )
        for claim, link in (("R1", _LINK), ("J1", ""), ("T1", _LINK), ("F1", ""), ("P4", ""))
    }
    return dataclasses.replace(
        RICH,
        results=results,
        claims=claims,
        notes=[f"a note{hostile}"],
        undecided={"S4": f"documentation{hostile}"},
        subjects={patch: f"[PATCH v2] tsm: do not free the report twice{hostile}"},
        host={**RICH.host, "kernel": f"6.1.0{hostile}"},
        command=f"tsm-harness run --tsm {patch} --tsm mainline{hostile}",
    )


RICH = RunResult(
    [],
    {
        "harness": "0.2.0", "python": "3.11.7", "kernel": "6.1.0", "machine": "x86_64", "cpus": 2,
        "qemu": "7.2.22", "accelerator": "tcg", "cpu_flags": ["max", "-cx16"],
    },
    date="2026-01-02T03:04:05+00:00",
)  # fmt: skip
"""A run without results."""
