# SPDX-License-Identifier: MIT
"""The versions of the report interface, as data.

Sources: the ABI text and code posted in August 2023 for the sysfs class, and in August and
September 2023 for versions 3 and 4 of the posting;
Documentation/ABI/testing/configfs-tsm-report and include/linux/tsm.h of Linux 6.7, 6.11, 6.16 and
7.0 for configfs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from harness.interface.apis import ProviderApi
from harness.interface.names import AttributeName

__all__ = ["BLOBS", "InterfaceVersion", "class_version", "configfs_version", "posted_version"]

BLOBS: tuple[AttributeName, ...] = ("outblob", "auxblob", "manifestblob")

_SERVICES: frozenset[AttributeName] = frozenset(
    ("manifestblob", "service_provider", "service_guid", "service_manifest_version")
)
_CONFIGFS_6_7: frozenset[AttributeName] = frozenset(
    (
        "inblob",
        "outblob",
        "auxblob",
        "generation",
        "provider",
        "privlevel",
        "privlevel_floor",
    )
)
_ALWAYS: frozenset[AttributeName] = frozenset(("inblob", "outblob", "generation"))
_NAMED: frozenset[AttributeName] = frozenset(("provider",))
_READ_WRITE: frozenset[AttributeName] = frozenset(("privlevel", "format"))
_FORMAT: frozenset[AttributeName] = frozenset(("format",))
_WRITE_ONLY: frozenset[AttributeName] = frozenset(
    ("inblob", "privlevel", "service_provider", "service_guid", "service_manifest_version")
)


@dataclass(frozen=True)
class InterfaceVersion:
    """One version of the interface.

    ``attributes`` are all that it defines. ``write_only`` and ``read_write`` say how they are
    used; the others can only be read. ``inblob_max`` and ``outblob_max`` are lengths in bytes.
    ``privlevel_max`` is the highest privilege level. ``hexadecimal``: the nonce is written as
    text to ``inhex``. ``services``: a request has the options of services.
    """

    name: str
    kind: Literal["class", "configfs"]
    attributes: frozenset[AttributeName]
    write_only: frozenset[AttributeName]
    read_write: frozenset[AttributeName]
    outblob_max: int
    hexadecimal: bool = False
    services: bool = False
    inblob_max: int = 64
    privlevel_max: int = 3

    @property
    def always(self) -> frozenset[AttributeName]:
        """The attributes that no provider hides."""
        return (_ALWAYS | _NAMED) & self.attributes

    @property
    def options(self) -> tuple[AttributeName, ...]:
        """The attributes that can be written, in a fixed order."""
        return tuple(sorted(self.write_only | self.read_write))

    @property
    def blobs(self) -> tuple[AttributeName, ...]:
        """The parts of a report."""
        return tuple(blob for blob in BLOBS if blob in self.attributes)

    def restricted(self, offered: Container[AttributeName]) -> InterfaceVersion:
        """Return the version without the attributes that an implementation does not offer."""
        kept = frozenset(name for name in self.attributes if name in offered)
        return replace(
            self,
            attributes=kept,
            write_only=self.write_only & kept,
            read_write=self.read_write & kept,
        )

    def visible(self, attrs: int, bin_attrs: int) -> frozenset[AttributeName]:
        """The attributes that a provider with these masks shows.

        The masks have the bits of ``enum tsm_attr_index`` and ``enum tsm_bin_attr_index``.
        """
        if self.kind == "class":
            extra = self.read_write if attrs >> _ATTRS.index("privlevel") & 1 else frozenset()
            return self.always | extra
        if not self.services:  # two kinds of entries: with the extra attributes, or without
            return self.attributes if attrs >> _ATTRS.index("privlevel") & 1 else self.always
        shown = {name for bit, name in enumerate(_ATTRS) if attrs >> bit & 1}
        shown |= {name for bit, name in enumerate(_BIN_ATTRS) if bin_attrs >> bit & 1}
        return self.always | (frozenset(shown) & self.attributes)


_ATTRS: tuple[AttributeName, ...] = (
    "generation",
    "provider",
    "privlevel",
    "privlevel_floor",
    "service_provider",
    "service_guid",
    "service_manifest_version",
)
_BIN_ATTRS: tuple[AttributeName, ...] = ("inblob", "outblob", "auxblob", "manifestblob")


def class_version(files: Iterable[str]) -> InterfaceVersion:
    """The version of the sysfs class whose device has these files."""
    hexadecimal = "inblob" not in set(files)
    return InterfaceVersion(
        name="class, hexadecimal" if hexadecimal else "class, binary",
        kind="class",
        attributes=_ALWAYS | _READ_WRITE,
        write_only=frozenset(("inblob",)),
        read_write=_READ_WRITE,
        outblob_max=32 << 10,
        hexadecimal=hexadecimal,
    )


def configfs_version(kernel: tuple[int, int], *, services: bool = True) -> InterfaceVersion:
    """The version of configfs-tsm in ``kernel``.

    ``services`` is False for an implementation with the provider interface of Linux 6.7.
    """
    attributes = _CONFIGFS_6_7 | (_SERVICES if services else frozenset())
    return InterfaceVersion(
        name=f"configfs {'6.11' if services else '6.7'}, as in {kernel[0]}.{kernel[1]}",
        kind="configfs",
        attributes=attributes,
        write_only=_WRITE_ONLY & attributes,
        read_write=frozenset(),
        outblob_max=16 << 20 if kernel >= (7, 0) else 32 << 10,
        services=services,
    )


def posted_version(api: ProviderApi) -> InterfaceVersion:
    """The configfs interface of version 3 or 4 of the posting.

    ``format`` of version 3 can only be written. ``certs`` of version 4 is left out: no request has
    an option for it, and its content is that of the provider.
    """
    written: frozenset[AttributeName] = _WRITE_ONLY | _FORMAT
    return InterfaceVersion(
        name=f"configfs, {api.title}",
        kind="configfs",
        attributes=api.attributes,
        write_only=written & api.attributes,
        read_write=frozenset(),
        outblob_max=32 << 10,
    )
