# SPDX-License-Identifier: MIT
"""File and line of stack frames, in a file that the compiler makes here."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from harness.oracle.source_lines import SourceLines

SOURCE = """\
volatile int sink;
static inline __attribute__((always_inline)) void inner(int n)
{
	sink = n;
}
void outer(int n)
{
	inner(n + 1);
	sink = 0;
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A relocatable file with debugging information, as a module is one."""
    (tmp_path / "code.c").write_text(SOURCE)
    command = ["gcc", "-g", "-O2", f"-ffile-prefix-map={tmp_path}=/tree", "-c", "code.c"]
    subprocess.run([*command, "-o", "mod.ko"], cwd=tmp_path, check=True)
    return tmp_path / "mod.ko"


def frame(module: Path, offset: int) -> str:
    table = subprocess.run(["nm", "-S", module], capture_output=True, text=True, check=True).stdout
    [size] = [line.split()[1] for line in table.splitlines() if line.endswith(" outer")]
    return f"outer+0x{offset:x}/0x{int(size, 16):x} [mod]"


def test_a_frame_has_its_line_and_that_of_its_caller(module: Path) -> None:
    lines = SourceLines({"mod": module}).decode([f" {frame(module, 9)}", "no frame"])
    assert lines == [f" {frame(module, 9)} (tree/code.c:4 < tree/code.c:8)", "no frame"]


def test_file_names_are_relative_to_the_root(module: Path) -> None:
    [line] = SourceLines({"mod": module}, Path("/tree")).decode([frame(module, 9)])
    assert line.endswith("(code.c:4 < code.c:8)")


def test_a_return_address_belongs_to_the_call_before_it(module: Path) -> None:
    source = SourceLines({"mod": module})
    first = next(n for n in range(1, 32) if ":9)" in source.decode([frame(module, n)])[0])
    [returned, faulted] = source.decode([frame(module, first), f"RIP: 0010:{frame(module, first)}"])
    assert returned.endswith("code.c:9)")
    assert faulted.endswith("code.c:9)")
    [trapped] = source.decode([f"WARNING: a.c:1 at {frame(module, first - 1)}, CPU#0: cat/5"])
    assert "code.c:9)" in trapped
    [before] = source.decode([frame(module, first - 1)])
    assert not before.endswith("code.c:9)")


@pytest.mark.parametrize(
    "line",
    [
        "other+0x1/0x10 [mod]",
        "outer+0x1/0x4000 [mod]",
        "outer+0x1/0x20 [another]",
        "outer+0xffffffffffffffff/0x20 [mod]",
        "outer+0x1/0x20",
        "",
    ],
)
def test_an_unknown_frame_is_unchanged(module: Path, line: str) -> None:
    assert SourceLines({"mod": module}).decode([line]) == [line]


def test_missing_and_invalid_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\x7fELF")
    source = SourceLines({"": tmp_path / "nothing", "mod": tmp_path / "junk"})
    assert source.decode(["f+0x1/0x2 [mod]", "g+0x1/0x2"]) == ["f+0x1/0x2 [mod]", "g+0x1/0x2"]


def test_the_time_for_a_long_line_is_linear(module: Path) -> None:
    line = "x" * 100_000 + "+0x1/0x2" + "a+0x" * 20_000
    began = time.process_time()
    assert SourceLines({"mod": module}).decode([line] * 50) == [line] * 50
    assert time.process_time() - began < 20  # of a few seconds, not of hours
