# SPDX-License-Identifier: MIT
"""Repeat runs under faults for some minutes, and print the table of figures."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from harness.progress import NullProgress
from harness.session import Session
from harness.settings import Settings
from tests.caches import copy_used_cache
from tests.soak.figures import Figures
from tests.soak.guests import GUESTS
from tests.soak.leftovers import processes_of
from tests.soak.signals import SIGNALS
from tests.soak.storage import DISKS, STORAGE
from tests.soak.trial import TSMS, Bench, Trial
from tests.soak.verdicts import report_verdicts

_UNDISTURBED = "undisturbed"


def main() -> int:
    """Return 0 if nothing happened that must never happen, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="when to start no more trials")
    parser.add_argument("--seed", type=int, default=0, help="which faults, and when")
    parser.add_argument("--kind", default="", help="only kinds of faults with this text")
    options = parser.parse_args()
    kinds = [kind for kind in _possible() if options.kind in kind]
    if not kinds:
        parser.error(f"--kind: none of {'; '.join(_possible())} contains {options.kind!r}")
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["TSM_HARNESS_HISTORY"] = str(directory / "history.db")
    try:
        figures = _soak(directory, options.minutes, options.seed, kinds)
    finally:
        for process in processes_of(directory):  # of a trial that was interrupted
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(directory / "cache", ignore_errors=True)
    print(f"\n{options.minutes:g} minutes, seed {options.seed}; {_host()}\n\n{figures.table()}")
    if figures.total.is_good:
        shutil.rmtree(directory)
    else:
        print(f"The directories of these trials are in {directory}.")
    return 0 if figures.total.is_good else 1


def _host() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} processors, {memory} GiB, {versions}"


def _soak(directory: Path, minutes: float, seed: int, kinds: list[str]) -> Figures:
    with Session(Settings(), NullProgress()) as session:
        bench = Bench(copy_used_cache(session, (*TSMS, "mainline"), directory / "cache"), {})
    figures = Figures()
    deadline = time.monotonic() + minutes * 60
    _measure(bench, directory, figures)
    for number, kind in enumerate(_shuffled(kinds, random.Random(seed))):
        if time.monotonic() >= deadline:
            break
        trial = Trial(bench, directory / f"trial-{number:05}", f"{seed} {number}")
        try:
            _ALL[kind](trial)
        except Exception as error:  # the other trials still count; the exit status is 1
            trial.row.details.append(f"{trial.root.name} failed: {type(error).__name__}: {error}")
        _add(figures, kind, trial)
    return figures


def _measure(bench: Bench, directory: Path, figures: Figures) -> None:
    """Learn the verdicts from undisturbed runs; the catalogue must predict each."""
    for number in range(2):  # the first run may make templates
        trial = Trial(bench, directory / f"undisturbed-{number}", "")
        start = time.monotonic()
        run = trial.start()
        run.process.wait()
        bench.seconds = time.monotonic() - start
        trial.known = bench.known = {
            each.key: each.expected for each in report_verdicts(trial.report)
        }
        trial.finish(run)
        _add(figures, _UNDISTURBED, trial)


def _add(figures: Figures, kind: str, trial: Trial) -> None:
    trial.close()
    figures.add(kind, trial.row)
    row = trial.row
    print(f"{trial.root.name} {kind}: {row.verdicts} verdicts, {row.wrong} wrong, ", end="")
    print(f"{row.left} left behind, {row.lost} lost", *row.details, sep="\n", flush=True)


def _possible() -> list[str]:
    return [kind for kind in _ALL if kind not in DISKS or os.geteuid() == 0]  # root may mount


def _shuffled(kinds: list[str], order: random.Random) -> Iterator[str]:
    """Yield every kind of fault in a random order, again and again."""
    while True:
        yield from order.sample(kinds, len(kinds))


_ALL: dict[str, Callable[[Trial], None]] = {**SIGNALS, **STORAGE, **DISKS, **GUESTS}

if __name__ == "__main__":
    sys.exit(main())
