# SPDX-License-Identifier: MIT
"""The attributes of the report interface, by the names scenarios use."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["ATTRIBUTE_NAMES", "AttributeName"]

AttributeName = Literal[
    "inblob",
    "outblob",
    "auxblob",
    "manifestblob",
    "generation",
    "provider",
    "privlevel",
    "privlevel_floor",
    "service_provider",
    "service_guid",
    "service_manifest_version",
    "format",
]
"""Every attribute that the sysfs class or configfs defines. No guest has all of them.

Sources: Documentation/ABI/testing/configfs-tsm-report (Linux 6.11 on) for all but ``format``,
which is an attribute of the sysfs class and of version 3 of the posting. ``inblob`` is also the
name of the class's ``inhex``.
"""

ATTRIBUTE_NAMES: tuple[AttributeName, ...] = get_args(AttributeName)
