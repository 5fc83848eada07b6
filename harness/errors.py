# SPDX-License-Identifier: MIT
"""Every error the harness raises, and what it makes of a verdict.

The tree::

    TsmHarnessError
    ├── HarnessError            the harness or its host failed: the verdict is ERROR
    │   ├── UsageError          the request is invalid (exit status 2)
    │   ├── NotJudgedError      a patch changes nothing that a claim is about
    │   ├── HostError           the host lacks something: QEMU, a compiler, disk, the mirror
    │   ├── BuildError          a module, an image or a template could not be made
    │   ├── GuestLostError      the guest ended, hung or broke the protocol without a splat
    │   └── DeadlineError       a condition did not become true in its (scaled) time
    ├── KernelFault             the kernel under test misbehaved: the verdict is FAIL
    │   ├── KernelSplatError    the kernel log has an unexpected splat
    │   ├── KernelPanicError    the guest's kernel panicked, or its console ends with an oops
    │   ├── NoInterfaceError    the implementation does not offer its interface
    │   └── ClaimViolatedError  the demand of the claim did not hold
    └── ScenarioError           the scenario misused the harness: the verdict is ERROR

    OSError
    ├── GuestCallError          a system call in the guest failed; a scenario may expect it.
    │   │                       Unexpected, and not on the interface: the verdict is ERROR
    │   └── InterfaceCallError  the same on the interface under test: unexpected, it is a FAIL
    └── ActorDiedError          an actor's process ended inside a call: the verdict is ERROR

    LookupError
    └── MissingAttributeError   this guest lacks an attribute of the interface: SKIP

A message states the condition and what caused it; ``hint`` states the remedy.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

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
    "NoInterfaceError",
    "NotJudgedError",
    "ScenarioError",
    "Signature",
    "TsmHarnessError",
    "UsageError",
]


Signature = tuple[str, str, str, str]
"""Kind, subtype, cache and function of a splat: equal for every splat of one bug."""


class TsmHarnessError(Exception):
    """Root of the tree; ``hint`` is the remedy, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class HarnessError(TsmHarnessError):
    """The harness or its host failed; no verdict about the kernel follows from it."""


class UsageError(HarnessError):
    """The request is invalid: unknown claim, wrong path, bad option."""


class NotJudgedError(HarnessError):
    """A patch changes nothing that a claim is about, so no verdict can be reached about it."""


class HostError(HarnessError):
    """The host lacks something the run needs."""


class BuildError(HarnessError):
    """A module, image or template could not be made; the message has the tool's own output."""


class GuestLostError(HarnessError):
    """The guest ended, does not answer or broke the protocol, and its kernel printed no splat."""


class DeadlineError(HarnessError):
    """A condition did not become true in time; the message names the condition."""


class KernelFault(TsmHarnessError):  # noqa: N818 - a finding, not an error
    """The kernel under test misbehaved."""


class KernelSplatError(KernelFault):
    """The kernel log has splats with these ``signatures`` that the scenario did not expect."""

    def __init__(self, message: str, *, signatures: Sequence[Signature] = ()) -> None:
        super().__init__(message)
        self.signatures = tuple(signatures)


class KernelPanicError(KernelFault):
    """The guest's kernel panicked after the guest was ready; ``signatures`` are its last splats."""

    def __init__(self, message: str, *, signatures: Sequence[Signature] = ()) -> None:
        super().__init__(message)
        self.signatures = tuple(signatures)


class NoInterfaceError(KernelFault):
    """The implementation refuses a provider, or shows no interface for it.

    Before a scenario has started, one claim is about that, and those of other scenarios are
    skipped: :attr:`harness.claims.catalogue.Catalogue.interface_claim`.
    """


class ClaimViolatedError(KernelFault):
    """The demand of the claim did not hold; ``subject`` identifies it without its numbers.

    ``place`` is the FILE:LINE of the code under test where it went wrong, if that is known.
    """

    def __init__(self, message: str, *, subject: str = "", place: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.subject = subject
        self.place = place


class ScenarioError(TsmHarnessError):
    """The scenario misused the harness."""


class GuestCallError(OSError):
    """A system call in the guest failed; ``errno`` is the guest's, ``filename`` names the call."""


class InterfaceCallError(GuestCallError):
    """A system call on the interface under test failed."""


class MissingAttributeError(LookupError):
    """This guest lacks an ``attribute`` of the interface; a scenario that uses it is skipped."""

    def __init__(self, message: str, attribute: str) -> None:
        super().__init__(message)
        self.attribute = attribute


class ActorDiedError(ChildProcessError):
    """The actor's process ended inside a call; ``wait_status`` is that of waitpid(2)."""

    def __init__(self, message: str, wait_status: int) -> None:
        super().__init__(errno.ECHILD, message)
        self.wait_status = wait_status
