# SPDX-License-Identifier: MIT
"""SEV-SNP evidence: its layout, and what an independent verifier says of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from omne_attest import (  # type: ignore[import-untyped]
    Fail,
    FailKind,
    Policy,
    vectors,
    verify,
)

from providers_sim import (
    Evidence,
    EvidenceError,
    ProviderError,
    ProviderRefusal,
    ReportRequest,
    available,
    create,
)
from providers_sim.evidence.sev_snp import SevSnp, parse_certificate_table
from providers_sim.evidence.sev_snp_pki import Authority, make_authority, make_vcek
from providers_sim.evidence.sev_snp_report import (
    REPORT_SIZE,
    SIGNED_SIZE,
    Tcb,
    encode_report,
    parse_report,
)
from providers_sim.wire.constants import Status

NONCE = bytes(range(64))
REQUEST = ReportRequest(id=1, inblob=NONCE)
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)


@dataclass(frozen=True)
class Made:
    """A provider, the directory of its PKI, its evidence for REQUEST."""

    provider: SevSnp
    pki_dir: Path
    evidence: Evidence
    collateral: dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    pki_dir = tmp_path_factory.mktemp("pki")
    provider = SevSnp(seed=7, pki_dir=pki_dir)
    return Made(provider, pki_dir, provider.report(REQUEST), provider.collateral())


@pytest.fixture(scope="module")
def other_root() -> Authority:
    return make_authority()


def judge(made: Made, outblob: bytes, *, nonce: bytes = NONCE, **other: bytes) -> None:
    """Verify with the independent library; ``other`` replaces collateral (ark, ask, vcek)."""
    part = {name: made.collateral[f"{name}.der"] for name in ("vcek", "ask", "ark")} | other
    pin = hashlib.sha256(made.collateral["ark.der"]).digest()
    policy = Policy(report_data=nonce)
    verify(outblob, part["vcek"], part["ask"], part["ark"], pin, policy)


def test_verifier_accepts_under_our_root(made: Made) -> None:
    judge(made, made.evidence.outblob)


@pytest.mark.parametrize("version", [2, 3, 5])
def test_verifier_accepts_every_version(made: Made, version: int) -> None:
    provider = SevSnp(seed=7, pki_dir=made.pki_dir, version=version)
    outblob = provider.report(REQUEST).outblob
    judge(made, outblob)
    assert parse_report(outblob).version == version


def test_verifier_refuses_another_root(made: Made, other_root: Authority) -> None:
    with pytest.raises(Fail) as refused:
        judge(made, made.evidence.outblob, ark=other_root.ark, ask=other_root.ask)
    assert refused.value.kind is FailKind.ARK_NOT_PINNED
    with pytest.raises(Fail) as refused:
        judge(made, made.evidence.outblob, ask=other_root.ask)
    assert refused.value.kind is FailKind.CHAIN_SIGNATURE
    forged = make_vcek(
        other_root, made.provider._vcek_key.public_key(), made.provider._chip_id, Tcb(3, 0, 20, 209)
    )
    with pytest.raises(Fail) as refused:
        judge(made, made.evidence.outblob, vcek=forged)
    assert refused.value.kind is FailKind.CHAIN_SIGNATURE


def test_verifier_refuses_another_nonce_chip_and_tcb(made: Made) -> None:
    with pytest.raises(Fail) as refused:
        judge(made, made.evidence.outblob, nonce=bytes(64))
    assert refused.value.kind is FailKind.REPORT_DATA
    key = made.provider._vcek_key.public_key()
    for chip_id, tcb, kind in (
        (bytes(64), Tcb(3, 0, 20, 209), FailKind.CHIP_ID_MISMATCH),
        (made.provider._chip_id, Tcb(3, 0, 20, 208), FailKind.TCB_MISMATCH),
    ):
        with pytest.raises(Fail) as refused:
            vcek = make_vcek(made.provider._authority, key, chip_id, tcb)
            judge(made, made.evidence.outblob, vcek=vcek)
        assert refused.value.kind is kind


@given(offset=st.integers(0, SIGNED_SIZE - 1), flip=st.integers(1, 255))
def test_verifier_refuses_a_flipped_byte(made: Made, offset: int, flip: int) -> None:
    outblob = bytearray(made.evidence.outblob)
    outblob[offset] ^= flip
    with pytest.raises(Fail):
        judge(made, bytes(outblob))


def test_verifier_refuses_any_flipped_byte_of_each_member(made: Made) -> None:
    for offset in range(0, SIGNED_SIZE, 8):
        outblob = bytearray(made.evidence.outblob)
        outblob[offset] ^= 0x01
        with pytest.raises(Fail):
            judge(made, bytes(outblob))


def test_members_are_where_the_specification_has_them(made: Made) -> None:
    blob = made.evidence.outblob
    parsed = parse_report(blob)
    assert len(blob) == REPORT_SIZE == 1184
    assert blob[0x00:0x04] == b"\x03\0\0\0"
    assert int.from_bytes(blob[0x08:0x10], "little") == parsed.policy == 0x30000
    assert blob[0x30:0x38] == bytes.fromhex("00000000 01000000")
    assert blob[0x50:0x90] == NONCE == parsed.report_data
    assert blob[0x90:0xC0] == parsed.measurement != bytes(48)
    assert blob[0x140:0x160] == parsed.report_id != bytes(32)
    assert blob[0x160:0x180] == b"\xff" * 32
    tcb = bytes((3, 0, 0, 0, 0, 0, 20, 209))
    assert [blob[at : at + 8] for at in (0x38, 0x180, 0x1E0, 0x1F0)] == [tcb] * 4
    assert blob[0x188:0x18B] == bytes((0x19, 0x01, 0x01))
    assert blob[0x1A0:0x1E0] == parsed.chip_id != bytes(64)
    assert not any(blob[0x18B:0x1A0] + blob[0x1F8:0x2A0] + blob[0x2D0:0x2E8] + blob[0x318:])


def test_decoder_reads_a_report_of_real_hardware() -> None:
    # A report that AMD silicon signed, shipped with the independent verifier.
    blob = vectors.attestation()
    report = parse_report(blob)
    assert report.report_id_ma == b"\xff" * 32
    key = ec.derive_private_key(1, ec.SECP384R1())
    assert encode_report(report, key)[:SIGNED_SIZE] == blob[:SIGNED_SIZE]


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        *((0x00, 6), (0x00, 1), (0x0A, 0), (0x30, 4), (0x34, 2), (0x4C, 1), (0x18B, 1)),
        *((0x1EB, 1), (0x1F8, 1), (0x200, 1), (0x208, 1), (0x29F, 1)),
        *((0x2D0, 1), (0x318, 1), (0x49F, 1)),
    ],
)
def test_decoder_is_strict(made: Made, offset: int, value: int) -> None:
    blob = bytearray(made.evidence.outblob)
    blob[offset] = value
    with pytest.raises(EvidenceError):
        parse_report(bytes(blob))


@given(st.binary(max_size=100) | st.binary(min_size=REPORT_SIZE, max_size=REPORT_SIZE))
@settings(max_examples=50)
def test_decoder_refuses_noise(blob: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_report(blob)


def test_encoder_refuses_what_the_specification_forbids(made: Made) -> None:
    good = parse_report(made.evidence.outblob)
    key = made.provider._vcek_key
    for bad in (
        replace(good, version=7),
        replace(good, policy=0),
        replace(good, vmpl=4),
        replace(good, report_data=b"short"),
        replace(good, chip_id=bytes(65)),
        replace(good, guest_svn=1 << 32),
        replace(good, version=2),
        replace(good, current_mit_vector=1),
    ):
        with pytest.raises(EvidenceError):
            encode_report(bad, key)


def test_same_seed_gives_the_same_bytes(made: Made) -> None:
    again = SevSnp(seed=7, pki_dir=made.pki_dir)
    assert again.report(REQUEST) == made.evidence
    assert again.collateral() == made.collateral
    other = SevSnp(seed=8, pki_dir=made.pki_dir)
    assert other.report(REQUEST).outblob != made.evidence.outblob
    assert other.collateral()["ark.der"] == made.collateral["ark.der"]
    assert other.collateral()["vcek.der"] != made.collateral["vcek.der"]


def test_state_can_be_stored_and_put_back(made: Made) -> None:
    provider = SevSnp(seed=1, pki_dir=made.pki_dir)
    provider.set_state(json.loads(json.dumps(made.provider.get_state())))
    assert provider.report(REQUEST) == made.evidence
    provider.set_state(provider.get_state() | {"certificates": False})
    assert provider.report(REQUEST) == Evidence(made.evidence.outblob)
    for change in ({"vmpl": 4}, {"version": 1}, {"seed": "7"}, {"more": 1}):
        with pytest.raises(EvidenceError):
            provider.set_state(made.provider.get_state() | change)


def test_privlevel_is_the_vmpl_of_the_report(made: Made) -> None:
    guest = SevSnp(seed=7, pki_dir=made.pki_dir, vmpl=2)
    assert guest.privlevel_floor == 2
    report = guest.report(replace(REQUEST, privlevel=3))
    assert parse_report(report.outblob).vmpl == 3
    for privlevel in (0, 1, 4, 1 << 31):
        with pytest.raises(ProviderRefusal) as refused:
            guest.report(replace(REQUEST, privlevel=privlevel))
        assert refused.value.status is Status.INVALID


@pytest.mark.parametrize(
    "bad",
    [replace(REQUEST, inblob=bytes(size)) for size in (0, 32, 63)]
    + [replace(REQUEST, service_provider=name) for name in (b"", b"svsm")],
)
def test_what_the_driver_refuses_is_invalid(made: Made, bad: ReportRequest) -> None:
    with pytest.raises(ProviderRefusal) as refused:
        made.provider.report(bad)
    assert refused.value.status is Status.INVALID


def test_auxblob_is_the_certificate_table(made: Made) -> None:
    table = parse_certificate_table(made.evidence.auxblob)
    assert {str(guid): content for guid, content in table.items()} == {
        "63da758d-e664-4564-adc5-f4b93be8accd": made.collateral["vcek.der"],
        "4ab7b379-bbac-4fe4-a02f-05aef327c782": made.collateral["ask.der"],
        "c0b406a4-a803-4952-9743-3fb6014cd0ae": made.collateral["ark.der"],
    }
    assert made.evidence.auxblob[:4] == bytes.fromhex("63da758d")
    assert len(made.evidence.auxblob) < 16384
    for broken in (made.evidence.auxblob[:72], made.evidence.auxblob[:-1], b""):
        with pytest.raises(EvidenceError):
            parse_certificate_table(broken)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # AMD's VCEKs have 0
def test_certificates_have_the_shape_of_amds(made: Made) -> None:
    ark, ask, vcek = (
        x509.load_der_x509_certificate(made.collateral[f"{name}.der"])
        for name in ("ark", "ask", "vcek")
    )
    names = [
        cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        for cert in (ark, ask, vcek)
    ]
    assert names == ["ARK-Milan", "SEV-Milan", "SEV-VCEK"]
    assert (ark.issuer, ask.issuer, vcek.issuer) == (ark.subject, ark.subject, ask.subject)
    theirs = x509.load_der_x509_certificate(vectors.vcek())
    assert [e.oid for e in vcek.extensions] == [e.oid for e in theirs.extensions]
    assert [a.oid for a in vcek.subject] == [a.oid for a in theirs.subject]
    for ours, real in ((ark, vectors.ark()), (ask, vectors.ask())):
        wanted = {(e.oid, e.critical) for e in x509.load_der_x509_certificate(real).extensions}
        assert {(e.oid, e.critical) for e in ours.extensions} == wanted
    crl = x509.load_der_x509_crl(made.collateral["crl.der"])
    key = ark.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 4096
    key.verify(crl.signature, crl.tbs_certlist_bytes, PSS, hashes.SHA384())
    chain = x509.load_pem_x509_certificates(made.collateral["cert_chain.pem"])
    assert chain == [ask, ark]


def test_damaged_pki_directory_is_named(made: Made, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("in the way")
    with pytest.raises(EvidenceError, match="cannot be used"):
        SevSnp(pki_dir=occupied)
    (tmp_path / "pki" / "sev-snp").mkdir(parents=True)
    (tmp_path / "pki" / "sev-snp" / "complete").touch()
    with pytest.raises(EvidenceError, match="remove the damaged one"):
        SevSnp(pki_dir=tmp_path / "pki")


def test_registry_knows_the_provider(made: Made) -> None:
    assert "sev-snp" in available()
    provider = create("sev-snp", seed=7, pki_dir=made.pki_dir)
    assert provider.report(REQUEST) == made.evidence
    assert (provider.kernel_name, provider.attrs, provider.bin_attrs) == ("sev_guest", 0xF, 0x7)
    with pytest.raises(ProviderError, match=r"there are: .*sev-snp"):
        create("sgx")
