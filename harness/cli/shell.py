# SPDX-License-Identifier: MIT
"""``exec`` and ``shell``: a fresh guest, its provider attached, its surface ready."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harness.cli import options
from harness.errors import HarnessError, UsageError
from harness.guest.ssh import SshSession
from harness.settings import Settings
from harness.workbench import Workbench

__all__ = ["exec_", "shell"]

_REGISTRATION_SECONDS = 20.0
_LARGEST_STATUS = 125


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
@options.one_cell("mainline")
@click.option("--push", multiple=True, metavar="LOCAL:REMOTE", help="Copy in, before.")
@click.option("--pull", multiple=True, metavar="REMOTE:LOCAL", help="Copy out, after.")
def exec_(
    settings: Settings, command: tuple[str, ...], push: tuple[str, ...], pull: tuple[str, ...]
) -> int:
    """Run COMMAND in a fresh guest; its streams and exit status are passed through.

    A status above 125 becomes 125, with the real one on standard error.
    """
    pushes = [_pair(text, "LOCAL:REMOTE") for text in push]
    pulls = [_pair(text, "REMOTE:LOCAL") for text in pull]
    for local, _ in pushes:
        if not Path(local).is_file():
            raise UsageError(f"there is no file {local} to push")
    with _session(settings) as session:
        for local, remote in pushes:
            session.push(Path(local), remote)
        stdin = None if sys.stdin is None or sys.stdin.closed else sys.stdin.fileno()
        status = session.run(command, stdin, sys.stdout.buffer, sys.stderr.buffer)
        for remote, local in pulls:
            session.pull(remote, Path(local))
    if not 0 <= status <= _LARGEST_STATUS:
        print(f"tsm-harness: the command ended with status {status}", file=sys.stderr)
        return _LARGEST_STATUS
    return status


@click.command()
@options.one_cell("mainline")
def shell(settings: Settings) -> int:
    """Open a shell in a fresh guest with the provider attached; the guest ends with it."""
    with _session(settings) as session:
        return min(max(session.interact(), 0), _LARGEST_STATUS)


@contextmanager
def _session(settings: Settings) -> Iterator[SshSession]:
    kernel, tsm = settings.kernels[0], settings.tsms[0]
    with Workbench(settings, options.progress()) as bench:
        factory = bench.factory(kernel)
        with factory.clone(bench.template(kernel, tsm)) as guest:
            loop = guest.attach(bench.provider(settings.providers[0], settings.seed))
            refused = loop.wait_registered(guest.patience.seconds(_REGISTRATION_SECONDS))
            if refused:
                raise HarnessError(f"the core refused the provider with errno {refused}")
            with SshSession(guest, factory.image.ssh_keys) as session:
                yield session


def _pair(text: str, form: str) -> tuple[str, str]:
    first, colon, second = text.rpartition(":") if form.startswith("LOCAL") else text.partition(":")
    if not colon or not first or not second:
        raise UsageError(f"{text!r} does not have the form {form}")
    return first, second
