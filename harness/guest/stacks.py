# SPDX-License-Identifier: MIT
"""Where the kernel's own threads wait: they are no actors, and a scenario may depend on them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import GuestCallError
from harness.guest.actor import Actor

__all__ = ["PROVIDER_LEAVES", "BlockedTask", "find_blocked", "wait_for_blocked"]

PROVIDER_LEAVES = "sim_unregister"
"""The provider driver's function that has the core let go of it."""


@dataclass(frozen=True)
class BlockedTask:
    """A task that sleeps uninterruptibly, and the functions it is in, innermost first."""

    pid: int
    stack: str


def find_blocked(actor: Actor, *functions: str) -> BlockedTask | None:
    """A task that sleeps uninterruptibly in all of ``functions``; None without one.

    Of the scheduler's own functions, locks among them, a stack shows nothing.
    """
    for name in actor.list("/proc"):
        if not name.isdecimal():
            continue
        try:
            # The command name may hold anything, so the state follows the last parenthesis.
            state = actor.read_file(f"/proc/{name}/stat").rpartition(b")")[2].split()[:1]
            if state != [b"D"]:
                continue
            stack = actor.read_file(f"/proc/{name}/stack").decode("ascii", "replace")
        except GuestCallError:
            continue  # it has ended meanwhile
        if all(_is_in(function, stack) for function in functions):
            return BlockedTask(int(name), stack)
    return None


def _is_in(function: str, stack: str) -> bool:
    # A compiler that takes a function apart gives the parts names like f.part.0 or f.isra.0.
    return re.search(rf" {re.escape(function)}(\.\w+)*\+", stack) is not None


def wait_for_blocked(actor: Actor, *functions: str, seconds: float = 10.0) -> BlockedTask:
    """Wait until some task sleeps in all of ``functions``, and return it.

    Raises :class:`harness.errors.DeadlineError` when none does.
    """
    words = " and ".join(functions)
    deadline = actor.guest.timeouts.deadline(seconds, f"a task of the kernel blocking in {words}")
    while True:
        task = find_blocked(actor, *functions)
        if task is not None:
            return task
        deadline.remaining()
