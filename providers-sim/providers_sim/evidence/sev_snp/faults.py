# SPDX-License-Identifier: MIT
"""What can go wrong between a host and the kernel's ``sev-guest`` driver, by name.

Source of errno, durations and consequences: drivers/virt/coco/sev-guest and
arch/x86/coco/sev/core.c of Linux 6.12 (``snp_send_guest_request``, ``verify_and_dec_payload``,
``sev_report_new``); statuses of firmware: AMD document 56860, chapter "Status Codes".
"""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.sev_snp.certificates import (
    BUFFER_SIZE,
    GUIDS,
    encode_table,
    raw_entry,
)
from providers_sim.fault_table import Answer, FaultTable
from providers_sim.keys import derive
from tsmw.constants import Status
from tsmw.report import ReportRequest

if TYPE_CHECKING:
    from providers_sim.evidence.sev_snp.provider import SevSnp

__all__ = ["FAULTS"]

_RETRY_S = 2.0
_GIVE_UP_S = 60.0
_INVALID_PARAM, _INVALID_KEY = 0x16, 0x27
_MESSAGE_FLAWS = ("sequence", "type", "version", "size", "tag")
_SVSM_TRIES = 3

FAULTS = FaultTable()


def _refused(
    status: Status,
    reason: str,
    *,
    value: int = 0,
    wipes: SevSnp | None = None,
    after_s: float = 0.0,
) -> Answer:
    refusal = ProviderRefusal(status, reason, value=value)
    return Answer(refusal=refusal, after_s=after_s, then=wipes.wipe_key if wipes else None)


def _with_table(snp: SevSnp, request: ReportRequest, auxblob: bytes) -> Answer:
    return Answer(evidence=replace(snp.report(request), auxblob=auxblob))


def _entries(snp: SevSnp, request: ReportRequest) -> list[tuple[UUID, bytes]]:
    snp.check(request)
    return snp.certificates()


@FAULTS.define("snp-throttled", "success, 2 s per retry; from 60 s on ETIMEDOUT, then ENOTTY")
def _throttled(snp: SevSnp, request: ReportRequest, *, seconds: float = 10.0) -> Answer:
    """The hypervisor answers BUSY for ``seconds``: too many requests."""
    if seconds >= _GIVE_UP_S:
        snp.check(request)
        return _refused(Status.TIMEOUT, "throttled for a minute", wipes=snp, after_s=_GIVE_UP_S)
    retries = math.ceil(seconds / _RETRY_S)
    return Answer(evidence=snp.report(request), after_s=retries * _RETRY_S)


@FAULTS.define("snp-vmm-error", "EIO, then ENOTTY")
def _vmm_error(snp: SevSnp, request: ReportRequest, *, code: int = 0xFFFFFFFF) -> Answer:
    """The hypervisor, or firmware through it, ends the request with error ``code``."""
    snp.check(request)
    return _refused(Status.IO, f"hypervisor error {code:#x}", wipes=snp)


@FAULTS.define("snp-bad-message", "EBADMSG, then ENOTTY")
def _bad_message(snp: SevSnp, request: ReportRequest, *, flaw: str = "tag") -> Answer:
    """The response has a wrong sequence number, type, version or size, or authentication tag."""
    if flaw not in _MESSAGE_FLAWS:
        raise ProviderError(f"flaw is one of {', '.join(_MESSAGE_FLAWS)}; not {flaw!r}")
    snp.check(request)
    return _refused(Status.BAD_MESSAGE, f"the response's {flaw} is wrong", wipes=snp)


@FAULTS.define("snp-sequence-exhausted", "EIO, now and from then on")
def _sequence_exhausted(snp: SevSnp, request: ReportRequest) -> Answer:
    """The message sequence number has reached its end; only a new guest starts over."""
    snp.exhaust_sequence()
    return Answer(evidence=snp.report(request))


@FAULTS.define("snp-certs-too-large", "EIO, the key stays good")
def _certs_too_large(snp: SevSnp, request: ReportRequest, *, pages: int = 5) -> Answer:
    """The host's certificates need ``pages`` pages, more than the driver's buffer has."""
    snp.report(request)  # the driver asks again without certificates and drops the report
    return _refused(Status.IO, f"certificates of {pages} pages")


@FAULTS.define("snp-no-certs", "success, auxblob empty")
def _no_certs(snp: SevSnp, request: ReportRequest, *, stale_length: bool = False) -> Answer:
    """The host has no certificates now; ``stale_length``: the driver leaves auxblob's length."""
    evidence = replace(snp.report(request), auxblob=b"")
    return Answer(evidence=evidence, keep_lengths=stale_length)


@FAULTS.define("snp-certs-missing", "success; a verifier notices")
def _certs_missing(snp: SevSnp, request: ReportRequest, *, member: str = "ASK") -> Answer:
    """The table lacks one ``member``."""
    guid = _guid(member)
    kept = [entry for entry in _entries(snp, request) if entry[0] != guid]
    return _with_table(snp, request, encode_table(kept))


@FAULTS.define("snp-certs-wrong-guid", "success; a verifier notices")
def _certs_wrong_guid(snp: SevSnp, request: ReportRequest, *, member: str = "ASK") -> Answer:
    """One ``member`` of the table has a GUID that nobody knows."""
    guid = _guid(member)
    strange = UUID(bytes=derive(0, "strange guid", 16))
    changed = [(strange if g == guid else g, der) for g, der in _entries(snp, request)]
    return _with_table(snp, request, encode_table(changed))


