# SPDX-License-Identifier: MIT
"""Every error the harness raises, and whose fault it is.

The tree::

    TsmHarnessError
    ├── HarnessError            ours, or the host's: the verdict is ERROR
    │   ├── UsageError          the user asked for something that cannot be (exit status 2)
    │   ├── HostError           the host lacks something: QEMU, a compiler, disk, the mirror
    │   ├── BuildError          a module, an image or a template could not be made
    │   ├── GuestLostError      the guest vanished, hung or broke protocol without a kernel report
    │   └── DeadlineError       a condition did not come true in its (calibrated) time
    ├── KernelFault             the kernel under test: the verdict is FAIL
    │   ├── KernelSplatError   a report (splat) in the kernel log that nobody expected
    │   ├── KernelPanicError    the guest's kernel panicked or died with an oops on its console
    │   └── ClaimViolatedError  the claim's demand was seen not to hold
    └── ScenarioError           the scenario's author: the verdict is ERROR

    OSError
    ├── GuestCallError          a system call in the guest failed: of itself nobody's fault
    │   └── InterfaceCallError    one on the interface under test that nobody expected: FAIL
    └── ActorDiedError          an actor's process ended inside a call: the verdict is ERROR

Every message says what happened; ``hint`` says what to do next.
"""

from __future__ import annotations

import errno

__all__ = [
    "ActorDiedError",
    "BuildError",
    "ClaimViolatedError",
    "DeadlineError",
    "GuestCallError",
    "GuestLostError",
    "HarnessError",
    "HostError",
    "InterfaceCallError",
    "KernelFault",
    "KernelPanicError",
    "KernelSplatError",
    "MissingAttributeError",
    "ScenarioError",
    "TsmHarnessError",
    "UsageError",
]


class TsmHarnessError(Exception):
    """Root of the tree; ``hint`` is the next step a person should take, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class HarnessError(TsmHarnessError):
    """The harness or its host failed; no verdict about the kernel follows from it."""


class UsageError(HarnessError):
    """The request makes no sense as given: unknown claim, wrong path, bad option."""


class HostError(HarnessError):
    """The host lacks something the run needs."""


class BuildError(HarnessError):
    """A module, image or template could not be made; the message carries the tool's words."""


class GuestLostError(HarnessError):
    """The guest is gone or mute and its kernel said nothing that explains it."""


class DeadlineError(HarnessError):
    """A condition did not come true in time; the message names the condition."""


class KernelFault(TsmHarnessError):  # noqa: N818 - evidence, not an error of ours
    """The kernel under test misbehaved; this is evidence, not an accident."""


class KernelSplatError(KernelFault):
    """The kernel log holds reports that the scenario did not expect; ``kinds`` are theirs."""

    def __init__(self, message: str, *, kinds: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.kinds = kinds


class KernelPanicError(KernelFault):
    """The guest's kernel panicked after it had been ready."""


class ClaimViolatedError(KernelFault):
    """What the claim demands was observed not to hold."""


class ScenarioError(TsmHarnessError):
    """The scenario misused the harness: a fault of its author."""


class GuestCallError(OSError):
    """A system call in the guest failed; ``errno`` is the guest's, ``filename`` says which call."""


class InterfaceCallError(GuestCallError):
    """A call on the interface under test failed."""


class MissingAttributeError(LookupError):
    """The interface does not have an attribute: what is about it does not apply there."""


class ActorDiedError(ChildProcessError):
    """The actor's process ended inside the call; ``wait_status`` is as waitpid() gives it."""

    def __init__(self, message: str, wait_status: int) -> None:
        super().__init__(errno.ECHILD, message)
        self.wait_status = wait_status
