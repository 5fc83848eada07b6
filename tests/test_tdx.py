# SPDX-License-Identifier: MIT
"""TDX quotes: layout, and verification by an independent library."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from dcap_qvl import (  # type: ignore[import-untyped]
    QuoteCollateralV3,
    parse_quote,
    verify_with_root_ca,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from providers_sim import EvidenceError, ProviderError, create
from providers_sim.evidence.tdx import Tdx, TdxOptions
from providers_sim.evidence.tdx import quote as layout
from providers_sim.evidence.tdx.collateral import TcbStatus
from providers_sim.evidence.tdx.td_report import (
    TcbInfo,
    TdInfo,
    TdReport,
    encode_td_report,
    parse_td_report,
)
from tests.evidence import NONCE, REQUEST, assert_state_restores, flipped, octets

NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
VARIANTS = ({"version": 4}, {"version": 5}, {"version": 5, "body": "1.5"})
SIGNED = {4: 632, 5: 638}


def td(seed: int = 7, **options: Any) -> Tdx:  # noqa: ANN401
    """Make a provider."""
    return Tdx(TdxOptions(**options), seed=seed)


def verify_quote(tdx: Tdx, quote: bytes, *, root: bytes = b"", collateral: bytes = b"") -> str:
    """Return the TCB status of a quote; the independent library raises ValueError to refuse it."""
    files = tdx.collateral()
    document = (collateral or files["collateral.json"]).decode()
    report = verify_with_root_ca(
        quote, QuoteCollateralV3.from_json(document), root or files["root.der"], NOW
    )
    return str(report.status)


def accepted(tdx: Tdx, quote: bytes, nonce: bytes = NONCE) -> bool:
    """Return whether a relying party accepts the quote for its nonce."""
    try:
        status = verify_quote(tdx, quote)
    except ValueError:
        return False
    return status == "UpToDate" and bytes(parse_quote(quote).report.report_data) == nonce


@pytest.mark.parametrize("variant", VARIANTS)
def test_verifier_accepts_every_variant_and_refuses_damage(variant: dict[str, Any]) -> None:
    tdx = td(**variant)
    quote = tdx.report(REQUEST).outblob
    assert accepted(tdx, quote)
    assert not accepted(tdx, quote, bytes(64))
    signed = SIGNED[tdx.options.version] + 64 * (tdx.options.body == "1.5")
    for offset in (*range(0, signed, 7), signed - 1, *range(signed + 4, signed + 132, 9)):
        assert not accepted(tdx, flipped(quote, offset, 0x10)), offset


@given(offset=st.integers(0, 701), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_verifier_refuses_a_flipped_byte(offset: int, flip: int) -> None:
    tdx = td(version=5, body="1.5")
    quote = tdx.report(REQUEST).outblob
    assert not accepted(tdx, flipped(quote, offset, flip))


def test_verifier_refuses_another_root() -> None:
    tdx, other = td(), td(root=1)
    quote = tdx.report(REQUEST).outblob
    with pytest.raises(ValueError, match="SignatureForPublicKey"):
        verify_quote(tdx, quote, root=other.collateral()["root.der"])
    with pytest.raises(ValueError, match="SignatureForPublicKey"):
        verify_quote(tdx, other.report(REQUEST).outblob)
    with pytest.raises(ValueError, match="SignatureForPublicKey"):
        verify_quote(tdx, quote, collateral=other.collateral()["collateral.json"])
    assert tdx.collateral()["root.der"] == td(seed=8).collateral()["root.der"]


@pytest.mark.parametrize("status", get_args(TcbStatus))
@pytest.mark.parametrize("body", ["1.0", "1.5"])
def test_verifier_returns_the_configured_tcb_status(status: TcbStatus, body: str) -> None:
    tdx = td(version=5, body=body, tcb_status=status)
    quote = tdx.report(REQUEST).outblob
    if status == "Revoked":
        with pytest.raises(ValueError, match=r"(?i)revoked"):
            verify_quote(tdx, quote)
    else:
        assert verify_quote(tdx, quote) == status


def test_verifier_refuses_a_debuggable_guest() -> None:
    quote = td(debug=True).report(REQUEST).outblob
    assert quote[48 + 120] == 1
    with pytest.raises(ValueError, match=r"(?i)debug"):
        verify_quote(td(debug=True), quote)


def test_registers_are_in_the_next_quote_and_tdreport() -> None:
    tdx = td()
    first = tdx.report(REQUEST).outblob
    digest = hashlib.sha384(b"event").digest()
    tdx.extend(2, digest)
    expected = hashlib.sha384(bytes(48) + digest).digest()
    assert tdx.registers() == (bytes(48), bytes(48), expected, bytes(48))
    second = tdx.report(REQUEST).outblob
    assert accepted(tdx, second)
    at = 48 + 328 + 2 * 48
    assert (first[at : at + 48], second[at : at + 48]) == (bytes(48), expected)
    assert tdx.td_report(NONCE)[512 + 208 + 96 :][:48] == expected
    tdx.extend(2, digest)
    assert tdx.registers()[2] == hashlib.sha384(expected + digest).digest()
    for register, data in ((4, digest), (-1, digest), (0, digest[1:]), (0, digest + b"x")):
        with pytest.raises(ProviderError):
            tdx.extend(register, data)


def test_members_are_at_the_specified_offsets() -> None:
    tdx = td()
    quote = tdx.report(REQUEST).outblob
    assert len(quote) == 4936  # as on real platforms
    assert quote[:8].hex() == "0400020081000000"
    assert quote[8:12] == bytes(4)
    assert quote[12:28].hex() == "939a7233f79c4ca9940a0db3957f0607"
    assert quote[48 + 120 : 48 + 136].hex() == "0000001000000000e702060000000000"
    assert quote[48 + 520 : 48 + 584] == NONCE
    assert int.from_bytes(quote[632:636], "little") == len(quote) - 636 == 4300
    data = quote[636:]
    assert data[128:130] == b"\x06\0"
    assert int.from_bytes(data[130:134], "little") == len(data) - 134
    qe = data[134 : 134 + 384]
    assert (qe[256:258], qe[320 + 32 :]) == (b"\x02\0", bytes(32))
    auth = data[134 + 384 + 64 :][:34]
    assert auth == b"\x20\0" + bytes(range(32))
    assert qe[320:352] == hashlib.sha256(data[64:128] + auth[2:]).digest()
    inner = data[134 + 384 + 64 + 34 :]
    assert inner[:2] == b"\x05\0"
    assert inner[6:].startswith(b"-----BEGIN CERTIFICATE-----")
    assert inner.endswith(b"-----END CERTIFICATE-----\n\0")
    assert inner.count(b"BEGIN CERTIFICATE") == 3
    modern = td(version=5, body="1.5").report(REQUEST).outblob
    assert len(modern) == 5006
    assert modern[48:54].hex() == "030088020000"
    assert td(version=5).report(REQUEST).outblob[48:54].hex() == "020048020000"
    padded = td(padding=70).report(REQUEST).outblob
    assert padded == quote + bytes(70)


def test_signatures_verify_with_cryptography_alone() -> None:
    tdx = td()
    blob = tdx.report(REQUEST).outblob
    quote = layout.parse_quote(blob)
    chain = x509.load_pem_x509_certificates(quote.pck_chain.rstrip(b"\0"))
    key = chain[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for public, signature, data in (
        (
            ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), b"\x04" + quote.attestation_key
            ),
            quote.signature,
            blob[:632],
        ),
        (key, quote.qe_signature, layout.encode_qe_report(quote.qe_report)),
    ):
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    for cert, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        cert.verify_directly_issued_by(issuer)


def test_pck_certificate_has_the_structure_of_intels() -> None:
    pck = x509.load_der_x509_certificate(td().collateral()["pck.der"])
    names = [extension.oid.dotted_string for extension in pck.extensions]
    assert names == [
        "2.5.29.35",
        "2.5.29.31",
        "2.5.29.14",
        "2.5.29.15",
        "2.5.29.19",
        "1.2.840.113741.1.13.1",
    ]
    assert [extension.critical for extension in pck.extensions] == [False] * 3 + [True] * 2 + [
        False
    ]
    common_name = next(attribute.rfc4514_string() for attribute in pck.subject)
    assert common_name == "CN=Intel SGX PCK Certificate"
    sgx = pck.extensions[5].value
    assert isinstance(sgx, x509.UnrecognizedExtension)
    value = sgx.value
    prefix = bytes.fromhex(
        "060a2a864886f84d010d01"
    )  # an OID with one arc after 1.2.840.113741.1.13.1
    assert value.count(prefix) == 7
    assert value.count(bytes.fromhex("060b2a864886f84d010d0102")) == 18
    assert bytes.fromhex("00806f050000") in value
    root = x509.load_der_x509_certificate(td().collateral()["root.der"])
    assert root.extensions.get_extension_for_class(x509.CRLDistributionPoints)


@st.composite
def quotes(draw: st.DrawFn) -> layout.Quote:
    """Draw a quote that the layout allows."""

    def drawn(size: int) -> bytes:
        return draw(octets(size))

    version = draw(st.sampled_from([4, 5]))
    modern = version == 5 and draw(st.booleans())
    key, auth = drawn(64), draw(st.binary(max_size=40))
    sizes = {
        "tee_tcb_svn": 16,
        "tee_tcb_svn2": 16,
        "seam_attributes": 8,
        "td_attributes": 8,
        "xfam": 8,
    }
    sizes |= {"report_data": 64}
    body_type = layout.QuoteBody15 if modern else layout.QuoteBody
    body = body_type(**{item.name: drawn(sizes.get(item.name, 48)) for item in fields(body_type)})
    return layout.Quote(
        version=version,
        user_data=drawn(20),
        body=body,
        signature=drawn(64),
        attestation_key=key,
        qe_report=layout.QeReport(
            cpu_svn=drawn(16),
            misc_select=draw(st.integers(0, 2**32 - 1)),
            attributes=drawn(16),
            mr_enclave=drawn(32),
            mr_signer=drawn(32),
            isv_prod_id=draw(st.integers(0, 65535)),
            isv_svn=draw(st.integers(0, 65535)),
            report_data=layout.key_binding(key, auth),
        ),
        qe_signature=drawn(64),
        qe_auth=auth,
        pck_chain=draw(st.binary(max_size=200)),
        padding=draw(st.integers(0, 90)),
    )


@given(quotes())
@settings(max_examples=60, deadline=None)
def test_every_quote_round_trips(quote: layout.Quote) -> None:
    blob = layout.encode_quote(quote)
    assert layout.parse_quote(blob) == quote
    parsed = parse_quote(blob)
    assert bytes(parsed.report.report_data) == quote.body.report_data
    assert bytes(parsed.report.rt_mr3) == quote.body.rtmr3
    assert parsed.header.version == quote.version


@given(quotes(), st.data())
@settings(max_examples=60, deadline=None)
def test_decoder_refuses_truncated_and_longer_quotes(
    quote: layout.Quote, data: st.DataObject
) -> None:
    blob = layout.encode_quote(replace(quote, padding=0))
    cut = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(EvidenceError):
        layout.parse_quote(blob[:cut])
    with pytest.raises(EvidenceError):
        layout.parse_quote(blob + b"\0\x01")


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 3), (2, 3), (4, 0), (8, 1), (12, 0), (632, 0), (636 + 128, 5), (636 + 130, 0),
     (636 + 134 + 20, 1), (636 + 134 + 320, 0), (636 + 134 + 352, 1), (636 + 134 + 448, 31)],
)  # fmt: skip
def test_decoder_is_strict(offset: int, value: int) -> None:
    blob = bytearray(td().report(REQUEST).outblob)
    assert blob[offset] != value
    blob[offset] = value
    with pytest.raises(EvidenceError):
        layout.parse_quote(bytes(blob))


def test_encoder_refuses_members_that_do_not_fit() -> None:
    good = layout.parse_quote(td().report(REQUEST).outblob)
    for bad in (
        replace(good, version=3),
        replace(good, user_data=bytes(19)),
        replace(good, signature=bytes(63)),
        replace(good, body=replace(good.body, rtmr0=bytes(47))),
        replace(
            good,
            body=layout.QuoteBody15(
                **asdict(good.body), tee_tcb_svn2=bytes(16), mr_service_td=bytes(48)
            ),
        ),
        replace(good, qe_report=replace(good.qe_report, isv_svn=1 << 16)),
    ):
        with pytest.raises(EvidenceError):
            layout.encode_quote(bad)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_td_reports_round_trip_and_are_checked(data: st.DataObject) -> None:
    def drawn(size: int) -> bytes:
        return data.draw(octets(size))

    names = [n for n in TdInfo.__dataclass_fields__ if n.startswith(("mr_", "rtmr"))]
    report = TdReport(
        cpu_svn=drawn(16),
        report_data=drawn(64),
        tcb=TcbInfo(valid=data.draw(st.integers(0, 2**64 - 1)), tee_tcb_svn=drawn(16),
                    mr_seam=drawn(48), tee_tcb_svn2=drawn(16)),
        td=TdInfo(attributes=drawn(8), xfam=drawn(8), **{name: drawn(48) for name in names}),
        version=data.draw(st.integers(0, 1)),
    )  # fmt: skip
    blob = encode_td_report(report, b"key")
    assert len(blob) == 1024
    assert parse_td_report(blob, b"key") == report
    offset = data.draw(st.integers(0, 1023))
    damaged = flipped(blob, offset, data.draw(st.integers(1, 255)))
    with pytest.raises(EvidenceError):
        parse_td_report(damaged, b"key")
    with pytest.raises(EvidenceError):
        parse_td_report(blob, b"another machine's")


def test_quoting_enclave_refuses_reports_of_another_machine() -> None:
    report = td(seed=7).td_report(NONCE)
    assert report[:4] == b"\x81\0\0\0"
    assert report[128:192] == NONCE
    assert report[32:80] == hashlib.sha384(report[256:495]).digest()
    assert report[80:128] == hashlib.sha384(report[512:]).digest()
    assert td(seed=7).quote(report) == td(seed=7).report(REQUEST).outblob
    with pytest.raises(EvidenceError, match="MAC"):
        td(seed=8).quote(report)


def test_same_state_gives_the_same_bytes() -> None:
    tdx = td(version=5, body="1.5", root=2)
    tdx.extend(0, bytes(48))
    assert_state_restores(tdx, td(seed=1), {"rtmrs": [], "in_flight": False, "last_quote": ""})
    assert td().report(REQUEST) == td().report(REQUEST) != td(seed=8).report(REQUEST)


def test_invalid_options_are_refused() -> None:
    for spec in ("tdx:body=1.5", "tdx:padding=-1", "tdx:buffer=24", "tdx:version=3"):
        with pytest.raises(ProviderError):
            create(spec)
