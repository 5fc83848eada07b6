# SPDX-License-Identifier: MIT
"""The run report as HTML: every link leads somewhere, and any text of others stays text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from harness.oracle.printable import printable
from harness.report.formats import html_format
from harness.report.page.timeline_page import timeline_page
from harness.report.timeline import Span
from harness.report.timeline_file import Timeline
from harness.verdict import Cell, CellResult, ClaimSummary, Pair, RunResult, Status
from tests.page_model import RICH, Page, page_of, rich_run

HOSTILE = (
    "\x1b[31m\x00\ud800\ufffe </pre></style><script>alert(1)</script><img src=x onerror=alert(1)>"
    " \"' onmouseover=alert(1) {{ 7 * 7919 }} &lt; \u202e txt \u2066\u2069\u200f\u2028 ]]>"
)
S = Status


def result(status: Status, expected: Status = S.PASS, **cell: object) -> CellResult:
    fields: dict[str, object] = {
        "claim": "R1", "scenario": "test_a", "kernel": "6.12", "tsm": "mainline",
        "provider": "sev-snp", "seed": 0,
    }  # fmt: skip
    return CellResult(Cell(**{**fields, **cell}), status, expected, 0.1, "why")  # type: ignore[arg-type] # by name


# --- links --------------------------------------------------------------------------------------


def targets(page: Page) -> set[str]:
    return {link[1:] for link in page.links if link.startswith("#")}


def test_every_link_has_its_target_and_every_anchor_is_unique(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path), tmp_path / "r.html")
    assert targets(page) <= set(page.ids)
    assert [ident for ident, count in Counter(page.ids).items() if count > 1] == []


def test_every_failure_is_linked_from_the_table(tmp_path: Path) -> None:
    run = rich_run(tmp_path)
    page = page_of(run, tmp_path / "r.html")
    failures = {ident for ident in page.ids if re.fullmatch(r"f\d+", ident)}
    assert len(failures) == sum(each.status in (S.FAIL, S.ERROR) for each in run.results) == 24
    table = Page(
        page.source[
            page.source.index("<table") : page.source.rindex(
                "</table>", 0, page.source.index('id="failures"')
            )
            + 8
        ]
    )
    assert failures <= targets(table)
    assert {"missed"} <= targets(table)


def test_every_failure_has_a_way_back_to_its_row(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path), tmp_path / "r.html")
    sections = page.source.split("<section>")[1:]
    assert len(sections) == 12
    rows = {ident for ident in page.ids if re.fullmatch(r"c\d+-\d+", ident)}
    for text in sections:
        assert targets(Page(text[: text.index("</section>")])) & rows
    assert {"top", "claims", "failures"} <= targets(page)


def test_more_failures_than_a_cell_has_room_for_are_linked_from_their_group(tmp_path: Path) -> None:
    many = [result(S.FAIL, seed=seed) for seed in range(40)]
    page = page_of(RunResult(many), tmp_path / "r.html")
    assert {f"f{number}" for number in range(40)} <= targets(page)
    assert "and 28 more" in page.text and "FAIL ! 40/40" in page.text


def test_a_repeated_failure_is_explained_once(tmp_path: Path) -> None:
    run = rich_run(tmp_path)
    text = page_of(run, tmp_path / "r.html").text
    assert text.count("in several lines, 0") == 12  # of R1 and T1
    assert text.count("in several lines, 1") == 6
    assert text.count("the same as above") == 6


# --- content ------------------------------------------------------------------------------------


def test_the_verdict_and_what_was_run_come_first(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path), tmp_path / "r.html")
    parts = [
        "12 of 42 verdicts are not as expected: R1", "Subject", "[PATCH v2] tsm: do not free",
        "Kernel", "6.12.95+kasan", "Date", "2026-01-02", "Command", "tsm-harness run --tsm patch",
        "Host", "x86_64, 2 processors", "Versions", "QEMU 7.2.22", "The demand of R1",
    ]  # fmt: skip
    places = [page.text.index(part) for part in parts]
    assert places == sorted(places)
    body = page.source.index("<body>")
    assert re.match(r"<body>\s*<a class=\"skip\"[^\n]*\s*<header[^>]*>\s*<h1>", page.source[body:])


@pytest.mark.parametrize(
    ("results", "interrupted", "verdict"),
    [
        ([], False, "Nothing was run"),
        ([], True, 'Nothing was run</h1>\n<p class="lead">The run was interrupted'),
        ([result(S.PASS)], False, "The verdict is as expected"),
        ([result(S.PASS), result(S.FAIL, S.FAIL)], False, "All 2 verdicts are as expected"),
        ([result(S.FAIL)], False, "1 of 1 verdicts is not as expected"),
        ([result(S.MISS), result(S.ERROR)], True, "No claim was decided"),
        ([result(S.PASS), result(S.MISS)], True, "1 of 2 cells is without a verdict"),
        ([result(S.PASS), result(S.SKIP)], False, "1 of 2 verdicts is not as expected"),
    ],
)
def test_the_verdict_in_one_sentence(
    tmp_path: Path, results: list[CellResult], interrupted: bool, verdict: str
) -> None:
    page = page_of(RunResult(results, interrupted=interrupted), tmp_path / "r.html")
    assert f"<h1>{verdict}" in page.source
    assert ("The run was interrupted" in page.text) is interrupted
    assert targets(page) <= set(page.ids)


def test_what_a_patch_changed_comes_before_the_claims(tmp_path: Path) -> None:
    verdicts = {"R1": (S.FAIL, S.PASS), "J1": (S.PASS, S.FAIL), "T3": (S.FAIL, S.FAIL)}
    results = [
        result(status, claim=claim, tsm=tsm)
        for claim, both in verdicts.items()
        for tsm, status in zip(("mainline", "patch:x"), both, strict=True)
    ]
    pair = Pair("tsm", "mainline", "patch:x", is_base=True)
    page = page_of(RunResult(results, pairs=[pair]), tmp_path / "r.html")
    assert "<h1>1 fixed (R1), 1 broken (J1), 1 still failing (T3)</h1>" in page.source
    parts = ["patch:x against its base mainline", "1 broken", "J1 test_a", "1 fixed", "R1 test_a",
             "1 still failing", "T3 test_a", "Claims"]  # fmt: skip
    places, start = [], page.text.index("What changed", page.text.index("Claims"))
    for part in parts:
        start = page.text.index(part, start)
        places.append(start)
    assert len(places) == len(parts)
    assert targets(page) <= set(page.ids)


def test_the_evidence_of_a_failure_is_in_the_page(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path), tmp_path / "r.html")
    for text in (
        "a reason", "drivers/virt/coco/tsm.c:187", "> 187         kvfree(report->outblob);",
        "BUG: KASAN: double-free in kvfree+0x2c/0x40", "Freed by task 131:",
        "write to tsm0/inhex, nonce cd072cd8…", "EIO", "EFAULT", "(decided the verdict)",
        "has not returned", "request 3 (inject=-5)", "qemu-system-x86_64",
        "tsm-harness run R1 --tsm mainline", "a note", "S4", "documentation",
    ):  # fmt: skip
        assert text in page.text, text
    assert page.source.count('class="bar splat"') == page.source.count('class="bar bad"') == 18
    lanes = ["ms", "Alice", "Bob", "actor 3", "kernel", "provider"]
    assert "".join(f'<th scope="col">{lane}</th>' for lane in lanes[1:]) in page.source


def test_two_kernels_of_one_file_name_have_a_table_each(tmp_path: Path) -> None:
    both = [result(S.PASS, kernel="/a/bzImage"), result(S.FAIL, kernel="/b/bzImage")]
    page = page_of(RunResult(both), tmp_path / "r.html")
    assert page.source.count("<table") == 2
    assert "/a/bzImage" in page.text and "/b/bzImage" in page.text
    both = [result(S.PASS, tsm="dir:/a/tsm"), result(S.FAIL, tsm="dir:/b/tsm")]
    page = page_of(RunResult(both), tmp_path / "r.html")
    assert page.source.count("<table") == 1
    assert page.values("td", "data-column") == ["dir:/a/tsm", "dir:/b/tsm"]


def test_missing_evidence_leaves_the_timeline_of_the_result(tmp_path: Path) -> None:
    failed = dataclasses.replace(
        result(S.FAIL), artifacts=tmp_path / "gone", timeline=("  0.0 ms  actor 0  a call",)
    )
    assert "0.0 ms  actor 0  a call" in page_of(RunResult([failed]), tmp_path / "r.html").text


# --- hostile text -------------------------------------------------------------------------------


def test_text_of_others_is_escaped_wherever_it_is_shown(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path, hostile=HOSTILE), tmp_path / "r.html")
    plain = page_of(rich_run(tmp_path / "plain"), tmp_path / "plain.html")
    assert page.tags == plain.tags
    assert {(tag, name) for tag, name, _ in page.attributes} == {
        (tag, name) for tag, name, _ in plain.attributes
    }
    assert page.style == plain.style
    assert "{{ 7 * 7919 }}" in page.text and "55433" not in page.text
    assert printable(page.source) == page.source
    assert page.text.count("alert(1)") > 100
    assert len(page.ids) == len(set(page.ids))
    assert targets(page) <= set(page.ids)


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x1b", "\x85", "\ud800", "\u061c", "\u200b", "\u200f", "\u2028", "\u202e",
     "\u2066", "\ufeff", "\U000e0041"],
)  # fmt: skip
def test_what_reorders_or_hides_text_is_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a\ufffdb"


def test_letters_of_other_scripts_stay(tmp_path: Path) -> None:
    names = "Łukasz, 徐, שלום, नमस्ते"
    assert printable(names) == names
    run = dataclasses.replace(RICH, subjects={"patch:x": names})
    assert f"{names} (patch:x)" in page_of(run, tmp_path / "r.html").text


def test_only_links_to_the_web_are_links(tmp_path: Path) -> None:
    for link, count in (("javascript:alert(1)", 0), ("data:text/html,x", 0), ("https://e.org/", 2)):
        run = RunResult([result(S.FAIL)], claims={"R1": ClaimSummary("d", "r", link)})
        links = page_of(run, tmp_path / "r.html").links
        assert sum(not each.startswith("#") for each in links) == count


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = page_of(rich_run(tmp_path), tmp_path / "r.html")
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base", "form", "svg"}
    assert {name for _, name, _ in page.attributes}.isdisjoint({"style", "src", "srcset"})
    assert "url(" not in page.style and "@import" not in page.style
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    [policy] = [value for value in page.values("meta", "content") if "default-src" in value]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_page_of_a_timeline_is_safe_too() -> None:
    span = Span(f"actor{HOSTILE}", f"read{HOSTILE}", 1.0, 2.0, f"EIO{HOSTILE}", HOSTILE)
    page = Page(timeline_page(result(S.FAIL, scenario=HOSTILE).cell, Timeline([span])).decode())
    assert not page.tags & {"script", "img"} and page.text.count("alert(1)") >= 6
    assert timeline_page(result(S.FAIL).cell, Timeline()) == b""


# --- appearance ---------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def schemes(style: str) -> dict[str, dict[str, str]]:
    """Return the colours of the light, the dark and the printed page."""
    found = [dict(re.findall(r"--([\w-]+): (#\w{6});", block))
             for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]  # fmt: skip
    return dict(zip(("light", "dark", "print"), found, strict=True))


def test_contrast_is_computed_as_specified() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_enough_contrast(tmp_path: Path, scheme: str) -> None:
    colours = schemes(page_of(RICH, tmp_path / "r.html").style)[scheme]
    pairs = [(ink, "paper") for ink in ("ink", "faint", "pass", "fail", "error", "link")]
    pairs += [(ink, "tint") for ink in ("ink", "faint", "pass", "fail", "error", "link")]
    pairs += [(ink, bar) for ink in ("ink", "faint") for bar in ("bar", "bar-bad", "bar-odd")]
    pairs += [("alarm-ink", "alarm"), ("error", "bar-odd"), ("fail", "bar-bad")]
    low = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}


# --- size and speed -----------------------------------------------------------------------------


def test_evidence_is_limited_in_all(tmp_path: Path) -> None:
    [failed] = [r for r in rich_run(tmp_path, repeats=1).results if r.cell.claim == "R1"][:1]
    many = [
        dataclasses.replace(failed, cell=dataclasses.replace(failed.cell, claim=f"R{n}"))
        for n in range(400)
    ]
    page = page_of(RunResult(many), tmp_path / "r.html")
    assert len(page.source) < 3_000_000
    assert 20 < page.text.count("this page would be too large") < 400


def test_ten_thousand_cells(tmp_path: Path) -> None:
    """A report is linear in its cells: it takes seconds, and no more memory than its parts."""
    statuses = [(S.PASS, S.PASS), (S.FAIL, S.FAIL), (S.SKIP, S.SKIP), (S.FAIL, S.PASS)]
    results = [
        result(
            *statuses[(claim + tsm + seed) % 4], claim=f"X{claim}", tsm=f"defect:d{tsm}", seed=seed
        )
        for claim in range(50)
        for tsm in range(20)
        for seed in range(10)
    ]
    tracemalloc.start()
    start = time.process_time()
    html_format.write(tmp_path / "r.html", RunResult(results))
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (seconds < 60, peak < 200 << 20) == (True, True), (seconds, peak)
    assert (tmp_path / "r.html").stat().st_size < 6_000_000
