# SPDX-License-Identifier: MIT
"""CCA tokens: layout, verification by an independent COSE library, faults of the RMM."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import product
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey
from hypothesis import given, settings
from hypothesis import strategies as st

from providers_sim import EvidenceError, ProviderError, create, describe
from providers_sim.evidence.arm_cca import ArmCca, ArmCcaOptions
from providers_sim.evidence.arm_cca.claims import (
    HASHES,
    PROFILES,
    PlatformClaims,
    RealmClaims,
    SwComponent,
    decode_claims,
    encode_claims,
)
from providers_sim.evidence.arm_cca.faults import FAULTS
from providers_sim.evidence.arm_cca.token import parse_token
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

VARIANTS = [
    {"token": token, "profile": profile, "hash": name}
    for token, profile, name in product(
        ("legacy", "cmw"), ("legacy", "2023"), ("sha-256", "sha-512")
    )
]


def realm(seed: int = 7, **options: Any) -> ArmCca:  # noqa: ANN401
    """Make a provider."""
    return ArmCca(ArmCcaOptions(**options), seed=seed)


def verify_token(token: bytes, cpak_pem: bytes, nonce: bytes = NONCE) -> dict[int, Any]:
    """Verify a token as a relying party that trusts only the CPAK; return the realm's claims.

    The independent library verifies the signatures. The binding of the realm key is checked on the
    decoded CBOR.
    """
    with refuses_malformed_tokens():
        outer = cbor2.loads(token)
        tokens = outer.value
        if outer.tag == 907:
            tokens = {label: record[1] for label, record in tokens.items()}
        cpak = COSEKey.from_pem(cpak_pem.decode(), alg="ES384")
        platform = cbor2.loads(COSE.new().decode(tokens[44234], cpak))
        claims: dict[int, Any] = cbor2.loads(cbor2.loads(tokens[44241]).value[2])
        rak = claims[44237]
        if claims.get(265) is None:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), rak)
            spki = serialization.PublicFormat.SubjectPublicKeyInfo
            pem = point.public_bytes(serialization.Encoding.PEM, spki).decode()
            key = COSEKey.from_pem(pem, alg="ES384")
        else:
            key = COSEKey.new({**cbor2.loads(rak), 3: -35})
        COSE.new().decode(tokens[44241], key)
        bound = hashlib.new(claims[44240].replace("-", ""), rak).digest()
    if platform[10] != bound:
        raise RefusedError("the platform binds another realm key")
    if claims[10] != nonce.ljust(64, b"\0"):
        raise RefusedError("another challenge")
    if not 0x3000 <= platform[2395] <= 0x30FF:
        raise RefusedError("the platform is not secured")
    return claims


def cpak(cca: ArmCca) -> bytes:
    return cca.collateral()["cpak.pem"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_verifier_accepts_every_variant_and_refuses_damage(variant: dict[str, Any]) -> None:
    cca = realm(**variant)
    token = cca.report(REQUEST).outblob
    claims = verify_token(token, cpak(cca))
    assert (claims[10], claims[44236]) == (NONCE, variant["hash"])
    assert len(claims[44238]) == HASHES[variant["hash"]]
    assert (265 in claims) is (variant["profile"] == "2023")
    assert token[:3] == (b"\xd9\x01\x8f" if variant["token"] == "legacy" else b"\xd9\x03\x8b")
    with pytest.raises(RefusedError, match="another challenge"):
        verify_token(token, cpak(cca), bytes(64))
    parsed = parse_token(token)
    payloads = [
        cbor2.loads(encoded).value[2] for encoded in (parsed.platform_token, parsed.realm_token)
    ]
    for payload in payloads:
        start = token.index(payload)
        for offset in range(start, start + len(payload), 7):
            with pytest.raises(RefusedError):
                verify_token(flipped(token, offset), cpak(cca))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_verifier_refuses_a_flipped_byte_in_either_signed_range(data: st.DataObject) -> None:
    cca = realm()
    token = cca.report(REQUEST).outblob
    parsed = parse_token(token)
    signed = data.draw(st.sampled_from([parsed.platform_token, parsed.realm_token]))
    members = cbor2.loads(signed).value
    part = data.draw(st.sampled_from([members[0], members[2], members[3]]))
    offset = token.index(signed) + signed.index(part) + data.draw(st.integers(0, len(part) - 1))
    damaged = flipped(token, offset, data.draw(st.integers(1, 255)))
    with pytest.raises(RefusedError):
        verify_token(damaged, cpak(cca))


def test_verifier_refuses_another_root() -> None:
    token = realm().report(REQUEST).outblob
    with pytest.raises(RefusedError):
        verify_token(token, cpak(realm(root=1)))
    assert cpak(realm()) == cpak(realm(seed=8)) != cpak(realm(root=1))
    verify_token(realm(seed=8).report(REQUEST).outblob, cpak(realm()))


@pytest.mark.parametrize("size", [32, 33, 48, 64])
def test_challenge_is_the_inblob_padded_with_zeros(size: int) -> None:
    cca = realm()
    token = cca.report(replace(REQUEST, inblob=NONCE[:size])).outblob
    assert verify_token(token, cpak(cca), NONCE[:size])[10] == NONCE[:size] + bytes(64 - size)


@pytest.mark.parametrize("size", [0, 31, 65])
@pytest.mark.parametrize("name", ["", *sorted(FAULTS)])
def test_requests_without_32_to_64_bytes_are_invalid_with_every_fault(size: int, name: str) -> None:
    answer = realm().answer(replace(REQUEST, inblob=bytes(size)), name)
    assert refusal_of(answer).status is Status.INVALID


def test_all_attributes_are_visible_and_most_are_ignored() -> None:
    cca = realm()
    assert (cca.attrs, cca.bin_attrs, cca.privlevel_floor) == (0x7F, 0xF, 0)
    other = replace(REQUEST, privlevel=3, service_provider=b"svsm", manifest_version=9)
    assert cca.report(other) == cca.report(REQUEST)
    assert (cca.report(other).auxblob, cca.report(other).manifestblob) == (b"", b"")


def test_measurements_are_extended() -> None:
    cca = realm(hash="sha-512")
    cca.extend(1, b"event")
    expected = hashlib.sha512(bytes(64) + b"event").digest()
    assert cca.registers() == (bytes(64), expected, bytes(64), bytes(64))
    assert verify_token(cca.report(REQUEST).outblob, cpak(cca))[44239][1] == expected
    for register, data in ((4, b"x"), (-1, b"x"), (0, b""), (0, bytes(65))):
        with pytest.raises(ProviderError):
            cca.extend(register, data)


def test_personalization_and_lifecycle_are_claims() -> None:
    cca = realm(rpv="c0ffee")
    assert verify_token(cca.report(REQUEST).outblob, cpak(cca))[44235] == b"\xc0\xff\xee" + bytes(
        61
    )
    with pytest.raises(RefusedError, match="not secured"):
        verify_token(realm(lifecycle="recoverable-debug").report(REQUEST).outblob, cpak(cca))
    for bad in ("x", "00" * 65, "0"):
        with pytest.raises(ProviderError):
            create(f"arm-cca:rpv={bad}")


def test_encoding_follows_the_cddl_of_the_specification() -> None:
    cca = realm()
    outer = cbor2.loads(cca.report(REQUEST).outblob)
    assert list(outer.value) == [44234, 44241]
    for token in outer.value.values():
        message = cbor2.loads(token)
        assert message.tag == 18
        assert [type(part) for part in message.value] == [bytes, dict, bytes, bytes]
        assert (message.value[0], message.value[1]) == (bytes.fromhex("a1013822"), {})
        assert len(message.value[3]) == 96
    platform, claims = (cbor2.loads(cbor2.loads(t).value[2]) for t in outer.value.values())
    assert set(claims) == {10, 44235, 44236, 44237, 44238, 44239, 44240}
    assert set(platform) == {265, 10, 2396, 256, 2401, 2395, 2399, 2400, 2402}
    assert len(claims[44237]) == 97
    assert claims[44237][0] == 4
    assert platform[265] == "http://arm.com/CCA-SSD/1.0.0"
    assert (len(platform[256]), platform[256][0]) == (33, 1)
    modern = cbor2.loads(realm(token="cmw", profile="2023").report(REQUEST).outblob)
    assert [record[0] for record in modern.value.values()] == [263, 263]


def test_decoder_is_strict() -> None:
    cca = realm()
    good = cca.report(REQUEST).outblob
    outer = cbor2.loads(good)
    platform, realm_token = outer.value.values()
    message = cbor2.loads(realm_token).value

    def wrapped(tag: int, value: object) -> bytes:
        return cbor2.dumps(cbor2.CBORTag(tag, value))

    def realm_with(**changes: Any) -> bytes:  # noqa: ANN401
        claims = cbor2.loads(message[2])
        for label, value in changes.items():
            claims[int(label[1:])] = value
        payload = cbor2.dumps({k: v for k, v in claims.items() if v is not None})
        return wrapped(18, [message[0], {}, payload, message[3]])

    bad = [
        b"",
        good + b"\0",
        wrapped(400, outer.value),
        wrapped(907, outer.value),
        wrapped(399, {44234: platform}),
        wrapped(399, {44234: platform, 44241: realm_token, 1: b""}),
        b"\xd9\x01\x8f\xbf" + cbor2.dumps(outer.value)[1:] + b"\xff",
        wrapped(399, {44234: platform, 44241: b"\x5f" + realm_token + b"\xff"}),
        *(
            wrapped(399, {44234: platform, 44241: realm_with(**change)})
            for change in (
                {"_10": bytes(63)},
                {"_10": None},
                {"_44235": bytes(65)},
                {"_44236": "md5"},
                {"_44238": bytes(64)},
                {"_44239": [bytes(32)] * 3},
                {"_44239": [bytes(31)] * 4},
                {"_44237": bytes(97)},
                {"_44240": 7},
                {"_265": "tag:other"},
                {"_77": 1},
            )
        ),
    ]
    parse_token(good)
    parse_token(wrapped(399, {44234: platform, 44241: realm_with()}))
    for blob in bad:
        with pytest.raises(EvidenceError):
            parse_token(blob)


@st.composite
def realm_claims(draw: st.DrawFn) -> RealmClaims:
    """Draw realm claims that the specification allows."""
    profile = draw(st.sampled_from([None, PROFILES["2023"][0]]))
    name = draw(st.sampled_from(sorted(HASHES)))
    key = b"\x04" + draw(octets(96))
    if profile:
        key = cbor2.dumps({1: 2, -1: 2, -2: key[1:49], -3: key[49:]})
    return RealmClaims(
        profile=profile,
        challenge=draw(octets(64)),
        personalization=draw(octets(64)),
        hash_algorithm=name,
        public_key=key,
        initial_measurement=draw(octets(HASHES[name])),
        extensible_measurements=tuple(draw(octets(HASHES[name])) for _ in range(4)),
        key_hash_algorithm=draw(st.sampled_from(sorted(HASHES))),
    )


@st.composite
def platform_claims(draw: st.DrawFn) -> PlatformClaims:
    """Draw platform claims that the specification allows."""
    texts = st.none() | st.text(max_size=10)
    digest = st.sampled_from(sorted(HASHES.values())).flatmap(octets)
    components = st.builds(
        SwComponent,
        type=texts,
        measurement=digest,
        version=texts,
        signer_id=digest,
        hash_algorithm=texts,
    )
    return PlatformClaims(
        profile=draw(st.sampled_from([platform for _, platform in PROFILES.values()])),
        challenge=draw(digest),
        implementation_id=draw(octets(32)),
        instance_id=b"\x01" + draw(octets(32)),
        config=draw(st.binary(max_size=40)),
        lifecycle=draw(st.integers(0, 0xFFFF)),
        sw_components=tuple(draw(st.lists(components, max_size=4))),
        verification_service=draw(texts),
        hash_algorithm=draw(st.sampled_from(sorted(HASHES))),
    )


@given(realm_claims(), platform_claims())
@settings(max_examples=80, deadline=None)
def test_claims_round_trip(of_realm: RealmClaims, of_platform: PlatformClaims) -> None:
    assert decode_claims(RealmClaims, encode_claims(of_realm)) == of_realm
    assert decode_claims(PlatformClaims, encode_claims(of_platform)) == of_platform


def test_same_state_gives_the_same_bytes() -> None:
    cca = realm(token="cmw", hash="sha-512", root=3)
    cca.extend(0, b"x")
    assert_state_restores(cca, realm(seed=1), {"rems": ["00"] * 4, "last_realm": ""})


@pytest.mark.parametrize(
    ("name", "status"),
    [("cca-init-refused", Status.INVALID), ("cca-continue-failed", Status.NO_DEVICE)],
)
def test_refusals_have_their_status(name: str, status: Status) -> None:
    assert refusal_of(realm().answer(REQUEST, name)).status is status


@pytest.mark.parametrize(
    "name",
    sorted(set(FAULTS) - {"cca-init-refused", "cca-continue-failed"}),
)
def test_verifier_refuses_faulty_tokens(name: str) -> None:
    cca = realm()
    verify_token(cca.report(REQUEST).outblob, cpak(cca))
    other = replace(REQUEST, inblob=bytes(reversed(NONCE)))
    evidence = evidence_of(cca.answer(other, name))
    with pytest.raises(RefusedError):
        verify_token(evidence.outblob, cpak(cca), other.inblob)
    verify_token(cca.report(other).outblob, cpak(cca), other.inblob)  # the next token is valid


def test_first_stale_token_has_a_challenge_of_zeros() -> None:
    evidence = evidence_of(realm().answer(REQUEST, "cca-stale-realm-token"))
    assert parse_token(evidence.outblob).realm.challenge == bytes(64)


def test_token_longer_than_announced_is_truncated() -> None:
    answer = realm().answer(REQUEST, "cca-token-too-long", {"announced": 500})
    assert evidence_of(answer).outblob == realm().report(REQUEST).outblob[:500]


def test_keys_are_written_in_every_format() -> None:
    files = realm().collateral()
    pem = serialization.load_pem_public_key(files["cpak.pem"])
    assert isinstance(pem, ec.EllipticCurvePublicKey)
    assert pem == serialization.load_der_public_key(files["cpak.der"])
    cose = cbor2.loads(files["cpak.cose"])
    numbers = pem.public_numbers()
    assert (int.from_bytes(cose[-2], "big"), int.from_bytes(cose[-3], "big")) == (
        numbers.x,
        numbers.y,
    )
    assert COSEKey.from_jwk(files["cpak.jwk"].decode()).kty == 2
    assert json.loads(files["reference_values.json"])["sw_components"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_described(variant: dict[str, Any]) -> None:
    text = description_of(realm(**variant).report(REQUEST).outblob)
    for line in (f"challenge: {NONCE.hex()}", "COSE_Sign1, ES384", "lifecycle: 0x3003 (secured)",
                 "personalization: 64 zero bytes", "type: RMM"):  # fmt: skip
        assert line in text
    assert "violates the specification" not in text


@given(st.binary(max_size=300), st.integers(0, 1400))
@settings(max_examples=150, deadline=None)
def test_description_accepts_any_bytes(data: bytes, at: int) -> None:
    good = realm().report(REQUEST).outblob
    assert describe(b"\xd9\x01\x8f" + data) is not None
    assert describe(good[:3] + good[3:at] + data + good[at + len(data) :]) is not None
