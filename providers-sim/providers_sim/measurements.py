# SPDX-License-Identifier: MIT
"""Runtime measurement registers, and hashes by their IANA names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from providers_sim.errors import ProviderError

__all__ = ["MeasurementRegisters", "digest"]


def digest(algorithm: str, data: bytes) -> bytes:
    """Hash ``data`` with an algorithm of IANA's Named Information registry, such as sha3-384."""
    name = algorithm.replace("sha3-", "sha3_").replace("sha-", "sha")
    return hashlib.new(name, data).digest()


class MeasurementRegisters:
    """``count`` registers, initially zero; ``values`` has their contents.

    ``name`` is their name in errors, ``data_sizes`` the lengths of data that they accept.
    """

    def __init__(self, name: str, count: int, algorithm: str, data_sizes: range) -> None:
        self._name = name
        self._algorithm = algorithm
        self._data_sizes = data_sizes
        self.values = (bytes(len(digest(algorithm, b""))),) * count

    def extend(self, register: int, data: bytes) -> None:
        """Set the register to HASH(register || data); ProviderError when it or data is invalid."""
        sizes = self._data_sizes
        if not 0 <= register < len(self.values) or len(data) not in sizes:
            accepted = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
            raise ProviderError(
                f"{self._name} {register} cannot be extended with {len(data)} bytes: "
                f"there are {len(self.values)}, each extended with {accepted} bytes"
            )
        values = [*self.values]
        values[register] = digest(self._algorithm, values[register] + data)
        self.values = tuple(values)

    def to_state(self) -> list[str]:
        """Return the contents in hexadecimal."""
        return [value.hex() for value in self.values]

    def restore(self, state: Iterable[str]) -> None:
        """Replace the contents by the result of ``to_state``; ValueError when it is malformed."""
        values = tuple(bytes.fromhex(text) for text in state)
        if [len(value) for value in values] != [len(value) for value in self.values]:
            raise ValueError(f"the state has other registers than {len(self.values)} {self._name}")
        self.values = values
