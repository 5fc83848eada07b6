# SPDX-License-Identifier: MIT
"""Messages of the agent port, where the host asks and the agent in the guest answers.

Encoders make request payloads, decoders read reply and event payloads; the agent is not
trusted, so a decoder raises WireError, and nothing else, on a payload that breaks the protocol.
Operations and their results have their own module, ``ops``.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from tsmw.constants import VERSION, ActorPhase
from tsmw.errors import WireError

__all__ = [
    "AGENT_HELLO",
    "AGENT_HELLO_REPLY",
    "LOG_HEAD",
    "SPAWN",
    "STATE_REPLY",
    "ActorState",
    "AgentHello",
    "LogBatch",
    "decode_agent_hello_reply",
    "decode_log",
    "decode_state",
    "encode_agent_hello",
    "encode_spawn",
]

AGENT_HELLO = Struct("<QHHI")
AGENT_HELLO_REPLY = Struct("<QHHI")
SPAWN = Struct("<IIIii")
STATE_REPLY = Struct("<IiIi")
LOG_HEAD = Struct("<Q")

_ANY_CPU = -1


@dataclass(frozen=True, slots=True)
class AgentHello:
    """What the agent says of itself: actor slots, largest data of one operation, uname -r."""

    nonce: int
    version: int
    actors: int
    max_data: int
    kernel_release: str


@dataclass(frozen=True, slots=True)
class ActorState:
    """What an actor is doing, and what /proc says of it (text, cut by the agent at 4 KiB each).

    ``op_index`` counts the operation in progress in its batch from 0; ``wait_status`` is
    ``waitpid``'s, for a dead actor.
    """

    phase: ActorPhase
    pid: int
    op_index: int
    wait_status: int
    stat: str
    wchan: str
    syscall: str
    stack: str
    status: str


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Records as /dev/kmsg gives them; ``lost`` is how many were overwritten, in all."""

    lost: int
    records: tuple[bytes, ...]


def encode_agent_hello(nonce: int) -> bytes:
    """Encode HELLO on the agent port; ``nonce`` is echoed by the agent."""
    return AGENT_HELLO.pack(nonce, VERSION, VERSION, 0)


def decode_agent_hello_reply(payload: bytes) -> AgentHello:
    """Decode the reply to HELLO on the agent port."""
    if len(payload) < AGENT_HELLO_REPLY.size:
        raise WireError(
            f"the agent's HELLO has at least {AGENT_HELLO_REPLY.size} bytes, not {len(payload)}"
        )
    nonce, version, actors, max_data = AGENT_HELLO_REPLY.unpack_from(payload)
    release = payload[AGENT_HELLO_REPLY.size :].decode("ascii", "backslashreplace")
    return AgentHello(nonce, version, actors, max_data, release)


def encode_spawn(
    actor: int, uid: int = 0, gid: int = 0, cpu: int = _ANY_CPU, priority: int = 0
) -> bytes:
    """Encode SPAWN: fill slot ``actor`` with a process of this user, on ``cpu`` or any (-1).

    ``priority`` is that of SCHED_FIFO, 1..99; with 0 it is an ordinary process, with -1 one of
    SCHED_IDLE.
    """
    return SPAWN.pack(actor, uid, gid, cpu, priority)


def decode_state(payload: bytes) -> ActorState:
    """Decode the reply to STATE: the fixed part, then five texts with their lengths."""
    if len(payload) < STATE_REPLY.size:
        raise WireError(f"a STATE reply has at least {STATE_REPLY.size} bytes, not {len(payload)}")
    phase, pid, op_index, wait_status = STATE_REPLY.unpack_from(payload)
    if phase not in _PHASES:
        raise WireError(f"a STATE reply has the unknown phase {phase}")
    texts = [
        text.decode("utf-8", "backslashreplace")
        for text in _length_prefixed("STATE reply", payload, STATE_REPLY.size)
    ]
    if len(texts) != 5:
        raise WireError(f"a STATE reply has five texts, not {len(texts)}")
    stat, wchan, syscall, stack, status = texts
    return ActorState(
        ActorPhase(phase), pid, op_index, wait_status, stat, wchan, syscall, stack, status
    )


def decode_log(payload: bytes) -> LogBatch:
    """Decode a LOG event."""
    if len(payload) < LOG_HEAD.size:
        raise WireError(f"a LOG event has at least {LOG_HEAD.size} bytes, not {len(payload)}")
    (lost,) = LOG_HEAD.unpack_from(payload)
    return LogBatch(lost, tuple(_length_prefixed("LOG event", payload, LOG_HEAD.size)))


_PHASES = frozenset(ActorPhase)


def _length_prefixed(what: str, data: bytes, pos: int) -> list[bytes]:
    texts: list[bytes] = []
    while pos < len(data):
        start = pos + 4
        end = start + int.from_bytes(data[pos:start], "little")
        if start > len(data) or end > len(data):
            raise WireError(f"a {what} is cut off in its text number {len(texts) + 1}")
        texts.append(data[start:end])
        pos = end
    return texts
