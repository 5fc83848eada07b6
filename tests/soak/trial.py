# SPDX-License-Identifier: MIT
"""One trial: runs in a directory of their own, a fault, and the figures that come of it."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.processes import Run
from tests.soak.figures import Row, error_text
from tests.soak.leftovers import leftovers, processes_of
from tests.soak.verdicts import (
    Key,
    count_shown,
    journal_verdicts,
    lost_verdicts,
    report_verdicts,
    wrong_verdicts,
)

__all__ = ["TSMS", "WORKLOAD", "Bench", "Trial"]

TSMS = ("class-posted", "class-fixed")
WORKLOAD = ("run", "R1", "T1", "T3", "K3", *(f"--tsm={tsm}" for tsm in TSMS))
_RUN_SECONDS = 240.0  # a run that lasts longer hangs
_CLEAN_SECONDS = 60.0
_STATUSES = (0, 1, 125)  # of the harness; a verdict that made it 1 is judged by itself


@dataclass
class Bench:
    """What the trials share: a cache, the known verdicts, and how long an undisturbed run takes."""

    cache: Path
    known: Mapping[Key, str]
    seconds: float = 0.0


class Trial:
    """Collects figures in ``row``; :meth:`close` counts leftovers and removes the directory."""

    def __init__(self, bench: Bench, root: Path, seed: str) -> None:
        self.bench = bench
        self.root = root
        self.random = random.Random(seed)
        self.row = Row(tries=1)
        self.known = dict(bench.known)
        self.on_close = contextlib.ExitStack()
        (root / "tmp").mkdir(parents=True)

    @property
    def report(self) -> Path:
        """The JSON report of the run."""
        return self.root / "run.json"

    @property
    def results(self) -> Path:
        """The results directory of the run."""
        return self.root / "artifacts"

    def start(self, *arguments: str, cache: Path | None = None) -> Run:
        """Start a run; its default arguments decide the workload."""
        self.report.unlink(missing_ok=True)
        command = (*(arguments or WORKLOAD), "--json", str(self.report))
        return Run(self.root, cache or self.bench.cache, *command, terminal=True)

    def pause(self, run: Run, longest: float) -> None:
        """Wait for a random time of at most ``longest`` seconds, or for the end of the run."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(self.random.uniform(0, longest))

    def wait_for_a_moment(self, run: Run) -> None:
        """Wait for a random moment of a run, which may be its end.

        Every second time it is one while cells are decided: most of a short run is its start.
        """
        if self.random.random() < 0.5:
            self.pause(run, self.bench.seconds)
            return
        wanted = self.random.randint(1, max(1, len(self.known) - 1))
        while run.process.poll() is None and len(journal_verdicts(self.results)) < wanted:
            self.pause(run, 0.05)

    def wait(self, run: Run) -> int | None:
        """Return the exit status; kill a run that hangs, count it as left behind, return None."""
        try:
            return run.process.wait(_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            self.must_not("left", f"the run has not ended after {_RUN_SECONDS:.0f} s")
            run.process.kill()
            run.process.wait()
            return None

    def finish(self, run: Run, *, reported: bool = True) -> None:
        """Wait for the end, and compare journal, report, terminal and the known verdicts.

        Without ``reported`` the run was killed: it has no report.
        """
        if (status := self.wait(run)) is None:
            return
        self._note_errors(run, status if reported else 0)
        journal, report = journal_verdicts(self.results), report_verdicts(self.report)
        self.row.verdicts += sum(each.is_decided for each in report or journal)
        for text in dict.fromkeys(wrong_verdicts([*journal, *report], self.known)):
            self.must_not("wrong", text)
        self._compare(run, len({each.key for each in journal}))
        if report:
            for text in lost_verdicts(journal, report):
                self.must_not("lost", f"not in the report: {text}")
            if "lacks verdicts" not in run.text():
                for text in lost_verdicts(report, journal):
                    self.must_not("lost", f"not in the journal: {text}")

    def _compare(self, run: Run, written: int) -> None:
        if (shown := count_shown(run.text())) > written and "lacks verdicts" not in run.text():
            self.must_not("lost", f"{shown} verdicts were shown, {written} are in the journal")

    def _note_errors(self, run: Run, status: int) -> None:
        output = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run.text()).replace("\r", "\n")
        for line in re.findall(r"^(?:error|hint): .*|^Traceback.*", output, re.MULTILINE):
            if not line.startswith("hint"):
                self.row.errors[error_text(line)] += 1
        if status not in _STATUSES:
            self.row.errors[f"exit status {status}"] += 1
        for each in report_verdicts(self.report):
            if not each.is_decided:
                self.row.errors[f"{each.status}: {error_text(each.detail)}"] += 1

    def resume(self) -> None:
        """Go on with a run that was cut short: no verdict of its journal may be missing."""
        before = journal_verdicts(self.results)
        started = any((self.results / "journal").glob("*.jsonl"))
        run = self.start(*WORKLOAD, *(["--resume"] if started else []))
        self.finish(run)
        report = report_verdicts(self.report)
        for text in lost_verdicts(before, report):
            self.must_not("lost", f"not in the report of --resume: {text}")
        if missing := set(self.known) - {each.key for each in report}:
            self.row.errors[f"--resume: {len(missing)} cells are not in the report"] += 1

    def must_not(self, figure: str, text: str) -> None:
        """Count something that must never happen."""
        setattr(self.row, figure, getattr(self.row, figure) + 1)
        self.row.details.append(f"{figure}, {self.root.name}: {text}")

    def settle(self) -> None:
        """Count what is left of the runs that have ended, and end it."""
        deadline = time.monotonic() + _CLEAN_SECONDS
        while (found := leftovers(self.root)) and time.monotonic() < deadline:
            time.sleep(0.1)  # the other processes send no event to wait for
        for text in found:
            self.must_not("left", text)
        for process in processes_of(self.root):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def close(self) -> None:
        """Count leftovers, unmount what the trial has mounted, and remove its directory.

        The directory stays where something happened that must not happen.
        """
        self.settle()
        self.on_close.close()
        if self.row.is_good:
            shutil.rmtree(self.root)
