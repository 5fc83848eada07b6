# SPDX-License-Identifier: MIT
"""Errors of the wire protocol."""

from __future__ import annotations

__all__ = ["UnknownTlvError", "WireError"]


class WireError(Exception):
    """A frame or message violates the protocol, or a value does not fit its field.

    The peer is at fault when decoding raises it, the caller when encoding does. Callers translate
    it into an error of their own that names the one at fault.
    """


class UnknownTlvError(WireError):
    """A message has a mandatory TLV that this version does not know."""
