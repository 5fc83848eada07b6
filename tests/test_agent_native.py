# SPDX-License-Identifier: MIT
"""The guest agent, run on the host with a socket pair in place of the virtio port.

This file has its own encoding of frames, so that a mistake in the package tsmw cannot hide the same
mistake in the agent.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.images.agent import build_agent
from harness.progress import NullProgress

HEADER = struct.Struct("<IBBHIIIIII")
MAGIC = 0x574D5354
VERSION = 3
HELLO, PING, SPAWN, RUN, STATE, KILL = 0x01, 0x06, 0x10, 0x11, 0x12, 0x14
LOG_SYNC, RELAY, ECHO, STRESS = 0x15, 0x17, 0x18, 0x19
LOG, ACTOR_DIED, REPLY = 0x48, 0x49, 0x80
OK, BUSY, INVALID, UNSUPPORTED, NO_DEVICE = 0, 1, 3, 4, 5
OPEN, CLOSE, READ, PREAD, WRITE, PWRITE, LSEEK, MKDIR, RMDIR, STAT, LIST = range(1, 12)
REPEAT, SIGNAL = 15, 16
LAST = -2
MAX_PAYLOAD = 65536
IDLE, IN_CALL, DEAD = range(3)

pytestmark = pytest.mark.skipif(
    not shutil.which("gcc"), reason="no C compiler; the agent cannot be built"
)


@dataclass(frozen=True)
class Frame:
    """A frame that the agent sent."""

    kind: int
    session: int
    ident: int
    status: int
    payload: bytes


@dataclass(frozen=True)
class Result:
    """The result of one operation."""

    ret: int
    err: int
    data: bytes
    start_ns: int
    end_ns: int


def build(kind: int, session: int, ident: int, payload: bytes = b"") -> bytes:
    head = struct.pack(
        "<IBBHIIIII", MAGIC, VERSION, kind, 0, session, ident, len(payload), 0, zlib.crc32(payload)
    )
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def op(code: int, fd: int = -1, data: bytes = b"", **fields: int) -> bytes:
    arg, mode, offset, count = (fields.get(name, 0) for name in ("arg", "mode", "offset", "count"))
    return struct.pack("<HHiIIQII", code, 0, fd, arg, mode, offset, count, len(data)) + data


def batch(actor: int, *ops: bytes, flags: int = 0) -> bytes:
    return struct.pack("<III", actor, len(ops), flags) + b"".join(ops)


def decode_results(payload: bytes) -> list[Result]:
    count, _ = struct.unpack_from("<II", payload)
    decoded, at = [], 8
    for _ in range(count):
        ret, err, size, start, end = struct.unpack_from("<qiIQQ", payload, at)
        at += 32
        decoded.append(Result(ret, err, payload[at : at + size], start, end))
        at += size
    assert at == len(payload)
    return decoded


class _Client:
    """The host's end of the port; it asserts that every byte belongs to a valid frame."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.session = 0
        self.ident = 0
        self.events: list[Frame] = []
        self.buffer = bytearray()

    def receive_bytes(self, count: int) -> bytes:
        while len(self.buffer) < count:
            data = self.sock.recv(1 << 17)
            assert data, "the agent closed its port"
            self.buffer += data
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def receive(self) -> Frame:
        head = self.receive_bytes(HEADER.size)
        magic, version, kind, flags, session, ident, length, status, crc, head_crc = HEADER.unpack(
            head
        )
        assert (magic, version, flags) == (MAGIC, VERSION, 0)
        assert zlib.crc32(head[:-4]) == head_crc
        payload = self.receive_bytes(length)
        assert zlib.crc32(payload) == crc
        return Frame(kind, session, ident, status, payload)

    def send(self, kind: int, payload: bytes = b"") -> int:
        self.ident += 1
        self.sock.sendall(build(kind, self.session, self.ident, payload))
        return self.ident

    def wait(self, ident: int) -> Frame:
        for frame in self.events:
            if frame.ident == ident:
                self.events.remove(frame)
                return frame
        while True:
            frame = self.receive()
            if frame.ident == ident:
                return frame
            self.events.append(frame)

    def wait_for_event(self, kind: int) -> Frame:
        while True:
            for frame in self.events:
                if frame.kind == kind:
                    self.events.remove(frame)
                    return frame
            self.events.append(self.receive())

    def call(self, kind: int, payload: bytes = b"") -> Frame:
        return self.wait(self.send(kind, payload))

    def run(self, actor: int, *ops: bytes, flags: int = 0) -> list[Result]:
        reply = self.call(RUN, batch(actor, *ops, flags=flags))
        assert (reply.kind, reply.status) == (RUN | REPLY, OK)
        return decode_results(reply.payload)

    def state(self, actor: int) -> tuple[int, int, int, int, list[bytes]]:
        reply = self.call(STATE, struct.pack("<I", actor))
        assert reply.status == OK
        texts, at = [], 16
        for _ in range(5):
            (size,) = struct.unpack_from("<I", reply.payload, at)
            texts.append(reply.payload[at + 4 : at + 4 + size])
            at += 4 + size
        assert at == len(reply.payload)
        phase, pid, index, status = struct.unpack_from("<IiIi", reply.payload)
        return phase, pid, index, status, texts

    def wait_for_phase(self, actor: int, phase: int) -> None:
        while self.state(actor)[0] != phase:
            pass

    def hello(self, nonce: int = 1) -> Frame:
        self.ident += 1
        self.sock.sendall(
            build(HELLO, 0, self.ident, struct.pack("<QHHI", nonce, VERSION, VERSION, 0))
        )
        while True:
            frame = self.receive()
            if frame.kind == HELLO | REPLY and frame.payload[:8] == struct.pack("<Q", nonce):
                self.session = frame.session
                return frame


