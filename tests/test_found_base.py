# SPDX-License-Identifier: MIT
"""Patches that the kernel under test has already, and the base that is found for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.implementations.found_base import found_base
from harness.implementations.from_patch import read_patch_implementation, read_unpatched_kernel
from harness.implementations.patched import PatchToKernel, change
from harness.implementations.spec import parse_implementation
from tests.postings import diff_of, edited

TSM = "drivers/virt/coco/tsm.c"
BEFORE = {TSM: "".join(f"static int number_{n} = {n};\n" for n in range(60))}
FIRST = edited(BEFORE, TSM, "number_20 = 20", "number_20 = -25")
SECOND = edited(edited(BEFORE, TSM, "number_20 = 20", "number_20 = -6"), TSM, "_50 = 50", "_50 = 0")
OTHER = edited(BEFORE, TSM, "number_40 = 40", "number_40 = 41")


def _mail(subject: str, after: Mapping[str, str], at: int) -> str:
    return (
        f"From a Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: {subject}\n"
        f"Date: Wed, {at} Apr 2025 10:00:00 +0000\nMessage-ID: <{at}@example.org>\n\n"
        f"text\n---\n{diff_of(BEFORE, after)}\n-- \n2.40\n\n"
    )


@pytest.fixture
def thread(tmp_path: Path) -> str:
    """An mbox with two versions of one fix."""
    file = tmp_path / "thread.mbox"
    file.write_text(_mail("[PATCH] fix it", FIRST, 10) + _mail("[PATCH v2] fix it", SECOND, 11))
    return str(file)


def _found(spec: str, files: Mapping[str, str]) -> str:
    patch = read_patch_implementation(spec)
    assert isinstance(patch, PatchToKernel)
    return found_base(patch, files)


def test_a_patch_that_applies_has_the_kernel_as_its_base(thread: str) -> None:
    assert _found(f"patch:{thread}#1", BEFORE) == ""
    assert _found(f"patch:{thread}#2", OTHER) == ""


def test_a_patch_that_the_kernel_has_is_judged_against_the_kernel_without_it(thread: str) -> None:
    assert _found(f"patch:{thread}#v2", SECOND) == f"unpatch:{thread}#v2"


def test_another_version_of_the_same_mails_is_undone(thread: str) -> None:
    assert _found(f"patch:{thread}#1", SECOND) == f"unpatch:{thread}#2"
    assert _found(f"patch:{thread}#2", FIRST) == f"unpatch:{thread}#1"


def test_a_patch_that_fits_nowhere_has_no_base(thread: str) -> None:
    unlike = {TSM: "static int other;\n" * 60}
    assert _found(f"patch:{thread}#1", unlike) == ""


def test_a_patch_is_undone_in_the_sources_of_the_kernel(thread: str) -> None:
    kernel = read_unpatched_kernel(f"unpatch:{thread}#2")
    assert kernel.reverse
    assert kernel.base == ""
    posting = kernel.posting
    assert change("x", posting, SECOND, "the kernel", reverse=True).files == BEFORE
    with pytest.raises(UsageError, match="cannot be undone in the kernel"):
        change("x", posting, BEFORE, "the kernel", reverse=True)


def test_a_kernel_without_a_patch_is_an_implementation_and_a_base(thread: str) -> None:
    assert parse_implementation(f"unpatch:{thread}#1").name == f"unpatch:{thread}#1"
    named = parse_implementation(f"patch:{thread}#1,base=unpatch:{thread}#2")
    assert named.base == f"unpatch:{thread}#2"


def test_a_new_implementation_is_in_no_kernel(tmp_path: Path) -> None:
    file = tmp_path / "new.patch"
    file.write_text(
        diff_of({}, {TSM: "int x;\n", "include/linux/tsm.h": "int tsm_register(void);\n"})
    )
    with pytest.raises(UsageError, match="changes no file of the merged implementation"):
        read_unpatched_kernel(f"unpatch:{file}")