@FAULTS.define("snp-certs-garbage", "success; a verifier notices")
def _certs_garbage(snp: SevSnp, request: ReportRequest) -> Answer:
    """The auxblob is noise as long as the table would be."""
    size = len(encode_table(_entries(snp, request)))
    return _with_table(snp, request, derive(snp.seed, "noise", size))


@FAULTS.define("snp-certs-truncated", "success; a verifier notices")
def _certs_truncated(snp: SevSnp, request: ReportRequest, *, lost: int = 100) -> Answer:
    """Every certificate lacks its last ``lost`` bytes of DER."""
    cut = [
        (guid, der[:-lost] if 0 < lost < len(der) else der) for guid, der in _entries(snp, request)
    ]
    return _with_table(snp, request, encode_table(cut))


@FAULTS.define("snp-certs-other-tcb", "success; a verifier notices")
def _certs_other_tcb(snp: SevSnp, request: ReportRequest) -> Answer:
    """The VCEK or VLEK in the table is for another TCB than the report's."""
    snp.check(request)
    tcb = replace(snp.tcb, microcode=snp.tcb.microcode - 1)
    return _with_table(snp, request, encode_table(snp.certificates(tcb=tcb)))


@FAULTS.define("snp-certs-other-chip", "success; a verifier notices")
def _certs_other_chip(snp: SevSnp, request: ReportRequest) -> Answer:
    """The VCEK in the table is another chip's."""
    snp.check(request)
    other = derive(snp.seed, "another chip id", 64)
    return _with_table(snp, request, encode_table(snp.certificates(chip_id=other)))


@FAULTS.define("snp-certs-clamped", "success, auxblob cut at 16 KiB")
def _certs_clamped(snp: SevSnp, request: ReportRequest) -> Answer:
    """An entry claims to reach beyond the driver's buffer: the driver warns and cuts."""
    table = encode_table([*_entries(snp, request), (GUIDS["CRL"], bytes(BUFFER_SIZE))])
    return _with_table(snp, request, table[:BUFFER_SIZE])


@FAULTS.define("snp-certs-wrapped", "success, auxblob is the head of the table alone")
def _certs_wrapped(snp: SevSnp, request: ReportRequest) -> Answer:
    """An entry's offset plus length wraps in 32 bits, and the driver takes the small sum."""
    snp.check(request)
    entry = raw_entry(GUIDS["VCEK"], 0xFFFFFF00, 0x100 + 2 * 24)
    return _with_table(snp, request, entry + bytes(24))


@FAULTS.define("snp-certs-no-size", "success, auxblob empty")
def _certs_no_size(snp: SevSnp, request: ReportRequest) -> Answer:
    """The table's entries have neither offset nor length: the driver warns and takes none."""
    return _with_table(snp, request, b"")


@FAULTS.define("snp-invalid-parameter", "EINVAL")
def _invalid_parameter(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware status 0x16, as for a VMPL more privileged than the guest's own."""
    return _firmware(snp, request, status=_INVALID_PARAM)


@FAULTS.define("snp-invalid-key", "EINVAL")
def _invalid_key(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware status 0x27: the key asked for is not there, as a VLEK that was not loaded."""
    return _firmware(snp, request, status=_INVALID_KEY)


@FAULTS.define("snp-firmware-error", "ENXIO; EINVAL for 0x16 and 0x27")
def _firmware(snp: SevSnp, request: ReportRequest, *, status: int = 0x01) -> Answer:
    """Firmware ends the request with ``status``."""
    snp.report(request)
    known = status in (_INVALID_PARAM, _INVALID_KEY)
    return _refused(Status.INVALID if known else Status.NO_DEVICE, f"firmware status {status:#x}")


@FAULTS.define("snp-report-too-large", "ENOMEM")
def _report_too_large(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware says the report is longer than the driver's buffer."""
    snp.report(request)
    return _refused(Status.INJECT, "report_size + 32 exceeds 4096", value=-errno.ENOMEM)


@FAULTS.define("snp-chip-key-masked", "success; nobody can verify it")
def _chip_key_masked(snp: SevSnp, request: ReportRequest) -> Answer:
    """The chip's key is masked: the signature is zero, and no key is named."""
    return Answer(evidence=snp.report_unsigned(request))


@FAULTS.define("snp-svsm-buffers", "EINVAL")
def _svsm_buffers(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM asks for larger buffers each time, until the driver gives up."""
    snp.need_service(request)
    return _refused(Status.INVALID, f"buffers too small {_SVSM_TRIES} times")


@FAULTS.define("snp-svsm-unknown-service", "EINVAL")
def _svsm_unknown_service(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM does not know the service asked for (unsupported protocol)."""
    return _svsm_failed(snp, request, code=0x80000001)


@FAULTS.define("snp-svsm-manifest-version", "EINVAL")
def _svsm_manifest_version(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM has no manifest of the version asked for (invalid parameter)."""
    return _svsm_failed(snp, request, code=0x80000005)


@FAULTS.define("snp-svsm-failed", "EINVAL")
def _svsm_failed(snp: SevSnp, request: ReportRequest, *, code: int = 0x80000006) -> Answer:
    """The SVSM ends the call with ``code``."""
    snp.need_service(request)
    return _refused(Status.INVALID, f"SVSM result {code:#x}")


def _guid(member: str) -> UUID:
    if member not in GUIDS:
        raise ProviderError(f"member is one of {', '.join(GUIDS)}; not {member!r}")
    return GUIDS[member]
