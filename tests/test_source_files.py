# SPDX-License-Identifier: MIT
"""Quotes of the code under test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ClaimViolatedError
from harness.oracle.expect import demand
from harness.oracle.source_files import SourceFiles
from harness.oracle.source_lines import Frame, Location
from harness.plugin.verdicts import verdict_of
from harness.report.run_json import cell_as_json, cell_from_json
from harness.verdict import Cell, CellResult, SourceExcerpt, Status

TEXT = "static void drop(void)\n{\n\tkvfree(blob);\n}\n"
FILES = SourceFiles({"tsm.c": TEXT, "drivers/virt/coco/other.c": "one\n"})


def frame(*locations: tuple[str, int], function: str = "outblob_read") -> Frame:
    return Frame(function, "tsm_user", tuple(Location(file, line) for file, line in locations))


def test_the_line_is_quoted_with_its_neighbours() -> None:
    found = FILES.first_excerpt([frame(("implementation/tsm.c", 3))])
    assert found is not None
    assert found.place == "implementation/tsm.c:3, in outblob_read()"
    assert found.marked() == ("  2 {", "> 3         kvfree(blob);", "  4 }")


def test_the_first_and_the_last_line_have_one_neighbour() -> None:
    [first, last] = [FILES.excerpt("implementation/tsm.c", line) for line in (1, 4)]
    assert first is not None
    assert last is not None
    assert [line[0] for line in first.marked()] == [">", " "]
    assert [line[0] for line in last.marked()] == [" ", ">"]
    assert last.place == "implementation/tsm.c:4"


def test_frames_of_other_code_are_passed_over() -> None:
    frames = [
        frame(("mm/slub.c", 3), function="kfree"),
        frame(("modules/tsm-sim/queue.c", 1), function="tsm_sim_request"),
        frame(("include/linux/slab.h", 7), ("implementation/tsm.c", 3)),
        frame(("implementation/tsm.c", 1)),
    ]
    found = FILES.first_excerpt(frames)
    assert found is not None
    assert (found.file, found.line) == ("implementation/tsm.c", 3)
    assert FILES.first_excerpt(frames[:2]) is None


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("implementation/tsm.c", 0),
        ("implementation/tsm.c", 5),
        ("implementation/absent.c", 1),
        ("tsm.c", 1),
        ("/etc/passwd", 1),
        ("drivers/virt/coco/../../../secret.c", 1),
    ],
)
def test_a_line_that_is_not_there_is_not_quoted(tmp_path: Path, file: str, line: int) -> None:
    (tmp_path / "secret.c").write_text("secret\n")
    assert replace(FILES, trees=(tmp_path,)).excerpt(file, line) is None


def test_the_kernels_own_code_is_quoted_from_its_tree(tmp_path: Path) -> None:
    directory = tmp_path / "drivers/virt/coco/guest"
    directory.mkdir(parents=True)
    (directory / "report.c").write_bytes(b"a\n\xff\n")
    (tmp_path / "mm.c").write_text("a\n")
    files = SourceFiles(trees=(tmp_path / "absent", tmp_path))
    found = files.excerpt("drivers/virt/coco/guest/report.c", 2)
    assert found is not None
    assert found.marked() == ("  1 a", "> 2 \ufffd")
    assert files.excerpt("mm.c", 1) is None


def test_a_proof_names_its_line() -> None:
    with pytest.raises(ClaimViolatedError) as raised:
        demand(False, "a pointer is used again", place="tsm.c:3")
    verdict = verdict_of(raised.value)
    found = FILES.excerpt_at(verdict.place)
    assert found is not None
    assert found.line == 3
    assert FILES.excerpt_at("other.c:1") is not None
    for place in ("", "sm.c:1", "tsm.c", "tsm.c:x", "absent.c:1"):
        assert FILES.excerpt_at(place) is None


def test_a_run_report_carries_the_quote() -> None:
    excerpt = SourceExcerpt("f", "tsm.c", 2, 1, ("a", "\tb"))
    cell = Cell("R1", "s", "k", "patch:x", "sev-snp")
    for source in (excerpt, None):
        result = CellResult(cell, Status.FAIL, Status.PASS, 0.0, source=source)
        document = json.loads(json.dumps(cell_as_json(result)))
        assert cell_from_json(document) == result
    document.pop("source")  # a run report of an earlier version
    assert cell_from_json(document).source is None
