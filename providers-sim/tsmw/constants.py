# SPDX-License-Identifier: MIT
"""Constants of the TSMW protocol, as ``guest-images/include/tsmw.h`` defines them."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "AWAY_KEEP",
    "MAGIC",
    "MAX_IN_FLIGHT",
    "MAX_NAME",
    "MAX_PAYLOAD",
    "MAX_REQUEST",
    "MAX_ROUNDS",
    "MAX_TLVS",
    "OPTIONAL_TLV",
    "PORT_AGENT",
    "PORT_PROVIDER",
    "PORT_SSH",
    "PROVIDER_DEVICE",
    "REPLY",
    "RUN_STOP_ON_ERROR",
    "VERSION",
    "ActorPhase",
    "FrameFlag",
    "FrameType",
    "HelloTag",
    "OpCode",
    "ReplyFlag",
    "RequestTag",
    "Status",
]

MAGIC = 0x574D5354
VERSION = 3
REPLY = 0x80
"""The type of a reply is the type of its request with this bit set."""
MAX_PAYLOAD = 65536
"""Largest payload of a frame, in bytes."""
MAX_REQUEST = 8192
"""Largest payload of a request on the provider port, in bytes."""
MAX_IN_FLIGHT = 16
MAX_TLVS = 16
MAX_NAME = 64
"""Longest name of a provider, in bytes of ASCII."""
OPTIONAL_TLV = 0x8000
"""A receiver ignores an unknown TLV whose tag has this bit."""
RUN_STOP_ON_ERROR = 0x1
MAX_ROUNDS = 1_000_000
"""Largest number of rounds of a REPEAT operation."""
AWAY_KEEP = 0x1
"""In the payload of GOING_AWAY: requests in flight still wait for their answers."""

PORT_AGENT = "org.tsm-harness.agent"
PORT_PROVIDER = "org.tsm-harness.provider"
PORT_SSH = "org.tsm-harness.ssh"
PROVIDER_DEVICE = "/dev/tsm_sim"


class FrameFlag(IntFlag):
    """Bits of the header's flags."""

    MORE = 0x0001


class FrameType(IntEnum):
    """Message types of both ports; each port uses some of them."""

    HELLO = 0x01
    PING = 0x06

    REPORT = 0x02
    CANCEL = 0x03
    RESET = 0x07
    GOING_AWAY = 0x40
    REGISTERED = 0x41

    SPAWN = 0x10
    RUN = 0x11
    STATE = 0x12
    KILL = 0x14
    LOG_SYNC = 0x15
    RESEED = 0x16
    RELAY = 0x17
    ECHO = 0x18
    STRESS = 0x19
    LOG = 0x48
    ACTOR_DIED = 0x49


class Status(IntEnum):
    """The header's status, which the driver in the guest translates into an errno."""

    OK = 0
    BUSY = 1
    THROTTLED = 2
    INVALID = 3
    UNSUPPORTED = 4
    NO_DEVICE = 5
    IO = 6
    TOO_BIG = 7
    NO_KEY = 8
    BAD_MESSAGE = 9
    TIMEOUT = 10
    INTERNAL = 11
    INJECT = 255


class HelloTag(IntEnum):
    """TLVs of the host's HELLO reply."""

    NAME = 1
    PRIVLEVEL_FLOOR = 2
    ATTRS = 3
    BIN_ATTRS = 4
    TIMEOUT_MS = 5


class RequestTag(IntEnum):
    """TLVs of a REPORT request; the optional ones have the bit OPTIONAL_TLV."""

    PRIVLEVEL = 1
    INBLOB = 2
    INBLOB_ARRAY = 3
    SERVICE_PROVIDER = 4
    SERVICE_GUID = 5
    MANIFEST_VERSION = 6
    FORMAT = 7
    MARK = OPTIONAL_TLV | 8
    CALLER = OPTIONAL_TLV | 9


class ReplyFlag(IntFlag):
    """Flags of a REPORT reply: how the driver passes the blobs to the implementation."""

    VMALLOC = 0x1
    KEEP_LENGTHS = 0x2
    NO_OUTBLOB = 0x4
    WRAP = 0x8


class OpCode(IntEnum):
    """System calls that an actor can make."""

    OPEN = 1
    CLOSE = 2
    READ = 3
    PREAD = 4
    WRITE = 5
    PWRITE = 6
    LSEEK = 7
    MKDIR = 8
    RMDIR = 9
    STAT = 10
    LIST = 11
    INSMOD = 12
    RMMOD = 13
    PRIORITY = 14
    REPEAT = 15
    SIGNAL = 16


class ActorPhase(IntEnum):
    """State of an actor."""

    IDLE = 0
    IN_CALL = 1
    DEAD = 2
