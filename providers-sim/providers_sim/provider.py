# SPDX-License-Identifier: MIT
"""What a provider is: the TEE-specific part of a TSM, with nothing of its transport."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from hashlib import shake_256
from typing import ClassVar

from providers_sim.wire.report import Evidence, ReportRequest

__all__ = ["Attr", "BinAttr", "Provider", "State", "derive", "mask"]

State = dict[str, object]
"""A provider's state: only what JSON can carry, so that a run can be stored and replayed."""


class Attr(IntEnum):
    """The kernel's ``enum tsm_attr_index`` (include/linux/tsm.h, 6.11 on)."""

    GENERATION = 0
    PROVIDER = 1
    PRIVLEVEL = 2
    PRIVLEVEL_FLOOR = 3
    SERVICE_PROVIDER = 4
    SERVICE_GUID = 5
    SERVICE_MANIFEST_VERSION = 6


class BinAttr(IntEnum):
    """The kernel's ``enum tsm_bin_attr_index`` (include/linux/tsm.h, 6.11 on)."""

    INBLOB = 0
    OUTBLOB = 1
    AUXBLOB = 2
    MANIFESTBLOB = 3


def mask(*indices: IntEnum) -> int:
    """Return the visibility mask that has the bits of these attributes."""
    return sum(1 << index for index in set(indices))


def derive(seed: int, label: str, size: int) -> bytes:
    """Return ``size`` bytes that depend on ``seed`` and ``label`` alone (SHAKE-256)."""
    return shake_256(f"{seed}:{label}".encode()).digest(size)


class Provider(ABC):
    """One simulated TEE.

    ``id`` is the project's name for it, ``kernel_name`` what the kernel's own driver registers
    and ``provider`` shows. ``attrs`` and ``bin_attrs`` are masks of visible attributes.
    Calls come from one thread at a time. The same seed, PKI, state and request give the same
    evidence, byte for byte.
    """

    id: ClassVar[str]
    kernel_name: ClassVar[str]
    attrs: ClassVar[int]
    bin_attrs: ClassVar[int]
    privlevel_floor: int = 0

    @abstractmethod
    def report(self, request: ReportRequest) -> Evidence:
        """Make the evidence for ``request``, or raise ProviderRefusal as the real TEE would."""

    @abstractmethod
    def get_state(self) -> State:
        """Return everything that ``report`` depends on besides the request and the PKI."""

    @abstractmethod
    def set_state(self, state: Mapping[str, object]) -> None:
        """Replace the state; EvidenceError when it is not one that ``get_state`` gave."""

    @abstractmethod
    def collateral(self) -> dict[str, bytes]:
        """Return what a verifier needs besides the evidence, as file names and contents."""
