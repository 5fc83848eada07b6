# SPDX-License-Identifier: MIT
"""Shows that the emulator, with the flags chosen, does not corrupt guests.

A guest that forks, maps and unmaps under load runs through the code that unsound emulators break
(the slab allocator's fast path, page tables). One that survives with a clean kernel log is no
proof, but one that does not is: known-bad flags die here within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import HarnessError, TsmHarnessError
from harness.guest.guest import Guest
from tsmw.constants import FrameType

__all__ = ["Soundness", "stress"]

_PROCESSES = 4
_ROUNDS = 60
_SECONDS = 120.0


@dataclass(frozen=True)
class Soundness:
    """Whether the guest survived, and what was seen otherwise."""

    sound: bool
    words: str


def stress(guest: Guest, *, processes: int = _PROCESSES, rounds: int = _ROUNDS) -> Soundness:
    """Run ``processes`` children of ``rounds`` rounds each in ``guest``; it may not survive."""
    payload = processes.to_bytes(4, "little") + rounds.to_bytes(4, "little")
    what = "the end of the stress"
    try:
        done = guest.session.request(FrameType.STRESS, payload, what, seconds=_SECONDS)
        guest.log.assert_clean()
    except TsmHarnessError as error:
        return Soundness(False, str(error))
    completed = int.from_bytes(done[:8], "little")
    if completed != processes * rounds:
        raise HarnessError(f"the stress ended early: {completed} of {processes * rounds} rounds")
    return Soundness(True, f"{completed} rounds of forks and mappings, kernel log clean")
