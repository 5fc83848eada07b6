# SPDX-License-Identifier: MIT
"""Every provider in a guest with the kernel's own implementation."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from harness.guest.guest import Guest
from harness.interface.find import find_interface
from harness.interface.report import Report
from harness.oracle.expect import raises_errno
from harness.session import Session
from providers_sim import AnyProvider, ProviderLoop, available, provider_type
from providers_sim.evidence.cove import Cove
from providers_sim.evidence.sev_snp import SevSnp
from providers_sim.evidence.sev_snp.manifest import VTPM
from providers_sim.evidence.tdx import Tdx
from tests import test_arm_cca, test_cove, test_sev_snp, test_sev_snp_faults, test_tdx
from tests.conftest import Clone
from tests.evidence import NONCE, description_of

BASE = {"generation", "provider", "inblob", "outblob"}
PRIVLEVEL = {"privlevel", "privlevel_floor"}
SERVICES = {"service_provider", "service_guid", "service_manifest_version", "manifestblob"}
ERRNO = {name: number for number, name in errno.errorcode.items()}


@dataclass(frozen=True)
class Expected:
    """A provider's attributes, name and privlevel_floor; valid and invalid lengths of inblobs."""

    attributes: set[str]
    name: str
    floor: int | None
    valid: tuple[int, ...]
    invalid: tuple[int, ...]


EXACT = ((64,), (1, 32, 63))
EXPECTED = {
    "sev-snp": Expected(BASE | PRIVLEVEL | {"auxblob"}, "sev_guest", 0, *EXACT),
    "sev-snp:vmpl=3": Expected(BASE | PRIVLEVEL | {"auxblob"}, "sev_guest", 3, *EXACT),
    "sev-snp:svsm": Expected(BASE | PRIVLEVEL | {"auxblob"} | SERVICES, "sev_guest", 2, *EXACT),
    "tdx": Expected(BASE, "tdx_guest", None, *EXACT),
    "tdx:version=5,body=1.5,name=my_tdx": Expected(BASE, "my_tdx", None, *EXACT),
    "cove": Expected(BASE, "cove_guest", None, *EXACT),
    "arm-cca": Expected(
        BASE | PRIVLEVEL | {"auxblob"} | SERVICES, "arm_cca_guest", 0, (32, 48, 64), (1, 31)
    ),
}


def attach(guest: Guest, provider: AnyProvider) -> tuple[ProviderLoop, Report]:
    loop = guest.attach(provider)
    assert loop.wait_registered() == 0
    return loop, find_interface(guest).report()


def verify(provider: AnyProvider, outblob: bytes, nonce: bytes) -> None:
    """Verify the evidence with the independent verifier of the provider's tests."""
    files = provider.collateral()
    if isinstance(provider, SevSnp):
        test_sev_snp.verify_report(files, outblob, nonce=nonce)
    elif isinstance(provider, Tdx):
        assert test_tdx.accepted(provider, outblob, nonce)
    elif isinstance(provider, Cove):
        test_cove.verify_evidence(outblob, files["rot.cose"], "es384", nonce)
    else:
        test_arm_cca.verify_token(outblob, files["cpak.pem"], nonce)


def test_every_provider_is_tested() -> None:
    assert {spec.partition(":")[0] for spec in EXPECTED} == set(available())


@pytest.mark.parametrize("spec", EXPECTED)
def test_provider_has_the_files_of_the_real_driver(
    session: Session, clone: Clone, spec: str
) -> None:
    expected, guest = EXPECTED[spec], clone("mainline")
    provider = session.provider(spec, 3)
    loop, report = attach(guest, provider)
    files = guest.actors[0].list(report.outblob.path.rpartition("/")[0])
    assert set(files) == expected.attributes
    assert report.read("provider") == expected.name.encode() + b"\n"
    if expected.floor is not None:
        assert report.read("privlevel_floor") == b"%d\n" % expected.floor
    for size in expected.valid:
        report.write_inblob(NONCE[:size])
        verify(provider, report.read_outblob(), NONCE[:size])
    for size in expected.invalid:
        report.write_inblob(NONCE[:size])
        with raises_errno(errno.EINVAL):
            report.read_outblob()
    with raises_errno(errno.EFBIG):
        report.write_inblob(bytes(65))
    loop.raise_if_failed()
    guest.log.assert_clean()


