# SPDX-License-Identifier: MIT
"""HELLO on the provider port: the driver's offer, and the host's description of the provider.

Decoders raise WireError, and nothing else, on a payload that violates the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tsmw.constants import MAX_IN_FLIGHT, MAX_NAME, VERSION, HelloTag
from tsmw.errors import WireError
from tsmw.layout import Layout
from tsmw.tlv import Member, decode_members, encode_members

__all__ = [
    "GUEST_HELLO",
    "HOST_HELLO",
    "GuestHello",
    "HostHello",
    "decode_guest_hello",
    "decode_host_hello",
    "encode_guest_hello",
    "encode_host_hello",
]

GUEST_HELLO = Layout("the guest's HELLO", "QHHIIIII")
HOST_HELLO = Layout("the host's HELLO", "QHHI")

_MIN_PAYLOAD = 64  # With less, most bytes of a long reply would be frame headers.
_TLVS: dict[int, Member] = {
    HelloTag.NAME: Member("name", str, (1, MAX_NAME), required=True),
    HelloTag.PRIVLEVEL_FLOOR: Member("privlevel_floor", int),
    HelloTag.ATTRS: Member("attrs", int),
    HelloTag.BIN_ATTRS: Member("bin_attrs", int),
    HelloTag.TIMEOUT_MS: Member("timeout_ms", int),
}


class GuestHello(NamedTuple):
    """The driver's offer: ``api`` is ``tsm_sim_api.id``, ``max_total`` the largest report."""

    nonce: int
    version_min: int
    version_max: int
    api: int
    max_payload: int
    max_total: int
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class HostHello:
    """The host's answer: the guest's nonce, and the description of the provider.

    ``attrs`` and ``bin_attrs`` are bit masks of the kernel's enums ``tsm_attr_index`` and
    ``tsm_bin_attr_index``. ``timeout_ms`` is that of one request: 0 none, None the driver's
    default.
    """

    nonce: int
    name: str
    privlevel_floor: int = 0
    attrs: int = 0
    bin_attrs: int = 0
    max_in_flight: int = MAX_IN_FLIGHT
    timeout_ms: int | None = None
    version: int = VERSION


def encode_guest_hello(hello: GuestHello) -> bytes:
    """Encode a HELLO request on the provider port."""
    return GUEST_HELLO.pack(*hello, 0)


def decode_guest_hello(payload: bytes) -> GuestHello:
    """Decode a HELLO request on the provider port."""
    hello = GuestHello(*GUEST_HELLO.unpack(payload)[:-1])
    if hello.version_min > hello.version_max:
        raise WireError(
            f"HELLO offers the empty range of versions {hello.version_min} to {hello.version_max}"
        )
    if hello.max_payload < _MIN_PAYLOAD:
        raise WireError(
            f"HELLO allows {hello.max_payload} bytes of payload a frame; at least {_MIN_PAYLOAD}"
            " are needed"
        )
    return hello


def encode_host_hello(hello: HostHello) -> bytes:
    """Encode the reply to HELLO on the provider port."""
    head = HOST_HELLO.pack(hello.nonce, hello.version, 0, hello.max_in_flight)
    return head + encode_members(hello, _TLVS)


def decode_host_hello(payload: bytes) -> HostHello:
    """Decode the reply to HELLO on the provider port."""
    nonce, version, _, max_in_flight = HOST_HELLO.unpack_from(payload)
    members = decode_members("the host's HELLO", payload[HOST_HELLO.size :], _TLVS)
    return HostHello(nonce=nonce, version=version, max_in_flight=max_in_flight, **members)
