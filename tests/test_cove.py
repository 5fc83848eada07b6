# SPDX-License-Identifier: MIT
"""CoVE evidence: layout, verification by an independent COSE library, faults of the TSM."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cwt import COSE, COSEKey
from cwt.cose_key_interface import COSEKeyInterface
from hypothesis import given, settings
from hypothesis import strategies as st

from providers_sim import EvidenceError, ProviderError, create, describe
from providers_sim.evidence.cose import cose_key
from providers_sim.evidence.cove import Cove, CoveOptions
from providers_sim.evidence.cove.claims import (
    HASHES,
    PROFILE,
    Component,
    Measurement,
    PlatformClaims,
    TsmClaims,
    TvmClaims,
    decode_claims,
    encode_claims,
)
from providers_sim.evidence.cove.evidence import parse_evidence
from providers_sim.evidence.cove.faults import FAULTS
from tests.evidence import (
    NONCE,
    REQUEST,
    RefusedError,
    assert_state_restores,
    description_of,
    evidence_of,
    flipped,
    octets,
    refusal_of,
    refuses_malformed_tokens,
)
from tsmw.constants import Status

ALGORITHMS = {"es256": -7, "es384": -35, "eddsa": -8}
VARIANTS = [
    {"format": form, "algorithm": algorithm}
    for form, algorithm in product(("cbor", "x509", "evidence"), ALGORITHMS)
]
EXTENSION = x509.ObjectIdentifier("2.23.133.5.4.6")


def tvm(seed: int = 7, **options: Any) -> Cove:  # noqa: ANN401
    """Make a provider."""
    return Cove(CoveOptions(**options), seed=seed)


def verify_evidence(
    blob: bytes, rot: bytes, algorithm: str, nonce: bytes = NONCE
) -> dict[int, Any]:
    """Verify evidence as a relying party that trusts only the root key; return the TVM's claims.

    ``rot`` is an encoded COSE_Key. The independent library verifies the signatures of tokens, and
    ``cryptography`` verifies those of X.509 certificates.
    """
    with refuses_malformed_tokens():
        evidence, certificate = unwrap(blob)
        signer = tsm_key = rot
        for name, label in (("platform", -70001), ("tsm", -70005), ("tvm", -70008)):
            token = cbor2.dumps(evidence[266][name])
            kid = cbor2.loads(evidence[266][name].value[0]).get(4)
            tagged = cbor2.loads(COSE.new().decode(token, library_key(signer, algorithm, kid)))
            if tagged.tag != 61:
                raise RefusedError("a token is not a CWT")
            claims: dict[int, Any] = tagged.value
            if name == "tvm":
                check_certificate(certificate, library_key(tsm_key, algorithm), tsm_key)
                break
            signer = tsm_key = claims[label]
            if name == "platform" and claims[-70003] != 2:
                raise RefusedError("the platform is not secured")
    if claims[10] != nonce:
        raise RefusedError("another challenge")
    return claims


def unwrap(blob: bytes) -> tuple[dict[int, Any], object]:
    """Return the map of tokens, and the certificate that contains it, or None."""
    if blob[0] == 0x30:
        try:
            certificate = x509.load_der_x509_certificate(blob)
            extension = certificate.extensions.get_extension_for_oid(EXTENSION)
        except Exception as error:  # the parser may raise anything
            raise RefusedError(str(error)) from error
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        value = cbor2.loads(extension.value.value)
        if value.tag != 601:
            raise RefusedError("the extension is not a UCCS")
        return value.value, certificate
    if blob[0] == 0xD2:
        payload = cbor2.loads(cbor2.loads(blob).value[2])
        return payload.value[-70011], blob
    evidence: dict[int, Any] = cbor2.loads(blob)
    return evidence, None


def check_certificate(certificate: object, key: COSEKeyInterface, encoded: bytes) -> None:
    """Verify that the TSM's key signed the certificate; ``encoded`` is that key as a COSE_Key."""
    if isinstance(certificate, bytes):
        COSE.new().decode(certificate, key)
    if not isinstance(certificate, x509.Certificate):
        return
    public = public_key(encoded)
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(certificate.signature, certificate.tbs_certificate_bytes)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        digest = certificate.signature_hash_algorithm
        assert isinstance(digest, hashes.SHA512)
        public.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))


def library_key(encoded: bytes, algorithm: str, kid: bytes | None = None) -> COSEKeyInterface:
    key_id = {2: kid} if kid is not None else {}  # the library selects the key by its id
    return COSEKey.new({**cbor2.loads(encoded), 3: ALGORITHMS[algorithm], **key_id})


def public_key(encoded: bytes) -> object:
    value = cbor2.loads(encoded)
    if value[1] == 1:
        return ed25519.Ed25519PublicKey.from_public_bytes(value[-2])
    curve = {1: ec.SECP256R1(), 2: ec.SECP384R1()}[value[-1]]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + value[-2] + value[-3])