def test_write_of_a_privlevel_below_the_floor_fails(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    _, report = attach(guest, session.provider("sev-snp:vmpl=2", 0))
    for level in (0, 1, 4):
        with raises_errno(errno.EINVAL):
            report.write("privlevel", level)
    fresh = "/sys/kernel/config/tsm/report/untouched"
    guest.actors[0].mkdir(fresh)
    guest.actors[0].write_file(f"{fresh}/inblob", NONCE)
    with raises_errno(errno.EINVAL):  # the default privlevel 0 is below the floor
        guest.actors[0].read_file(f"{fresh}/outblob")


def test_svsm_attests_its_services(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    provider = session.provider("sev-snp:svsm", 3)
    assert isinstance(provider, SevSnp)
    _, report = attach(guest, provider)
    report.write_inblob(NONCE)
    report.write("service_provider", "svsm")
    for guid in (None, VTPM):
        if guid is not None:
            report.write("service_guid", str(guid))
        outblob, manifest = report.read_outblob(), report.read("manifestblob")
        nonce = hashlib.sha512(NONCE + manifest).digest()
        auxblob = report.read("auxblob")
        assert len(auxblob) == 16384
        test_sev_snp_faults.verify_with_table(provider, outblob, auxblob, nonce)
        assert len(manifest) == (122 if guid else 170)
    report.write("service_manifest_version", 1)
    with raises_errno(errno.EINVAL):
        report.read_outblob()
    report.write("service_manifest_version", 0)
    report.write("service_guid", str(UUID(int=5)))
    with raises_errno(errno.EINVAL):
        report.read_outblob()


def test_cca_has_attributes_that_it_ignores(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    provider = session.provider("arm-cca", 3)
    _, report = attach(guest, provider)
    report.write_inblob(NONCE)
    report.write("privlevel", 3)
    report.write("service_provider", "svsm")
    report.write("service_manifest_version", 7)
    verify(provider, report.read_outblob(), NONCE)
    assert (report.read("auxblob"), report.read("manifestblob")) == (b"", b"")


def test_measurement_is_in_the_next_quote(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider("tdx", 3))
    report.write_inblob(NONCE)
    first = report.read_outblob()
    loop.extend(1, bytes(48))
    assert report.read_outblob() == first  # cached: no attribute was written
    report.write_inblob(NONCE)
    second = report.read_outblob()
    verify(loop.provider, second, NONCE)
    at = 48 + 328 + 48
    assert second[at : at + 48] == hashlib.sha384(bytes(96)).digest() == loop.registers()[1]
    assert first[at : at + 48] == bytes(48)


def _errno_of_row(outcome: str) -> str:
    return outcome.replace(",", " ").replace(";", " ").split()[0]


# The outcome with default parameters, for faults whose rows have several outcomes.
DEFAULT_OUTCOMES = {"tdx-tdreport": "EBUSY"}
PARAMS = {"tdx-in-flight": {"seconds": 0.0}}  # in flight until complete(), as hardware_time is 0


@pytest.mark.parametrize("spec", ["sev-snp", "sev-snp:svsm", "tdx", "cove", "arm-cca"])
def test_fault_has_the_outcome_of_its_row(session: Session, clone: Clone, spec: str) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider(spec, 3))
    loop.hardware_time = 0.0
    if spec.endswith("svsm"):
        report.write("service_provider", "svsm")
    initial = loop.get_state()
    names = [
        name
        for name in provider_type(spec.partition(":")[0]).faults
        if name.startswith("snp-svsm") is spec.endswith("svsm")
    ]
    assert names
    for name in names:
        loop.set_state(initial)
        loop.fault(name, **PARAMS.get(name, {}))
        report.write_inblob(NONCE)
        outcome = _outcome(report.read_outblob)
        stated = loop.provider.faults[name].outcome
        assert outcome == DEFAULT_OUTCOMES.get(name, _errno_of_row(stated)), name
        report.write_inblob(NONCE)
        after = _outcome(report.read_outblob)
        if "then EBUSY" in stated:
            assert after == "EBUSY", name
            loop.complete()
            after = _outcome(report.read_outblob)
        if "then ENOTTY" in stated and outcome != "success":
            assert after == "ENOTTY", name
        elif "from then on" in stated:
            assert after == outcome, name
        else:
            assert after == "success", name
    loop.raise_if_failed()
    guest.log.assert_clean()


def _outcome(read: Callable[[], bytes]) -> str:
    try:
        read()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "success"


def test_signal_leaves_a_quote_in_flight(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider("tdx", 3))
    report.write_inblob(NONCE)
    with loop.hold() as gate:
        reading = guest.actors[1].start_read(report.outblob)
        gate.wait_for_request()
        guest.actors[1].kill()
        loop.wait_cancelled()
        with raises_errno(errno.EBUSY):
            report.read_outblob()
        del reading
    verify(loop.provider, report.read_outblob(), NONCE)


def test_blob_larger_than_the_drivers_buffer_is_refused(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider("tdx:padding=3232", 3))
    report.write_inblob(NONCE)
    assert len(report.read_outblob()) == 8168
    loop.reconfigure(padding=3233)
    report.write_inblob(NONCE)
    with raises_errno(errno.EFBIG):
        report.read_outblob()
    # The buffer of the driver in Linux 7.3; the limit of the implementation is 32 KiB.
    loop.reconfigure(padding=40000, buffer=131072)
    report.write_inblob(NONCE)
    with raises_errno(errno.EFBIG):
        report.read_outblob()


def test_certificates_of_the_host_change_between_reports(session: Session, clone: Clone) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider("sev-snp", 3))
    report.write_inblob(NONCE)
    assert len(report.read("auxblob")) > 4000
    loop.reconfigure(certificates="none")
    report.write_inblob(NONCE)
    assert report.read("auxblob") == b""
    loop.reconfigure(certificates="chain+crl")
    report.write_inblob(NONCE)
    assert len(report.read("auxblob")) > 5000


def test_cached_report_can_be_read_after_the_provider_vanished(
    session: Session, clone: Clone
) -> None:
    guest = clone("mainline")
    loop, report = attach(guest, session.provider("tdx", 3))
    other = find_interface(guest).report(entry="other")
    for entry in (report, other):
        entry.write_inblob(NONCE)
        entry.read_outblob()
    cached = other.read_outblob()
    loop.fault("vanish")
    report.write_inblob(NONCE)
    with raises_errno(errno.ENXIO):
        report.read_outblob()
    loop.wait_requests(3)
    assert other.read_outblob() == cached
    other.write_inblob(NONCE)
    with raises_errno(errno.ENXIO):
        other.read_outblob()
    guest.log.assert_clean()


@pytest.mark.parametrize("spec", ["sev-snp", "tdx", "cove", "arm-cca"])
def test_verifier_detects_damaged_evidence(session: Session, clone: Clone, spec: str) -> None:
    guest = clone("mainline")
    provider = session.provider(spec, 3)
    loop, report = attach(guest, provider)
    for fault in ("flipped:bit=1000", "truncated:n=3", "wrong_inblob", "padded:n=70"):
        loop.faults.add_spec(fault)
        report.write_inblob(NONCE)
        outblob = report.read_outblob()
        if fault.startswith("padded") and spec == "tdx":
            verify(provider, outblob, NONCE)  # real platforms pad quotes
            continue
        if fault.startswith("padded") and spec != "sev-snp":  # their verifiers ignore padding
            assert "violates the specification" in description_of(outblob)
            continue
        with pytest.raises(Exception):  # noqa: B017 - each verifier has errors of its own
            verify(provider, outblob, NONCE)
    report.write_inblob(NONCE)
    verify(provider, report.read_outblob(), NONCE)


SCRIPT = """
set -e
cd /sys/kernel/config/tsm/report
mkdir entry
cat > entry/inblob
cat entry/outblob > /report
"""


@pytest.mark.parametrize("provider_id", available())
def test_report_read_by_exec_verifies(session: Session, tmp_path: Path, provider_id: str) -> None:
    command = [sys.executable, "-m", "harness", "exec", "--provider", provider_id, "--seed", "11"]
    pull = ["--pull", f"/report:{tmp_path / 'report'}"]
    subprocess.run([*command, *pull, "--", "sh", "-c", SCRIPT], input=NONCE, check=True)
    provider = session.provider(provider_id, 11)
    verify(provider, (tmp_path / "report").read_bytes(), NONCE)
