# SPDX-License-Identifier: MIT
"""The wire protocol: frames in damaged streams, messages, and agreement with tsmw.h."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum, IntFlag
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsmw import agent, constants, frame, hello, ops, report, tlv
from tsmw.errors import UnknownTlvError, WireError
from tsmw.frame import HEADER_SIZE, Frame, FrameParser, encode_frame
from tsmw.layout import Layout
from tsmw.ops import Op

HEADER_FILE = Path(__file__).parent.parent / "guest-images/include/tsmw.h"
U32 = st.integers(0, 0xFFFF_FFFF)
FRAMES = st.builds(
    Frame,
    type=st.integers(0, 255),
    flags=st.integers(0, 0xFFFF),
    session=U32,
    id=U32,
    status=U32,
    payload=st.binary(max_size=300),
)
# Bytes without a complete valid frame, often with the magic or a prefix of it.
GARBAGE = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([b"TSMW", b"T", b"TSM", b"TSMW\x02\x02"]))
).map(b"".join)


def feed_in_pieces(parser: FrameParser, data: bytes, cuts: list[int]) -> list[Frame]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    frames = []
    for start, end in pairwise(edges):
        frames += parser.feed(data[start:end])
    return frames


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_are_parsed_from_pieces_of_any_size(frames: list[Frame], cuts: list[int]) -> None:
    parser = FrameParser()
    assert feed_in_pieces(parser, b"".join(map(encode_frame, frames)), cuts) == frames
    assert (parser.resyncs, parser.crc_errors, parser.oversize) == (0, 0, 0)


@given(st.lists(st.tuples(GARBAGE, FRAMES), max_size=5), st.lists(st.integers(0, 10_000)))
def test_frames_between_garbage_are_parsed(
    parts: list[tuple[bytes, Frame]], cuts: list[int]
) -> None:
    data = b"".join(garbage + encode_frame(frame) for garbage, frame in parts)
    parser = FrameParser()
    assert feed_in_pieces(parser, data, cuts) == [frame for _, frame in parts]
    assert parser.discarded == sum(len(garbage) for garbage, _ in parts)


@given(st.lists(FRAMES, min_size=1, max_size=3), GARBAGE)
def test_parsing_byte_by_byte_gives_the_same_frames(frames: list[Frame], garbage: bytes) -> None:
    data = garbage + b"".join(map(encode_frame, frames))
    at_once, bytewise = FrameParser(), FrameParser()
    expected = at_once.feed(data)
    assert [f for n in range(len(data)) for f in bytewise.feed(data[n : n + 1])] == expected
    assert bytewise.discarded == at_once.discarded
    assert bytewise.resyncs == at_once.resyncs


@given(FRAMES, FRAMES, st.data())
def test_damaged_bit_loses_only_its_frame(victim: Frame, after: Frame, data: st.DataObject) -> None:
    damaged = bytearray(encode_frame(victim))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    parser = FrameParser()
    assert parser.feed(bytes(damaged) + encode_frame(after)) == [after]
    assert parser.resyncs + parser.crc_errors == 1


@given(st.binary(max_size=2000))
def test_memory_of_the_parser_is_bounded(data: bytes) -> None:
    parser = FrameParser(max_payload=64)
    for _ in range(3):
        parser.feed(data)
        assert len(parser._tail) < HEADER_SIZE + 64


@pytest.mark.parametrize("length", [65, 1000, 65536])
def test_oversize_payload_is_skipped_to_its_last_byte(length: int) -> None:
    parser = FrameParser(max_payload=64)
    # The payload consists of valid frames. A parser that skips too few bytes returns such a frame.
    inner = encode_frame(Frame(9, payload=b"inner"))
    payload = (inner * (length // len(inner) + 1))[:length]
    after = Frame(1, payload=b"after")
    data = encode_frame(Frame(2, payload=payload)) + encode_frame(after)
    assert feed_in_pieces(parser, data, list(range(0, len(data), 37))) == [after]
    assert (parser.oversize, parser.resyncs) == (1, 0)


def test_length_of_4_gib_allocates_nothing_and_keeps_sync() -> None:
    head = frame.HEAD.pack(constants.MAGIC, constants.VERSION, 2, 0, 1, 1, 0xFFFF_FFFF, 0, 0)
    parser = FrameParser()
    assert parser.feed(frame_head := head + crc32(head).to_bytes(4, "little")) == []
    assert parser.feed(frame_head * 100) == []
    assert (parser.oversize, parser.resyncs, len(parser._tail)) == (1, 0, 0)


def test_frame_of_another_version_is_skipped() -> None:
    head = frame.HEAD.pack(constants.MAGIC, constants.VERSION - 1, 1, 0, 0, 1, 0, 0, 0)
    data = head + crc32(head).to_bytes(4, "little")
    parser = FrameParser()
    assert parser.feed(data + encode_frame(Frame(1))) == [Frame(1)]
    assert parser.discarded == HEADER_SIZE


@pytest.mark.parametrize(
    "bad", [Frame(1, payload=bytes(65537)), Frame(256), Frame(1, id=-1), Frame(1, session=1 << 32)]
)
def test_frame_that_does_not_fit_is_refused(bad: Frame) -> None:
    with pytest.raises(WireError):
        encode_frame(bad)


# --- messages ---------------------------------------------------------------------------------

REQUESTS = st.builds(
    report.ReportRequest,
    id=st.just(7),
    inblob=st.binary(max_size=64),
    privlevel=U32,
    inblob_array=st.none() | st.binary(min_size=64, max_size=64),
    service_provider=st.none() | st.binary(max_size=80),
    service_guid=st.none() | st.binary(min_size=16, max_size=16),
    manifest_version=U32,
    format=U32,
    mark=U32,
    caller=U32,
)


@given(REQUESTS)
def test_report_request_round_trip(request: report.ReportRequest) -> None:
    payload = report.encode_report_request(request)
    assert report.decode_report_request(7, payload) == request


@given(st.binary(max_size=70), st.binary(max_size=300), st.integers(64, 256))
def test_report_reply_round_trip(out: bytes, aux: bytes, max_payload: int) -> None:
    evidence = report.Evidence(out, aux, b"manifest")
    frames = list(report.report_reply_frames(1, 7, evidence, 5, max_payload))
    assert [f.flags for f in frames] == [1] * (len(frames) - 1) + [0]
    assert all(len(f.payload) <= max_payload for f in frames)
    assert report.decode_report_reply(b"".join(f.payload for f in frames)) == (evidence, 5)


def test_hello_round_trips() -> None:
    guest = hello.GuestHello(1 << 63, 1, 1, 3, 65536, 32769, 16)
    assert hello.decode_guest_hello(hello.encode_guest_hello(guest)) == guest
    for timeout_ms in (None, 0, 500):
        host = hello.HostHello(1 << 63, "sev_guest", 2, 0xF, 0x7, 16, timeout_ms)
        assert hello.decode_host_hello(hello.encode_host_hello(host)) == host


# Each message as encoded now, and its bytes in protocol version 3.
GUEST_HELLO = hello.GuestHello(0x1122334455667788, 1, 2, 3, 65536, 32769, 16)
GOLDEN: dict[str, tuple[bytes, str]] = {
    "frame": (
        encode_frame(Frame(2, 1, 3, 4, 5, b"abc")),
        "54534d57 03 02 0100 03000000 04000000 03000000 05000000 c2412435 4025d522 616263",
    ),
    "guest hello": (
        hello.encode_guest_hello(GUEST_HELLO),
        "8877665544332211 0100 0200 03000000 00000100 01800000 10000000 00000000",
    ),
    "host hello": (
        hello.encode_host_hello(hello.HostHello(5, "sev_guest", 1, 0xF, 7, 16, 1500)),
        "0500000000000000 0300 0000 10000000"
        "0100 0000 09000000 7365765f6775657374 0200 0000 04000000 01000000"
        "0300 0000 04000000 0f000000 0400 0000 04000000 07000000"
        "0500 0000 04000000 dc050000",
    ),
    "report request": (
        report.encode_report_request(report.ReportRequest(id=7, inblob=b"\x01\x02")),
        "0100 0000 04000000 00000000 0200 0000 02000000 0102"
        "0600 0000 04000000 00000000 0700 0000 04000000 00000000"
        "0880 0000 04000000 00000000 0980 0000 04000000 00000000",
    ),
    "report request with every member": (
        report.encode_report_request(
            report.ReportRequest(7, b"\x01", 3, bytes(64), b"svsm", bytes(range(16)), 4, 1,
                                 0xFFFF_FFFE, 77)
        ),
        "0100 0000 04000000 03000000 0200 0000 01000000 01 0300 0000 40000000" + "00" * 64 +
        "0400 0000 04000000 7376736d 0500 0000 10000000 000102030405060708090a0b0c0d0e0f"
        "0600 0000 04000000 04000000 0700 0000 04000000 01000000"
        "0880 0000 04000000 feffffff 0980 0000 04000000 4d000000",
    ),
    "report reply": (
        b"".join(
            f.payload for f in report.report_reply_frames(1, 7, report.Evidence(b"o", b"ax"), 5, 9)
        ),
        "01000000 02000000 00000000 05000000 6f 6178",
    ),
    "spawn": (
        agent.encode_spawn(1, 2, 3, priority=4),
        "01000000 02000000 03000000 ffffffff 04000000",
    ),
    "agent hello": (agent.encode_agent_hello(5), "0500000000000000 0300 0300 00000000"),
}  # fmt: skip


@pytest.mark.parametrize("message", GOLDEN)
def test_messages_have_the_bytes_of_version_3(message: str) -> None:
    encoded, golden = GOLDEN[message]
    assert encoded == bytes.fromhex(golden)


DECODERS: list[Callable[[bytes], object]] = [
    hello.decode_guest_hello,
    hello.decode_host_hello,
    lambda data: report.decode_report_request(1, data),
    report.decode_report_reply,
    agent.decode_agent_hello_reply,
    agent.decode_state,
    agent.decode_log,
    ops.decode_results,
    ops.decode_stat,
]


@pytest.mark.parametrize("decode", DECODERS)
@given(data=st.binary(max_size=200))
@settings(max_examples=60)
def test_decoders_raise_only_wire_error(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except WireError:
        return


def tlvs(*pairs: tuple[int, bytes]) -> bytes:
    return tlv.encode_tlvs(pairs)


INBLOB = (constants.RequestTag.INBLOB, bytes(64))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        tlvs((constants.RequestTag.PRIVLEVEL, bytes(4))),
        tlvs((constants.RequestTag.INBLOB, bytes(65))),
        tlvs(INBLOB, INBLOB),
        tlvs(INBLOB, (constants.RequestTag.PRIVLEVEL, bytes(3))),
        tlvs(INBLOB, (constants.RequestTag.INBLOB_ARRAY, bytes(63))),
        tlvs(INBLOB, (constants.RequestTag.SERVICE_GUID, bytes(17))),
        tlvs(INBLOB, (99, b"")),
        tlvs(INBLOB, *((0x8000 + n, b"") for n in range(16))),
        tlvs(INBLOB)[:-1],
        tlvs(INBLOB) + b"\0",
        b"\x02\x00\x01\x00" + tlvs(INBLOB)[4:],
        tlv.TLV_HEAD.pack(2, 0, 0xFFFF_FFFF),
    ],
)
def test_malformed_request_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        report.decode_report_request(1, payload)


def test_unknown_mandatory_tlv_raises_unknown_tlv_error() -> None:
    with pytest.raises(UnknownTlvError):
        report.decode_report_request(1, tlvs(INBLOB, (99, b"")))


def test_unknown_optional_tlv_is_ignored() -> None:
    assert report.decode_report_request(1, tlvs(INBLOB, (0x8063, b"?"))).inblob == bytes(64)


def test_request_without_optional_tlvs_has_their_defaults() -> None:
    request = report.decode_report_request(1, tlvs(INBLOB))
    assert (request.mark, request.caller) == (0, 0)
    tags = (constants.RequestTag.MARK, constants.RequestTag.CALLER)
    assert all(tag & constants.OPTIONAL_TLV for tag in tags)
    for tag in tags:
        with pytest.raises(WireError):
            report.decode_report_request(1, tlvs(INBLOB, (tag, bytes(3))))


def test_run_and_results_layout() -> None:
    payload = ops.encode_run(3, [Op.open("/x", 2), Op.read(64)], stop_on_error=True)
    assert payload == (
        bytes.fromhex("03000000 02000000 01000000")
        + bytes.fromhex("0100 0000 feffffff 02000000 00000000")
        + bytes.fromhex("0000000000000000 00000000 02000000")
        + b"/x"
        + bytes.fromhex("0300 0000 feffffff 00000000 00000000")
        + bytes.fromhex("0000000000000000 40000000 00000000")
    )
    reply = ops.RUN_REPLY.pack(2, 0) + ops.RESULT.pack(-1, 5, 0, 10, 20)
    reply += ops.RESULT.pack(3, 0, 3, 30, 40) + b"abc"
    first, second = ops.decode_results(reply)
    assert (first.ret, first.err, first.data) == (-1, 5, b"")
    assert (second.ret, second.data, second.start_ns, second.end_ns) == (3, b"abc", 30, 40)
    for cut in range(len(reply)):
        with pytest.raises(WireError):
            ops.decode_results(reply[:cut])
    with pytest.raises(WireError):
        ops.decode_results(reply + b"x")


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ops.encode_run(0, [Op.open("")]),
        lambda: ops.encode_run(0, [Op.mkdir("a\0b")]),
        lambda: ops.encode_run(0, [Op.insmod("", "a=1")]),
        lambda: ops.encode_run(0, [Op.insmod("/m.ko", "a=1\0")]),
        lambda: ops.encode_run(0, [Op.write(bytes(65536))]),
        lambda: ops.encode_run(0, [Op.read(1 << 32)]),
        lambda: ops.encode_run(0, [Op.repeat(1, 0), Op.close()]),
        lambda: ops.encode_run(0, [Op.repeat(1, 2), Op.close()]),
        lambda: ops.encode_run(0, [Op.close(), Op.repeat(1, 1)]),
        lambda: ops.encode_run(0, [Op.repeat(1, -1), Op.close()]),
        lambda: ops.encode_run(0, [Op.repeat(0, 1), Op.close()]),
        lambda: ops.encode_run(0, [Op.repeat(1_000_001, 1), Op.close()]),
        lambda: ops.encode_run(0, [Op.repeat(1, 2), Op.repeat(1, 1), Op.close()]),
        lambda: ops.encode_run(0, [Op.repeat(1, 2), Op.close(), Op.repeat(1, 1), Op.close()]),
        lambda: ops.encode_run(
            0, [Op(constants.OpCode.REPEAT, arg=1, count=1, data=b"x"), Op.close()]
        ),
        lambda: ops.encode_run(0, [Op.signal(-1, 10)]),
        lambda: agent.encode_spawn(0, uid=-1),
    ],
)
def test_operation_that_run_cannot_carry_is_refused(bad: Callable[[], object]) -> None:
    with pytest.raises(WireError):
        bad()


def test_constructors_fill_the_fields_of_an_operation() -> None:
    assert Op.lseek(-1, 2).offset == (1 << 64) - 1
    assert Op.insmod("/m.ko", "a=1").data == b"/m.ko\0a=1"
    assert (Op.pwrite(b"z", 9, fd=4).fd, Op.pwrite(b"z", 9, fd=4).offset) == (4, 9)
    assert Op.mkdir("/d", 0o700).arg == 0o700
    assert Op.close().fd == ops.FD_LAST
    assert (Op.repeat(70_000, 3).count, Op.repeat(70_000, 3).arg) == (70_000, 3)
    assert (Op.signal(2, 10).arg, Op.signal(2, 10).mode) == (2, 10)


def test_two_repeats_that_follow_each_other_are_accepted() -> None:
    batch = [Op.repeat(1, 1), Op.close(), Op.repeat(1_000_000, 2), Op.close(), Op.close()]
    assert len(ops.encode_run(0, batch)) == ops.RUN.size + len(batch) * ops.OP.size


def test_state_and_log_layout() -> None:
    texts = (b"stat", b"", b"running", b"[<0>] f\n", b"Name:\ta")
    tail = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    state = agent.decode_state(agent.STATE_REPLY.pack(1, 41, 3, 0) + tail)
    assert (state.phase, state.pid, state.op_index) == (constants.ActorPhase.IN_CALL, 41, 3)
    assert (state.stat, state.wchan, state.syscall) == ("stat", "", "running")
    for wrong in (tail[:-1], tail + bytes(4), tail[: 4 + 4]):
        with pytest.raises(WireError):
            agent.decode_state(agent.STATE_REPLY.pack(1, 41, 3, 0) + wrong)
    with pytest.raises(WireError):
        agent.decode_state(agent.STATE_REPLY.pack(9, 41, 3, 0) + tail)
    log = agent.decode_log(agent.LOG_HEAD.pack(2) + b"\x03\0\0\0abc\x01\0\0\0\xff")
    assert log == agent.LogBatch(2, (b"abc", b"\xff"))


def test_agent_hello_reply_layout() -> None:
    reply = agent.AGENT_HELLO_REPLY.pack(5, 2, 8, 61440) + b"6.12.0"
    assert agent.decode_agent_hello_reply(reply) == agent.AgentHello(5, 2, 8, 61440, "6.12.0")


# --- agreement with the C header --------------------------------------------------------------

C_TYPES = {"__u8": "B", "__u16": "H", "__u32": "I", "__s32": "i", "__s64": "q", "__u64": "Q",
           "__le16": "H", "__le32": "I", "__le64": "Q"}  # fmt: skip
LAYOUTS = {
    "tsmw_header": Layout("the whole header", frame.HEAD.struct.format[1:] + "I"),
    "tsmw_guest_hello": hello.GUEST_HELLO,
    "tsmw_host_hello": hello.HOST_HELLO,
    "tsmw_tlv": tlv.TLV_HEAD,
    "tsmw_report_reply": report.REPORT_REPLY,
    "tsma_hello": agent.AGENT_HELLO,
    "tsma_hello_reply": agent.AGENT_HELLO_REPLY,
    "tsma_spawn": agent.SPAWN,
    "tsma_run": ops.RUN,
    "tsma_op": ops.OP,
    "tsma_run_reply": ops.RUN_REPLY,
    "tsma_result": ops.RESULT,
    "tsma_stat": ops.STAT,
    "tsma_state_reply": agent.STATE_REPLY,
    "tsma_log": agent.LOG_HEAD,
}


def python_constants() -> dict[str, int | str]:
    values: dict[str, int | str] = {
        "TSMW_MAGIC": constants.MAGIC,
        "TSMW_VERSION": constants.VERSION,
        "TSMW_REPLY": constants.REPLY,
        "TSMW_MAX_PAYLOAD": constants.MAX_PAYLOAD,
        "TSMW_MAX_REQUEST": constants.MAX_REQUEST,
        "TSMW_MAX_IN_FLIGHT": constants.MAX_IN_FLIGHT,
        "TSMA_MAX_ROUNDS": constants.MAX_ROUNDS,
        "TSMW_MAX_TLVS": constants.MAX_TLVS,
        "TSMW_TLV_OPTIONAL": constants.OPTIONAL_TLV,
        "TSMW_AWAY_KEEP": constants.AWAY_KEEP,
        "TSMA_RUN_STOP_ON_ERROR": constants.RUN_STOP_ON_ERROR,
        "TSMA_FD_LAST": ops.FD_LAST,
        "TSMW_PORT_AGENT": constants.PORT_AGENT,
        "TSMW_PORT_PROVIDER": constants.PORT_PROVIDER,
        "TSMW_PORT_SSH": constants.PORT_SSH,
        "TSMW_PROVIDER_DEVICE": constants.PROVIDER_DEVICE,
    }
    provider_types = {"HELLO", "PING", "REPORT", "CANCEL", "RESET", "GOING_AWAY", "REGISTERED"}
    for kind in constants.FrameType:
        prefix = "TSMW_" if kind.name in provider_types else "TSMA_"
        values[prefix + kind.name] = kind.value
    prefixes: dict[str, type[IntEnum] | type[IntFlag]] = {
        "TSMW_F_": constants.FrameFlag,
        "TSMW_": constants.Status,
        "TSMW_HELLO_": constants.HelloTag,
        "TSMW_REQ_": constants.RequestTag,
        "TSMW_REPLY_": constants.ReplyFlag,
        "TSMA_": constants.OpCode,
    }
    for prefix, kinds in prefixes.items():
        values |= {prefix + member.name: member.value for member in kinds if member.name}
    return values | {f"TSMA_{phase.name}": phase.value for phase in constants.ActorPhase}


def c_constants(text: str) -> dict[str, int | str]:
    values: dict[str, int | str] = {}
    for name, value in re.findall(r"#define (TSM[WA]_\w+)[ \t]+(\S+)", text):
        values[name] = value.strip('"') if value[0] == '"' else int(value.strip("()u"), 0)
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.DOTALL):
        values |= {name: int(value) for name, value in re.findall(r"(\w+) = (\d+)", body)}
    return values


def c_structs(text: str) -> dict[str, str]:
    return {
        name: "<" + "".join(C_TYPES[kind] for kind in re.findall(r"(__(?:[us]|le)\d+) \w+;", body))
        for name, body in re.findall(r"struct (\w+) \{(.*?)\} __packed", text, re.DOTALL)
    }


def header_text() -> str:
    return re.sub(r"/\*.*?\*/", "", HEADER_FILE.read_text(), flags=re.DOTALL)


def test_constants_equal_those_of_the_header() -> None:
    assert python_constants() == c_constants(header_text())


def test_structs_equal_those_of_the_header() -> None:
    assert {name: layout.struct.format for name, layout in LAYOUTS.items()} == c_structs(
        header_text()
    )


def test_changed_header_is_noticed() -> None:
    text = header_text()
    assert c_constants(text.replace("TSMW_CANCEL\t\t0x03", "TSMW_CANCEL 4"))["TSMW_CANCEL"] == 4
    assert c_structs(text.replace("__le64 start_ns", "__le32 start_ns")) != c_structs(text)
