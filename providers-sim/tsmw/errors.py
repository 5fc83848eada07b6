# SPDX-License-Identifier: MIT
"""The one error of the wire protocol."""

from __future__ import annotations

__all__ = ["WireError"]


class WireError(Exception):
    """A frame or message breaks the protocol, or a value cannot be expressed in it."""
