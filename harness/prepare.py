# SPDX-License-Identifier: MIT
"""Prepares what a run needs, so that its worker processes find it in the cache."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from harness.claims.catalogue import catalogue
from harness.errors import BuildError, HostError, NotJudgedError, TsmHarnessError
from harness.identity import harness_digest
from harness.implementations.spec import parse_implementation
from harness.kernels.spec import KernelTree, parse_kernel
from harness.sandbox import find_sandbox
from harness.session import Session
from harness.settings import Settings

__all__ = ["Prepared", "WorkerContext", "inputs_of", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """What the preparation found.

    ``failures`` holds why an implementation cannot run on a kernel, by ``KERNEL TSM``; ``notes``
    say how the user's sources were changed to build them, and what of their build is not confined.
    """

    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WorkerContext:
    """What a worker process gets from its parent.

    ``failures`` are those of the preparation. Each worker writes the cells that it has collected
    into a file in ``cells``: the parent can tell which were not run, even if every worker dies.
    ``left_out`` is a file with the node ids of cells that are not to be run, or does not exist.
    """

    failures: dict[str, str]
    cells: Path
    left_out: Path

    def to_argument(self) -> str:
        """Encode the context for a command line."""
        paths = {"cells": str(self.cells), "left_out": str(self.left_out)}
        return json.dumps({"failures": self.failures, **paths})

    @classmethod
    def from_argument(cls, text: str) -> WorkerContext | None:
        """Decode the context; None for the empty text of a process without such a parent."""
        if not text:
            return None
        values = json.loads(text)
        return cls(values["failures"], Path(values["cells"]), Path(values["left_out"]))

    def leave_out(self, nodes: Iterable[str]) -> None:
        """Tell workers that start from now on not to run these cells."""
        self.left_out.write_text(json.dumps(sorted(nodes)), encoding="utf-8")

    def nodes_left_out(self) -> frozenset[str]:
        """Return the node ids of the cells that are not to be run."""
        if not self.left_out.exists():
            return frozenset()
        return frozenset(json.loads(self.left_out.read_bytes()))


def inputs_of(session: Session, settings: Settings) -> dict[str, str]:
    """Return a digest of each thing that verdicts depend on, by its name."""
    inputs = {"this harness": harness_digest(catalogue().directory)}
    for kernel in settings.kernels:
        with contextlib.suppress(TsmHarnessError):
            inputs[f"kernel {kernel}"] = session.kernel(kernel).digest
    for tsm in settings.tsms:
        with contextlib.suppress(TsmHarnessError):
            inputs[f"implementation {tsm}"] = parse_implementation(tsm).digest
    return inputs


def prepare(session: Session, settings: Settings, *, needs_kernel: bool = False) -> Prepared:
    """Make the template of every kernel and implementation of the settings.

    A failure is recorded, except a :class:`UsageError` about a kernel and a
    :class:`NotJudgedError`, which are raised. With ``needs_kernel``, a :class:`HostError` is raised
    if this host can get none of the kernels: every cell would repeat it.
    """
    prepared = Prepared()
    failures: list[HostError] = []
    for kernel in settings.kernels:
        try:
            session.kernel(kernel)
        except HostError as error:
            failures.append(error)
        except BuildError:
            pass  # recorded for each implementation below, as is the other when a kernel is left
    if needs_kernel and len(failures) == len(settings.kernels):
        raise failures[0]
    pairs = list(product(settings.kernels, settings.tsms))
    with session.progress.step("preparing", total=len(pairs)) as step:
        for kernel, tsm in pairs:
            step.describe(f"preparing {tsm} on {kernel}")
            try:
                session.template(kernel, tsm)
                notes = session.build(kernel, tsm).notes
                prefix = f"{tsm} on {session.release(kernel)}"
                prepared.notes.extend(f"{prefix}: {note}" for note in notes)
            except NotJudgedError:
                raise
            except TsmHarnessError as error:
                hint = f"\nhint: {error.hint}" if error.hint else ""
                prepared.failures[f"{kernel} {tsm}"] = f"{error}{hint}"
            step.advance(1)
    if _has_foreign_code(settings) and (missing := find_sandbox().missing):
        prepared.notes.append(f"{missing} (docs/security.md)")
    for provider in settings.providers:
        session.provider(provider, 0)
    return prepared


def _has_foreign_code(settings: Settings) -> bool:
    """Whether a run builds what somebody else may have written."""
    trees = (isinstance(parse_kernel(kernel), KernelTree) for kernel in settings.kernels)
    return any(trees) or any(parse_implementation(tsm).files for tsm in settings.tsms)
