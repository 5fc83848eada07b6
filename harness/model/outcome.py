# SPDX-License-Identifier: MIT
"""What was observed of one step: the results of its system calls, and the requests it caused."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from harness.model.steps import Behaviour

__all__ = ["Blobs", "CallResult", "Outcome", "SeenRequest", "errno_name"]

_SHOWN_BYTES = 16


@dataclass(frozen=True)
class Blobs:
    """The evidence of one issued report; ``serial`` counts the reports of a guest."""

    serial: int
    outblob: bytes
    auxblob: bytes
    manifestblob: bytes

    def __hash__(self) -> int:
        return self.serial

    def of(self, attribute: str) -> bytes:
        """The blob that is read from ``attribute``."""
        blob: bytes = getattr(self, attribute)
        return blob


@dataclass(frozen=True)
class CallResult:
    """One system call: ``ret`` (-1 on error), ``err`` (0 on success), the bytes that it read."""

    name: str
    ret: int
    err: int
    data: bytes = b""

    @property
    def text(self) -> str:
        """The result in words."""
        if self.err:
            return f"{self.name}: {errno_name(self.err)}"
        if not self.data:
            return f"{self.name}: {self.ret}"
        more = "…" if len(self.data) > _SHOWN_BYTES else ""
        return f"{self.name}: {len(self.data)} bytes {self.data[:_SHOWN_BYTES]!r}{more}"


@dataclass(frozen=True)
class SeenRequest:
    """A request that reached the provider, with how it was answered.

    ``array`` is the whole array of the nonce. The options of services are None where the version
    of the interface has none. ``blobs`` are what was issued, None when the request was refused.
    """

    nonce: bytes
    array: bytes | None
    privlevel: int
    format: int
    service_provider: bytes | None
    service_guid: bytes | None
    manifest_version: int
    behaviour: Behaviour
    blobs: Blobs | None

    @property
    def text(self) -> str:
        """The request in words."""
        options = f"nonce {self.nonce[:8].hex()} ({len(self.nonce)} bytes), level {self.privlevel}"
        if any((self.array or b"")[len(self.nonce) :]):
            options += ", more than zeroes behind the nonce"
        if self.format:
            options += f", format {self.format}"
        if self.service_provider or self.manifest_version or any(self.service_guid or b""):
            guid = (self.service_guid or b"").hex()
            options += f", service {self.service_provider!r} {guid} {self.manifest_version}"
        answer = self.behaviour.text or "a report"
        return f"request ({options}): {answer}"


@dataclass(frozen=True)
class Outcome:
    """The calls of a step in order, and the requests that they caused.

    ``stuck`` names the calls that did not return in time, ``splats`` the reports of a detector of
    the kernel that came during the step, ``died`` an actor that the kernel ended, ``kept`` what
    was left of the implementation.
    """

    calls: tuple[CallResult, ...] = ()
    requests: tuple[SeenRequest, ...] = ()
    stuck: tuple[str, ...] = ()
    splats: tuple[str, ...] = ()
    died: bool = False
    kept: tuple[str, ...] = ()

    @property
    def error(self) -> int:
        """The errno of the first call that failed; 0 if none did."""
        return next((call.err for call in self.calls if call.err), 0)

    @property
    def text(self) -> str:
        """The outcome in words."""
        parts = [f"splat: {splat}" for splat in self.splats]
        parts += [f"does not return: {call}" for call in self.stuck]
        parts += ["the kernel ended the caller"] if self.died else []
        parts += [f"left: {each}" for each in self.kept]
        parts += [call.text for call in self.calls if call.err or call.name not in _QUIET]
        parts += [request.text for request in self.requests]
        return "; ".join(parts) or "succeeds"


_QUIET = frozenset(("open", "close"))


def errno_name(number: int) -> str:
    """The symbol of an errno, or its number when the C library has none."""
    return errno.errorcode.get(number, f"errno {number}")
