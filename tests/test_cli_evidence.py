# SPDX-License-Identifier: MIT
"""The command ``evidence``: files that verifiers accept, and descriptions of blobs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dcap_qvl import (  # type: ignore[import-untyped]
    QuoteCollateralV3,
    verify_with_root_ca,
)
from omne_attest import (  # type: ignore[import-untyped]
    Policy,
    vectors,
    verify,
)

from harness.cli.app import app
from harness.cli.blobs import print_description
from harness.errors import UsageError
from providers_sim import available, create, provider_type
from tests import test_arm_cca, test_cove, test_tdx
from tests.evidence import NONCE


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def invoke(*arguments: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(
        app, ["evidence", *map(str, arguments)], input=stdin, standalone_mode=False
    )


def write(cache: Path, out: Path, *arguments: str) -> dict[str, bytes]:
    """Run the command; return the content of the files that it wrote."""
    common = ["--inblob", NONCE.hex(), "--out", str(out), "--cache", str(cache)]
    done = invoke(*arguments, *common)
    assert done.exception is None, done.output
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {line.split()[0] for line in done.output.splitlines()} == {
        str(out / name) for name in files
    }
    return files


@pytest.mark.parametrize("options", [[], ["--version", "5", "--product", "genoa"]])
def test_snp_files_suffice_for_a_verifier(cache: Path, tmp_path: Path, options: list[str]) -> None:
    files = write(cache, tmp_path / "out", "sev-snp", *options)
    pin = hashlib.sha256(files["ark.der"]).digest()
    chain = [files[f"{name}.der"] for name in ("vcek", "ask", "ark")]
    verify(files["outblob"], *chain, pin, Policy(report_data=files["inblob"]))
    assert files["inblob"] == NONCE
    assert "manifestblob" not in files
    assert {"crl.der", "cert_chain.pem", "vcek.pem", "vcek_public_key.pem"} <= set(files)


def test_svsm_files_suffice_for_a_verifier(cache: Path, tmp_path: Path) -> None:
    files = write(cache, tmp_path / "out", "sev-snp", "--svsm", "--service", "all")
    digest = hashlib.sha512(NONCE + files["manifestblob"]).digest()
    pin = hashlib.sha256(files["ark.der"]).digest()
    chain = [files[f"{name}.der"] for name in ("vcek", "ask", "ark")]
    verify(files["outblob"], *chain, pin, Policy(report_data=digest))


@pytest.mark.parametrize("options", [[], ["--version", "5", "--body", "1.5"]])
def test_tdx_files_suffice_for_a_verifier(cache: Path, tmp_path: Path, options: list[str]) -> None:
    files = write(cache, tmp_path / "out", "tdx", *options, "--extend", f"3={bytes(48).hex()}")
    collateral = QuoteCollateralV3.from_json(files["collateral.json"].decode())
    report = verify_with_root_ca(files["outblob"], collateral, files["root.der"], test_tdx.NOW)
    assert report.status == "UpToDate"
    assert hashlib.sha384(bytes(96)).digest() in files["outblob"]


@pytest.mark.parametrize("form", ["cbor", "x509", "evidence"])
def test_cove_files_suffice_for_a_verifier(cache: Path, tmp_path: Path, form: str) -> None:
    files = write(cache, tmp_path / "out", "cove", "--format", form, "--algorithm", "eddsa")
    test_cove.verify_evidence(files["outblob"], files["rot.cose"], "eddsa")


@pytest.mark.parametrize("token", ["legacy", "cmw"])
def test_cca_files_suffice_for_a_verifier(cache: Path, tmp_path: Path, token: str) -> None:
    files = write(cache, tmp_path / "out", "arm-cca", "--token", token, "--profile", "2023")
    test_arm_cca.verify_token(files["outblob"], files["cpak.pem"])


@pytest.mark.parametrize("provider_id", available())
def test_state_is_written_and_makes_the_same_evidence(
    cache: Path, tmp_path: Path, provider_id: str
) -> None:
    arguments = [provider_id, "--seed", "5"]
    files = write(cache, tmp_path / "first", *arguments)
    assert files == write(cache, tmp_path / "second", *arguments)
    provider = create(provider_id)
    provider.set_state(json.loads(files["state.json"]))
    assert provider.collateral().items() <= files.items()
    other = write(cache, tmp_path / "other", provider_id, "--seed", "6")
    assert other["outblob"] != files["outblob"]


@pytest.mark.parametrize("provider_id", available())
def test_help_lists_every_option_and_the_module_documentation(provider_id: str) -> None:
    done = invoke(provider_id, "--help")
    for info in provider_type(provider_id).options_type.infos():
        assert f"--{info.name.replace('_', '-')}" in done.output
    assert "Not simulated:" in done.output


@pytest.mark.parametrize("provider_id", available())
def test_faults_are_listed(provider_id: str) -> None:
    done = invoke(provider_id, "--faults")
    assert done.exception is None
    for name, fault in provider_type(provider_id).faults.items():
        assert name in done.output
        assert fault.outcome in done.output


def test_fault_changes_the_written_evidence(cache: Path, tmp_path: Path) -> None:
    good = write(cache, tmp_path / "good", "tdx")["outblob"]
    bad = write(cache, tmp_path / "bad", "tdx", "--fault", "tdx-changed:offset=100")["outblob"]
    assert [n for n in range(len(good)) if good[n] != bad[n]] == [100]


def test_written_evidence_is_described(cache: Path, tmp_path: Path) -> None:
    done = invoke("tdx", "--inblob", NONCE.hex(), "--out", tmp_path / "x", "--describe")
    assert f"REPORT DATA  {NONCE.hex()}" in done.output
    again = invoke("tdx", "--describe", tmp_path / "x" / "outblob")
    assert "├── QE id" in again.output
    assert done.output.endswith(again.output)


def test_blobs_of_real_hardware_are_described(tmp_path: Path) -> None:
    real = tmp_path / "report"
    real.write_bytes(vectors.attestation())
    done = invoke("--describe", real)
    assert "SEV-SNP attestation report" in done.output
    assert "violates the specification" not in done.output
    piped = invoke("--describe", "-", stdin=vectors.attestation())
    assert piped.output == done.output
    certificate = tmp_path / "ask.der"
    certificate.write_bytes(vectors.ask())
    both = invoke("--describe", real, "--describe", certificate)
    assert both.output.startswith(done.output)
    assert "CN=SEV-" in both.output


def test_existing_files_are_not_overwritten_without_force(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "outblob").write_text("existing")
    arguments = ["tdx", "--out", str(out), "--cache", str(cache)]
    done = invoke(*arguments)
    assert isinstance(done.exception, UsageError)
    assert (out / "outblob").read_text() == "existing"
    assert invoke(*arguments, "--force").exception is None
    assert len((out / "outblob").read_bytes()) == 4936


REFUSED: list[tuple[list[str], str]] = [
    ([], "name a provider"),
    (["--describe", "/nowhere"], "cannot read /nowhere"),
    (["--describe", "/etc/hostname"], "has an unknown format"),
    (["tdx", "--inblob", "00"], "inblob has 1 bytes, not 64"),
    (["tdx", "--inblob", "xx"], "is not hexadecimal"),
    (["tdx", "--version", "6"], "is not one of"),
    (["tdx", "--body", "1.5"], "add version=5"),
    (["tdx", "--extend", "0"], "is not REGISTER=HEX"),
    (["tdx", "--extend", "9=00"], "cannot be extended"),
    (["tdx", "--fault", "nothing"], "there is no fault 'nothing'"),
    (["tdx", "--fault", "tdx-slow:seconds=x"], "seconds is of type float"),
    (["tdx", "--fault", "tdx-error"], "gives no evidence for this request"),
    (["tdx", "--fault", "tdx-slow:seconds=99"], "is the fault tdx-in-flight"),
    (["sev-snp", "--service", "nothing"], "a service is all or a GUID"),
    (["sev-snp", "--privlevel", "4"], "VMPL 4 is not within 0..3"),
    (["cove", "--identity", "00"], "identity is 64 bytes"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_wrong_usage_is_an_error_and_writes_nothing(
    cache: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    has_provider = bool(arguments) and arguments[0] in available()
    out = ["--out", str(tmp_path / "out"), "--cache", str(cache)] if has_provider else []
    done = invoke(*arguments, *out)
    assert message in str(done.exception) + done.output
    assert not (tmp_path / "out").exists()


def test_description_of_a_blob_with_many_members_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = b'{"tcb_info":[' + b"{}," * 20_000 + b"{}]}"
    assert print_description("blob", blob) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5001
    assert lines[-1] == "… and more: only 5000 lines are shown"
    assert print_description("blob", b'{"tcb_info":{"version":3}}') == 0
    assert "only" not in capsys.readouterr().out
