# SPDX-License-Identifier: MIT
"""A finding for people: a table, a shell script, a scenario."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from harness.explore.calls import CONTROL, Files
from harness.explore.explore import Finding
from harness.model.allowed import allowed_text
from harness.model.deviations import DEVIATIONS
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    ORDINARY,
    Leave,
    ListEntry,
    MakeEntry,
    Overlap,
    ReadAttribute,
    RemoveEntry,
    Repeat,
    Return,
    StatAttribute,
    Step,
    WriteAttribute,
)

__all__ = ["as_scenario", "as_script", "rows", "text_lines", "title"]


def title(finding: Finding) -> str:
    """One line: the claim, how often it came, and the claims that describe it already."""
    found = finding.disagreement
    known = " or ".join(f"{claim} ({DEVIATIONS[claim]})" for claim in found.known)
    often = f"{finding.same} of {finding.repeats} times" if finding.repeats else "not repeated"
    return f"{found.claim}, {often}" + (f"; known as {known}" if known else "")


def rows(finding: Finding, version: InterfaceVersion) -> Iterator[tuple[str, str]]:
    """The operation and its outcome for each step; the last has what the model allows, too."""
    found = finding.disagreement
    trial = finding.trial
    for index, (step, outcome) in enumerate(zip(trial.program.steps, trial.outcomes, strict=False)):
        if index == found.index:
            allowed = "every call returns, no splat, nothing is kept"
            if found.worlds:
                allowed = allowed_text(found.worlds[0], step, version)
            yield step.text, f"allowed: {allowed}\nhappened: {outcome.text}"
            return
        yield step.text, outcome.text


def text_lines(finding: Finding, version: InterfaceVersion) -> Iterator[str]:
    """The rows as text: each operation, and its result in indented lines."""
    for operation, result in rows(finding, version):
        yield operation
        yield from (f"    {line}" for line in result.splitlines())


def as_script(finding: Finding, version: InterfaceVersion) -> str | None:
    """A shell script for root in a guest; None where the provider's behaviour is not ordinary."""
    lines = [line for step in finding.trial.program.steps for line in _shell(step, Files(version))]
    if any(line is None for line in lines):
        return None
    return "\n".join(["#!/bin/sh", *(line for line in lines if line is not None), ""])


def _shell(step: Step, files: Files) -> Iterator[str | None]:
    if isinstance(step, Overlap) or getattr(step, "behaviour", ORDINARY) != ORDINARY:
        yield None
        return
    match step:
        case MakeEntry():
            yield f"mkdir {files.directory(step.entry)}"
        case RemoveEntry():
            yield f"rmdir {files.directory(step.entry)}"
        case WriteAttribute() if len(step.pieces) == 1 and step.pieces[0][0] is None:
            yield f"{_printf(step.pieces[0][1])} > {files.path(step.entry, step.attribute)}"
        case Repeat():
            line = f"{_printf(step.data)} > {files.path(step.entry, step.attribute)}"
            yield f"for i in $(seq {step.rounds}); do {line}; done"
        case ReadAttribute() if not step.nobody:
            skip = f" iflag=skip_bytes skip={step.offset}" if step.offset else ""
            path = files.path(step.entry, step.attribute)
            yield f"dd if={path} bs={step.chunk}{skip} 2>/dev/null | od -An -tx1 -v"
        case ListEntry():
            yield f"ls -l {files.directory(step.entry)}"
        case StatAttribute():
            yield f"stat {files.path(step.entry, step.attribute)}"
        case Leave():
            yield f"printf leave > {CONTROL}"
        case Return():
            text = f"return {step.name} {step.floor} {step.attrs} {step.bin_attrs}"
            yield f"printf {shlex.quote(text)} > {CONTROL}"
        case _:
            yield None


def _printf(data: bytes) -> str:
    text = "".join(f"\\{byte:03o}" if not 32 < byte < 127 or chr(byte) in "\\%'" else chr(byte)
                   for byte in data)  # fmt: skip
    return f"printf '{text}'"


def as_scenario(finding: Finding) -> str:
    """A scenario to paste into a file of scenarios."""
    claim = finding.disagreement.claim
    steps = ",\n            ".join(map(repr, finding.trial.program.steps))
    names = sorted({type(step).__name__ for step in _flat(finding.trial.program.steps)})
    names += ["Behaviour"] if "Behaviour(" in steps else []
    return f'''"""Found by exploration."""

from harness.claims import claim
from harness.model.steps import {", ".join(["Program", *sorted(set(names))])}
from harness.plugin.exploration import CellExplorer


@claim("{claim}")
def test_found_by_exploration(explorer: CellExplorer) -> None:
    explorer.demand_as_documented(
        Program((
            {steps},
        ))
    )
'''


def _flat(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, Overlap):
            yield from step.calls
