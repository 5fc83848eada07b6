# SPDX-License-Identifier: MIT
"""What a provider is: the TEE-specific part of a TSM, with nothing of its transport."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from providers_sim.errors import EvidenceError, ProviderError, ProviderRefusal
from providers_sim.failures import Answer, FailureTable
from providers_sim.options import Options
from providers_sim.pki_store import PkiStore
from tsmw.report import Evidence, ReportRequest

__all__ = ["AnyProvider", "Attr", "BinAttr", "Provider", "State", "mask"]

State = dict[str, object]
"""A provider's state: only what JSON can carry, so that a run can be stored and replayed."""

O = TypeVar("O", bound=Options)  # noqa: E741 - the usual name of a type variable


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


class Provider(ABC, Generic[O]):
    """One simulated TEE, seen through the kernel's driver for it.

    ``id`` is the project's name for it, ``kernel_name`` what the kernel's own driver registers
    and ``provider`` shows. ``attrs`` and ``bin_attrs`` are masks of visible attributes,
    ``failures`` what can go wrong on its host. Everything about one guest follows from ``seed``
    and ``options``, and from the live state that requests and extended measurements change.
    Calls come from one thread at a time. The same state and requests give the same evidence,
    byte for byte.
    """

    id: ClassVar[str]
    kernel_name: ClassVar[str]
    options_type: type[O]
    failures: ClassVar[FailureTable] = FailureTable()
    attrs: int
    bin_attrs: int
    privlevel_floor: int = 0

    def __init__(
        self, options: O | None = None, *, seed: int = 0, pki_dir: Path | None = None
    ) -> None:
        self.seed = seed
        self.options: O = self.options_type() if options is None else options
        self.pki = PkiStore(pki_dir)
        self.prepare()
        self.reset()

    @classmethod
    def visible(cls, options: Options) -> tuple[int, int]:
        """Return ``attrs`` and ``bin_attrs`` of a provider with these options."""
        return cls.attrs, cls.bin_attrs

    @property
    def name(self) -> str:
        """The name the driver in the guest registers with."""
        return self.options.name or self.kernel_name

    @abstractmethod
    def prepare(self) -> None:
        """Derive keys, certificates and constants from ``seed`` and ``options``."""

    @abstractmethod
    def report(self, request: ReportRequest) -> Evidence:
        """Make the evidence for ``request``, or raise ProviderRefusal as the real TEE would."""

    @abstractmethod
    def collateral(self) -> dict[str, bytes]:
        """Return what a verifier needs besides the evidence, as file names and contents."""

    def reset(self) -> None:
        """Put the live state where a freshly started guest has it."""

    def live_state(self) -> State:
        """Return what requests and measurements change."""
        return {}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace the live state by what ``live_state`` gave; KeyError, TypeError or ValueError."""

    def admit(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal when an earlier failure keeps the driver from even asking."""

    def abandon(self) -> None:
        """Note that the driver stopped waiting for a request that the host still works on."""

    def complete(self) -> None:
        """Note that the host is done with what was abandoned."""

    def registers(self) -> tuple[bytes, ...]:
        """Return the runtime measurement registers in their order."""
        return ()

    def extend(self, register: int, data: bytes) -> None:
        """Extend a runtime measurement register; ProviderError when there is no such one."""
        raise ProviderError(f"{self.id} has no runtime measurement register {register}")

    def answer(
        self,
        request: ReportRequest,
        failure: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Say how ``request`` ends, with the named failure if there is one."""
        try:
            if failure:
                return self.failures.find(failure).act(self, request, **(params or {}))
            return Answer(evidence=self.report(request))
        except ProviderRefusal as refusal:
            return Answer(refusal=refusal)

    def reconfigure(self, **changes: object) -> None:
        """Change options between reports, as a host does; ProviderError when they mean nothing."""
        try:
            self.options = replace(self.options, **changes)  # type: ignore[arg-type] # checked there
        except TypeError as error:
            raise ProviderError(f"{self.id}: {error}") from None
        self.prepare()

    def get_state(self) -> State:
        """Return everything that evidence depends on besides the request, keys included."""
        return {
            "provider": self.id,
            "seed": self.seed,
            "options": self.options.to_state(),
            "live": self.live_state(),
            "pki": self.pki.get_state(),
        }

    def set_state(self, state: Mapping[str, object]) -> None:
        """Become the guest that ``state`` describes; EvidenceError when it is none of this kind."""
        try:
            match dict(state):
                case {
                    "provider": self.id,
                    "seed": int(seed),
                    "options": dict(options),
                    "live": dict(live),
                    "pki": dict(pki),
                    **rest,
                } if not rest:
                    self._become(seed, self.options_type.from_state(options), live, pki)
                case _:
                    raise ValueError("members are missing or unknown")
        except (ProviderError, KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"this is no state of {self.id}: {error}") from error

    def clone(self) -> Self:
        """Return another provider in the same state."""
        twin = type(self)(self.options, seed=self.seed, pki_dir=self.pki.directory)
        twin.set_state(self.get_state())
        return twin

    def _become(self, seed: int, options: O, live: Mapping[str, Any], pki: State) -> None:
        before = self.seed, self.options, self.live_state(), self.pki
        try:
            self.seed, self.options, self.pki = seed, options, PkiStore.from_state(pki)
            self.prepare()
            self.restore_live(live)
        except (ProviderError, KeyError, TypeError, ValueError):
            self.seed, self.options, old_live, self.pki = before
            self.prepare()
            self.restore_live(old_live)
            raise


AnyProvider = Provider[Any]
"""A provider of whatever kind."""
