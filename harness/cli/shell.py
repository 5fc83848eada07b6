# SPDX-License-Identifier: MIT
"""``exec`` and ``shell``: a fresh guest, its provider attached, its surface ready."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.errors import HarnessError, UsageError
from harness.guest.ssh import SshSession
from harness.plugin.options import DEFAULT_KERNEL, DEFAULT_PROVIDER, Settings
from harness.workbench import Workbench

__all__ = ["exec_", "shell"]

_REGISTRATION_SECONDS = 20.0
_LARGEST_STATUS = 125


def exec_(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    push: Annotated[
        list[str] | None, typer.Option("--push", metavar="LOCAL:REMOTE", help="copy in, before")
    ] = None,
    pull: Annotated[
        list[str] | None, typer.Option("--pull", metavar="REMOTE:LOCAL", help="copy out, after")
    ] = None,
    kernel: options.OneKernel = DEFAULT_KERNEL,
    tsm: options.OneTsm = "mainline",
    provider: options.OneProvider = DEFAULT_PROVIDER,
    seed: options.Seed = 0,
    cache: options.CacheDir = None,
    kernel_build: options.Build = None,
    qemu: options.Qemu = None,
    smp: options.Smp = 1,
    memory: options.Memory = 256,
) -> int:
    """Run COMMAND in a fresh guest; its streams and exit status are passed through.

    A status above 125 becomes 125, with the real one on standard error.
    """
    settings = _settings(kernel, tsm, provider, seed, cache, kernel_build, qemu, smp, memory)
    pushes = [_pair(text, "LOCAL:REMOTE") for text in push or ()]
    pulls = [_pair(text, "REMOTE:LOCAL") for text in pull or ()]
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
    if status > _LARGEST_STATUS or status < 0:
        print(f"tsm-harness: the command ended with status {status}", file=sys.stderr)
        return _LARGEST_STATUS
    return status


def shell(
    kernel: options.OneKernel = DEFAULT_KERNEL,
    tsm: options.OneTsm = "mainline",
    provider: options.OneProvider = DEFAULT_PROVIDER,
    seed: options.Seed = 0,
    cache: options.CacheDir = None,
    kernel_build: options.Build = None,
    qemu: options.Qemu = None,
    smp: options.Smp = 1,
    memory: options.Memory = 256,
) -> int:
    """A shell in a fresh guest with the provider attached; the guest ends with it."""
    settings = _settings(kernel, tsm, provider, seed, cache, kernel_build, qemu, smp, memory)
    with _session(settings) as session:
        return min(session.interact(), _LARGEST_STATUS)


def _settings(
    kernel: str,
    tsm: str,
    provider: str,
    seed: int,
    cache: Path | None,
    build: Path | None,
    qemu: str | None,
    smp: int,
    memory: int,
) -> Settings:
    return Settings(
        kernels=(kernel,),
        tsms=(tsm,),
        providers=(provider,),
        seed=seed,
        cache=cache,
        build=build,
        qemu=qemu,
        smp=smp,
        memory_mib=memory,
    ).check()


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
