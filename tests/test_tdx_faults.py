# SPDX-License-Identifier: MIT
"""TDX: every fault of the table, and descriptions of blobs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from providers_sim import ProviderError, ProviderRefusal, describe
from providers_sim.evidence.tdx import Tdx, TdxOptions
from providers_sim.evidence.tdx.faults import FAULTS
from providers_sim.evidence.tdx.quote import QE_VENDOR
from tests.evidence import NONCE, REQUEST, description_of, evidence_of, flipped, refusal_of
from tsmw.constants import Status

REFUSED: dict[str, tuple[dict[str, str], Status, float]] = {
    "tdx-error": ({}, Status.IO, 1.0),
    "tdx-qgs-unavailable": ({}, Status.IO, 1.0),
    "tdx-qgs-timeout": ({}, Status.IO, 30.0),
    "tdx-qgs-eof": ({}, Status.IO, 1.0),
    "tdx-qgs-version": ({}, Status.IO, 1.0),
    "tdx-qgs-type": ({}, Status.IO, 1.0),
    "tdx-qgs-size": ({}, Status.IO, 1.0),
    "tdx-hypercall": ({"reason": "alignment"}, Status.IO, 0.0),
    "tdx-too-long": ({}, Status.TOO_BIG, 0.0),
    "tdx-tdreport": ({"code": "operand-invalid"}, Status.NO_DEVICE, 0.0),
}
KEEPS_BUSY = {"tdx-in-flight", "tdx-interrupted"}
SUCCEEDS = {"tdx-slow", "tdx-empty", "tdx-stale-quote", "tdx-changed"}


@pytest.fixture
def tdx() -> Tdx:
    return Tdx(seed=7)


def test_every_fault_has_a_test() -> None:
    assert set(FAULTS) == set(REFUSED) | KEEPS_BUSY | SUCCEEDS
    assert all(fault.summary and fault.outcome for fault in FAULTS.values())


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals_have_status_and_duration(tdx: Tdx, name: str) -> None:
    params, status, after = REFUSED[name]
    answer = tdx.answer(REQUEST, name, params)
    assert (refusal_of(answer).status, answer.after_s) == (status, after)
    assert answer.then is None
    tdx.admit(REQUEST)  # no request stays in flight


@pytest.mark.parametrize(("code", "status"), [("operand-busy", Status.BUSY), ("other", Status.IO)])
def test_tdreport_status_depends_on_the_code(tdx: Tdx, code: str, status: Status) -> None:
    assert refusal_of(tdx.answer(REQUEST, "tdx-tdreport", {"code": code})).status is status


@pytest.mark.parametrize(("seconds", "done"), [(45.0, 45.0), (0.0, math.inf)])
def test_quote_in_flight_makes_the_next_request_busy(tdx: Tdx, seconds: float, done: float) -> None:
    answer = tdx.answer(REQUEST, "tdx-in-flight", {"seconds": seconds})
    assert (refusal_of(answer).status, answer.after_s, answer.done_s) == (Status.IO, 30.0, done)
    tdx.admit(REQUEST)  # the driver still waits, so the quote is not yet abandoned
    assert answer.then is not None
    answer.then()
    assert tdx.live_state()["in_flight"] is True
    with pytest.raises(ProviderRefusal) as refusal:
        tdx.admit(REQUEST)
    assert refusal.value.status is Status.BUSY
    tdx.admit(replace(REQUEST, inblob=b""))  # the driver checks the length first
    tdx.complete()
    tdx.admit(REQUEST)


def test_quote_done_at_the_last_poll_is_a_timeout(tdx: Tdx) -> None:
    answer = tdx.answer(REQUEST, "tdx-in-flight", {"seconds": 30.0})
    assert (refusal_of(answer).status, answer.after_s) == (Status.TIMEOUT, 30.0)
    assert answer.then is None


def test_signal_leaves_the_quote_in_flight(tdx: Tdx) -> None:
    answer = tdx.answer(REQUEST, "tdx-interrupted", {"seconds": 3.0})
    refusal = refusal_of(answer)
    assert (refusal.status, refusal.value) == (Status.INJECT, -4)  # EINTR
    assert (answer.after_s, answer.done_s) == (0.0, 3.0)
    assert answer.then == tdx.abandon


@pytest.mark.parametrize(("seconds", "after"), [(0.2, 1), (1.0, 1), (28.5, 29)])
def test_slow_quotes_take_whole_seconds(tdx: Tdx, seconds: float, after: int) -> None:
    answer = tdx.answer(REQUEST, "tdx-slow", {"seconds": seconds})
    assert answer.after_s == after
    assert answer.evidence == tdx.report(REQUEST)


def test_parameters_out_of_range_are_refused(tdx: Tdx) -> None:
    for name, params in (
        ("tdx-slow", {"seconds": 30.0}),
        ("tdx-in-flight", {"seconds": 29.0}),
        ("tdx-hypercall", {"reason": "x"}),
        ("tdx-tdreport", {"code": "x"}),
    ):
        with pytest.raises(ProviderError):
            tdx.answer(REQUEST, name, params)


def test_empty_quote_is_a_success(tdx: Tdx) -> None:
    assert evidence_of(tdx.answer(REQUEST, "tdx-empty")).outblob == b""


def test_stale_and_changed_quotes(tdx: Tdx) -> None:
    first = evidence_of(tdx.answer(REQUEST, "tdx-stale-quote"))
    assert first.outblob[568:632] == bytes(64)
    good = tdx.report(REQUEST).outblob
    other = replace(REQUEST, inblob=bytes(reversed(NONCE)))
    stale = evidence_of(tdx.answer(other, "tdx-stale-quote"))
    assert stale.outblob == good
    changed = evidence_of(tdx.answer(REQUEST, "tdx-changed", {"offset": 600}))
    assert [n for n in range(len(good)) if good[n] != changed.outblob[n]] == [600]


@pytest.mark.parametrize("size", [0, 32, 63])
@pytest.mark.parametrize("name", ["", *sorted(FAULTS)])
def test_requests_without_64_bytes_are_invalid_with_every_fault(
    tdx: Tdx, name: str, size: int
) -> None:
    answer = tdx.answer(replace(REQUEST, inblob=bytes(size)), name)
    assert refusal_of(answer).status is Status.INVALID


def test_quotes_that_exceed_the_drivers_buffer_are_refused() -> None:
    fits = Tdx(TdxOptions(padding=8192 - 24 - 4936))
    assert len(fits.report(REQUEST).outblob) == 8168
    small = Tdx(TdxOptions(padding=8192 - 24 - 4936 + 1))
    with pytest.raises(ProviderRefusal) as refusal:
        small.report(REQUEST)
    assert refusal.value.status is Status.TOO_BIG
    newer = Tdx(TdxOptions(padding=10000, buffer=131072))
    assert len(newer.report(REQUEST).outblob) == 14936


def test_quotes_are_described(tdx: Tdx) -> None:
    text = description_of(Tdx(TdxOptions(padding=3)).report(REQUEST).outblob)
    for line in ("TDX quote: version 4, 4939 bytes", f"REPORT DATA: {NONCE.hex()}",
                 "bit 28: SEPT_VE_DISABLE", "FMSPC: 00806f050000", "TCB component 16: 00",
                 "by the attestation key: good", "by the PCK: good", "padding: 3 zero bytes",
                 "CN=Intel SGX Root CA"):  # fmt: skip
        assert line in text
    assert "MR SERVICE TD" not in text
    modern = Tdx(TdxOptions(version=5, body="1.5")).report(REQUEST).outblob
    assert "MR SERVICE TD" in description_of(modern)
    changed = evidence_of(tdx.answer(REQUEST, "tdx-changed"))
    assert "by the attestation key: wrong" in description_of(changed.outblob)
    assert "violates the specification: the quote ends early" in description_of(modern[:1000])


def test_certificate_with_an_invalid_key_is_described(tdx: Tdx) -> None:
    blob = tdx.report(REQUEST).outblob
    chain = blob[blob.index(b"-----BEGIN") :].rstrip(b"\0")
    pck = x509.load_pem_x509_certificates(chain)[0]
    pem, der = pck.public_bytes(Encoding.PEM), pck.public_bytes(Encoding.DER)
    point = pck.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    off_curve = flipped(point, len(point) - 1)
    damaged = x509.load_der_x509_certificate(der.replace(point, off_curve))
    text = description_of(blob.replace(pem, damaged.public_bytes(Encoding.PEM)))
    assert "PCK: has an invalid key" in text
    assert "by the attestation key: good" in text


def test_td_reports_and_collateral_are_described(tdx: Tdx) -> None:
    text = description_of(tdx.td_report(NONCE))
    assert text.startswith("TDREPORT: 1024 bytes")
    assert f"REPORT DATA: {NONCE.hex()}" in text
    assert "violates the specification" not in text
    damaged = flipped(tdx.td_report(NONCE), 600)
    assert "the hash of TDINFO_STRUCT is wrong" in description_of(damaged)
    files = tdx.collateral()
    for name in ("collateral.json", "tcb_info.json", "qe_identity.json"):
        assert "TDX collateral" in description_of(files[name])
    whole = description_of(files["collateral.json"])
    assert "tcbStatus: UpToDate" in whole
    assert "CN=Intel SGX TCB Signing" in whole
    assert "X.509" in description_of(files["pck_chain.pem"])
    assert "revocation list" in description_of(files["pck.crl"])


@given(st.binary(max_size=900), st.sampled_from(["quote", "report", "json"]))
@settings(max_examples=150, deadline=None)
def test_description_accepts_any_bytes(data: bytes, kind: str) -> None:
    good = Tdx().report(REQUEST).outblob
    blob = {
        "quote": good[:12] + QE_VENDOR + good[28 : 48 + len(data)] + data,
        "report": (b"\x81\0" + data).ljust(1024, b"\xa5"),
        "json": b'{"tcb_info": "' + data.hex().encode() + b'"}',
    }[kind]
    assert describe(blob) is not None
    describe(b'{"tcb_info": ' + data)
