# SPDX-License-Identifier: MIT
"""The verdicts on a patch as plain text, to paste under the mail with the patch.

Lines have at most 72 columns, except a word that is longer. The directories of this host are left
out of paths: they mean nothing to the reader of the mail.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator

from harness.oracle.printable import printable
from harness.report.compare import Change, Comparison, compare
from harness.report.compare_text import claims_of, counted, name_of
from harness.verdict import CellResult, RunResult, Status, headline

__all__ = ["reply_lines"]

_WIDTH = 72
_MAX_TEXT = 400
_EXPLAINED = (Change.FIXED, Change.BROKEN, Change.UNSTABLE)
_NAMED = (Change.STILL_FAILING, Change.NOT_COMPARED)
# The directories of an absolute path of the host; those of a guest's interface are kept.
_DIRECTORIES = re.compile(r"(?<![\w./~])~?/(?!(?:sys|dev|proc|run)/)(?:[^\s/:'\"]+/)+(?=[^\s/])")


def reply_lines(run: RunResult) -> list[str]:
    """Return the text: what was judged on what, what changed with evidence, how to repeat it.

    Without two columns to compare, each FAIL is told.
    """
    lines = list(_heading(run))
    for pair in run.pairs:
        lines += ["", *_comparison(compare(run.results, pair), run)]
    if not run.pairs:
        lines += ["", *_fails(run)]
    if run.command:
        lines += ["", "To repeat it:", "", *_command(run.command)]
    return lines


def _heading(run: RunResult) -> Iterator[str]:
    cells = [result.cell for result in run.results]
    bases = {pair.before for pair in run.pairs if pair.is_base}
    yield f"Judged by tsm-harness {run.host.get('harness', '')}".rstrip()
    for tsm in dict.fromkeys(cell.tsm for cell in cells):
        if tsm not in bases:
            subject = run.subjects.get(tsm, "")
            yield from _wrapped(f"patch: {subject} ({tsm})" if subject else f"code: {tsm}", "  ")
    for label, values in (
        ("kernel", [cell.kernel for cell in cells]),
        ("simulated provider", [cell.provider for cell in cells]),
    ):
        yield from _wrapped(f"{label}: {', '.join(dict.fromkeys(values))}", "  ")


def _comparison(comparison: Comparison, run: RunResult) -> Iterator[str]:
    yield from _wrapped(f"{counted(comparison)}.")
    for change in _EXPLAINED:
        members = comparison.of(change)
        if members:
            yield from ("", f"{change.value.capitalize()}:")
        for each in members:
            name = name_of(each, members)
            yield from ("", *_entry(name, _demand(each.claim, run), each.evidence))
    for change in _NAMED:
        members = comparison.of(change)
        if members:
            yield ""
            yield from _wrapped(f"{change.value.capitalize()}: {claims_of(members)}.")


def _fails(run: RunResult) -> Iterator[str]:
    fails = [result for result in run.results if result.status is Status.FAIL]
    decided = sum(result.decided for result in run.results)
    yield from _wrapped(f"{len(fails)} of {decided} verdicts are FAIL.")
    for result in fails:
        demand = _demand(result.cell.claim, run)
        yield from ("", *_entry(_name(result), demand, headline(result.detail)))


def _name(result: CellResult) -> str:
    cell = result.cell
    return f"{cell.claim} {cell.scenario} [{cell.kernel}, {cell.tsm}, {cell.provider}]"


def _demand(claim: str, run: RunResult) -> str:
    return run.claims[claim].demand if claim in run.claims else ""


def _entry(name: str, demand: str, seen: str) -> Iterator[str]:
    yield from _wrapped(name, "  ")
    if demand:
        yield from _wrapped(f"demand: {demand}", "    ")
    yield from _wrapped(f"seen: {seen}", "    ")


def _command(command: str) -> Iterator[str]:
    """Break a command line between arguments, so that it can be pasted into a shell."""
    line = " "
    for argument in shlex.split(command):
        word = shlex.quote(_without_directories(argument))
        if len(line) + 1 + len(word) + 2 > _WIDTH and line.strip():
            yield f"{line} \\"
            line = "   "
        line += f" {word}"
    yield line


def _wrapped(text: str, indent: str = "") -> list[str]:
    clean = _without_directories(" ".join(printable(text, _MAX_TEXT).split()))
    return textwrap.wrap(
        clean,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _without_directories(text: str) -> str:
    return _DIRECTORIES.sub("", text)
