# SPDX-License-Identifier: MIT
"""``exec`` and ``shell``: a fresh guest with a registered provider, for a command or a user."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness.access.command import GuestCommand
from harness.access.console import Console
from harness.access.files import bytes_of
from harness.access.ssh import SshSession
from harness.access.terminal import caught_signals
from harness.cli import options
from harness.cli.messages import print_note
from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.progress import Step, stderr_progress
from harness.qemu.machine import Machine
from harness.session import Session
from harness.settings import Settings
from providers_sim import ProviderError, ProviderLoop

__all__ = ["exec_", "shell"]

_MAX_STATUS = 125
_CONSOLE_SECONDS = 120.0
_FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


@dataclass(frozen=True)
class Behaviour:
    """How the provider answers: faults for the next requests, and the factor for its delays."""

    faults: tuple[str, ...]
    hardware_time: float

    def apply_to(self, loop: ProviderLoop) -> None:
        """Configure a provider; raises :class:`UsageError` for a fault it does not have."""
        try:
            for fault in self.faults:
                loop.faults.add_spec(fault)
            loop.hardware_time = self.hardware_time
        except ProviderError as error:
            raise UsageError(
                str(error), hint=f"`tsm-harness evidence {loop.provider.id} --faults` lists faults"
            ) from error


def _takes_behaviour(command: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(command)
    def wrapper(faults: tuple[str, ...], hardware_time: float, **arguments: Any) -> int:  # noqa: ANN401
        return command(behaviour=Behaviour(faults, hardware_time), **arguments)

    time_option = click.option(
        "--hardware-time",
        type=float,
        default=1.0,
        show_default=True,
        help="Factor for the delays of real hardware; 0: none.",
    )
    fault_option = click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="NAME[:KEY=VALUE,...]",
        help="Inject a fault into the next request. Repeatable: one for each request, in order.",
    )
    return fault_option(time_option(wrapper))


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--push",
    multiple=True,
    metavar="LOCAL:REMOTE",
    help="Copy a file or directory into the guest first. Repeatable.",
)
@click.option(
    "--pull",
    multiple=True,
    metavar="REMOTE:LOCAL",
    help="Copy a file or directory out of the guest afterwards. Repeatable.",
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an environment variable in the guest, to this process's value without one. "
    "Repeatable.",
)
@click.option("--workdir", default="", metavar="PATH", help="The directory of the command.")
@_takes_behaviour
def exec_(
    settings: Settings,
    behaviour: Behaviour,
    command: tuple[str, ...],
    push: tuple[str, ...],
    pull: tuple[str, ...],
    variables: tuple[str, ...],
    workdir: str,
) -> int:
    """Run COMMAND in a fresh guest, with this command's standard streams and exit status.

    Where all three streams are terminals the command gets one, too; Ctrl-] leaves it. Otherwise
    the command gets the signals HUP, INT, QUIT, TERM, USR1 and USR2 of this process; a second
    one ends the guest. A status above 125, or a signal, becomes 125; standard error then tells
    which it was.
    """
    pushes = [_split(text, "LOCAL:REMOTE") for text in push]
    pulls = [_split(text, "REMOTE:LOCAL") for text in pull]
    for local, _ in pushes:
        if not Path(local).exists():
            raise UsageError(f"--push {local}: no such file", hint="give the path of a file")
    wanted = GuestCommand(command, dict(map(_variable, variables)), workdir)
    wanted.script()  # a bad name is an error before a guest is started
    with (
        Session(settings, stderr_progress()) as session,
        _guest(session, settings, behaviour) as guest,
        _ssh(session, settings, guest) as ssh,
    ):
        for local, remote in pushes:
            with session.progress.step(f"pushing {local}", total=bytes_of(Path(local))) as step:
                ssh.push(Path(local), remote, step.advance)
        status = _run(ssh, wanted)
        for remote, local in pulls:
            with session.progress.step(f"pulling {remote}") as step:
                ssh.pull(remote, Path(local), advance=_Counter(step, f"pulling {remote}").add)
    if not 0 <= status <= _MAX_STATUS:
        print_note(f"the command ended with status {status}")
        return _MAX_STATUS
    return status


class _Counter:
    """Shows how many MiB were copied of what has no known size."""

    def __init__(self, step: Step, text: str) -> None:
        self._step, self._text, self._bytes = step, text, 0

    def add(self, amount: int) -> None:
        """Count ``amount`` bytes."""
        before, self._bytes = self._bytes >> 20, self._bytes + amount
        if self._bytes >> 20 > before:
            self._step.describe(f"{self._text}: {self._bytes >> 20} MiB")


def _run(ssh: SshSession, command: GuestCommand) -> int:
    """Run the command; its exit status, or -1 when Ctrl-] was pressed."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if all(stream is not None and not stream.closed and stream.isatty() for stream in streams):
        status = ssh.run_on_terminal(command)
        return -1 if status is None else status
    stdin = None if sys.stdin is None or sys.stdin.closed else sys.stdin.fileno()
    with caught_signals(*_FORWARDED, once=True) as signals:
        return ssh.run(command, stdin, sys.stdout.buffer, sys.stderr.buffer, signals=signals)


