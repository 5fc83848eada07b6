# SPDX-License-Identifier: MIT
"""``doctor``: checks what this host can do by doing it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from harness.cli import options
from harness.errors import HostError, TsmHarnessError
from harness.progress import stderr_progress
from harness.qemu.privileges import read_privileges
from harness.report.text import print_text
from harness.sandbox import confine, confined_environment, find_sandbox
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_NO_VERDICT
from harness.vm.soundness import stress

__all__ = ["doctor"]

_FREE_GIB = 2.0
_LOOK = "id -u; echo /*; sed -n 's/^ *\\([^:]*\\):.*/\\1/p' /proc/net/dev | xargs echo"
"""Prints the user, the entries of the root directory, and the network interfaces."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: what was found, and what to do when it failed."""

    check: str
    good: bool
    found: str
    hint: str = ""


@click.command()
@options.settings(one_cell=True, without=("tsms", "providers", "seed"))
@click.option(
    "--rounds",
    type=click.IntRange(1, 100_000),
    default=60,
    show_default=True,
    help="Rounds of each process of the stress test.",
)
def doctor(settings: Settings, rounds: int) -> int:
    """Check what this host can do, by doing it.

    It checks the emulator, the toolchain, the sandbox of builds, the disk, the kernel, the
    accelerator, a clone, and with a stress test that the emulator does not corrupt guests. The
    first failure ends it.
    """
    console, healthy = Console(highlight=False), True
    with Session(settings, stderr_progress()) as session:
        for finding in _examine(session, settings.kernels[0], rounds):
            healthy = healthy and finding.good
            mark, style = ("ok", "green") if finding.good else ("FAIL", "bold red")
            console.print(Text(f"{mark:5}", style=style), end="")
            print_text(console, f"{finding.check}: {finding.found}", column=5)
            if finding.hint:
                print_text(console, f"     {finding.hint}")
    return 0 if healthy else EXIT_NO_VERDICT


def _examine(session: Session, kernel: str, rounds: int) -> Iterator[Finding]:
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("emulator", lambda: _emulator(session)),
        ("toolchain", _toolchain),
        ("sandbox", _sandbox),
        ("disk", lambda: _disk(session)),
        ("kernel", lambda: session.kernel(kernel).release),
        ("accelerator", lambda: _accelerator(session, kernel)),
        ("clone", lambda: _clone(session, kernel)),
        ("privileges", lambda: _privileges(session, kernel)),
        ("soundness", lambda: _soundness(session, kernel, rounds)),
    )
    for name, check in checks:
        try:
            yield Finding(name, True, check())
        except TsmHarnessError as error:
            yield Finding(name, False, str(error), error.hint)
            return


def _emulator(session: Session) -> str:
    emulator = session.emulator
    found = f"QEMU {emulator.version_text} at {emulator.binary}, -cpu {emulator.cpu}"
    return "; ".join([found, *(f"{issue.cpu_flag}: {issue.why}" for issue in emulator.issues)])


def _toolchain() -> str:
    tools = {tool: shutil.which(tool) for tool in ("gcc", "make", "dpkg-deb", "setpriv")}
    missing = [tool for tool, path in tools.items() if path is None]
    if missing:
        raise HostError(f"not installed: {', '.join(missing)}", hint="run `make setup`")
    return ", ".join(str(path) for path in tools.values())


def _sandbox() -> str:
    """Look around from inside a confined command."""
    sandbox = find_sandbox()
    if not sandbox.confines:
        return f"none: {sandbox.missing}"
    done = subprocess.run(
        confine(["sh", "-c", _LOOK], directory=Path("/tmp")),
        env=confined_environment(Path("/tmp")),
        capture_output=True,
        text=True,
        check=False,
    )
    user, root, network = [*done.stdout.splitlines(), "", "", ""][:3]
    if done.returncode or not user or {"/root", "/home"} & set(root.split()):
        raise HostError(f"a confined command sees too much, or fails: {root} {done.stderr[-300:]}")
    found = f"builds run as user {user}, see only {root} and their own files"
    network = "no network" if network == "lo" else f"the network {network}"
    return "; ".join(filter(None, [f"{found}, and have {network}", sandbox.missing]))


def _disk(session: Session) -> str:
    free = shutil.disk_usage(session.cache.root).free / 2**30
    if free < _FREE_GIB:
        raise HostError(
            f"only {free:.1f} GiB are free in {session.cache.root}",
            hint="run `tsm-harness images prune`, or move the cache with --cache",
        )
    return f"{free:.0f} GiB are free in {session.cache.root}"


def _accelerator(session: Session, kernel: str) -> str:
    choice = session.accelerator(kernel)
    return f"{choice.accelerator}: {choice.reason}"


def _clone(session: Session, kernel: str) -> str:
    factory = session.factory(kernel)
    with factory.clone(factory.template()) as guest:
        release = guest.actors[0].read_file("/proc/sys/kernel/osrelease").decode().strip()
    return f"a clone of the template runs {release}"


def _privileges(session: Session, kernel: str) -> str:
    """Read from /proc what the emulator of a running guest could do."""
    factory = session.factory(kernel)
    with factory.clone(factory.template()) as guest:
        held = read_privileges(guest.machine.pid)
    if held.excess:
        raise HostError(
            f"a guest that breaks out of QEMU would have {', '.join(held.excess)}",
            hint="as root, run where a process may become nobody; else install bubblewrap",
        )
    return str(held)


def _soundness(session: Session, kernel: str, rounds: int) -> str:
    factory = session.factory(kernel)
    with factory.clone(factory.template()) as guest:
        outcome = stress(guest, rounds=rounds)
    if not outcome.sound:
        raise HostError(
            f"this emulator corrupts guests: {outcome.evidence}",
            hint="trust none of its verdicts; use another QEMU with --qemu",
        )
    return f"{outcome.evidence}; -cpu {factory.emulator.cpu}"
