# SPDX-License-Identifier: MIT
"""The reply to a mail with a patch: complete, narrow, and without paths of this host."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest

from harness.report.reply import reply_lines
from harness.verdict import CellResult, ClaimSummary, Pair, RunResult
from tests.test_report import HOSTILE, S, result

BASE, PATCH = "mainline", "patch:/home/me/mails/fix.mbox"
CLAIMS = {
    "R1": ClaimSummary("If regenerating a report fails, the old one is freed once.", "a reviewer"),
    "J1": ClaimSummary("Concurrent readers share one report.", "another reviewer"),
}
COMMAND = f"tsm-harness run R1 J1 T3 --kernel=/home/me/linux/bzImage --tsm={PATCH} --seed=3"


def reply(results: Sequence[CellResult], **fields: object) -> str:
    run = RunResult(results, {"harness": "1.0"}, claims=CLAIMS, command=COMMAND, **fields)  # type: ignore[arg-type] # fields of the class
    return "\n".join(reply_lines(run))


def changed() -> str:
    splat = "unexpected splats in the kernel log (1):\n  KASAN: uaf in /home/me/l/tsm.c:7"
    return reply(
        [
            result(S.FAIL, tsm=BASE, detail="freed   twice"),
            result(S.PASS, tsm=PATCH),
            result(S.PASS, tsm=BASE, claim="J1"),
            result(S.FAIL, tsm=PATCH, claim="J1", detail=splat),
            result(S.FAIL, tsm=BASE, claim="T3"),
            result(S.FAIL, tsm=PATCH, claim="T3"),
            result(S.PASS, tsm=BASE, claim="K3"),
            result(S.SKIP, tsm=PATCH, claim="K3"),
        ],
        pairs=[Pair("tsm", BASE, PATCH, is_base=True)],
        subjects={PATCH: "virt: tsm: fix a double free"},
    )


def test_reply_tells_what_was_judged_what_changed_and_how_to_repeat_it() -> None:
    assert (
        changed()
        == """\
Judged by tsm-harness 1.0
  patch: virt: tsm: fix a double free (patch:fix.mbox)
  kernel: 6.12.117+deb12-cloud-amd64
  simulated provider: sev-snp

patch:fix.mbox against its base mainline: 1 fixed, 1 broken, 1 still
failing, 0 unchanged, 1 not compared.

Fixed:

  R1 double_free
    demand: If regenerating a report fails, the old one is freed once.
    seen: FAIL before: freed twice

Broken:

  J1 double_free
    demand: Concurrent readers share one report.
    seen: KASAN: uaf in tsm.c:7

Still failing: T3.

Not compared: K3.

To repeat it:

  tsm-harness run R1 J1 T3 --kernel=bzImage --tsm=patch:fix.mbox \\
    --seed=3"""
    )


def test_the_command_can_be_pasted() -> None:
    text = changed().partition("To repeat it:")[2].replace("\\\n", " ")
    assert shlex.split(text) == [
        "tsm-harness", "run", "R1", "J1", "T3", "--kernel=bzImage", "--tsm=patch:fix.mbox",
        "--seed=3",
    ]  # fmt: skip


def test_a_run_without_columns_to_compare_tells_each_fail() -> None:
    text = reply([result(S.FAIL, tsm=PATCH, detail="freed twice"), result(S.PASS, claim="J1")])
    assert "1 of 2 verdicts are FAIL." in text
    assert "seen: freed twice" in text and "freed once" in text
    assert "code: patch:fix.mbox" in text


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ("at /home/me/linux/drivers/tsm.c:79", "at tsm.c:79"),
        ("at ~/linux/tsm.c:79", "at tsm.c:79"),
        ("patch:/home/me/a.mbox", "patch:a.mbox"),
        # known good: what the reader of the mail knows, too
        ("at drivers/virt/coco/tsm.c:79", "at drivers/virt/coco/tsm.c:79"),
        ("open /sys/kernel/config/tsm/report/a", "open /sys/kernel/config/tsm/report/a"),
        ("see https://lore.kernel.org/r/1@example", "see https://lore.kernel.org/r/1@example"),
        ("1/2 of the bytes", "1/2 of the bytes"),
    ],
)
def test_directories_of_the_host_are_left_out(seen: str, shown: str) -> None:
    lines = reply([result(S.FAIL, detail=seen)]).splitlines()
    [line] = [line for line in lines if "seen:" in line]
    assert line == f"    seen: {shown}"


def test_lines_have_at_most_72_columns_for_any_text() -> None:
    text = reply([result(S.FAIL, claim="R1", detail=(HOSTILE + " word") * 1000)])
    assert max(map(len, text.splitlines())) <= 72
    assert "\x1b" not in text and "\x00" not in text
