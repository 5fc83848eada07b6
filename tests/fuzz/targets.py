# SPDX-License-Identifier: MIT
"""The fuzzing targets: each takes bytes and raises only when it finds a defect."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from providers_sim import EvidenceError, FaultQueue, describe
from providers_sim.evidence.arm_cca.token import parse_token
from providers_sim.evidence.cose import decode
from providers_sim.evidence.cove.evidence import parse_evidence
from providers_sim.evidence.sev_snp.certificates import parse_table
from providers_sim.evidence.sev_snp.manifest import parse_services
from providers_sim.evidence.sev_snp.report import encode_report, parse_report
from providers_sim.evidence.tdx.quote import parse_quote
from providers_sim.evidence.tdx.td_report import split_td_report
from providers_sim.service import Service
from providers_sim.transport import Transport
from tests.fake_guest import EchoProvider
from tsmw import agent, ops
from tsmw.constants import MAX_IN_FLIGHT, MAX_REQUEST
from tsmw.errors import WireError
from tsmw.frame import HEADER_SIZE, Frame, FrameParser, encode_frame
from tsmw.hello import decode_guest_hello, decode_host_hello
from tsmw.report import decode_report_reply, decode_report_request

__all__ = ["TARGETS", "planted"]


def stream(data: bytes) -> None:
    """A stream gives the same frames however it is cut, and the parser's memory is bounded."""
    whole, pieces = FrameParser(MAX_REQUEST), FrameParser(MAX_REQUEST)
    at_once = whole.feed(data)
    singly: list[Frame] = []
    for at in range(len(data)):
        singly += pieces.feed(data[at : at + 1])
        assert len(pieces._tail) <= HEADER_SIZE + MAX_REQUEST
    assert at_once == singly
    assert (whole.crc_errors, whole.oversize) == (pieces.crc_errors, pieces.oversize)


def found(data: bytes) -> None:
    """A valid frame is found behind any bytes, unless these announce a payload that covers it."""
    parser = FrameParser(MAX_REQUEST)
    parser.feed(data)
    valid = Frame(1, 0, 2, 3, 4, b"payload")
    frames: list[Frame] = []
    for _ in range(MAX_REQUEST // 30):  # a header may announce so many bytes
        frames += parser.feed(encode_frame(valid))
        if valid in frames:
            return
    assert parser._skip > 0, "a valid frame was lost"


def messages(data: bytes) -> None:
    """Decoders of messages raise WireError and nothing else."""
    decoders: tuple[Callable[[bytes], object], ...] = (
        decode_guest_hello,
        decode_host_hello,
        decode_report_reply,
        lambda payload: decode_report_request(1, payload),
        agent.decode_log,
        agent.decode_agent_hello_reply,
        agent.decode_state,
        ops.decode_results,
        ops.decode_stat,
    )
    for decoder in decoders:
        with suppress(WireError):
            decoder(data)


class _NullTransport(Transport):
    """A transport that is never started and drops what is sent."""

    def send(self, message: bytes) -> None:
        """Drop the message."""

    def send_bulk(self, frames: Iterator[bytes]) -> None:
        """Encode every frame, as a transport would, and drop it."""
        for _ in frames:
            pass


def session(data: bytes) -> None:
    """A guest that sends arbitrary frames neither breaks the service nor grows its state."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = _NullTransport(ours, name="fuzz")
        service = Service(EchoProvider(), transport, FaultQueue())
        at = 0
        while at + 4 <= len(data):
            kind, ident, length, stale = data[at : at + 4]
            payload = data[at + 4 : at + 4 + length]
            at += 4 + length
            number = 0 if kind == 1 or stale > 250 else service.session
            service.dispatch(Frame(kind, 0, number, ident, 0, payload))
            assert len(service.in_flight) <= MAX_IN_FLIGHT
        assert service.error is None or isinstance(service.error, ZeroDivisionError)
        transport.close()


def blobs(data: bytes) -> None:
    """Any blob can be described, and decoders of evidence raise EvidenceError and nothing else."""
    describe(data)
    parsers: tuple[Callable[[bytes], object], ...] = (
        decode,
        parse_evidence,
        parse_quote,
        parse_services,
        parse_table,
        parse_token,
        split_td_report,
    )
    for parse in parsers:
        with suppress(EvidenceError):
            parse(data)
    with suppress(EvidenceError):
        report = parse_report(data)
        assert encode_report(report, None)[:0x2A0] == data[:0x2A0]


def planted(data: bytes) -> None:
    """A planted defect: a decoder that fails on an unexpected byte."""
    if len(data) > 8 and data[5] == 0x99:
        raise IndexError("the planted defect")


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (stream, found, messages, session, blobs)
}
"""Every target by its name."""