def rot(cove: Cove) -> bytes:
    return cove.collateral()["rot.cose"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_verifier_accepts_every_variant_and_refuses_damage(variant: dict[str, Any]) -> None:
    cove = tvm(**variant)
    blob = cove.report(REQUEST).outblob
    algorithm = variant["algorithm"]
    assert verify_evidence(blob, rot(cove), algorithm)[10] == NONCE
    with pytest.raises(RefusedError, match="another challenge"):
        verify_evidence(blob, rot(cove), algorithm, bytes(64))
    with pytest.raises(RefusedError):
        verify_evidence(blob, rot(tvm(root=1, **variant)), algorithm)
    parsed = parse_evidence(blob)
    assert parsed.form == variant["format"]
    for token in parsed.tokens:
        start = blob.index(token.payload)
        for offset in range(start, start + len(token.payload), 11):
            with pytest.raises(RefusedError):
                verify_evidence(flipped(blob, offset), rot(cove), algorithm)


@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(["cbor", "x509"]))
@settings(max_examples=120, deadline=None)
def test_verifier_refuses_a_flipped_byte_anywhere_in_a_certificate(
    at: int, flip: int, form: str
) -> None:
    cove = tvm(format=form)
    blob = cove.report(REQUEST).outblob
    if form == "x509":
        signed = x509.load_der_x509_certificate(blob).tbs_certificate_bytes
    else:
        signed = cbor2.loads(blob).value[2]
    damaged = flipped(blob, blob.index(signed) + at % len(signed), flip)
    with pytest.raises(RefusedError):
        verify_evidence(damaged, rot(cove), "es384")


def test_root_of_trust_is_the_same_for_every_seed() -> None:
    assert rot(tvm()) == rot(tvm(seed=8)) != rot(tvm(root=1))
    verify_evidence(tvm(seed=8).report(REQUEST).outblob, rot(tvm()), "es384")


def test_encoding_follows_the_cddl_of_the_specification() -> None:
    cove = tvm(format="evidence", identity="ab" * 64)
    blob = cove.report(REQUEST).outblob
    assert blob[:5].hex() == "a119010aa3"
    evidence = cbor2.loads(blob)
    assert list(evidence[266]) == ["platform", "tsm", "tvm"]
    claims = {}
    for name, token in evidence[266].items():
        assert token.tag == 18
        assert [type(part) for part in token.value] == [bytes, dict, bytes, bytes]
        header = cbor2.loads(token.value[0])
        assert set(header) == ({1, 4} if name == "platform" else {1})
        payload = cbor2.loads(token.value[2])
        assert payload.tag == 61
        claims[name] = payload.value
    assert set(claims["platform"]) == {265, -70001, -70002, -70003, -70004}
    assert set(claims["tsm"]) == {-70005, -70006}
    assert set(claims["tvm"]) == {10, -70007, -70008, -70009, -70010}
    assert claims["platform"][265] == "https://riscv.org/TBD"
    assert claims["platform"][-70003] == 2
    assert claims["tvm"][-70007] == b"\xab" * 64
    assert [part[1] for part in claims["tsm"][-70006]] == ["tsm-driver", "tsm"]
    assert all(set(part) == {1, 2, 3, 5, 6} for part in claims["platform"][-70004])
    assert [item[1] for item in claims["tvm"][-70010]] == [8, 9, 10, 11]
    assert isinstance(cbor2.loads(claims["tvm"][-70008]), dict)
    without_registers = cbor2.loads(tvm(format="evidence", registers=0).report(REQUEST).outblob)
    assert set(cbor2.loads(without_registers[266]["tvm"].value[2]).value) == {10, -70008, -70009}


def test_cbor_certificate_has_issuer_and_subject() -> None:
    blob = tvm().report(REQUEST).outblob
    payload = cbor2.loads(cbor2.loads(blob).value[2])
    assert payload.tag == 61
    assert list(payload.value) == [1, 2, -70011]
    issuer, subject = payload.value[1], payload.value[2]
    assert len(bytes.fromhex(issuer)) == len(bytes.fromhex(subject)) == 20
    assert issuer == issuer.lower() != subject


def test_x509_certificate_has_the_fields_of_the_specification() -> None:
    certificate = x509.load_der_x509_certificate(tvm(format="x509").report(REQUEST).outblob)
    names = [(e.oid.dotted_string, e.critical) for e in certificate.extensions]
    assert names == [
        ("2.5.29.35", False),
        ("2.5.29.14", False),
        ("2.5.29.15", True),
        ("2.5.29.19", True),
        ("2.23.133.5.4.6", True),
    ]
    issuer = certificate.issuer.rfc4514_string().removeprefix("CN=")
    subject = certificate.subject.rfc4514_string().removeprefix("CN=")
    assert certificate.serial_number == int(issuer, 16)
    extensions = certificate.extensions
    key_id = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    own_id = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert (key_id, own_id) == (bytes.fromhex(issuer), bytes.fromhex(subject))
    basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    assert certificate.not_valid_after_utc.year == 9999
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, False, False)


