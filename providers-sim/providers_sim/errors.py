# SPDX-License-Identifier: MIT
"""Errors of the simulated providers.

The tree::

    ProviderError
    ├── EvidenceError     evidence, a key or a certificate is malformed or cannot be made
    ├── ProviderTimeout   an awaited event (registration, a held request) did not happen in time
    └── ProviderRefusal   the provider refuses one request with a status

``tsmw.errors.WireError`` is not in the tree: the sender of a malformed frame is at fault.
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
    """Root of the tree; itself a wrong use of a provider or a provider that broke."""


class EvidenceError(ProviderError):
    """Evidence, a key or a certificate is malformed or cannot be made."""


class ProviderTimeout(ProviderError):  # noqa: N818 - named after what happened
    """An awaited event did not happen in time; the message names the event."""


class ProviderRefusal(ProviderError):  # noqa: N818 - the provider's answer, not a failure of it
    """The provider refuses one request with ``status``, as the real one would.

    ``value`` goes with ``Status.THROTTLED`` (milliseconds until the guest should retry) and with
    ``Status.INJECT`` (the value that the guest's ``report_new`` returns, a negative errno).
    """

    def __init__(self, status: Status, reason: str, *, value: int = 0) -> None:
        super().__init__(f"{status.name}: {reason}")
        self.status = status
        self.reason = reason
        self.value = value
