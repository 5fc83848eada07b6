# SPDX-License-Identifier: MIT
"""Every error the simulated providers raise.

The tree::

    ProviderError
    ├── EvidenceError     bytes that are no valid evidence, or evidence that cannot be made
    ├── ProviderTimeout   a condition (registration, a held request) did not come true in time
    └── ProviderRefusal   a provider's answer to one request: no evidence, but this status
"""

from __future__ import annotations

from tsmw.constants import Status

__all__ = [
    "EvidenceError",
    "ProviderError",
    "ProviderRefusal",
    "ProviderTimeout",
]


class ProviderError(Exception):
    """Root of the tree."""


class EvidenceError(ProviderError):
    """Evidence, a key or a certificate is malformed."""


class ProviderTimeout(ProviderError):  # noqa: N818 - named after what happened
    """A condition did not come true in time; the message names it and what was seen instead."""


class ProviderRefusal(ProviderError):  # noqa: N818 - a verdict, not an accident
    """The provider refuses one request with ``status``, as the real one would.

    ``value`` goes with ``Status.THROTTLED``, in how many milliseconds the guest should ask again,
    and with ``Status.INJECT``, what the guest's ``report_new`` returns (a negative errno).
    """

    def __init__(self, status: Status, reason: str, *, value: int = 0) -> None:
        super().__init__(f"{status.name}: {reason}")
        self.status = status
        self.reason = reason
        self.value = value
