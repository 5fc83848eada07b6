# SPDX-License-Identifier: MIT
"""``doctor``: what this host can do, each line proved by doing it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.console import Console

from harness.cli import options
from harness.errors import HostError, TsmHarnessError
from harness.oracle.printable import printable
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_NO_VERDICT
from harness.vm.soundness import stress

__all__ = ["doctor"]

_FREE_GIB = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, what was seen, what to do about it."""

    name: str
    good: bool
    words: str
    hint: str = ""


@click.command()
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--rounds", type=click.IntRange(1, 100_000), default=60, help="Rounds of each stress process."
)
def doctor(settings: Settings, rounds: int) -> int:
    """Say what this host can do, and prove it with guests."""
    console, healthy = Console(highlight=False), True
    with Session(settings, options.progress()) as bench:
        for finding in _examine(bench, settings.kernels[0], rounds):
            healthy = healthy and finding.good
            mark = "[green]ok[/]  " if finding.good else "[bold red]FAIL[/]"
            console.print(f"{mark} {finding.name}: ", end="")
            console.print(printable(finding.words), markup=False, soft_wrap=True)
            if finding.hint:
                console.print(f"     {finding.hint}", markup=False, soft_wrap=True)
    return 0 if healthy else EXIT_NO_VERDICT


def _examine(bench: Session, spec: str, rounds: int) -> Iterator[Finding]:
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("emulator", lambda: _emulator(bench)),
        ("toolchain", _toolchain),
        ("disk", lambda: _disk(bench)),
        ("kernel", lambda: bench.kernel(spec).release),
        ("accelerator", lambda: _accelerator(bench, spec)),
        ("clone", lambda: _clone(bench, spec)),
        ("soundness", lambda: _soundness(bench, spec, rounds)),
    )
    for name, check in checks:
        try:
            yield Finding(name, True, check())
        except TsmHarnessError as error:
            yield Finding(name, False, str(error), error.hint)
            return


def _emulator(bench: Session) -> str:
    emulator = bench.emulator
    words = f"QEMU {emulator.version_text} at {emulator.binary}, -cpu {emulator.cpu}"
    return "; ".join([words, *(f"{issue.cpu_flag}: {issue.why}" for issue in emulator.issues)])


def _toolchain() -> str:
    tools = {tool: shutil.which(tool) for tool in ("gcc", "make", "dpkg-deb", "setpriv")}
    missing = [tool for tool, path in tools.items() if path is None]
    if missing:
        raise HostError(f"missing: {', '.join(missing)}", hint="run `make setup`")
    return ", ".join(str(path) for path in tools.values())


def _disk(bench: Session) -> str:
    free = shutil.disk_usage(bench.cache.root).free / 2**30
    if free < _FREE_GIB:
        raise HostError(
            f"{free:.1f} GiB free in {bench.cache.root}",
            hint="run `tsm-harness images prune`, or move the cache with --cache",
        )
    return f"{free:.0f} GiB free in {bench.cache.root}"


def _accelerator(bench: Session, spec: str) -> str:
    choice = bench.accelerator(spec)
    return f"{choice.accelerator}: {choice.reason}"


def _clone(bench: Session, spec: str) -> str:
    factory = bench.factory(spec)
    template = factory.template()
    with factory.clone(template) as guest:
        answer = guest.actors[0].read_file("/proc/sys/kernel/osrelease").decode().strip()
    return f"a clone of the template answers: {answer}"


def _soundness(bench: Session, spec: str, rounds: int) -> str:
    factory = bench.factory(spec)
    with factory.clone(factory.template()) as guest:
        outcome = stress(guest, rounds=rounds)
    if not outcome.sound:
        raise HostError(
            f"this emulator corrupts guests: {outcome.evidence}",
            hint="no verdict from it can be trusted; try another QEMU with --qemu",
        )
    return f"{outcome.evidence}; flags {factory.emulator.cpu}"
