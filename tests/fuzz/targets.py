# SPDX-License-Identifier: MIT
"""The fuzzing targets: each takes bytes, and raises an exception only for a defect."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from harness.errors import UsageError
from harness.mail.file_diffs import file_diffs
from harness.mail.names import check_name
from harness.mail.sources import parse_postings
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
    """Check that a parser fed byte by byte returns the same frames, and has a bounded buffer."""
    at_once, bytewise = FrameParser(MAX_REQUEST), FrameParser(MAX_REQUEST)
    expected = at_once.feed(data)
    frames: list[Frame] = []
    for at in range(len(data)):
        frames += bytewise.feed(data[at : at + 1])
        assert len(bytewise._tail) <= HEADER_SIZE + MAX_REQUEST
    assert frames == expected
    assert (at_once.crc_errors, at_once.oversize) == (bytewise.crc_errors, bytewise.oversize)


def resync(data: bytes) -> None:
    """Check that the parser finds a valid frame after any bytes.

    It skips that frame only as the payload that a header in these bytes announces.
    """
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
    """Check that decoders of messages raise WireError and nothing else."""
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
    """A transport that is never started and drops every message."""

    def send(self, message: bytes) -> None:
        """Drop the message."""

    def send_bulk(self, frames: Iterator[bytes]) -> None:
        """Encode every frame, as a transport does, and drop it."""
        for _ in frames:
            pass


def session(data: bytes) -> None:
    """Check that arbitrary frames neither break the service nor exceed its limit of requests."""
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
    """Check that any blob has a description, and that decoders raise EvidenceError only."""
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


def mails(data: bytes) -> None:
    """Check that any mail gives postings or a UsageError with a hint, and each diff is sound."""
    try:
        postings = parse_postings(data, "a mail")
    except UsageError as error:
        assert error.hint
        return
    for posting in postings:
        assert posting.subject.isprintable()
        for patch in posting.patches:
            changed = [change for change, _ in file_diffs(patch)]
            assert changed == list(patch.changes)
            for name in (name for change in changed for name in (change.old, change.new) if name):
                assert check_name(name) == name


def planted(data: bytes) -> None:
    """Raise an error on one value of one byte: a defect that fuzzing must find."""
    if len(data) > 8 and data[5] == 0x99:
        raise IndexError("the planted defect")


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (stream, resync, messages, session, blobs, mails)
}
"""Every target by its name."""
