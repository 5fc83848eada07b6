# SPDX-License-Identifier: MIT
"""A stress test that finds out whether the emulator, with its flags, corrupts guests.

Processes that fork, map and unmap run the code that unsound emulators break: the fast path of
the slab allocator, and page tables. With flags known to be bad the guest dies within seconds. A
guest that survives with a clean kernel log is no proof that the emulator is sound.
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
    """Whether the guest survived, and the evidence for it."""

    sound: bool
    evidence: str


def stress(guest: Guest, *, rounds: int = _ROUNDS) -> Soundness:
    """Run the stress in ``guest``, which may not survive; each process does ``rounds`` rounds."""
    payload = _PROCESSES.to_bytes(4, "little") + rounds.to_bytes(4, "little")
    what = "the end of the stress"
    try:
        done = guest.session.request(FrameType.STRESS, payload, what, seconds=_SECONDS)
        guest.log.assert_clean()
    except TsmHarnessError as error:
        return Soundness(False, str(error))
    completed = int.from_bytes(done[:8], "little")
    if completed != _PROCESSES * rounds:
        raise HarnessError(f"the stress ended early: {completed} of {_PROCESSES * rounds} rounds")
    return Soundness(True, f"{completed} rounds of forks and mappings, kernel log clean")
