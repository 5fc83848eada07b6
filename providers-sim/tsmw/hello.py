# SPDX-License-Identifier: MIT
"""HELLO on the provider port: the guest's offer and the host's description of the provider.

The decoders take a payload from an untrusted peer and raise WireError, and nothing else, on
one that breaks the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from tsmw.constants import VERSION, HelloTag
from tsmw.errors import WireError
from tsmw.tlv import decode_tlvs, encode_tlvs, u32_value

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

GUEST_HELLO = Struct("<QHHIIIII")
HOST_HELLO = Struct("<QHHI")

_NAME_MAX = 64
_MIN_PAYLOAD = 64  # below this a reply of any size would dissolve into headers


@dataclass(frozen=True, slots=True)
class GuestHello:
    """What the driver in the guest says of itself; ``api`` is a number of ``Api``."""

    nonce: int
    version_min: int
    version_max: int
    api: int
    max_payload: int
    max_total: int
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class HostHello:
    """What the host answers: the echoed nonce and the provider's description.

    ``attrs`` and ``bin_attrs`` are masks over the core's enums ``tsm_attr_index`` and
    ``tsm_bin_attr_index``; ``timeout_ms`` of one request, 0 none, None the driver's default.
    """

    nonce: int
    name: str
    privlevel_floor: int
    attrs: int
    bin_attrs: int
    max_in_flight: int
    timeout_ms: int | None = None
    version: int = VERSION


def encode_guest_hello(hello: GuestHello) -> bytes:
    """Encode a HELLO request on the provider port."""
    return GUEST_HELLO.pack(
        hello.nonce,
        hello.version_min,
        hello.version_max,
        hello.api,
        hello.max_payload,
        hello.max_total,
        hello.max_in_flight,
        0,
    )


def decode_guest_hello(payload: bytes) -> GuestHello:
    """Decode a HELLO request on the provider port."""
    if len(payload) != GUEST_HELLO.size:
        raise WireError(f"a guest's HELLO has {GUEST_HELLO.size} bytes, not {len(payload)}")
    hello = GuestHello(*GUEST_HELLO.unpack(payload)[:-1])
    if hello.version_min > hello.version_max:
        raise WireError(
            f"HELLO offers versions {hello.version_min} to {hello.version_max}: an empty range"
        )
    if hello.max_payload < _MIN_PAYLOAD:
        raise WireError(f"HELLO allows {hello.max_payload} bytes a frame: too few for any reply")
    return hello


def encode_host_hello(hello: HostHello) -> bytes:
    """Encode the reply to HELLO on the provider port."""
    name = _checked_name(hello.name.encode())
    numbers = {
        HelloTag.PRIVLEVEL_FLOOR: hello.privlevel_floor,
        HelloTag.ATTRS: hello.attrs,
        HelloTag.BIN_ATTRS: hello.bin_attrs,
    }
    if hello.timeout_ms is not None:
        numbers[HelloTag.TIMEOUT_MS] = hello.timeout_ms
    tlvs = [(int(tag), value.to_bytes(4, "little")) for tag, value in numbers.items()]
    head = HOST_HELLO.pack(hello.nonce, hello.version, 0, hello.max_in_flight)
    return head + encode_tlvs([(HelloTag.NAME, name), *tlvs])


def decode_host_hello(payload: bytes) -> HostHello:
    """Decode the reply to HELLO on the provider port."""
    if len(payload) < HOST_HELLO.size:
        raise WireError(f"a HELLO reply has at least {HOST_HELLO.size} bytes, not {len(payload)}")
    nonce, version, _, max_in_flight = HOST_HELLO.unpack_from(payload)
    tlvs = dict(decode_tlvs(payload[HOST_HELLO.size :]))
    name = _checked_name(tlvs.get(HelloTag.NAME, b""))
    numbers = {
        tag: u32_value(tag, tlvs[tag])
        for tag in HelloTag
        if tag in tlvs and tag is not HelloTag.NAME
    }
    return HostHello(
        nonce=nonce,
        name=name.decode("ascii"),
        privlevel_floor=numbers.get(HelloTag.PRIVLEVEL_FLOOR, 0),
        attrs=numbers.get(HelloTag.ATTRS, 0),
        bin_attrs=numbers.get(HelloTag.BIN_ATTRS, 0),
        max_in_flight=max_in_flight,
        timeout_ms=numbers.get(HelloTag.TIMEOUT_MS),
        version=version,
    )


def _checked_name(name: bytes) -> bytes:
    if not 0 < len(name) <= _NAME_MAX or not name.isascii() or b"\0" in name:
        raise WireError(
            f"a provider's name is 1 to {_NAME_MAX} bytes of ASCII without NUL,"
            f" not {name[: _NAME_MAX + 1]!r}"
        )
    return name
