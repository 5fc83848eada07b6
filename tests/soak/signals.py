# SPDX-License-Identifier: MIT
"""Kills and stops: of the run, its workers, its QEMUs and its reapers, at random moments."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable

import psutil

from tests.processes import Run
from tests.soak.leftovers import processes_of
from tests.soak.trial import Trial

__all__ = ["SIGNALS"]

_STOPPED_SECONDS = 4.0


def _workers(_: Trial, run: Run) -> list[psutil.Process]:
    return run.workers()


def _guests(trial: Trial, _: Run) -> list[psutil.Process]:
    return [each for each in processes_of(trial.root) if each.name().startswith("qemu")]


def _reapers(trial: Trial, _: Run) -> list[psutil.Process]:
    return [each for each in processes_of(trial.root) if "TSM_HARNESS_RUN" in each.environ()]


_Find = Callable[[Trial, Run], list[psutil.Process]]


def _victim(trial: Trial, run: Run, find: _Find) -> psutil.Process | None:
    """Wait for a random moment, and then for a process to signal; None if the run ends first."""
    trial.wait_for_a_moment(run)
    while run.process.poll() is None:
        with contextlib.suppress(psutil.Error):
            if found := find(trial, run):
                return trial.random.choice(found)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(0.05)
    return None


def _end_run(number: signal.Signals) -> Callable[[Trial], None]:
    """Signal the run, as ``kill`` or a terminal does, and go on with it."""

    def act(trial: Trial) -> None:
        run = trial.start()
        trial.wait_for_a_moment(run)
        if number in (signal.SIGKILL, signal.SIGTERM):
            run.process.send_signal(number)
        else:  # a terminal signals the whole foreground process group
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.process.pid, number)
        trial.finish(run, reported=False)
        trial.settle()
        trial.resume()

    return act


def _stop_run(trial: Trial) -> None:
    run = trial.start()
    trial.wait_for_a_moment(run)
    run.process.send_signal(signal.SIGSTOP)
    trial.pause(run, _STOPPED_SECONDS)
    run.process.send_signal(signal.SIGCONT)
    trial.finish(run)


def _kill_stopped_run(trial: Trial) -> None:
    run = trial.start()
    trial.wait_for_a_moment(run)
    run.process.send_signal(signal.SIGSTOP)
    trial.pause(run, _STOPPED_SECONDS)
    run.process.kill()
    trial.finish(run, reported=False)
    trial.settle()
    trial.resume()


def _signal_part(find: _Find, number: signal.Signals) -> Callable[[Trial], None]:
    """Signal a process of the run, which must then end by itself; SIGSTOP lasts for seconds."""

    def act(trial: Trial) -> None:
        run = trial.start()
        with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
            if victim := _victim(trial, run, find):
                victim.send_signal(number)
                if number is signal.SIGSTOP:
                    trial.pause(run, _STOPPED_SECONDS)
                    victim.send_signal(signal.SIGCONT)
        trial.finish(run)

    return act


def _kill_run_with_stopped_reaper(trial: Trial) -> None:
    run = trial.start()
    reaper = _victim(trial, run, _reapers)
    with contextlib.suppress(psutil.Error):
        if reaper is not None:
            reaper.suspend()
        run.process.kill()
        trial.finish(run, reported=False)
        if reaper is not None:
            reaper.resume()
    trial.settle()
    trial.resume()


_TERM, _KILL, _STOP, _HUP = signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP

SIGNALS: dict[str, Callable[[Trial], None]] = {
    "run: SIGKILL, --resume": _end_run(_KILL),
    "run: SIGTERM, --resume": _end_run(_TERM),
    "run: SIGHUP, --resume": _end_run(_HUP),
    "run: SIGINT, --resume": _end_run(signal.SIGINT),
    "run: SIGSTOP, SIGCONT": _stop_run,
    "run: SIGSTOP, SIGKILL, --resume": _kill_stopped_run,
    "worker: SIGKILL": _signal_part(_workers, _KILL),
    "worker: SIGTERM": _signal_part(_workers, _TERM),
    "worker: SIGSTOP, SIGCONT": _signal_part(_workers, _STOP),
    "QEMU: SIGKILL": _signal_part(_guests, _KILL),
    "QEMU: SIGTERM": _signal_part(_guests, _TERM),
    "QEMU: SIGSTOP, SIGCONT": _signal_part(_guests, _STOP),
    "reaper: SIGKILL": _signal_part(_reapers, _KILL),
    "reaper: SIGHUP": _signal_part(_reapers, _HUP),
    "reaper: SIGSTOP, SIGCONT": _signal_part(_reapers, _STOP),
    "reaper: SIGSTOP, run: SIGKILL, --resume": _kill_run_with_stopped_reaper,
}
