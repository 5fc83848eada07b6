# SPDX-License-Identifier: MIT
"""The provider driver in guests, with malformed frames and arbitrary bytes from the host.

Every read returns, no memory leaks or leaks out, and the next host can register.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from itertools import pairwise
from zlib import crc32

import pytest

from harness.interface.find import find_interface
from harness.session import Session
from harness.settings import DEFAULT_PROVIDER
from providers_sim import ProviderLoop
from tests.conftest import Attach, Clone
from tests.driver import (
    ALL_BITS,
    BLOBS,
    CORRECT,
    NEXT_NONCE,
    NONCE,
    RAW_SESSION,
    Connect,
    StartRawDriver,
    connect,
    first_frame,
    hello_reply,
    oversized_frame,
    read_counters,
    reply_lengths,
    report_reply,
    signed,
    start_raw,
    start_read,
    wait_until,
    wait_until_closed,
    whole_reply,
)
from tsmw.constants import (
    MAGIC,
    MAX_REQUEST,
    MAX_TLVS,
    OPTIONAL_TLV,
    REPLY,
    VERSION,
    FrameFlag,
    FrameType,
    HelloTag,
    ReplyFlag,
    Status,
)
from tsmw.frame import HEAD, Frame, encode_frame
from tsmw.hello import HOST_HELLO, decode_guest_hello
from tsmw.report import decode_report_request
from tsmw.tlv import encode_tlvs

__all__ = ["connect", "start_raw"]  # the fixtures


def test_the_host_limits_requests_in_flight(clone: Clone, connect: Connect) -> None:
    guest = clone("class-posted")
    host = connect(guest)
    assert host.register(max_in_flight=1) == 0
    report = find_interface(guest).report()
    report.write_inblob(NONCE)
    first = start_read(guest, 1, report)
    ident = host.expect(FrameType.REPORT).id
    assert start_read(guest, 2, report).error() == errno.EBUSY
    host.send(whole_reply(ident))
    assert first.result() == BLOBS[0]
    assert read_counters(guest)["in_flight"] == 0
    guest.log.assert_clean()


def test_the_longest_service_provider_reaches_the_host(start_raw: StartRawDriver) -> None:
    driver, name = start_raw("mainline"), b"s" * 4095  # configfs takes no more in one write(2)
    driver.report.write("service_provider", name)
    call = start_read(driver.guest, 1, driver.report)
    frame = driver.host.expect(FrameType.REPORT)
    request = decode_report_request(frame.id, frame.payload)
    assert (request.service_provider, request.inblob) == (name, NONCE)
    driver.host.send(whole_reply(frame.id))
    assert call.result() == BLOBS[0]


def _inject(ident: int, value: int) -> bytes:
    return report_reply(ident, signed(value), status=Status.INJECT)


Reply = Callable[[int], bytes]
MALFORMED: dict[str, tuple[Reply, int]] = {
    "unknown flag": (
        lambda n: report_reply(n, reply_lengths(0, 0, 0), flags=0x8000),
        errno.EBADMSG,
    ),
    "unknown status": (lambda n: report_reply(n, status=200), errno.EPROTO),
    "short lengths": (lambda n: report_reply(n, reply_lengths(0, 0, 0)[:-1]), errno.EBADMSG),
    "no lengths": (report_reply, errno.EBADMSG),
    "huge lengths": (
        lambda n: report_reply(n, reply_lengths(ALL_BITS, ALL_BITS, ALL_BITS)),
        errno.EMSGSIZE,
    ),
    "lengths whose sum wraps in 32 bits": (
        lambda n: report_reply(n, reply_lengths(ALL_BITS, 2, 0)),
        errno.EMSGSIZE,
    ),
    "absent outblob with bytes": (
        lambda n: report_reply(n, reply_lengths(4, 0, 0, flags=ReplyFlag.NO_OUTBLOB) + b"blob"),
        errno.EBADMSG,
    ),
    "one byte too many": (lambda n: first_frame(n) + report_reply(n, bytes(5201)), errno.EBADMSG),
    "one byte missing": (lambda n: first_frame(n) + report_reply(n, bytes(5199)), errno.EBADMSG),
    "injected errno in the second frame": (
        lambda n: first_frame(n) + _inject(n, -errno.EIO),
        errno.EIO,
    ),
    "status in the second frame": (
        lambda n: first_frame(n) + report_reply(n, status=Status.BUSY),
        errno.EBUSY,
    ),
    "frame too long": (oversized_frame, errno.EMSGSIZE),
    "second frame too long": (lambda n: first_frame(n) + oversized_frame(n), errno.EMSGSIZE),
    "injected value too large": (lambda n: _inject(n, 4096), errno.EPROTO),
    "injected value too small": (lambda n: _inject(n, -4096), errno.EPROTO),
    "injected value absent": (lambda n: report_reply(n, status=Status.INJECT), errno.EPROTO),
    "throttled with a long payload": (
        lambda n: report_reply(n, bytes(5), status=Status.THROTTLED),
        errno.EPROTO,
    ),
}


@pytest.mark.parametrize("tsm", CORRECT)
def test_a_malformed_reply_is_an_errno(start_raw: StartRawDriver, tsm: str) -> None:
    driver = start_raw(tsm)
    before = driver.count_vmalloc_areas()
    seen = {}
    for name, (encode, _) in MALFORMED.items():
        call, ident = driver.start_read()
        driver.host.send(encode(ident))
        seen[name] = call.error()
    assert seen == {name: expected for name, (_, expected) in MALFORMED.items()}
    assert driver.count_vmalloc_areas() == before
    call, ident = driver.start_read()
    driver.host.send(whole_reply(ident))
    assert call.result() == BLOBS[0]
    counters = read_counters(driver.guest)
    assert (counters["oversize"], counters["resyncs"], counters["crc_errors"]) == (2, 0, 0)
    assert counters["in_flight"] == 0
    driver.guest.log.assert_clean()


def test_injected_success_after_a_first_frame_exposes_no_memory(start_raw: StartRawDriver) -> None:
    driver = start_raw("class-fixed")
    call, ident = driver.start_read()
    first = report_reply(ident, reply_lengths(1000, 0, 0, flags=0), flags=FrameFlag.MORE)
    driver.host.send(first + _inject(ident, 0))
    assert call.error() == errno.EIO, f"the reader got {call.result()!r}"


def test_throttling_after_a_first_frame_frees_its_blobs(start_raw: StartRawDriver) -> None:
    driver = start_raw("class-fixed")
    before = driver.count_vmalloc_areas()
    call, ident = driver.start_read()
    driver.host.send(first_frame(ident) + report_reply(ident, bytes(4), status=Status.THROTTLED))
    again = driver.host.expect(FrameType.REPORT).id
    assert again == ident + 1
    driver.host.send(first_frame(again) + report_reply(again, b"\xff" * 4, status=Status.THROTTLED))
    assert call.error() == errno.ETIMEDOUT
    assert driver.count_vmalloc_areas() == before


def test_replies_of_another_session_or_id_are_ignored(start_raw: StartRawDriver) -> None:
    driver = start_raw("class-fixed")
    call, ident = driver.start_read()
    others = ((RAW_SESSION ^ 1, ident), (0, ident), (RAW_SESSION, ident + 1), (RAW_SESSION, 0))
    for session, other in others:
        driver.host.send(encode_frame(Frame(FrameType.REPORT | REPLY, 0, session, other)))
    driver.host.send(whole_reply(ident))
    assert call.result() == BLOBS[0]
    assert read_counters(driver.guest)["stale"] == 4


def test_a_reply_of_many_frames_is_assembled(start_raw: StartRawDriver) -> None:
    driver = start_raw("mainline")
    call, ident = driver.start_read()
    body = reply_lengths(*map(len, BLOBS)) + b"".join(BLOBS)
    cuts = [0, 16, *range(17, len(body), 7), len(body)]
    parts = [body[start:end] for start, end in pairwise(cuts)]
    sent = [report_reply(ident, part, flags=FrameFlag.MORE) for part in [*parts, b""]]
    driver.host.send(b"".join(sent) + report_reply(ident))
    assert call.result() == BLOBS[0]
    assert driver.report.read("auxblob") == BLOBS[1]
    assert driver.report.read("manifestblob") == BLOBS[2]
    assert read_counters(driver.guest)["frames_in"] == len(sent) + 2
    driver.guest.log.assert_clean()


@pytest.mark.parametrize("tsm", CORRECT)
def test_going_away_can_keep_requests(start_raw: StartRawDriver, tsm: str) -> None:
    driver = start_raw(tsm)
    call, ident = driver.start_read()
    keep = Frame(FrameType.GOING_AWAY, session=RAW_SESSION, payload=b"\1\0\0\0")
    driver.host.send(encode_frame(keep))
    wait_until(driver.guest, lambda: read_counters(driver.guest)["frames_in"] == 2, "GOING_AWAY")
    call.wait_until_blocked("report_new")
    driver.host.send(whole_reply(ident))
    assert call.results()[1].data == BLOBS[0]  # tsm0 is removed before the next page is read
    assert driver.host.registered() == errno.ENXIO
    driver.guest.log.assert_clean()


def test_replies_that_nobody_reads_are_dropped(start_raw: StartRawDriver) -> None:
    driver = start_raw("class-fixed")
    number, payload = 1000, bytes(MAX_REQUEST)
    for ident in range(number):
        driver.host.send(encode_frame(Frame(FrameType.PING, 0, RAW_SESSION, ident, 0, payload)))

    def all_handled() -> bool:
        counters = read_counters(driver.guest)  # HELLO and REGISTERED are the other two
        return counters["frames_out"] + counters["dropped"] == number + 2

    wait_until(driver.guest, all_handled, "the end of the pings")
    dropped = read_counters(driver.guest)["dropped"]
    assert 0 < dropped < number
    replies = [driver.host.expect(FrameType.PING | REPLY) for _ in range(number - dropped)]
    assert all(one.payload == payload for one in replies)
    idents = [one.id for one in replies]
    assert idents == sorted(set(idents))
    too_big = Frame(FrameType.PING, 0, RAW_SESSION, number, 0, payload + b"!")
    driver.host.send(encode_frame(too_big))
    refused = driver.host.expect(FrameType.PING | REPLY)
    assert (refused.id, refused.status, refused.payload) == (number, Status.TOO_BIG, b"")
    call, ident = driver.start_read()
    driver.host.send(whole_reply(ident))
    assert call.result() == BLOBS[0]
    driver.guest.log.assert_clean()


def _tlvs(*extra: tuple[int, bytes], name: bytes = b"raw") -> bytes:
    return encode_tlvs([(HelloTag.NAME, name), *extra])


_OPTIONAL = (OPTIONAL_TLV | 9, b"ignored")

HELLO_REPLIES: dict[str, tuple[int, bytes]] = {
    "only a name": (0, _tlvs()),
    "as many TLVs as possible": (0, _tlvs(*[_OPTIONAL] * (MAX_TLVS - 1), name=b"n" * 64)),
    "no name": (errno.EPROTO, encode_tlvs([_OPTIONAL])),
    "no TLV": (errno.EPROTO, b""),
    "empty name": (errno.EPROTO, _tlvs(name=b"")),
    "long name": (errno.EPROTO, _tlvs(name=b"n" * 65)),
    "name with a NUL": (errno.EPROTO, _tlvs(name=b"n\0n")),
    "one TLV too many": (errno.EPROTO, _tlvs(*[_OPTIONAL] * MAX_TLVS)),
    "unknown tag": (errno.EPROTO, _tlvs((9, bytes(4)))),
    "short number": (errno.EPROTO, _tlvs((HelloTag.TIMEOUT_MS, bytes(3)))),
    "truncated head": (errno.EPROTO, _tlvs()[:-11]),
    "truncated value": (errno.EPROTO, _tlvs()[:-1]),
    "length beyond the payload": (errno.EPROTO, _tlvs() + b"\4\0\0\0\xff\xff\xff\xff" + bytes(4)),
}


@pytest.mark.parametrize("tsm", CORRECT)
def test_the_content_of_a_hello_reply_is_checked(clone: Clone, connect: Connect, tsm: str) -> None:
    guest, seen = clone(tsm), {}
    for name, (_, tlvs) in HELLO_REPLIES.items():
        host = connect(guest)
        request = host.expect(FrameType.HELLO)
        head = HOST_HELLO.pack(decode_guest_hello(request.payload).nonce, VERSION, 0, 1)
        host.send(hello_reply(request.id, head + tlvs))
        seen[name] = host.registered()
        host.close()
        wait_until_closed(guest)
    assert seen == {name: expected for name, (expected, _) in HELLO_REPLIES.items()}
    guest.log.assert_clean()


def test_a_hello_reply_with_another_nonce_is_ignored(clone: Clone, connect: Connect) -> None:
    guest = clone("mainline")
    host = connect(guest)
    request = host.expect(FrameType.HELLO)
    nonce = decode_guest_hello(request.payload).nonce
    head = HOST_HELLO.pack(nonce, VERSION, 0, 1)
    host.send(hello_reply(request.id, HOST_HELLO.pack(nonce ^ 1, VERSION, 0, 1) + _tlvs()))
    host.send(hello_reply(request.id, head[:-1]))
    host.send(report_reply(request.id) + whole_reply(2))
    host.send(hello_reply(request.id, head + _tlvs()))
    assert host.registered() == 0
    host.send(hello_reply(request.id, head + _tlvs()))  # stale: the session exists
    wait_until(guest, lambda: read_counters(guest)["stale"] == 5, "the last frame")
    assert read_counters(guest)["frames_in"] == 6
    guest.log.assert_clean()


def test_a_hello_reply_of_another_version_or_status_is_refused(
    clone: Clone, connect: Connect
) -> None:
    guest = clone("mainline")
    for version, status, session in (
        (VERSION + 1, Status.OK, RAW_SESSION),
        (VERSION, Status.UNSUPPORTED, RAW_SESSION),
        (VERSION, Status.OK, 0),
    ):
        host = connect(guest)
        request = host.expect(FrameType.HELLO)
        head = HOST_HELLO.pack(decode_guest_hello(request.payload).nonce, version, 0, 1)
        host.send(hello_reply(request.id, head + _tlvs(), status=status, session=session))
        assert host.registered() == errno.EPROTONOSUPPORT
        host.close()
        wait_until_closed(guest)
    guest.log.assert_clean()


def _random_bytes(source: random.Random) -> bytes:
    return source.randbytes(20_000)


def _partial_magics(source: random.Random) -> bytes:
    magic = MAGIC.to_bytes(4, "little")
    return b"".join(magic[: source.randrange(5)] + source.randbytes(9) for _ in range(2000))


def _endless_payload(source: random.Random) -> bytes:
    """A valid header, of a payload that is longer than what follows."""
    head = HEAD.pack(MAGIC, VERSION, FrameType.PING, 0, RAW_SESSION, 1, ALL_BITS, 0, 0)
    return head + crc32(head).to_bytes(4, "little") + source.randbytes(100_000)


def _truncated_frame(source: random.Random) -> bytes:
    whole = encode_frame(Frame(FrameType.PING, 0, RAW_SESSION, 1, 0, source.randbytes(3000)))
    return whole[: source.randrange(1, len(whole))]


def _mutated_frame(source: random.Random) -> bytes:
    """A frame whose fields are valid or not, at random."""
    kinds = (REPLY | FrameType.REPORT, REPLY | FrameType.HELLO, FrameType.PING)
    rare = (FrameType.RESET, FrameType.GOING_AWAY, source.randrange(256))
    lengths = [source.choice((0, 1, 50, 33_000, ALL_BITS)) for _ in range(3)]
    frame = Frame(
        source.choice(kinds if source.random() < 0.95 else rare),
        source.choice((0, 0, FrameFlag.MORE, FrameFlag.MORE, source.getrandbits(16))),
        source.choice((RAW_SESSION, RAW_SESSION, RAW_SESSION, 0, source.getrandbits(32))),
        source.choice((1, 2, 2, 3, 3, 4, source.getrandbits(32))),
        source.choice((0, 0, 0, *Status, source.getrandbits(32))),
        source.choice((
            source.randbytes(4),
            signed(source.randrange(-5000, 5000)),
            source.randbytes(source.randrange(MAX_REQUEST)),
            reply_lengths(*lengths, flags=source.randrange(16)) + bytes(source.randrange(200)),
        )),
    )  # fmt: skip
    data = bytearray(encode_frame(frame))
    if source.random() < 0.1:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    return bytes(data)


def _mutated_frames(source: random.Random) -> bytes:
    return b"".join(_mutated_frame(source) for _ in range(200))


@pytest.mark.parametrize("tsm", CORRECT)
def test_the_driver_survives_arbitrary_bytes(
    clone: Clone, connect: Connect, attach: Attach, tsm: str
) -> None:
    guest, source = clone(tsm), random.Random(20230814)
    for noise in (
        _random_bytes,
        _partial_magics,
        _mutated_frames,
        _truncated_frame,
        _endless_payload,
    ):
        host = connect(guest)
        host.expect(FrameType.HELLO)  # without a reply
        host.send(noise(source))
        host.close()
        wait_until_closed(guest)
        host = connect(guest)  # in a session
        assert host.register() == 0
        host.send(noise(source))
        host.close()
        wait_until_closed(guest)
    counters = read_counters(guest)
    assert min(counters[name] for name in ("resyncs", "crc_errors", "stale", "oversize")) > 0
    assert counters["in_flight"] == 0
    provider = attach(guest)
    report = find_interface(guest).report()
    report.write_inblob(NONCE)
    assert report.read_outblob() == provider.issued[-1].evidence.outblob
    guest.log.assert_clean()


@pytest.mark.parametrize("noise", [_random_bytes, _partial_magics])
def test_a_hello_reply_behind_noise_is_found(
    clone: Clone, connect: Connect, noise: Callable[[random.Random], bytes]
) -> None:
    guest = clone("mainline")
    host = connect(guest)
    host.send(noise(random.Random(1)))
    assert host.register() == 0
    assert read_counters(guest)["resyncs"] == 1
    guest.log.assert_clean()


@pytest.mark.parametrize("seed", range(3))
def test_readers_return_after_arbitrary_replies(
    start_raw: StartRawDriver, session: Session, seed: int
) -> None:
    driver, source = start_raw("class-fixed"), random.Random(seed)
    first, _ = driver.start_read(1)
    calls = [first, *(start_read(driver.guest, actor, driver.report) for actor in (2, 3))]
    for _ in range(5):
        driver.host.send(_mutated_frames(source))
    assert first.error() != errno.ENXIO, "the read ended only when the host left"
    driver.host.close()
    for call in calls:
        call.results()  # with a report or an errno
    wait_until_closed(driver.guest)
    assert read_counters(driver.guest)["in_flight"] == 0
    # Bytes that the relay has not read may announce a long payload: a new relay discards them.
    driver.guest.relay(start=False)
    driver.guest.relay(start=True)
    # The new relay may have sent HELLO before this host connected.
    connection = driver.guest.machine.connect("provider")
    with ProviderLoop(session.provider(DEFAULT_PROVIDER, 0), connection, reset=True) as provider:
        assert provider.wait_registered() == 0
        driver.report.write_inblob(NEXT_NONCE)
        assert driver.report.read_outblob() == provider.issued[-1].evidence.outblob
        driver.guest.log.assert_clean()