def _variable(text: str) -> tuple[str, str]:
    """Return the name and the value of ``--env NAME[=VALUE]``."""
    name, equals, value = text.partition("=")
    if not equals and name not in os.environ:
        raise UsageError(f"--env {name}: this process has no such variable", hint=f"{name}=VALUE")
    return name, value if equals else os.environ[name]


@click.command()
@options.settings(one_cell=True, tsms="mainline")
@click.option("--console", is_flag=True, help="Boot the guest, and attach to its serial console.")
@_takes_behaviour
def shell(settings: Settings, behaviour: Behaviour, console: bool) -> int:
    """Open a shell in a fresh guest with a registered provider; the guest ends with the shell.

    Ctrl-] switches to the serial console of the guest, which works even if the guest hangs.
    Ctrl-] at the console leaves.
    """
    if console:
        for name in ("tsms", "providers", "seed", "faults", "hardware_time"):
            options.refuse(name, "--console boots a guest without a provider")
    with Session(settings, stderr_progress()) as session:
        if console:
            return _watch_boot(session, settings)
        with _guest(session, settings, behaviour) as guest:
            try:
                with _ssh(session, settings, guest) as ssh:
                    status = ssh.interact()
            except GuestLostError as error:
                if not (guest.machine.running and sys.stdin.isatty()):
                    raise
                print_note(str(error))
                status = None
            return _attach(guest.machine) if status is None else min(status, _MAX_STATUS)


def _watch_boot(session: Session, settings: Settings) -> int:
    machine = session.factory(settings.kernels[0]).start_boot()
    try:
        return _attach(machine)
    finally:
        machine.kill()


def _attach(machine: Machine) -> int:
    """Connect the terminal to the serial console, or run the lines of standard input there."""
    with Console(machine) as console:
        if sys.stdin.isatty():
            click.echo(err=True)  # the cursor may be behind the guest's prompt, also at the end
            print_note("serial console. Enter: shell, Ctrl-\\: SysRq, Ctrl-]: leave")
            console.interact(sys.stdout.buffer)
            click.echo(err=True)
        else:
            lines = (line.rstrip(b"\n") for line in sys.stdin.buffer)
            console.run(lines, sys.stdout.buffer, seconds=_CONSOLE_SECONDS)
    return 0


@contextmanager
def _guest(session: Session, settings: Settings, behaviour: Behaviour) -> Iterator[Guest]:
    kernel, tsm = settings.kernels[0], settings.tsms[0]
    with session.factory(kernel).clone(session.template(kernel, tsm)) as guest:
        loop = guest.register(session.provider(settings.providers[0], settings.seed))
        behaviour.apply_to(loop)
        try:
            yield guest
        finally:
            for sentence in loop.ineffective_faults():
                print_note(sentence)


def _ssh(session: Session, settings: Settings, guest: Guest) -> SshSession:
    return SshSession(guest, session.image(settings.kernels[0]).ssh_keys)


def _split(text: str, form: str) -> tuple[str, str]:
    """Split at the colon; a path on this host may contain others."""
    first, colon, second = text.rpartition(":") if form.startswith("LOCAL") else text.partition(":")
    if not colon or not first or not second:
        option = "--push" if form.startswith("LOCAL") else "--pull"
        raise UsageError(f"{option} {text} has no colon between two paths", hint=f"write {form}")
    return first, second
