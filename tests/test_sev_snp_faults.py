# SPDX-License-Identifier: MIT
"""SEV-SNP: every fault of the table, the services of an SVSM, and descriptions of blobs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from omne_attest import (  # type: ignore[import-untyped]
    Fail,
    Policy,
    vectors,
    verify,
)

from providers_sim import EvidenceError, ProviderError, ProviderRefusal, ReportRequest, describe
from providers_sim.evidence.sev_snp import SevSnp, SevSnpOptions
from providers_sim.evidence.sev_snp.certificates import GUIDS, encode_table, parse_table
from providers_sim.evidence.sev_snp.faults import FAULTS
from providers_sim.evidence.sev_snp.manifest import (
    SERVICES_TABLE,
    VTPM,
    encode_services,
    parse_services,
)
from providers_sim.evidence.sev_snp.report import parse_report
from tests.evidence import NONCE, REQUEST, description_of, evidence_of, refusal_of
from tsmw.constants import Status

SERVICES = replace(REQUEST, service_provider=b"svsm", service_guid=bytes(16))

REFUSED = {
    "snp-vmm-error": (Status.IO, True),
    "snp-bad-message": (Status.BAD_MESSAGE, True),
    "snp-sequence-exhausted": (Status.IO, False),
    "snp-certs-too-large": (Status.IO, False),
    "snp-invalid-parameter": (Status.INVALID, False),
    "snp-invalid-key": (Status.INVALID, False),
    "snp-firmware-error": (Status.NO_DEVICE, False),
    "snp-report-too-large": (Status.INJECT, False),
}
SVSM_REFUSED = (
    "snp-svsm-buffers",
    "snp-svsm-failed",
    "snp-svsm-unknown-service",
    "snp-svsm-manifest-version",
)
NO_CERTIFICATES = ("snp-no-certs", "snp-certs-no-size")
BAD_CERTIFICATES = (
    "snp-certs-clamped",
    "snp-certs-garbage",
    "snp-certs-missing",
    "snp-certs-no-size",
    "snp-certs-other-chip",
    "snp-certs-other-tcb",
    "snp-certs-truncated",
    "snp-certs-wrapped",
    "snp-certs-wrong-guid",
)


@pytest.fixture(scope="module")
def pki_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture
def snp(pki_dir: Path) -> SevSnp:
    return SevSnp(seed=7, pki_dir=pki_dir)


@pytest.fixture
def svsm(pki_dir: Path) -> SevSnp:
    return SevSnp(SevSnpOptions(svsm=True), seed=7, pki_dir=pki_dir)


def verify_with_table(snp: SevSnp, report: bytes, auxblob: bytes, nonce: bytes = NONCE) -> None:
    """Verify a report with the independent library and the certificates in ``auxblob``."""
    table = dict(parse_table(auxblob))
    chain = [table[GUIDS[name]] for name in ("VCEK", "ASK", "ARK")]
    pin = hashlib.sha256(snp.collateral()["ark.der"]).digest()
    verify(report, *chain, pin, Policy(report_data=nonce))


def has_wiped_key(snp: SevSnp) -> bool:
    """Return whether the driver refuses requests because it has wiped its key."""
    try:
        snp.admit(REQUEST)
    except ProviderRefusal as refusal:
        assert refusal.status is Status.NO_KEY
        return True
    return False


def test_every_fault_has_a_test() -> None:
    groups = (REFUSED, SVSM_REFUSED, NO_CERTIFICATES, BAD_CERTIFICATES)
    assert set(FAULTS) == {"snp-throttled", "snp-chip-key-masked"}.union(*groups)
    assert all(fault.summary and fault.outcome for fault in FAULTS.values())


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals_wipe_the_key_only_where_the_driver_does(snp: SevSnp, name: str) -> None:
    status, wipes = REFUSED[name]
    answer = snp.answer(REQUEST, name)
    assert answer.evidence is None
    assert refusal_of(answer).status is status
    assert not has_wiped_key(snp)  # not before the guest gets its answer
    if answer.then is not None:
        answer.then()
    assert has_wiped_key(snp) is wipes
    if wipes:  # the state includes the wiped key; only a new guest has a valid key
        snp.set_state(json.loads(json.dumps(snp.get_state())))
        assert has_wiped_key(snp)
        snp.reset()
        assert not has_wiped_key(snp)


def test_refused_and_svsm_requests_do_not_need_the_key(svsm: SevSnp) -> None:
    svsm.wipe_key()
    svsm.admit(replace(REQUEST, inblob=bytes(63)))
    svsm.admit(SERVICES)
    with pytest.raises(ProviderRefusal):
        svsm.admit(replace(REQUEST, privlevel=2))


@pytest.mark.parametrize(("seconds", "after"), [(0.0, 0.0), (0.5, 2.0), (10.0, 10.0), (59.5, 60.0)])
def test_short_throttling_delays_the_answer(snp: SevSnp, seconds: float, after: float) -> None:
    answer = snp.answer(REQUEST, "snp-throttled", {"seconds": seconds})
    assert answer.after_s == after
    assert answer.evidence is not None
    assert answer.then is None


def test_long_throttling_is_a_timeout_and_wipes_the_key(snp: SevSnp) -> None:
    answer = snp.answer(REQUEST, "snp-throttled", {"seconds": 60.0})
    assert (refusal_of(answer).status, answer.after_s) == (Status.TIMEOUT, 60.0)
    assert answer.then is not None
    answer.then()
    assert has_wiped_key(snp)


def test_sequence_numbers_advance_by_two_until_exhausted(snp: SevSnp) -> None:
    assert snp.live_state()["sequence"] == 1
    snp.report(REQUEST)
    assert snp.live_state()["sequence"] == 3
    snp.answer(REQUEST, "snp-certs-too-large")  # it uses a sequence number, too
    assert snp.live_state()["sequence"] == 5
    snp.answer(REQUEST, "snp-sequence-exhausted")
    with pytest.raises(ProviderRefusal):
        snp.report(REQUEST)


@pytest.mark.parametrize("name", NO_CERTIFICATES)
def test_no_certificates_is_a_success(snp: SevSnp, name: str) -> None:
    answer = snp.answer(REQUEST, name)
    evidence = evidence_of(answer)
    assert evidence.auxblob == b""
    assert not answer.keep_lengths
    assert parse_report(evidence.outblob).report_data == NONCE


def test_stale_length_keeps_the_lengths(snp: SevSnp) -> None:
    assert snp.answer(REQUEST, "snp-no-certs", {"stale_length": True}).keep_lengths


@pytest.mark.parametrize("name", BAD_CERTIFICATES)
def test_verifier_refuses_bad_certificates(snp: SevSnp, name: str) -> None:
    good = snp.report(REQUEST)
    verify_with_table(snp, good.outblob, good.auxblob)
    bad = evidence_of(snp.answer(REQUEST, name))
    assert bad.outblob == good.outblob
    assert len(bad.auxblob) <= 16384
    with pytest.raises((Fail, EvidenceError, KeyError)):
        verify_with_table(snp, bad.outblob, bad.auxblob)


def test_clamped_table_fills_the_buffer_and_wrapped_table_has_only_entries(snp: SevSnp) -> None:
    clamped = evidence_of(snp.answer(REQUEST, "snp-certs-clamped"))
    wrapped = evidence_of(snp.answer(REQUEST, "snp-certs-wrapped"))
    assert len(clamped.auxblob) == 16384
    offset, length = (int.from_bytes(wrapped.auxblob[at : at + 4], "little") for at in (16, 20))
    assert (offset + length) % (1 << 32) == len(wrapped.auxblob) == 48


def test_report_with_a_masked_chip_key_does_not_verify(snp: SevSnp) -> None:
    evidence = evidence_of(snp.answer(REQUEST, "snp-chip-key-masked"))
    report = parse_report(evidence.outblob)
    assert (report.chip_id, report.key_info) == (bytes(64), 0x1E)
    assert not any(evidence.outblob[0x2A0:])
    with pytest.raises(Fail):
        verify_with_table(snp, evidence.outblob, evidence.auxblob)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_requests_that_the_driver_refuses_are_invalid_with_every_fault(
    snp: SevSnp, name: str
) -> None:
    answer = snp.answer(replace(REQUEST, inblob=bytes(63)), name)
    assert refusal_of(answer).status is Status.INVALID
    assert answer.then is None


def test_parameters_are_checked() -> None:
    FAULTS["snp-throttled"].check({"seconds": 3})
    for name, params, message in (
        ("snp-throttled", {"minutes": 1}, "has no parameter 'minutes' .has: seconds"),
        ("snp-throttled", {"seconds": "1"}, "is of type float"),
        ("snp-no-certs", {"stale_length": 1}, "is of type bool"),
        ("snp-certs-garbage", {"x": 1}, r"has: none"),
    ):
        with pytest.raises(ProviderError, match=message):
            FAULTS[name].check(params)


@pytest.mark.parametrize("guid", [None, bytes(16), VTPM.bytes_le])
def test_services_are_attested(svsm: SevSnp, guid: bytes | None) -> None:
    evidence = svsm.report(replace(SERVICES, service_guid=guid))
    nonce = hashlib.sha512(NONCE + evidence.manifestblob).digest()
    assert len(evidence.auxblob) == 16384
    verify_with_table(svsm, evidence.outblob, evidence.auxblob, nonce)
    with pytest.raises(Fail):
        verify_with_table(svsm, evidence.outblob, evidence.auxblob, NONCE)
    assert parse_report(evidence.outblob).vmpl == 0
    if guid == VTPM.bytes_le:
        assert len(evidence.manifestblob) == 122
        area = evidence.manifestblob
    else:
        assert evidence.manifestblob[:16].hex() == "bb9e8463923d7046a1ff58f9c94b87bb"
        ((name, area),) = parse_services(evidence.manifestblob)
        assert name == VTPM
        assert evidence.manifestblob[24:40].hex() == "ebf176c42301a5459641b4e7dde5bfe3"
    x, y = (int.from_bytes(area[at : at + 32], "big") for at in (56, 90))
    # public_key() raises ValueError when the coordinates are not on the curve.
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def test_guest_under_an_svsm_also_gets_reports_of_its_own_privlevel(svsm: SevSnp) -> None:
    evidence = svsm.report(replace(REQUEST, privlevel=2))
    assert parse_report(evidence.outblob).vmpl == 2
    assert evidence.manifestblob == b""
    assert len(evidence.auxblob) < 16384


@pytest.mark.parametrize(
    "bad",
    [
        replace(SERVICES, service_provider=b""),
        replace(SERVICES, service_provider=b"svsm "),
        replace(SERVICES, service_guid=UUID(int=1).bytes_le),
        replace(SERVICES, service_guid=VTPM.bytes_le, manifest_version=1),
        replace(SERVICES, inblob=bytes(63)),
    ],
)
def test_requests_for_unknown_services_are_refused(svsm: SevSnp, bad: ReportRequest) -> None:
    with pytest.raises(ProviderRefusal) as refusal:
        svsm.report(bad)
    assert refusal.value.status is Status.INVALID


@pytest.mark.parametrize("name", SVSM_REFUSED)
def test_faults_of_the_svsm_refuse_only_requests_for_services(svsm: SevSnp, name: str) -> None:
    answer = svsm.answer(SERVICES, name)
    assert refusal_of(answer).status is Status.INVALID
    assert not has_wiped_key(svsm)
    with pytest.raises(ProviderError, match="needs a request for a service"):
        svsm.answer(replace(REQUEST, privlevel=2), name)


@given(st.lists(st.tuples(st.uuids(), st.binary(max_size=40)), max_size=5))
def test_manifests_round_trip(services: list[tuple[UUID, bytes]]) -> None:
    manifest = encode_services(services)
    assert parse_services(manifest) == services
    for broken in (manifest + b"x", manifest[:-1], b"x" + manifest[1:]):
        with pytest.raises(EvidenceError):
            parse_services(broken)


def test_manifest_with_too_many_entries_is_refused() -> None:
    head = SERVICES_TABLE.bytes_le + (24).to_bytes(4, "little") + (1 << 31).to_bytes(4, "little")
    with pytest.raises(EvidenceError):
        parse_services(head)


def test_reports_are_described(snp: SevSnp, svsm: SevSnp) -> None:
    simulated = description_of(snp.report(REQUEST).outblob)
    assert simulated.startswith("SEV-SNP attestation report: version 3, 1184 bytes")
    for line in (
        "family 0x19 model 0x1 stepping 1 (Milan)",
        f"report data: {NONCE.hex()}",
        "reported TCB: boot loader 3, TEE 0, SNP 20, microcode 209",
        "signed by: vcek",
        "bit 16: SMT allowed",
        "current firmware: 1.55.21",
    ):
        assert line in simulated
    assert "violates the specification" not in simulated
    real = description_of(vectors.attestation())
    assert "violates the specification" not in real
    assert "signed by" in real
    damaged = bytearray(snp.report(REQUEST).outblob)
    damaged[0x4C] = 1
    assert "violates the specification: a reserved byte" in description_of(bytes(damaged))


def test_tables_and_manifests_are_described(snp: SevSnp, svsm: SevSnp) -> None:
    table = description_of(snp.report(REQUEST).auxblob)
    assert "CN=ARK-Milan" in table
    assert "1.3.6.1.4.1.3704.1.3.8: 0200d1" in table.replace("020200d1", "0200d1")
    real = [(GUIDS["VCEK"], vectors.vcek()), (GUIDS["ASK"], vectors.ask())]
    with pytest.warns(match="serial number"):
        assert "CN=SEV-VCEK" in description_of(encode_table(real))
    truncated = evidence_of(snp.answer(REQUEST, "snp-certs-truncated"))
    assert "damaged" in description_of(truncated.auxblob)
    services = description_of(svsm.report(SERVICES).manifestblob)
    assert "vTPM: c476f1eb-0123-45a5-9641-b4e7dde5bfe3, 122 bytes" in services


@given(st.binary(max_size=200), st.sampled_from(["report", "table", "manifest", "nothing"]))
@settings(max_examples=200)
def test_description_accepts_any_bytes(data: bytes, kind: str) -> None:
    blob = {
        "report": b"\x03\0\0\0" + data.ljust(1180, b"\xa5"),
        "table": GUIDS["VCEK"].bytes + data,
        "manifest": SERVICES_TABLE.bytes_le + data,
        "nothing": data,
    }[kind]
    node = describe(blob)
    assert kind == "nothing" or len(data) < 8 or node is not None


def test_vcek_names_its_issuer_in_every_encoding(snp: SevSnp) -> None:
    files = snp.collateral()
    leaf = x509.load_pem_x509_certificate(files["vcek.pem"])
    issuer = x509.load_pem_x509_certificate(files["ask.pem"])
    assert leaf.issuer == issuer.subject
    assert leaf == x509.load_der_x509_certificate(files["vcek.der"])
