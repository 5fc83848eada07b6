# SPDX-License-Identifier: MIT
"""Where the kernel's threads wait, found in ``/proc``: for scenarios that order such a thread."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import GuestCallError
from harness.guest.actor import Actor

__all__ = [
    "PROVIDER_LEAVES",
    "REPORT_REQUESTED",
    "BlockedTask",
    "all_blocked",
    "find_blocked",
    "wait_for_blocked",
]

PROVIDER_LEAVES = "tsm_sim_unregister"
"""The function of the provider driver that unregisters it from the implementation."""

REPORT_REQUESTED = "tsm_sim_request"
"""The function of the provider driver in which a task waits for a report from the host."""


@dataclass(frozen=True)
class BlockedTask:
    """A task that sleeps in the kernel, and its kernel stack, innermost function first."""

    pid: int
    stack: str


def find_blocked(actor: Actor, *functions: str) -> BlockedTask | None:
    """A task that sleeps in all of ``functions``, or None."""
    return next(iter(all_blocked(actor, *functions)), None)


def all_blocked(actor: Actor, *functions: str) -> list[BlockedTask]:
    """Every task that sleeps in all of ``functions``, whatever kind of sleep it is.

    /proc/PID/stack omits scheduler and lock functions.
    """
    found = []
    for name in actor.list("/proc", in_timeline=False):
        if not name.isdecimal():
            continue
        try:
            stack = actor.read_file(f"/proc/{name}/stack", in_timeline=False)
            text = stack.decode("ascii", "replace")
            if not all(_is_in(function, text) for function in functions):
                continue
            stat = actor.read_file(f"/proc/{name}/stat", in_timeline=False)
        except GuestCallError:
            continue  # the task has ended since
        # The command name, which may contain anything, ends at the last parenthesis; the state
        # follows it. A worker that waits in wait_event_idle() has the state I.
        if stat.rpartition(b")")[2].split()[:1] in ([b"D"], [b"S"], [b"I"]):
            found.append(BlockedTask(int(name), text))
    return found


def _is_in(function: str, stack: str) -> bool:
    # A compiler that splits a function names the parts f.part.0, f.isra.0 and so on.
    return re.search(rf" {re.escape(function)}(\.\w+)*\+", stack) is not None


def wait_for_blocked(actor: Actor, *functions: str, seconds: float = 10.0) -> BlockedTask:
    """Wait until a task sleeps in all of ``functions``, and return it."""
    condition = f"a task of the kernel blocking in {' and '.join(functions)}"
    deadline = actor.session.timeouts.deadline(seconds, condition)
    while True:
        task = find_blocked(actor, *functions)
        if task is not None:
            return task
        deadline.remaining()
