# SPDX-License-Identifier: MIT
"""Base class of providers: the TEE-specific part of a simulated TSM, without its transport."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from providers_sim.errors import EvidenceError, ProviderError, ProviderRefusal
from providers_sim.fault_table import Answer, FaultTable
from providers_sim.measurements import MeasurementRegisters
from providers_sim.options import Options
from providers_sim.pki_store import PkiStore
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["AnyProvider", "Attr", "BinAttr", "Provider", "State", "mask"]

State = dict[str, object]
"""A provider's state, as values that JSON can represent, so that a run can be replayed."""

OptionsT = TypeVar("OptionsT", bound=Options)


class Attr(IntEnum):
    """The kernel's ``enum tsm_attr_index`` (include/linux/tsm.h, since 6.11)."""

    GENERATION = 0
    PROVIDER = 1
    PRIVLEVEL = 2
    PRIVLEVEL_FLOOR = 3
    SERVICE_PROVIDER = 4
    SERVICE_GUID = 5
    SERVICE_MANIFEST_VERSION = 6


class BinAttr(IntEnum):
    """The kernel's ``enum tsm_bin_attr_index`` (include/linux/tsm.h, since 6.11)."""

    INBLOB = 0
    OUTBLOB = 1
    AUXBLOB = 2
    MANIFESTBLOB = 3


def mask(*indices: IntEnum) -> int:
    """Return the bit mask of these attributes."""
    return sum(1 << index for index in set(indices))


class Provider(ABC, Generic[OptionsT]):
    """One simulated TEE, as the kernel's driver for it presents it to a guest.

    ``id`` is the project's name for the TEE, ``kernel_name`` the name that the kernel's own driver
    registers and the attribute ``provider`` shows. ``attrs`` and ``bin_attrs`` are bit masks of
    the visible attributes, ``inblob_sizes`` has the lengths of inblob that the driver accepts,
    ``faults`` is the table of the faults of the TEE's host, ``measurements`` has its runtime
    measurement registers if it has any.

    A guest's keys and evidence are derived from ``seed``, ``options`` and the live state, which
    requests and extended measurements change. The same state and requests give the same evidence,
    byte for byte. Methods must be called from one thread at a time.
    """

    id: ClassVar[str]
    kernel_name: ClassVar[str]
    options_type: type[OptionsT]
    faults: ClassVar[FaultTable] = FaultTable()
    inblob_sizes: ClassVar[range] = range(65)
    measurements: MeasurementRegisters | None = None
    attrs: int
    bin_attrs: int
    privlevel_floor: int = 0

    def __init__(
        self, options: OptionsT | None = None, *, seed: int = 0, pki_dir: Path | None = None
    ) -> None:
        self.seed = seed
        self.options: OptionsT = self.options_type() if options is None else options
        self.pki = PkiStore(pki_dir)
        self.prepare()
        self.reset()

    @classmethod
    def visible(cls, options: Options) -> tuple[int, int]:
        """Return ``attrs`` and ``bin_attrs`` of a provider with these options."""
        return cls.attrs, cls.bin_attrs

    @classmethod
    def filled(cls, options: Options) -> int:
        """Return the mask of the blobs in which reports with these options have bytes."""
        return mask(BinAttr.OUTBLOB)

    @property
    def name(self) -> str:
        """The name that the driver in the guest registers."""
        return self.options.name or self.kernel_name

    @abstractmethod
    def prepare(self) -> None:
        """Derive keys, certificates and constants from ``seed`` and ``options``."""

    def check(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal when the driver rejects ``request``, by default for its length."""
        size, sizes = len(request.inblob), self.inblob_sizes
        if size not in sizes:
            accepted = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
            raise ProviderRefusal(Status.INVALID, f"inblob has {size} bytes, not {accepted}")

    @abstractmethod
    def report(self, request: ReportRequest) -> Evidence:
        """Make the evidence for ``request``; raise ProviderRefusal where the real TEE refuses."""

    @abstractmethod
    def collateral(self) -> dict[str, bytes]:
        """Return the certificates, keys and other files that a verifier needs, by file name."""

    def reset(self) -> None:
        """Set the live state to that of a newly started guest."""

    def live_state(self) -> State:
        """Return the state that requests and extended measurements change."""
        return {}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace the live state by the result of ``live_state``.

        Raises KeyError, TypeError or ValueError when it is malformed.
        """

    def admit(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal when an earlier fault keeps the driver from sending the request."""

    def abandon(self) -> None:
        """Record that the driver stopped waiting for a request that the host has not finished."""

    def complete(self) -> None:
        """Record that the host has finished the abandoned request."""

    def registers(self) -> tuple[bytes, ...]:
        """Return the values of the runtime measurement registers, in order of their numbers."""
        return self.measurements.values if self.measurements is not None else ()

    def extend(self, register: int, data: bytes) -> None:
        """Extend a runtime measurement register; ProviderError when it or the data is invalid."""
        if self.measurements is None:
            raise ProviderError(f"{self.id} has no runtime measurement register {register}")
        self.measurements.extend(register, data)

    def answer(
        self,
        request: ReportRequest,
        fault: str = "",
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return how ``request`` ends; ``fault`` names a row of the fault table to simulate."""
        if not fault:
            return self._plain_answer(request)
        row, before = self.faults.find(fault), self.live_state()
        try:
            answer = row.act(self, request, **(params or {}))
        except ProviderRefusal as refusal:
            answer = Answer(refusal=refusal)
        return replace(answer, no_effect=self._answers_so_anyway(request, answer, before))

    def _plain_answer(self, request: ReportRequest) -> Answer:
        try:
            return Answer(evidence=self.report(request))
        except ProviderRefusal as refusal:
            return Answer(refusal=refusal)

    def _answers_so_anyway(self, request: ReportRequest, answer: Answer, before: State) -> bool:
        """Whether ``request`` has this answer without a fault, from the live state ``before``."""
        after = self.live_state()
        self.restore_live(before)
        try:
            return answer.same_as(self._plain_answer(request)) and self.live_state() == after
        finally:
            self.restore_live(after)

    def reconfigure(self, **changes: object) -> None:
        """Change options between two reports, as a host can; ProviderError when one is invalid."""
        try:
            self.options = replace(self.options, **changes)  # type: ignore[arg-type] # Options checks
        except TypeError as error:
            raise ProviderError(f"{self.id}: {error}") from None
        self.prepare()

    def get_state(self) -> State:
        """Return the whole state that evidence depends on besides the request, keys included."""
        return {
            "provider": self.id,
            "seed": self.seed,
            "options": self.options.to_state(),
            "live": self.live_state(),
            "pki": self.pki.get_state(),
        }

    def set_state(self, state: Mapping[str, object]) -> None:
        """Replace the whole state; EvidenceError when ``state`` is malformed or of another TEE."""
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
                    self._replace_state(seed, self.options_type.from_state(options), live, pki)
                case _:
                    raise ValueError("members are missing or unknown")
        except (ProviderError, KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"this is not a state of {self.id}: {error}") from error

    def clone(self) -> Self:
        """Return a new provider with the same state."""
        copy = type(self)(self.options, seed=self.seed, pki_dir=self.pki.directory)
        copy.set_state(self.get_state())
        return copy

    def _replace_state(
        self, seed: int, options: OptionsT, live: Mapping[str, Any], pki: State
    ) -> None:
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
"""A provider of any TEE."""
