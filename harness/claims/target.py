# SPDX-License-Identifier: MIT
"""What a scenario runs on, as far as it is known before the guest runs.

Whether a claim applies is predicted from this, so that a scenario is never skipped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.elf import read_elf
from harness.implementations.api import api_of, without_comments
from harness.implementations.model import Implementation
from harness.interface.apis import PROVIDER_APIS, SERVICE_ATTRIBUTES
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from providers_sim import parse_spec
from providers_sim.provider import Attr, BinAttr

__all__ = [
    "Target",
    "attributes_in_module",
    "counters_follow_report",
    "offered_attributes",
]

_NEWEST = (99, 0)  # the version of a kernel
_STRINGS = (".rodata", ".data")  # the sections of a module with the names of its files
_COUNTER = r"\s*(?:unsigned\s+long|size_t|u64)\s+\w+\s*"
_COUNTERS = re.compile(
    rf"\bstruct\s+tsm_report\s+\w+\s*;{_COUNTER}(?:,\s*\w+\s*|;{_COUNTER});", re.DOTALL
)


@dataclass(frozen=True)
class Target:
    """An implementation with its provider, on a kernel with ``config`` and ``processors``.

    ``attributes`` are those that the implementation can offer; the provider may hide some.
    ``settable_counters``: the provider driver can set the write and read counters of an entry.
    """

    implementation: Implementation
    attributes: frozenset[AttributeName]
    settable_counters: bool
    provider: str
    config: Mapping[str, str]
    processors: int

    def shows(self, name: AttributeName) -> bool:
        """Whether the provider lets the implementation show the attribute."""
        kind, options = parse_spec(self.provider)
        attrs, bin_attrs = kind.visible(options)
        # Both are in the attribute group that the driver passes to the class on request.
        key = "PRIVLEVEL" if name == "format" else name.upper()
        if key in BinAttr.__members__:
            return bool(bin_attrs >> BinAttr[key] & 1)
        return bool(attrs >> Attr[key] & 1)

    def lacks(self, name: AttributeName) -> bool:
        """Whether the implementation lacks an attribute that its version of the interface has.

        The attributes of services are left out: most providers hide them.
        """
        defined = offered_attributes(self.implementation, _NEWEST) - SERVICE_ATTRIBUTES
        return name in defined - self.attributes

    def fills(self, blob: AttributeName) -> bool:
        """Whether the reports of this provider have bytes in ``blob``."""
        kind, options = parse_spec(self.provider)
        return bool(kind.filled(options) >> BinAttr[blob.upper()] & 1)


def offered_attributes(
    implementation: Implementation, version: tuple[int, int]
) -> frozenset[AttributeName]:
    """Return the attributes that an implementation can offer on a kernel of ``version``.

    For sources of the user these are all that the version of the interface defines that they have.
    """
    usual = "class" if implementation.interface == "class" else "6_16"
    if implementation.verdicts_known:
        older = usual == "6_16" and version < (6, 11)
        return PROVIDER_APIS["6_7" if older else usual].attributes
    name = api_of(implementation.files)
    if name is None or (name == "class") is not (usual == "class"):
        name = usual
    return PROVIDER_APIS[name].attributes


def attributes_in_module(module: Path) -> frozenset[AttributeName]:
    """Return the attributes whose names are strings in a module file."""
    with read_elf(module) as elf:
        sections = [s for s in elf.iter_sections() if s.name.startswith(_STRINGS)]
        data = b"\0".join([b"", *(section.data() for section in sections), b""])
    names = {name: f"\0{name}\0".encode() for name in ATTRIBUTE_NAMES}
    return frozenset(name for name, text in names.items() if text in data) | (
        {"inblob"} if b"\0inhex\0" in data else frozenset()
    )


def counters_follow_report(sources: Iterable[str]) -> bool:
    """Whether a structure has two counters directly behind its ``struct tsm_report``.

    The provider driver finds the counters only there, as the kernel's own implementation has them.
    """
    return any(_COUNTERS.search(without_comments(text)) for text in sources)