@pytest.fixture(scope="session")
def agent_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent, built by the function that builds it for guests."""
    return build_agent(Cache(tmp_path_factory.mktemp("cache")), NullProgress()) / "agent"


@pytest.fixture
def log_socket() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Replaces /dev/kmsg: each read returns a record, or EAGAIN without one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def raw(agent_binary: Path, log_socket: tuple[socket.socket, socket.socket]) -> Iterator[_Client]:
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    fds = (theirs.fileno(), log_socket[1].fileno())
    process = subprocess.Popen(
        [agent_binary, "--fd", str(fds[0]), "--kmsg-fd", str(fds[1])], pass_fds=fds
    )
    theirs.close()
    with ours:
        yield _Client(ours)
    assert process.wait(timeout=20) == 0, "the agent did not exit when its port was closed"


@pytest.fixture
def client(raw: _Client) -> _Client:
    raw.hello()
    return raw


def test_hello_reply_has_a_session_and_the_limits(raw: _Client) -> None:
    reply = raw.hello(nonce=0x1122334455667788)
    nonce, version, actors, max_data = struct.unpack_from("<QHHI", reply.payload)
    assert (nonce, version, actors) == (0x1122334455667788, VERSION, 8)
    assert max_data == MAX_PAYLOAD - 8 - 32
    assert reply.payload[16:].decode() == os.uname().release
    first = raw.session
    raw.hello()
    assert first and raw.session not in (0, first)


def test_hello_may_choose_its_session(raw: _Client) -> None:
    raw.sock.sendall(build(HELLO, 0xC0FFEE, 3, struct.pack("<QHHI", 5, VERSION, VERSION, 0)))
    assert raw.receive().session == 0xC0FFEE
    raw.session = 0xC0FFEE
    assert raw.call(PING, b"chosen").payload == b"chosen"


def test_hello_of_an_unknown_version_is_refused(raw: _Client) -> None:
    raw.sock.sendall(build(HELLO, 0, 9, struct.pack("<QHHI", 5, VERSION + 1, 7, 0)))
    assert raw.receive().status == UNSUPPORTED


def test_ping_is_echoed_and_a_frame_of_another_session_is_ignored(client: _Client) -> None:
    assert client.call(PING, b"x" * MAX_PAYLOAD).payload == b"x" * MAX_PAYLOAD
    client.sock.sendall(build(PING, client.session + 1, 77, b"stale"))
    assert client.call(PING, b"now").payload == b"now"


def test_frame_that_arrives_byte_by_byte_is_parsed(client: _Client) -> None:
    for byte in build(PING, client.session, 500, b"slow"):
        client.sock.send(bytes([byte]))
    assert client.wait(500).payload == b"slow"


@pytest.mark.parametrize(
    "junk",
    [
        b"TSM" * 99,
        b"TSMW" * 1000,
        build(PING, 1, 1, b"abc")[:-1] + b"!",
        build(PING, 1, 1)[:31] + b"?",
        struct.pack("<IBBHIIIIII", MAGIC, VERSION, PING, 0, 1, 1, 0xFFFFFFFF, 0, 0, 0),
    ],
    ids=["cut-magic", "magics", "bad-payload", "bad-header", "huge-length"],
)
def test_valid_frame_after_junk_is_parsed(client: _Client, junk: bytes) -> None:
    client.sock.sendall(junk)
    assert client.call(PING, b"still here").payload == b"still here"


def test_header_without_its_payload_is_skipped(client: _Client) -> None:
    client.sock.sendall(build(PING, client.session, 1, b"z" * 60000)[:40])
    assert client.call(PING, b"after it").payload == b"after it"


def test_valid_frame_after_noise_and_a_damaged_frame_is_parsed(client: _Client) -> None:
    rng = random.Random(20)
    for _ in range(200):
        noise = rng.randbytes(rng.randrange(200)).replace(b"TSMW", b"....")
        frame = bytearray(build(PING, client.session, 1 << 30, rng.randbytes(50)))
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        client.sock.sendall(noise + frame)
        assert client.call(PING, noise).payload == noise


def test_malformed_request_is_refused(client: _Client) -> None:
    valid = batch(0, op(CLOSE, 5))
    cases = [
        (RUN, valid[:-1]),
        (RUN, valid + b"x"),
        (RUN, batch(8, op(CLOSE, 5))),
        (RUN, batch(0, op(99))),
        (RUN, struct.pack("<III", 0, 0xFFFFFFFF, 0)),
        (RUN, batch(0, flags=2)),
        (RUN, batch(0, op(WRITE, 1, data=b"a")[:-1])),
        (RUN, batch(0, op(17))),
        (RUN, batch(0, op(SIGNAL, arg=8))),
        (RUN, batch(0, op(REPEAT, arg=0, count=1), op(CLOSE, 5))),
        (RUN, batch(0, op(REPEAT, arg=2, count=1), op(CLOSE, 5))),
        (RUN, batch(0, op(CLOSE, 5), op(REPEAT, arg=1, count=1))),
        (RUN, batch(0, op(REPEAT, arg=0xFFFFFFFF, count=1), op(CLOSE, 5))),
        (RUN, batch(0, op(REPEAT, arg=1, count=0), op(CLOSE, 5))),
        (RUN, batch(0, op(REPEAT, arg=1, count=1_000_001), op(CLOSE, 5))),
        (RUN, batch(0, op(REPEAT, arg=1, count=1, data=b"x"), op(CLOSE, 5))),
        (RUN, batch(0, op(REPEAT, arg=2, count=1), op(REPEAT, arg=1, count=1), op(CLOSE, 5))),
        (
            RUN,
            batch(
                0,
                op(REPEAT, arg=2, count=1),
                op(CLOSE, 5),
                op(REPEAT, arg=1, count=1),
                op(CLOSE, 5),
            ),
        ),
        (STATE, struct.pack("<I", 8)),
        (STATE, b""),
        (KILL, struct.pack("<I", 0xFFFFFFFF)),
        (SPAWN, struct.pack("<IIIii", 8, 0, 0, -1, 0)),
        (SPAWN, struct.pack("<IIIii", 5, 0, 0, 4000, 0)),
        (SPAWN, struct.pack("<IIIii", 5, 0, 0, -1, 100)),
        (RELAY, struct.pack("<I", 7)),
        (STRESS, struct.pack("<II", 0, 1)),
    ]
    for kind, payload in cases:
        assert client.call(kind, payload).status == INVALID, (kind, payload)
    assert client.call(0x3F).status == UNSUPPORTED


def test_batch_runs_file_operations_in_order(client: _Client, tmp_path: Path) -> None:
    name = str(tmp_path / "file").encode()
    flags = os.O_RDWR | os.O_CREAT
    results = client.run(
        0,
        op(OPEN, data=name, arg=flags, mode=0o640),
        op(WRITE, LAST, data=b"hello world"),
        op(PWRITE, LAST, data=b"W", offset=6),
        op(LSEEK, LAST, offset=1, arg=os.SEEK_SET),
        op(READ, LAST, count=4),
        op(PREAD, LAST, count=100, offset=6),
        op(CLOSE, LAST),
        op(STAT, data=name),
        op(MKDIR, data=name + b".d", arg=0o700),
        op(RMDIR, data=name + b".d"),
        op(LIST, data=str(tmp_path).encode()),
    )
    assert [result.err for result in results] == [0] * 11
    assert [result.ret for result in results[1:]] == [11, 1, 1, 4, 5, 0, 0, 0, 0, 1]
    assert (results[4].data, results[5].data, results[10].data) == (b"ello", b"World", b"file\0")
    mode, _, _, nlink, size = struct.unpack("<IIIIQ", results[7].data)
    assert (mode & 0o777, nlink, size) == (0o640, 1, 11)
    assert (tmp_path / "file").read_bytes() == b"hello World"
    assert all(result.end_ns >= result.start_ns for result in results)
    assert all(result.end_ns <= following.start_ns for result, following in pairwise(results))


def test_failed_operation_returns_its_errno_and_may_stop_the_batch(
    client: _Client, tmp_path: Path
) -> None:
    absent = op(OPEN, data=str(tmp_path / "no" / "no").encode())
    after = op(RMDIR, data=b"/proc/no")
    assert [result.err for result in client.run(0, absent, after)] == [errno.ENOENT] * 2
    assert [result.err for result in client.run(0, absent, after, flags=1)] == [errno.ENOENT]
    invalid = [op(OPEN, data=b"/tmp\0x"), op(OPEN, data=b"a" * 5000), op(READ, LAST, count=1)]
    assert [result.err for result in client.run(0, *invalid)] == [
        errno.EINVAL,
        errno.ENAMETOOLONG,
        errno.EBADF,
    ]


def test_repeated_operations_have_the_results_of_the_last_round(
    client: _Client, tmp_path: Path
) -> None:
    name = str(tmp_path / "log").encode()
    opened = op(OPEN, data=name, arg=os.O_RDWR | os.O_CREAT | os.O_APPEND, mode=0o600)
    results = client.run(
        0,
        opened,
        op(REPEAT, arg=2, count=1000),
        op(WRITE, LAST, data=b"abc"),
        op(LSEEK, LAST, arg=os.SEEK_CUR),
        op(PREAD, LAST, count=2, offset=1),
        op(REPEAT, arg=1, count=1),
        op(PREAD, LAST, count=1, offset=2),
        flags=1,
    )
    assert [result.err for result in results] == [0] * 7
    assert [result.ret for result in results[1:]] == [1000, 3, 3000, 2, 1, 1]
    assert (results[4].data, results[6].data) == (b"bc", b"c")
    assert (tmp_path / "log").read_bytes() == b"abc" * 1000
    repeat, first, second, after = results[1:5]
    assert repeat.start_ns < first.start_ns <= first.end_ns == second.start_ns
    assert second.end_ns == repeat.end_ns == after.start_ns


def test_repetition_ends_with_the_round_that_fails(client: _Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abcdef")
    name = str(tmp_path / "f").encode()
    made = [op(MKDIR, data=f"{tmp_path}/{n}".encode(), arg=0o700) for n in range(2)]
    ops = [
        op(OPEN, data=name, arg=os.O_RDONLY),
        op(REPEAT, arg=4, count=1_000_000),
        op(READ, LAST, count=1),
        made[0],  # fails in the second round, if that is reached
        op(STAT, data=name),
        op(CLOSE, 899),
        made[1],
    ]
    stopped = client.run(0, *ops, flags=1)
    # The close fails in the first round; the batch stops there.
    assert [(one.ret, one.err) for one in stopped[1:]] == [(0, 0), (1, 0), (0, 0), (0, 0), (-1, 9)]
    assert stopped[2].data == b"a"
    (tmp_path / "0").rmdir()
    ops[5] = op(STAT, data=name)
    stopped = client.run(1, *ops, flags=1)
    assert [(one.ret, one.err) for one in stopped[1:]] == [(1, 0), (1, 0), (-1, errno.EEXIST)]
    assert stopped[2].data == b"b"
    (tmp_path / "0").rmdir()
    through = client.run(2, *ops)
    assert [one.ret for one in through[1:]] == [1, 1, -1, 0, 0, 0]
    assert (tmp_path / "1").is_dir()


def test_a_batch_that_stopped_repeats_nothing(client: _Client, tmp_path: Path) -> None:
    absent = op(OPEN, data=str(tmp_path / "no" / "no").encode())
    ops = [absent, op(REPEAT, arg=2, count=9), op(MKDIR, data=str(tmp_path / "d").encode()),
           op(CLOSE, LAST)]  # fmt: skip
    assert [one.err for one in client.run(0, *ops, flags=1)] == [errno.ENOENT, errno.EBADF]
    assert not (tmp_path / "d").exists()


def test_operations_cannot_use_the_descriptors_of_the_agent(client: _Client) -> None:
    results = client.run(0, *(op(CLOSE, fd) for fd in range(3, 1024)))
    assert {result.err for result in results} == {errno.EBADF}
    assert client.call(PING, b"open").payload == b"open"


def test_read_that_exceeds_the_reply_fails_without_a_read(client: _Client, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 400)
    data = str(path).encode()
    limit = MAX_PAYLOAD - 8 - 2 * 32
    fits, big = client.run(0, op(OPEN, data=data), op(READ, LAST, count=limit))
    assert (fits.err, big.ret, big.data) == (0, limit, path.read_bytes()[:limit])
    results = client.run(
        1, op(OPEN, data=data), op(READ, LAST, count=limit + 1), op(LSEEK, LAST, arg=os.SEEK_CUR)
    )
    assert (results[1].err, results[1].data, results[2].ret) == (errno.EMSGSIZE, b"", 0)


def start_blocking_open(client: _Client, actor: int, tmp_path: Path) -> int:
    """Open a FIFO without a writer; return the id of the request once the actor is in open()."""
    fifo = tmp_path / f"fifo{actor}"
    os.mkfifo(fifo)
    path = str(fifo).encode()
    ident = client.send(
        RUN, batch(actor, op(STAT, data=path), op(OPEN, data=path, arg=os.O_RDONLY))
    )
    client.wait_for_phase(actor, IN_CALL)
    while client.state(actor)[2] != 1:
        pass
    return ident


def test_actor_runs_one_batch_at_a_time(client: _Client, tmp_path: Path) -> None:
    ident = start_blocking_open(client, 1, tmp_path)
    stat = op(STAT, data=str(tmp_path).encode())
    assert client.call(RUN, batch(1, stat)).status == BUSY
    assert client.run(2, stat)[0].err == 0
    with (tmp_path / "fifo1").open("wb"):
        assert decode_results(client.wait(ident).payload)[1].ret >= 0


def test_state_of_a_blocked_actor(client: _Client, tmp_path: Path) -> None:
    assert client.state(0)[0] == IDLE
    ident = start_blocking_open(client, 0, tmp_path)
    phase, pid, index, _, texts = client.state(0)
    assert (phase, index) == (IN_CALL, 1)
    assert texts[0].startswith(f"{pid} (actor-0) ".encode())
    assert b"\nPid:\t%d\n" % pid in texts[4]
    with (tmp_path / "fifo0").open("wb"):
        assert decode_results(client.wait(ident).payload)[1].ret >= 0


def test_death_of_an_actor_is_reported_and_its_slot_is_reused(
    client: _Client, tmp_path: Path
) -> None:
    start_blocking_open(client, 2, tmp_path)
    pid = client.state(2)[1]
    assert client.call(KILL, struct.pack("<I", 2)).status == OK
    died = client.wait_for_event(ACTOR_DIED)
    assert struct.unpack("<II", died.payload) == (2, signal.SIGKILL)
    assert (died.ident, died.session) == (0, client.session)
    assert client.state(2) == (DEAD, 0, 1, signal.SIGKILL, [b""] * 5)
    assert client.call(RUN, batch(2)).status == NO_DEVICE
    assert client.call(KILL, struct.pack("<I", 2)).status == NO_DEVICE
    spawned = client.call(SPAWN, struct.pack("<IIIii", 2, 0, 0, -1, 0))
    assert spawned.status == OK
    assert client.state(2)[1] == struct.unpack("<I", spawned.payload)[0] != pid
    assert client.call(SPAWN, struct.pack("<IIIii", 2, 0, 0, -1, 0)).status == BUSY
    assert client.run(2) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_actor_is_spawned_as_another_user(client: _Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    cpu = min(os.sched_getaffinity(0))
    assert client.call(SPAWN, struct.pack("<IIIii", 6, 65534, 65533, cpu, 0)).status == OK
    status = client.state(6)[4][4].decode()
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert "Gid:\t65533\t65533\t65533\t65533" in status
    assert "Groups:\t \n" in status and f"Cpus_allowed_list:\t{cpu}\n" in status
    assert client.run(6, op(LIST, data=str(tmp_path).encode()))[0].err == errno.EACCES


def test_signal_interrupts_a_call_and_the_actor_goes_on(client: _Client, tmp_path: Path) -> None:
    ident = start_blocking_open(client, 1, tmp_path)
    pid = client.state(1)[1]
    assert client.run(0, op(SIGNAL, arg=1, mode=signal.SIGUSR1))[0].ret == 0
    assert [one.err for one in decode_results(client.wait(ident).payload)] == [0, errno.EINTR]
    assert client.state(1)[:2] == (IDLE, pid)
    # Signals to an idle actor, to the actor itself and to one that replies lose nothing.
    (tmp_path / "f").write_bytes(b"s" * 60000)
    read = batch(1, op(OPEN, data=str(tmp_path / "f").encode()), op(READ, LAST, count=60000),
                 op(SIGNAL, arg=1, mode=signal.SIGUSR1), op(CLOSE, LAST))  # fmt: skip
    flood = (op(REPEAT, arg=1, count=200), op(SIGNAL, arg=1, mode=signal.SIGUSR1))
    for _ in range(20):
        sent = client.send(RUN, read)
        assert [one.ret for one in client.run(0, *flood)] == [200, 0]
        assert len(decode_results(client.wait(sent).payload)) == 4
    assert client.state(1)[:2] == (IDLE, pid)


def test_signal_to_an_actor_that_is_dead_or_dies(client: _Client, tmp_path: Path) -> None:
    assert client.run(0, op(SIGNAL, arg=7, mode=signal.SIGUSR1))[0].err == errno.ESRCH
    assert client.run(0, op(SIGNAL, arg=2, mode=65))[0].err == errno.EINVAL
    assert client.run(0, op(SIGNAL, arg=2))[0].ret == 0
    (tmp_path / "f").write_bytes(b"k" * 60000)
    read = op(OPEN, data=str(tmp_path / "f").encode()), op(READ, LAST, count=60000)
    for _ in range(20):
        client.send(RUN, batch(2, *read))
        assert client.run(0, op(SIGNAL, arg=2, mode=signal.SIGKILL))[0].ret == 0
        assert struct.unpack("<II", client.wait_for_event(ACTOR_DIED).payload) == (2, 9)
        assert client.run(0, op(SIGNAL, arg=2, mode=0))[0].err == errno.ESRCH
        assert client.call(SPAWN, struct.pack("<IIIii", 2, 0, 0, -1, 0)).status == OK
    client.send(RUN, batch(3, op(SIGNAL, arg=3, mode=signal.SIGKILL)))
    assert struct.unpack("<II", client.wait_for_event(ACTOR_DIED).payload) == (3, 9)
    assert client.run(0, op(SIGNAL, arg=1, mode=signal.SIGUSR1))[0].ret == 0
    assert client.call(PING, b"whole").payload == b"whole"


def test_kill_during_replies_leaves_no_incomplete_frame(client: _Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"k" * 60000)
    read = batch(0, op(OPEN, data=str(tmp_path / "f").encode()), op(READ, LAST, count=60000))
    for round_ in range(30):
        for _ in range(round_ % 3 + 1):
            client.send(RUN, read)
        assert client.call(KILL, struct.pack("<I", 0)).status == OK
        client.wait_for_event(ACTOR_DIED)
        assert client.call(SPAWN, struct.pack("<IIIii", 0, 0, 0, -1, 0)).status == OK
    assert client.call(PING, b"whole").payload == b"whole"


def test_agent_stops_reading_while_the_host_does_not_read(client: _Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"b" * 60000)
    ops = op(OPEN, data=str(tmp_path / "f").encode()), op(READ, LAST, count=60000)
    client.sock.setblocking(False)
    sent = 0
    stream = b"".join(
        build(PING, client.session, 1000 + i, b"p" * 40000)
        + build(RUN, client.session, 5000 + i, batch(i % 4, *ops))
        for i in range(60)
    )
    with pytest.raises(BlockingIOError):
        while True:
            sent += client.sock.send(stream[sent : sent + 65536])
    assert sent < len(stream)
    answered: set[int] = set()
    while len(answered) < 120:
        with suppress(BlockingIOError):
            sent += client.sock.send(stream[sent : sent + 65536]) if sent < len(stream) else 0
        try:
            client.buffer += client.sock.recv(1 << 17)
        except BlockingIOError:
            continue
        while len(client.buffer) >= HEADER.size:
            length = HEADER.unpack_from(client.buffer)[6]
            if len(client.buffer) < HEADER.size + length:
                break
            frame = client.receive()
            assert frame.status in (OK, BUSY)
            answered.add(frame.ident)
    client.sock.settimeout(20)
    assert client.call(PING, b"flows").payload == b"flows"


def test_hello_ends_the_previous_session(client: _Client, tmp_path: Path) -> None:
    ident = start_blocking_open(client, 1, tmp_path)
    client.hello(nonce=99)
    with (tmp_path / "fifo1").open("wb"):
        client.wait_for_phase(1, IDLE)
    assert client.run(1) == []
    assert ident not in {frame.ident for frame in client.events}


def test_echo_returns_raw_bytes_up_to_its_count(client: _Client) -> None:
    client.sock.sendall(build(ECHO, client.session, 41, struct.pack("<Q", 70)) + b"early")
    assert client.wait(41).status == OK
    assert client.receive_bytes(5) == b"early"
    client.sock.sendall(b"x" * 65 + build(PING, client.session, 42, b"framed again"))
    assert client.receive_bytes(65) == b"x" * 65
    assert client.wait(42).payload == b"framed again"


def test_stress_counts_every_round(client: _Client) -> None:
    ident = client.send(STRESS, struct.pack("<II", 3, 5))
    assert client.call(STRESS, struct.pack("<II", 1, 1)).status in (OK, BUSY)
    done = client.wait(ident)
    assert (done.status, done.payload) == (OK, struct.pack("<Q", 15))


def record(seq: int, text: str = "message") -> bytes:
    return f"6,{seq},1234,-;{text}\n".encode()


def log_records(frame: Frame) -> tuple[int, list[bytes]]:
    (lost,) = struct.unpack_from("<Q", frame.payload)
    records, at = [], 8
    while at < len(frame.payload):
        (size,) = struct.unpack_from("<I", frame.payload, at)
        records.append(frame.payload[at + 4 : at + 4 + size])
        at += 4 + size
    return lost, records


def test_log_records_are_sent_after_hello(
    raw: _Client, log_socket: tuple[socket.socket, socket.socket]
) -> None:
    log_socket[0].send(record(0, "boot"))
    raw.hello()
    assert log_records(raw.wait_for_event(LOG)) == (0, [record(0, "boot")])
    log_socket[0].send(record(1))
    assert log_records(raw.wait_for_event(LOG)) == (0, [record(1)])


def test_log_sync_reply_follows_every_record_and_gaps_are_counted(
    client: _Client, log_socket: tuple[socket.socket, socket.socket]
) -> None:
    for seq in (0, 1, 5):
        log_socket[0].send(record(seq))
    log_socket[0].send(b"not a record")
    assert client.call(LOG_SYNC).payload == struct.pack("<Q", 5)
    frames = [log_records(frame) for frame in client.events if frame.kind == LOG]
    assert [text for _, texts in frames for text in texts] == [record(seq) for seq in (0, 1, 5)]
    assert frames[-1][0] == 3


def test_many_log_records_arrive_whole_and_in_order(
    client: _Client, log_socket: tuple[socket.socket, socket.socket]
) -> None:
    log_socket[0].setblocking(False)
    seq, seen, full = 0, 0, 0
    while seen < 3000:
        try:
            while seq < 3000:
                log_socket[0].send(record(seq, "y" * 1000))
                seq += 1
        except BlockingIOError:
            full += 1
        _, records = log_records(client.wait_for_event(LOG))
        assert records == [record(seen + i, "y" * 1000) for i in range(len(records))]
        seen += len(records)
    assert full
