# SPDX-License-Identifier: MIT
"""``exec`` and ``shell``: a fresh guest, its provider attached, its interface ready."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from harness.access.console import Console
from harness.access.ssh import SshSession
from harness.cli import options
from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.oracle.printable import printable
from harness.qemu.machine import Machine
from harness.session import Session
from harness.settings import Settings
from providers_sim import ProviderError, ProviderLoop

__all__ = ["exec_", "shell"]

_LARGEST_STATUS = 125
_CONSOLE_SECONDS = 120.0


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong with the guest's requests, in words, and the pace of the hardware's time."""

    faults: tuple[str, ...]
    hardware_time: float

    def befall(self, loop: ProviderLoop) -> None:
        """Queue them; raises :class:`UsageError` when the words mean nothing."""
        try:
            for text in self.faults:
                loop.faults.add_spec(text)
            loop.hardware_time = self.hardware_time
        except ProviderError as error:
            hint = f"`tsm-harness evidence {loop.provider.id} --faults` lists the provider's own"
            raise UsageError(str(error), hint=hint) from error


def _mishaps(command: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(command)
    def wrapper(faults: tuple[str, ...], hardware_time: float, **words: object) -> int:
        return command(mishaps=Mishaps(faults, hardware_time), **words)

    pace = click.option(
        "--hardware-time",
        type=float,
        default=1.0,
        show_default=True,
        help="Seconds that one second of the real hardware's delays lasts.",
    )
    fault = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="NAME[:KEY=VALUE,...]",
        help="Let the next request without one go wrong like this. Repeatable, in order.",
    )
    return fault(pace(wrapper))


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@options.settings(one_cell=True, tsms="mainline")
@click.option("--push", multiple=True, metavar="LOCAL:REMOTE", help="Copy in, before.")
@click.option("--pull", multiple=True, metavar="REMOTE:LOCAL", help="Copy out, after.")
@_mishaps
def exec_(
    settings: Settings,
    mishaps: Mishaps,
    command: tuple[str, ...],
    push: tuple[str, ...],
    pull: tuple[str, ...],
) -> int:
    """Run COMMAND in a fresh guest; its streams and exit status are passed through.

    A status above 125 becomes 125, with the real one on standard error.
    """
    pushes = [_pair(text, "LOCAL:REMOTE") for text in push]
    pulls = [_pair(text, "REMOTE:LOCAL") for text in pull]
    for local, _ in pushes:
        if not Path(local).is_file():
            raise UsageError(f"there is no file {local} to push")
    with (
        Session(settings, options.progress()) as bench,
        _guest(bench, settings, mishaps) as guest,
        _ssh(bench, settings, guest) as session,
    ):
        for local, remote in pushes:
            session.push(Path(local), remote)
        stdin = None if sys.stdin is None or sys.stdin.closed else sys.stdin.fileno()
        status = session.run(command, stdin, sys.stdout.buffer, sys.stderr.buffer)
        for remote, local in pulls:
            session.pull(remote, Path(local))
    if not 0 <= status <= _LARGEST_STATUS:
        _tell(f"the command ended with status {status}")
        return _LARGEST_STATUS
    return status


@click.command()
@options.settings(one_cell=True, tsms="mainline")
@click.option("--console", is_flag=True, help="Boot from cold, at the serial console.")
@_mishaps
def shell(settings: Settings, mishaps: Mishaps, console: bool) -> int:
    """Open a shell in a fresh guest with the provider attached; the guest ends with it.

    Ctrl-] changes to the guest's serial console, also when the guest hangs, and leaves that.
    """
    with Session(settings, options.progress()) as bench:
        if console:
            return _watch_boot(bench, settings)
        with _guest(bench, settings, mishaps) as guest:
            try:
                with _ssh(bench, settings, guest) as session:
                    status = session.interact()
            except GuestLostError as error:
                if not (guest.machine.running and sys.stdin.isatty()):
                    raise
                _tell(f"{error}")
                status = None
            return _attach(guest.machine) if status is None else min(status, _LARGEST_STATUS)


def _watch_boot(bench: Session, settings: Settings) -> int:
    machine = bench.factory(settings.kernels[0]).start_boot()
    try:
        return _attach(machine)
    finally:
        machine.kill()


def _attach(machine: Machine) -> int:
    """Stay at the console of ``machine``: until the user leaves, or through the lines of a file."""
    with Console(machine) as console:
        if sys.stdin.isatty():
            _tell("serial console: Enter for a shell, Ctrl-\\ for SysRq, Ctrl-] to leave")
            console.interact(sys.stdout.buffer)
        else:
            lines = (line.rstrip(b"\n") for line in sys.stdin.buffer)
            console.run(lines, sys.stdout.buffer, seconds=_CONSOLE_SECONDS)
    return 0


def _tell(words: str) -> None:
    print(f"tsm-harness: {printable(words)}", file=sys.stderr)


@contextmanager
def _guest(bench: Session, settings: Settings, mishaps: Mishaps) -> Iterator[Guest]:
    kernel, tsm = settings.kernels[0], settings.tsms[0]
    with bench.factory(kernel).clone(bench.template(kernel, tsm)) as guest:
        loop = guest.register(bench.provider(settings.providers[0], settings.seed))
        mishaps.befall(loop)
        yield guest


def _ssh(bench: Session, settings: Settings, guest: Guest) -> SshSession:
    return SshSession(guest, bench.image(settings.kernels[0]).ssh_keys)


def _pair(text: str, form: str) -> tuple[str, str]:
    first, colon, second = text.rpartition(":") if form.startswith("LOCAL") else text.partition(":")
    if not colon or not first or not second:
        raise UsageError(f"{text!r} does not have the form {form}")
    return first, second