@pytest.mark.parametrize("name", sorted(HASHES))
def test_measurements_are_extended(name: str) -> None:
    cove = tvm(hash=name, registers=18)
    cove.extend(17, b"event")
    plain = name.replace("sha-", "sha").replace("sha3-", "sha3_")
    expected = hashlib.new(plain, bytes(HASHES[name]) + b"event").digest()
    assert cove.registers()[17] == expected
    claims = verify_evidence(cove.report(REQUEST).outblob, rot(cove), "es384")
    assert claims[-70010][17] == {1: 25, 2: expected, 3: name}
    for register, data in ((18, b"x"), (-1, b"x"), (0, b""), (0, bytes(65))):
        with pytest.raises(ProviderError):
            cove.extend(register, data)


def test_invalid_options_are_refused() -> None:
    for spec in ("cove:identity=00", "cove:identity=x", "cove:registers=19", "cove:hash=md5"):
        with pytest.raises(ProviderError):
            create(spec)


@pytest.mark.parametrize("state", ["not-configured", "debug", "recovery"])
def test_verifier_refuses_a_platform_that_is_not_secured(state: str) -> None:
    cove = tvm(state=state)
    with pytest.raises(RefusedError, match="not secured"):
        verify_evidence(cove.report(REQUEST).outblob, rot(cove), "es384")


def test_decoder_is_strict() -> None:
    good = tvm(format="evidence").report(REQUEST).outblob
    parse_evidence(good)
    tree = cbor2.loads(good)

    def with_claims(name: str, **changes: Any) -> bytes:  # noqa: ANN401
        tokens = dict(tree[266])
        protected, header, payload, signature = tokens[name].value
        claims = cbor2.loads(payload).value
        for label, value in changes.items():
            claims[int(label[1:].replace("m", "-"))] = value
        kept = {label: value for label, value in claims.items() if value is not None}
        body = cbor2.dumps(cbor2.CBORTag(61, kept))
        tokens[name] = cbor2.CBORTag(18, [protected, header, body, signature])
        return cbor2.dumps({266: tokens})

    parse_evidence(with_claims("tvm"))
    bad = [
        b"",
        good + b"\0",
        b"\xbf" + good[1:] + b"\xff",
        cbor2.dumps({266: {"tsm": tree[266]["tsm"], "tvm": tree[266]["tvm"]}}),
        cbor2.dumps({**tree, 1: 2}),
        cbor2.dumps(cbor2.CBORTag(601, tree)),
        with_claims("tvm", _10=bytes(63)),
        with_claims("tvm", _10=None),
        with_claims("tvm", _m70007=bytes(63)),
        with_claims("tvm", _m70008=b"\xa0"),
        with_claims("tvm", _m70009=[]),
        with_claims("tvm", _m70010=[{1: 1, 2: bytes(48), 3: "sha-384"}] * 19),
        with_claims("tvm", _m70010=[{1: 1, 2: bytes(47), 3: "sha-384"}]),
        with_claims("tvm", _m70010=[{1: "1", 2: bytes(48), 3: "sha-384"}]),
        with_claims("tvm", _m70099=1),
        with_claims("tsm", _m70006=[]),
        with_claims("platform", _m70003=5),
        with_claims("platform", _265="https://other"),
        with_claims("platform", _m70002=bytes(63)),
    ]
    for blob in bad:
        with pytest.raises(EvidenceError):
            parse_evidence(blob)


KEY = cbor2.dumps(cose_key(ec.derive_private_key(5, ec.SECP384R1()).public_key()))
TEXT = st.text(max_size=8)


