# SPDX-License-Identifier: MIT
"""Where the kernel's threads wait, found in ``/proc``: for scenarios that order such a thread."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import GuestCallError
from harness.guest.actor import Actor

__all__ = ["PROVIDER_LEAVES", "BlockedTask", "find_blocked", "wait_for_blocked"]

PROVIDER_LEAVES = "tsm_sim_unregister"
"""The function of the provider driver that unregisters it from the implementation."""


@dataclass(frozen=True)
class BlockedTask:
    """A task in uninterruptible sleep, and its kernel stack, innermost function first."""

    pid: int
    stack: str


def find_blocked(actor: Actor, *functions: str) -> BlockedTask | None:
    """A task in uninterruptible sleep in all of ``functions``, or None.

    /proc/PID/stack omits scheduler and lock functions.
    """
    for name in actor.list("/proc", in_timeline=False):
        if not name.isdecimal():
            continue
        try:
            stat = actor.read_file(f"/proc/{name}/stat", in_timeline=False)
            # The command name, which may contain anything, ends at the last parenthesis; the
            # state follows it.
            if stat.rpartition(b")")[2].split()[:1] != [b"D"]:
                continue
            stack = actor.read_file(f"/proc/{name}/stack", in_timeline=False)
        except GuestCallError:
            continue  # the task has ended since
        text = stack.decode("ascii", "replace")
        if all(_is_in(function, text) for function in functions):
            return BlockedTask(int(name), text)
    return None


def _is_in(function: str, stack: str) -> bool:
    # A compiler that splits a function names the parts f.part.0, f.isra.0 and so on.
    return re.search(rf" {re.escape(function)}(\.\w+)*\+", stack) is not None


def wait_for_blocked(actor: Actor, *functions: str, seconds: float = 10.0) -> BlockedTask:
    """Wait until a task sleeps uninterruptibly in all of ``functions``, and return it."""
    condition = f"a task of the kernel blocking in {' and '.join(functions)}"
    deadline = actor.session.timeouts.deadline(seconds, condition)
    while True:
        task = find_blocked(actor, *functions)
        if task is not None:
            return task
        deadline.remaining()
