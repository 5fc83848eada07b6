# SPDX-License-Identifier: MIT
"""Replays the program of a finding of ``explore``."""

from __future__ import annotations

from rich.console import Console

from harness.bundle import Outcome
from harness.cli.findings import print_rows
from harness.explore.explore import Finding
from harness.explore.explorer import Explorer
from harness.explore.program_json import RecordedProgram
from harness.explore.record import outcome_of
from harness.progress import stderr_progress
from harness.report.text import print_text
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED

__all__ = ["replay_program"]


def replay_program(recorded: RecordedProgram, expected: Outcome, settings: Settings) -> int:
    """Run exactly the recorded program, compare its outcome, and return the exit status."""
    console = Console(highlight=False)
    kernel_name, tsm = settings.kernels[0], settings.tsms[0]
    with Session(settings, stderr_progress()) as session:
        explorer = Explorer(
            session, kernel_name, tsm, settings.seed, recorded.deviations, (recorded.claim,)
        )
        version, kernel = explorer.detect(), session.kernel(kernel_name)
        with session.progress.step("replaying", total=settings.times) as step:
            trials = []
            for _ in range(settings.times):
                trials.append(explorer.run(recorded.program))
                step.advance(1)
    outcomes = [outcome_of(trial.comparison.disagreement, kernel) for trial in trials]
    for trial in trials:
        if trial.comparison.disagreement is not None:
            print_rows(console, Finding(trial, 1, 1, recorded.deviations), version)
            break
    if kernel.digest != expected.digest:
        print_text(console, kernel_note(kernel.release, expected.release))
    same = sum(expected.same_as(outcome) for outcome in outcomes)
    print_text(console, f"now: {outcomes[0].status}, {outcomes[0].headline}")
    print_text(
        console,
        f"the same outcome {same} of {len(outcomes)} times: {expected.status}, {expected.headline}",
    )
    return EXIT_AS_EXPECTED if same == len(outcomes) else EXIT_UNEXPECTED


def kernel_note(release: str, recorded: str) -> str:
    """Say that another kernel ran than the recorded one."""
    return (
        f"the kernel is not the recorded one: {release} was run, {recorded} "
        "(or another build of it) was recorded"
    )