@st.composite
def components(draw: st.DrawFn) -> Component:
    """Draw a component that the specification allows."""
    name = draw(st.sampled_from(sorted(HASHES)))
    digest = octets(HASHES[name])
    return Component(
        type=draw(TEXT),
        measurement=draw(digest),
        svn=draw(TEXT),
        manifest=draw(st.none() | digest),
        signer=draw(digest),
        hash_algorithm=name,
    )


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    """Draw a measurement that the specification allows."""
    name = draw(st.sampled_from(sorted(HASHES)))
    register = draw(st.integers(0, 2**32))
    return Measurement(register=register, value=draw(octets(HASHES[name])), hash_algorithm=name)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_claims_round_trip(data: st.DataObject) -> None:
    platform = PlatformClaims(
        profile=PROFILE,
        public_key=KEY,
        manufacturer_id=data.draw(octets(64)),
        state=data.draw(st.integers(1, 4)),
        sw_components=tuple(data.draw(st.lists(components(), min_size=1, max_size=3))),
    )
    tsm = TsmClaims(
        public_key=KEY, sw_components=(data.draw(components()), data.draw(components()))
    )
    some = st.lists(measurements(), min_size=1, max_size=4).map(tuple)
    tvm_claims = TvmClaims(
        challenge=data.draw(octets(64)),
        identity=data.draw(st.none() | octets(64)),
        public_key=KEY,
        initial_measurements=data.draw(some),
        runtime_measurements=data.draw(st.none() | some),
    )
    assert decode_claims(PlatformClaims, encode_claims(platform)) == platform
    assert decode_claims(TsmClaims, encode_claims(tsm)) == tsm
    assert decode_claims(TvmClaims, encode_claims(tvm_claims)) == tvm_claims


def test_same_state_gives_the_same_bytes() -> None:
    cove = tvm(format="x509", hash="sha3-512", root=3)
    cove.extend(0, b"x")
    assert_state_restores(cove, tvm(seed=1), {"runtime": [], "last_challenge": ""})


@pytest.mark.parametrize("size", [0, 32, 63])
@pytest.mark.parametrize("name", ["", *sorted(FAULTS)])
def test_requests_without_64_bytes_are_invalid_with_every_fault(size: int, name: str) -> None:
    answer = tvm().answer(replace(REQUEST, inblob=bytes(size)), name)
    assert refusal_of(answer).status is Status.INVALID


@pytest.mark.parametrize(
    ("name", "status", "value"),
    [
        ("cove-busy", Status.BUSY, 0),
        ("cove-invalid-param", Status.INVALID, 0),
        ("cove-invalid-address", Status.INJECT, -14),
        ("cove-failed", Status.IO, 0),
    ],
)
def test_refusals_have_status_and_errno(name: str, status: Status, value: int) -> None:
    refusal = refusal_of(tvm().answer(REQUEST, name))
    assert (refusal.status, refusal.value) == (status, value)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["cove-broken-chain", "cove-wrong-signer", "cove-stale-evidence"])
def test_verifier_refuses_faulty_evidence(name: str, variant: dict[str, Any]) -> None:
    cove = tvm(**variant)
    cove.report(REQUEST)
    other = replace(REQUEST, inblob=bytes(reversed(NONCE)))
    evidence = evidence_of(cove.answer(other, name))
    with pytest.raises(RefusedError):
        verify_evidence(evidence.outblob, rot(cove), variant["algorithm"], other.inblob)
    verify_evidence(cove.report(other).outblob, rot(cove), variant["algorithm"], other.inblob)


def test_fault_table_is_complete() -> None:
    assert len(FAULTS) == 7
    assert all(fault.summary and fault.outcome for fault in FAULTS.values())


def test_keys_are_written_in_every_format() -> None:
    files = tvm().collateral()
    for name in ("rot", "platform", "tsm", "tvm"):
        pem = serialization.load_pem_public_key(files[f"{name}.pem"])
        assert pem == serialization.load_der_public_key(files[f"{name}.der"])
        assert pem == public_key(files[f"{name}.cose"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_evidence_is_described(variant: dict[str, Any]) -> None:
    text = description_of(tvm(**variant).report(REQUEST).outblob)
    name = {"es256": "ES256", "es384": "ES384", "eddsa": "EdDSA"}[variant["algorithm"]]
    for line in (f"challenge: {NONCE.hex()}", f"COSE_Sign1, {name}", "state: 2 (secured)",
                 "type: tsm-driver", "register: 8", "hash algorithm: sha-384"):  # fmt: skip
        assert line in text
    assert "violates the specification" not in text
    assert ("issuer" in text) is (variant["format"] != "evidence")


def test_x509_certificate_with_a_damaged_subject_is_described() -> None:
    blob = tvm(format="x509").report(REQUEST).outblob
    name = x509.load_der_x509_certificate(blob).subject.rfc4514_string().removeprefix("CN=")
    damaged = blob.replace(name.encode(), b"\xff" + name[1:].encode())  # not UTF-8
    text = description_of(damaged)
    assert "damaged" in text
    assert f"challenge: {NONCE.hex()}" in text


@given(st.binary(max_size=300), st.integers(4, 1900), st.sampled_from(["cbor", "evidence"]))
@settings(max_examples=150, deadline=None)
def test_description_accepts_any_bytes(data: bytes, at: int, form: str) -> None:
    good = tvm(format=form).report(REQUEST).outblob
    damaged = good[:at] + data + good[at + len(data) :]
    describe(damaged)
    assert describe(bytes.fromhex("a119010a") + data) is not None
