# SPDX-License-Identifier: MIT
"""Messages of the agent port, where the host sends requests and the guest's agent answers.

Encoders make request payloads; decoders read reply and event payloads. A decoder raises
WireError, and nothing else, on a payload that violates the protocol. RUN has its own module,
``ops``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tsmw.constants import VERSION, ActorPhase
from tsmw.errors import WireError
from tsmw.layout import Layout

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

AGENT_HELLO = Layout("HELLO", "QHHI")
AGENT_HELLO_REPLY = Layout("the agent's HELLO", "QHHI")
SPAWN = Layout("SPAWN", "IIIii")
STATE_REPLY = Layout("a STATE reply", "IiIi")
LOG_HEAD = Layout("a LOG event", "Q")

_ANY_CPU = -1
_PHASES = frozenset(ActorPhase)
_STATE_TEXTS = 5


@dataclass(frozen=True, slots=True)
class AgentHello:
    """The agent's description: actor slots, largest data of one operation, ``uname -r``."""

    nonce: int
    version: int
    actors: int
    max_data: int
    kernel_release: str


@dataclass(frozen=True, slots=True)
class ActorState:
    """An actor's phase, and its files in /proc (text, cut by the agent at 4 KiB each).

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
    """Records of /dev/kmsg; ``lost`` counts all records that were overwritten before a read."""

    lost: int
    records: tuple[bytes, ...]


def encode_agent_hello(nonce: int) -> bytes:
    """Encode HELLO on the agent port; the agent returns ``nonce``."""
    return AGENT_HELLO.pack(nonce, VERSION, VERSION, 0)


def decode_agent_hello_reply(payload: bytes) -> AgentHello:
    """Decode the reply to HELLO on the agent port."""
    nonce, version, actors, max_data = AGENT_HELLO_REPLY.unpack_from(payload)
    release = payload[AGENT_HELLO_REPLY.size :].decode("ascii", "backslashreplace")
    return AgentHello(nonce, version, actors, max_data, release)


def encode_spawn(
    actor: int, uid: int = 0, gid: int = 0, cpu: int = _ANY_CPU, priority: int = 0
) -> bytes:
    """Encode SPAWN: start a process of this user in slot ``actor``, on ``cpu`` or any (-1).

    ``priority`` is that of SCHED_FIFO, 1..99; 0 starts an ordinary process, -1 one of SCHED_IDLE.
    """
    return SPAWN.pack(actor, uid, gid, cpu, priority)


def decode_state(payload: bytes) -> ActorState:
    """Decode the reply to STATE: the fixed part, then five texts with their lengths."""
    phase, pid, op_index, wait_status = STATE_REPLY.unpack_from(payload)
    if phase not in _PHASES:
        raise WireError(f"a STATE reply has the unknown phase {phase}")
    texts = [
        text.decode("utf-8", "backslashreplace") for text in _decode_texts(STATE_REPLY, payload)
    ]
    if len(texts) != _STATE_TEXTS:
        raise WireError(f"a STATE reply has {_STATE_TEXTS} texts, not {len(texts)}")
    return ActorState(ActorPhase(phase), pid, op_index, wait_status, *texts)


def decode_log(payload: bytes) -> LogBatch:
    """Decode a LOG event."""
    (lost,) = LOG_HEAD.unpack_from(payload)
    return LogBatch(lost, tuple(_decode_texts(LOG_HEAD, payload)))


def _decode_texts(head: Layout, data: bytes) -> list[bytes]:
    """Decode the texts after ``head``, each of which follows its u32 length."""
    texts: list[bytes] = []
    pos = head.size
    while pos < len(data):
        start = pos + 4
        end = start + int.from_bytes(data[pos:start], "little")
        if start > len(data) or end > len(data):
            raise WireError(f"{head.name} ends inside its text number {len(texts) + 1}")
        texts.append(data[start:end])
        pos = end
    return texts
