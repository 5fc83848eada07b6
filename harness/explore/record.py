# SPDX-License-Identifier: MIT
"""Writes a finding into a directory: the table, a scenario, a script, and a bundle for replay."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from pathlib import Path

from harness.bundle import Bundle, Outcome, write_bundle
from harness.explore.compare import Disagreement
from harness.explore.explore import Finding
from harness.explore.program_json import FILE, RecordedProgram, write_program
from harness.explore.show import as_scenario, as_script, text_lines, title
from harness.kernels.model import Kernel
from harness.model.interface import InterfaceVersion
from harness.oracle.printable import printable
from harness.session import Session
from harness.settings import Settings
from harness.verdict import Cause, Status

__all__ = ["outcome_of", "write_finding"]

_SCENARIO = "test_found_by_exploration"
_MAX_HEADLINE = 300  # characters


def outcome_of(found: Disagreement | None, kernel: Kernel) -> Outcome:
    """The outcome of a program, for comparison; without a disagreement it is a PASS.

    Its cause is the claim, the operation and the known deviations, and the number of the step.
    """
    if found is None:
        status, headline = Status.PASS, "the model allows every outcome"
        cause = Cause("")
    else:
        status, headline = Status.FAIL, f"{found.step.text}: {found.outcome.text}"
        operation = f"{found.step.kind} {getattr(found.step, 'attribute', '')}".strip()
        subject = " ".join([f"{found.claim}: {operation}", *found.known])
        cause = Cause("Disagreement", subject, line=found.index)
    return Outcome(
        _SCENARIO,
        kernel.release,
        kernel.digest,
        status.value,
        printable(headline, _MAX_HEADLINE),
        cause,
    )


def write_finding(
    root: Path,
    finding: Finding,
    version: InterfaceVersion,
    settings: Settings,
    session: Session,
    number: int,
) -> Path | None:
    """Write the files of a finding below ``root``; returns their directory.

    ``finding.txt`` is the table, ``test_finding.py`` a scenario, ``finding.sh`` a shell script
    (only where the provider behaves ordinarily), ``rerun.txt`` the command that runs the scenario,
    ``program.json`` and ``bundle.json`` are what `tsm-harness replay` needs. Returns None when the
    directory cannot be written.
    """
    digest = hashlib.sha256(repr(finding.signature).encode()).hexdigest()[:8]
    directory = root / f"explore_{finding.disagreement.claim}_{number}_{digest}"
    lines = [title(finding), "", *text_lines(finding, version)]
    own = replace(settings, claims=(finding.disagreement.claim,))
    scenario = directory / "test_finding.py"
    arguments = [argument for argument in own.pytest_arguments() if "claim" not in argument]
    files = {
        "finding.txt": "\n".join(lines) + "\n",
        "test_finding.py": as_scenario(finding),
        "rerun.txt": shlex.join(["pytest", "-p", "harness.plugin", *arguments, str(scenario)])
        + "\n",
        "finding.sh": as_script(finding, version),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_program(directory / FILE, _recorded(finding))
        for name, text in files.items():
            if text is not None:
                (directory / name).write_text(text, encoding="utf-8")
    except OSError:
        return None
    kernel, tsm = settings.kernels[0], settings.tsms[0]
    bundle = Bundle(own, outcome_of(finding.disagreement, session.kernel(kernel)))
    write_bundle(directory, bundle, session.known_implementation(kernel, tsm).files)
    return directory


def _recorded(finding: Finding) -> RecordedProgram:
    program = finding.trial.program
    steps = program.steps[: finding.disagreement.index + 1]
    return RecordedProgram(
        replace(program, steps=steps), finding.disagreement.claim, finding.deviations
    )
