# SPDX-License-Identifier: MIT
"""SEV-SNP evidence: layout, and verification by an independent library."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from omne_attest import (  # type: ignore[import-untyped]
    Fail,
    FailKind,
    Policy,
    Report,
    vectors,
    verify,
    verify_chain,
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
from providers_sim.evidence.sev_snp import SevSnp, SevSnpOptions
from providers_sim.evidence.sev_snp.certificates import (
    GUIDS,
    encode_entry,
    encode_table,
    parse_table,
)
from providers_sim.evidence.sev_snp.report import (
    REPORT_SIZE,
    SIGNED_SIZE,
    AttestationReport,
    encode_report,
    parse_report,
)
from providers_sim.pki_store import PkiStore
from tests.evidence import NONCE, REQUEST, evidence_of, flipped, octets
from tsmw.constants import Status

KEY = ec.derive_private_key(1, ec.SECP384R1())
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)


def guest(pki_dir: Path, seed: int = 7, **options: Any) -> SevSnp:  # noqa: ANN401
    """Make a provider."""
    return SevSnp(SevSnpOptions(**options), seed=seed, pki_dir=pki_dir)


@dataclass(frozen=True)
class Sample:
    """A provider, its PKI directory, its evidence for REQUEST, and its collateral."""

    provider: SevSnp
    pki_dir: Path
    evidence: Evidence
    collateral: dict[str, bytes]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    pki_dir = tmp_path_factory.mktemp("pki")
    provider = guest(pki_dir)
    return Sample(provider, pki_dir, provider.report(REQUEST), provider.collateral())


@pytest.fixture(scope="module")
def other_root(sample: Sample) -> dict[str, bytes]:
    return guest(sample.pki_dir, root=1).collateral()


def verify_report(
    collateral: dict[str, bytes], outblob: bytes, *, nonce: bytes = NONCE, **other: bytes
) -> None:
    """Verify a report with the independent library; ``other`` replaces certificates by name."""
    certificates = {name: collateral[f"{name}.der"] for name in ("vcek", "ask", "ark")} | other
    pin = hashlib.sha256(collateral["ark.der"]).digest()
    policy = Policy(report_data=nonce, max_vmpl=3)
    verify(outblob, certificates["vcek"], certificates["ask"], certificates["ark"], pin, policy)


def rejection(collateral: dict[str, bytes], outblob: bytes, **other: bytes) -> FailKind:
    """Return the reason for which the independent library refuses the evidence."""
    with pytest.raises(Fail) as fail:
        verify_report(collateral, outblob, **other)
    return fail.value.kind


@pytest.mark.parametrize("product", ["milan", "genoa"])
@pytest.mark.parametrize("version", [2, 3, 5])
@pytest.mark.parametrize("vmpl", [0, 3])
def test_verifier_accepts_every_variant(
    sample: Sample, product: str, version: int, vmpl: int
) -> None:
    provider = guest(sample.pki_dir, version=version, product=product, vmpl=vmpl)
    outblob = provider.report(replace(REQUEST, privlevel=vmpl)).outblob
    collateral = provider.collateral()
    verify_report(collateral, outblob)
    report = parse_report(outblob)
    assert (report.version, report.vmpl, report.key_info) == (version, vmpl, 0)
    assert rejection(collateral, outblob, nonce=bytes(64)) is FailKind.REPORT_DATA
    for offset in range(0, SIGNED_SIZE, 13):
        with pytest.raises(Fail):
            verify_report(collateral, flipped(outblob, offset, 0x10))


@pytest.mark.parametrize("product", ["milan", "genoa"])
@pytest.mark.parametrize("version", [2, 3, 5])
def test_verifier_accepts_reports_that_a_vlek_signs(
    sample: Sample, product: str, version: int
) -> None:
    # verify() supports only VCEKs; the functions that it calls also accept a VLEK.
    provider = guest(sample.pki_dir, version=version, product=product, key="vlek")
    outblob, files = provider.report(REQUEST).outblob, provider.collateral()
    report = Report.parse(outblob)
    report.verify_signature(files["vlek.der"])
    pin = hashlib.sha256(files["ark.der"]).digest()
    verify_chain(files["vlek.der"], files["asvk.der"], files["ark.der"], pin)
    assert outblob[0x48:0x4C] == b"\x04\0\0\0"
    for offset in range(0, SIGNED_SIZE, 13):
        with pytest.raises(Fail):
            Report.parse(flipped(outblob, offset, 0x10)).verify_signature(files["vlek.der"])
    other = guest(sample.pki_dir, product=product, key="vlek", root=1).collateral()
    with pytest.raises(Fail):
        verify_chain(files["vlek.der"], other["asvk.der"], files["ark.der"], pin)
    vlek = x509.load_der_x509_certificate(files["vlek.der"])
    suffixes = [e.oid.dotted_string.removeprefix("1.3.6.1.4.1.3704.1.") for e in vlek.extensions]
    assert suffixes == ["1", "2", "3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8", "5"]
    values = [e.value for e in vlek.extensions]
    assert isinstance(values[1], x509.UnrecognizedExtension)
    assert values[1].value == b"\x16\x05" + product.capitalize().encode()


def test_verifier_refuses_another_root(sample: Sample, other_root: dict[str, bytes]) -> None:
    outblob, files = sample.evidence.outblob, sample.collateral
    ark, ask, vcek = (other_root[f"{name}.der"] for name in ("ark", "ask", "vcek"))
    assert rejection(files, outblob, ark=ark, ask=ask) is FailKind.ARK_NOT_PINNED
    assert rejection(files, outblob, ask=ask) is FailKind.CHAIN_SIGNATURE
    assert rejection(files, outblob, vcek=vcek) is FailKind.CHAIN_SIGNATURE
    assert rejection(other_root, outblob, vcek=files["vcek.der"]) is FailKind.CHAIN_SIGNATURE


def test_verifier_refuses_another_chip_and_tcb(sample: Sample) -> None:
    outblob = sample.evidence.outblob
    for fault, kind in (
        ("snp-certs-other-chip", FailKind.CHIP_ID_MISMATCH),
        ("snp-certs-other-tcb", FailKind.TCB_MISMATCH),
    ):
        evidence = evidence_of(sample.provider.answer(REQUEST, fault))
        vcek = dict(parse_table(evidence.auxblob))[GUIDS["VCEK"]]
        assert rejection(sample.collateral, outblob, vcek=vcek) is kind


@given(offset=st.integers(0, SIGNED_SIZE - 1), flip=st.integers(1, 255))
def test_verifier_refuses_a_flipped_byte(sample: Sample, offset: int, flip: int) -> None:
    with pytest.raises(Fail):
        verify_report(sample.collateral, flipped(sample.evidence.outblob, offset, flip))


def test_verifier_refuses_a_flipped_bit_in_every_member(sample: Sample) -> None:
    for offset in range(0, SIGNED_SIZE, 8):
        with pytest.raises(Fail):
            verify_report(sample.collateral, flipped(sample.evidence.outblob, offset))


def test_members_are_at_the_specified_offsets(sample: Sample) -> None:
    blob = sample.evidence.outblob
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
    # The independent library contains a report that an AMD processor signed.
    blob = vectors.attestation()
    report = parse_report(blob)
    assert report.report_id_ma == b"\xff" * 32
    assert encode_report(report, KEY)[:SIGNED_SIZE] == blob[:SIGNED_SIZE]


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        *((0x00, 6), (0x00, 1), (0x0A, 0), (0x30, 4), (0x34, 2), (0x4C, 1), (0x18B, 1)),
        *((0x1EB, 1), (0x1F8, 1), (0x200, 1), (0x208, 1), (0x29F, 1)),
        *((0x2D0, 1), (0x318, 1), (0x49F, 1)),
    ],
)
def test_decoder_is_strict(sample: Sample, offset: int, value: int) -> None:
    blob = bytearray(sample.evidence.outblob)
    blob[offset] = value
    with pytest.raises(EvidenceError):
        parse_report(bytes(blob))


@given(st.binary(max_size=100) | st.binary(min_size=REPORT_SIZE, max_size=REPORT_SIZE))
@settings(max_examples=50)
def test_decoder_refuses_random_bytes(blob: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_report(blob)


def test_encoder_refuses_invalid_members(sample: Sample) -> None:
    good = parse_report(sample.evidence.outblob)
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
            encode_report(bad, KEY)


@st.composite
def reports(draw: st.DrawFn) -> AttestationReport:
    """Draw a report that the specification allows."""
    version = draw(st.sampled_from([2, 3, 4, 5]))

    def drawn(size: int) -> bytes:
        return draw(octets(size))

    def number(bits: int) -> int:
        return draw(st.integers(0, (1 << bits) - 1))

    return AttestationReport(
        version=version,
        guest_svn=number(32),
        policy=number(64) | 1 << 17,
        family_id=drawn(16),
        image_id=drawn(16),
        vmpl=number(2),
        current_tcb=drawn(8),
        platform_info=number(64),
        key_info=number(32),
        report_data=drawn(64),
        measurement=drawn(48),
        host_data=drawn(32),
        id_key_digest=drawn(48),
        author_key_digest=drawn(48),
        report_id=drawn(32),
        report_id_ma=drawn(32),
        reported_tcb=drawn(8),
        cpuid=drawn(3) if version > 2 else bytes(3),
        chip_id=drawn(64),
        committed_tcb=drawn(8),
        current=drawn(3),
        committed=drawn(3),
        launch_tcb=drawn(8),
        launch_mit_vector=number(64) if version > 4 else 0,
        current_mit_vector=number(64) if version > 4 else 0,
    )


@given(reports())
@settings(max_examples=100)
def test_every_report_round_trips_and_is_signed(report: AttestationReport) -> None:
    blob = encode_report(report, KEY)
    assert parse_report(blob) == report
    parsed = Report.parse(blob)
    for name in ("version", "guest_svn", "policy", "vmpl", "report_data", "measurement", "chip_id"):
        assert getattr(parsed, name) == getattr(report, name)
    r, s = (int.from_bytes(part, "big") for part in (parsed.sig_r, parsed.sig_s))
    signature = encode_dss_signature(r, s)
    KEY.public_key().verify(signature, blob[:SIGNED_SIZE], ec.ECDSA(hashes.SHA384()))


def test_same_seed_gives_the_same_bytes(sample: Sample) -> None:
    again = guest(sample.pki_dir)
    assert again.report(REQUEST) == sample.evidence
    assert again.collateral() == sample.collateral
    other = guest(sample.pki_dir, seed=8)
    assert other.report(REQUEST).outblob != sample.evidence.outblob
    assert other.collateral()["ark.der"] == sample.collateral["ark.der"]
    assert other.collateral()["vcek.der"] != sample.collateral["vcek.der"]


def test_state_includes_the_keys_and_malformed_states_are_refused(
    sample: Sample, tmp_path: Path
) -> None:
    state = json.loads(json.dumps(sample.provider.get_state()))
    other = guest(tmp_path / "empty", seed=1)
    other.set_state(state)
    assert other.report(REQUEST) == sample.evidence
    assert other.collateral() == sample.collateral
    assert other.get_state()["pki"] == state["pki"]
    good = other.get_state()
    options, live = good["options"], good["live"]
    assert isinstance(options, dict)
    assert isinstance(live, dict)
    changes: list[dict[str, object]] = [
        {"options": options | {"vmpl": 4}},
        {"options": options | {"version": 1}},
        {"options": {}},
        {"live": live | {"sequence": 0}},
        {"live": {}},
        {"seed": "7"},
        {"pki": {"group": 1}},
        {"provider": "tdx"},
        {"more": 1},
    ]
    for change in changes:
        with pytest.raises(EvidenceError):
            other.set_state(good | change)
        assert other.get_state() == good


def test_privlevel_is_the_vmpl_of_the_report(sample: Sample) -> None:
    provider = guest(sample.pki_dir, vmpl=2)
    assert provider.privlevel_floor == 2
    report = provider.report(replace(REQUEST, privlevel=3))
    assert parse_report(report.outblob).vmpl == 3
    for privlevel in (0, 1, 4, 1 << 31):
        with pytest.raises(ProviderRefusal) as refusal:
            provider.report(replace(REQUEST, privlevel=privlevel))
        assert refusal.value.status is Status.INVALID


@pytest.mark.parametrize(
    "bad",
    [replace(REQUEST, inblob=bytes(size)) for size in (0, 32, 63)]
    + [replace(REQUEST, service_provider=name) for name in (b"", b"svsm")],
)
def test_requests_that_the_driver_refuses_are_invalid(sample: Sample, bad: ReportRequest) -> None:
    with pytest.raises(ProviderRefusal) as refusal:
        sample.provider.report(bad)
    assert refusal.value.status is Status.INVALID


def test_auxblob_is_the_certificate_table(sample: Sample) -> None:
    table = parse_table(sample.evidence.auxblob)
    assert [(str(guid), content) for guid, content in table] == [
        ("63da758d-e664-4564-adc5-f4b93be8accd", sample.collateral["vcek.der"]),
        ("4ab7b379-bbac-4fe4-a02f-05aef327c782", sample.collateral["ask.der"]),
        ("c0b406a4-a803-4952-9743-3fb6014cd0ae", sample.collateral["ark.der"]),
    ]
    assert sample.evidence.auxblob[:4] == bytes.fromhex("63da758d")
    with_crl = guest(sample.pki_dir, certificates="chain+crl").report(REQUEST).auxblob
    assert dict(parse_table(with_crl))[GUIDS["CRL"]] == sample.collateral["crl.der"]
    assert len(sample.evidence.auxblob) < len(with_crl) < 16384
    assert guest(sample.pki_dir, certificates="none").report(REQUEST).auxblob == b""


@given(
    st.dictionaries(st.uuids().filter(lambda u: u.int != 0), st.binary(min_size=1, max_size=50)),
    st.integers(0, 40),
)
def test_certificate_tables_round_trip(entries: dict[UUID, bytes], tail: int) -> None:
    table = encode_table(entries.items())
    assert parse_table(table + bytes(tail)) == list(entries.items())


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        bytes(23),
        GUIDS["ARK"].bytes + bytes(8),
        encode_entry(GUIDS["ARK"], 48, 0) + bytes(40),
        encode_entry(GUIDS["ARK"], 47, 1) + bytes(40),
        encode_entry(GUIDS["ARK"], 48, 17) + bytes(40),
        encode_entry(GUIDS["ARK"], 0xFFFFFFFF, 2) + bytes(40),
        encode_entry(GUIDS["ARK"], 72, 8) + encode_entry(GUIDS["ARK"], 80, 8) + bytes(40),
        encode_entry(GUIDS["ARK"], 72, 8) + encode_entry(GUIDS["ASK"], 79, 8) + bytes(40),
    ],
)
def test_damaged_certificate_tables_are_refused(broken: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_table(broken)


@pytest.mark.filterwarnings(
    "ignore:Parsed a serial number"
)  # the VCEKs of AMD have the serial number 0
def test_certificates_have_the_structure_of_amds(sample: Sample) -> None:
    ark, ask, vcek = (
        x509.load_der_x509_certificate(sample.collateral[f"{name}.der"])
        for name in ("ark", "ask", "vcek")
    )
    names = [
        cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        for cert in (ark, ask, vcek)
    ]
    assert names == ["ARK-Milan", "SEV-Milan", "SEV-VCEK"]
    assert (ark.issuer, ask.issuer, vcek.issuer) == (ark.subject, ark.subject, ask.subject)
    real_vcek = x509.load_der_x509_certificate(vectors.vcek())
    assert [e.oid for e in vcek.extensions] == [e.oid for e in real_vcek.extensions]
    assert [a.oid for a in vcek.subject] == [a.oid for a in real_vcek.subject]
    for certificate, real in ((ark, vectors.ark()), (ask, vectors.ask())):
        expected = {(e.oid, e.critical) for e in x509.load_der_x509_certificate(real).extensions}
        assert {(e.oid, e.critical) for e in certificate.extensions} == expected
    crl = x509.load_der_x509_crl(sample.collateral["crl.der"])
    key = ark.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 4096
    key.verify(crl.signature, crl.tbs_certlist_bytes, PSS, hashes.SHA384())
    chain = x509.load_pem_x509_certificates(sample.collateral["cert_chain.pem"])
    assert chain == [ask, ark]


def test_occupied_pki_directory_is_an_error(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("in the way")
    with pytest.raises(EvidenceError, match="cannot be used"):
        SevSnp(pki_dir=occupied)


def _replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


_PKI_DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda file: os.truncate(file, 100),
    "emptied": lambda file: os.truncate(file, 0),
    "bit flipped": lambda file: file.write_bytes(
        file.read_bytes()[:200] + bytes([file.read_bytes()[200] ^ 1]) + file.read_bytes()[201:]
    ),
    "missing": Path.unlink,
    "a directory": _replace_by_directory,
}


@pytest.mark.parametrize("group", ["milan-0-ark/key", "milan-0-ask/cert", "vcek-*/certificate"])
@pytest.mark.parametrize("kind", _PKI_DAMAGE)
def test_damaged_pki_is_made_again(
    sample: Sample, tmp_path: Path, caplog: pytest.LogCaptureFixture, group: str, kind: str
) -> None:
    shutil.copytree(sample.pki_dir, tmp_path / "pki", ignore=shutil.ignore_patterns("*vcek-*"))
    guest(tmp_path / "pki")  # makes the key of this processor, and no other
    [file] = (tmp_path / "pki").glob(f"*{group}")
    _PKI_DAMAGE[kind](file)
    assert list(PkiStore.verify(tmp_path / "pki")) == [file.parent.name]
    provider = guest(tmp_path / "pki")
    verify_report(provider.collateral(), provider.report(REQUEST).outblob)
    assert [record.getMessage() for record in caplog.records if "is damaged" in record.msg]
    assert PkiStore.verify(tmp_path / "pki") == {}
    same = provider.collateral()["ark.der"] == sample.collateral["ark.der"]
    assert same == ("ark" not in group), "only a damaged authority is replaced"


def test_pki_of_an_earlier_version_gets_digests(sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.pki_dir, tmp_path / "pki")
    marks = list((tmp_path / "pki").glob("*/complete"))
    for mark in marks:
        mark.write_bytes(b"")
    assert guest(tmp_path / "pki").collateral() == sample.collateral
    assert any(json.loads(mark.read_bytes() or b"null") for mark in marks)


def test_repair_removes_damaged_groups_of_the_pki(sample: Sample, tmp_path: Path) -> None:
    shutil.copytree(sample.pki_dir, tmp_path / "pki")
    groups = len(list((tmp_path / "pki").glob("*/complete")))
    (tmp_path / "pki" / "sev-snp-milan-0-ark" / "key").unlink()
    assert list(PkiStore.verify(tmp_path / "pki", repair=True)) == ["sev-snp-milan-0-ark"]
    assert PkiStore.verify(tmp_path / "pki") == {}
    assert len(list((tmp_path / "pki").glob("*/complete"))) == groups - 1


def test_leaf_certificates_of_many_seeds_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers_sim.pki_store._MAX_LEAVES", 4)
    for seed in range(10):
        guest(tmp_path, seed=seed).collateral()
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert len([name for name in left if "-vcek-" in name]) == 4
    assert {"sev-snp-milan-0-ark", "sev-snp-milan-0-ask"} < set(left)


def test_prune_removes_leaf_certificates_and_keeps_authorities(tmp_path: Path) -> None:
    before = guest(tmp_path).collateral()
    assert PkiStore.prune(tmp_path, before=0.0) == 0
    assert PkiStore.prune(tmp_path, before=1e12) > 1000
    again = guest(tmp_path).collateral()
    assert again["ark.der"] == before["ark.der"]
    assert again["ask.der"] == before["ask.der"]
    verify_report(again, guest(tmp_path).report(REQUEST).outblob)


def test_provider_is_registered(sample: Sample) -> None:
    assert "sev-snp" in available()
    provider = create("sev-snp", seed=7, pki_dir=sample.pki_dir)
    assert provider.report(REQUEST) == sample.evidence
    assert (provider.name, provider.attrs, provider.bin_attrs) == ("sev_guest", 0xF, 0x7)
    with pytest.raises(ProviderError, match=r"there are: .*sev-snp"):
        create("sgx")


def test_options_are_parsed_from_a_spec(sample: Sample) -> None:
    spec = "sev-snp:version=5,product=genoa,svsm,name=tsm_test"
    provider = create(spec, seed=7, pki_dir=sample.pki_dir)
    assert provider.options == SevSnpOptions(version=5, product="genoa", svsm=True, name="tsm_test")
    assert (provider.name, provider.attrs, provider.bin_attrs) == ("tsm_test", 0x7F, 0xF)
    assert provider.privlevel_floor == 2
    for bad, message in (
        ("sev-snp:no-such=1", "there is no option 'no-such'"),
        ("sev-snp:version=4", "version is 2, 3, 5; not 4"),
        ("sev-snp:version=x", "version is of type int"),
        ("sev-snp:svsm=maybe", "svsm is of type bool"),
        ("sev-snp:colour=red", "there is no option 'colour'; there are: version, product"),
    ):
        with pytest.raises(ProviderError, match=message):
            create(bad)
