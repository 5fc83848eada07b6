# SPDX-License-Identifier: MIT
"""The versions of the interface between an implementation and its provider, as data.

Each has a C file in ``guest-images/modules/tsm-sim``. The version determines which attributes the
interface defines. Sources: include/linux/tsm.h and Documentation/ABI/testing/configfs-tsm of Linux
6.7, 6.11 and 6.16; the same files as posted in August and September 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.interface.names import AttributeName

__all__ = ["PROVIDER_APIS", "SERVICE_ATTRIBUTES", "ProviderApi", "numbered_api"]

_COMMON: frozenset[AttributeName] = frozenset(("inblob", "outblob", "generation", "privlevel"))
_POSTED_V4: frozenset[AttributeName] = _COMMON | {"provider", "privlevel_floor"}
_SINCE_6_7: frozenset[AttributeName] = _POSTED_V4 | {"auxblob"}
SERVICE_ATTRIBUTES: frozenset[AttributeName] = frozenset(
    ("manifestblob", "service_provider", "service_guid", "service_manifest_version")
)
"""The attributes that only a provider with services shows, since Linux 6.11."""
_SINCE_6_11: frozenset[AttributeName] = _SINCE_6_7 | SERVICE_ATTRIBUTES


@dataclass(frozen=True)
class ProviderApi:
    """``api_NAME.c`` of the driver: the number that it tells the host, and the attributes.

    ``title`` is for the user. Of ``attributes`` a provider may hide some.
    """

    number: int
    title: str
    attributes: frozenset[AttributeName]


PROVIDER_APIS: Mapping[str, ProviderApi] = {
    "class": ProviderApi(1, "the sysfs class", _COMMON | {"format"}),
    "6_7": ProviderApi(2, "Linux 6.7", _SINCE_6_7),
    "6_11": ProviderApi(3, "Linux 6.11", _SINCE_6_11),
    "6_16": ProviderApi(4, "Linux 6.16", _SINCE_6_11),
    "posted_v3": ProviderApi(5, "version 3 of the posting", _POSTED_V4 | {"format"}),
    "posted_v4": ProviderApi(6, "version 4 of the posting", _POSTED_V4),
}
"""By the NAME of ``api_NAME.c``. ``certs`` of version 4 is no attribute that a claim is about."""


def numbered_api(number: int) -> ProviderApi:
    """Return the version with this number; raises :class:`KeyError` for any other."""
    return {api.number: api for api in PROVIDER_APIS.values()}[number]
