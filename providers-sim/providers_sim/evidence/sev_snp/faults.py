# SPDX-License-Identifier: MIT
"""Faults of a host under the kernel's ``sev-guest`` driver, by name.

Source of errno, durations and consequences: drivers/virt/coco/sev-guest and
arch/x86/coco/sev/core.c of Linux 6.12 (``snp_send_guest_request``, ``verify_and_dec_payload``,
``sev_report_new``); firmware statuses: AMD document 56860, chapter "Status Codes".
"""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from uuid import UUID

from providers_sim.errors import ProviderError
from providers_sim.evidence.sev_snp.certificates import (
    BUFFER_SIZE,
    GUIDS,
    encode_entry,
    encode_table,
)
from providers_sim.evidence.sev_snp.provider import SevSnp
from providers_sim.fault_table import Answer, refuse
from providers_sim.keys import derive
from tsmw.constants import Status
from tsmw.report import ReportRequest

__all__ = ["FAULTS"]

_RETRY_S = 2.0
_GIVE_UP_S = 60.0
_INVALID_PARAM, _INVALID_KEY = 0x16, 0x27
_MESSAGE_FLAWS = ("sequence", "type", "version", "size", "tag")
_SVSM_TRIES = 3

FAULTS = SevSnp.faults


def _with_table(snp: SevSnp, request: ReportRequest, auxblob: bytes) -> Answer:
    return Answer(evidence=replace(snp.report(request), auxblob=auxblob))


def _entries(snp: SevSnp, request: ReportRequest) -> list[tuple[UUID, bytes]]:
    snp.check(request)
    return snp.certificates()


@FAULTS.define("snp-throttled", "success, 2 s per retry; from 60 s on ETIMEDOUT, then ENOTTY")
def _throttled(snp: SevSnp, request: ReportRequest, *, seconds: float = 10.0) -> Answer:
    """The hypervisor throttles requests: it answers BUSY for ``seconds``."""
    if seconds >= _GIVE_UP_S:
        return refuse(
            snp,
            request,
            Status.TIMEOUT,
            "throttled for a minute",
            after_s=_GIVE_UP_S,
            then=snp.wipe_key,
        )
    retries = math.ceil(seconds / _RETRY_S)
    return Answer(evidence=snp.report(request), after_s=retries * _RETRY_S)


@FAULTS.define("snp-vmm-error", "EIO, then ENOTTY")
def _vmm_error(snp: SevSnp, request: ReportRequest, *, code: int = 0xFFFFFFFF) -> Answer:
    """The hypervisor, or firmware through it, returns error ``code``."""
    return refuse(snp, request, Status.IO, f"hypervisor error {code:#x}", then=snp.wipe_key)


@FAULTS.define("snp-bad-message", "EBADMSG, then ENOTTY")
def _bad_message(snp: SevSnp, request: ReportRequest, *, flaw: str = "tag") -> Answer:
    """The response has a wrong sequence number, type, version, size or authentication tag."""
    if flaw not in _MESSAGE_FLAWS:
        raise ProviderError(f"flaw is one of {', '.join(_MESSAGE_FLAWS)}; not {flaw!r}")
    reason = f"the response's {flaw} is wrong"
    return refuse(snp, request, Status.BAD_MESSAGE, reason, then=snp.wipe_key)


@FAULTS.define("snp-sequence-exhausted", "EIO, now and from then on")
def _sequence_exhausted(snp: SevSnp, request: ReportRequest) -> Answer:
    """The message sequence number is exhausted, and only a new guest gets a new sequence."""
    snp.exhaust_sequence()
    return Answer(evidence=snp.report(request))


@FAULTS.define("snp-certs-too-large", "EIO, the key stays valid")
def _certs_too_large(snp: SevSnp, request: ReportRequest, *, pages: int = 5) -> Answer:
    """The host's certificates need ``pages`` pages, more than the driver's buffer has."""
    snp.report(request)  # the driver retries without certificates and drops the report
    return refuse(snp, request, Status.IO, f"certificates of {pages} pages")


@FAULTS.define("snp-no-certs", "success, auxblob empty")
def _no_certs(snp: SevSnp, request: ReportRequest, *, stale_length: bool = False) -> Answer:
    """The host has no certificates; ``stale_length``: the driver leaves the old auxblob length."""
    evidence = replace(snp.report(request), auxblob=b"")
    return Answer(evidence=evidence, keep_lengths=stale_length)


@FAULTS.define("snp-certs-missing", "success; a verifier refuses it")
def _certs_missing(snp: SevSnp, request: ReportRequest, *, member: str = "ASK") -> Answer:
    """The table lacks the certificate ``member``."""
    guid = _guid(member)
    kept = [entry for entry in _entries(snp, request) if entry[0] != guid]
    return _with_table(snp, request, encode_table(kept))


@FAULTS.define("snp-certs-wrong-guid", "success; a verifier refuses it")
def _certs_wrong_guid(snp: SevSnp, request: ReportRequest, *, member: str = "ASK") -> Answer:
    """The certificate ``member`` has an unknown GUID in the table."""
    guid = _guid(member)
    unknown = UUID(bytes=derive(0, "strange guid", 16))
    changed = [(unknown if g == guid else g, der) for g, der in _entries(snp, request)]
    return _with_table(snp, request, encode_table(changed))


@FAULTS.define("snp-certs-garbage", "success; a verifier refuses it")
def _certs_garbage(snp: SevSnp, request: ReportRequest) -> Answer:
    """The auxblob has random bytes instead of the table, and the table's length."""
    size = len(encode_table(_entries(snp, request)))
    return _with_table(snp, request, derive(snp.seed, "noise", size))


@FAULTS.define("snp-certs-truncated", "success; a verifier refuses it")
def _certs_truncated(snp: SevSnp, request: ReportRequest, *, lost: int = 100) -> Answer:
    """Each certificate lacks the last ``lost`` bytes of its DER."""
    cut = [
        (guid, der[:-lost] if 0 < lost < len(der) else der) for guid, der in _entries(snp, request)
    ]
    return _with_table(snp, request, encode_table(cut))


@FAULTS.define("snp-certs-other-tcb", "success; a verifier refuses it")
def _certs_other_tcb(snp: SevSnp, request: ReportRequest) -> Answer:
    """The VCEK or VLEK in the table certifies another TCB than the report's."""
    snp.check(request)
    tcb = replace(snp.tcb, microcode=snp.tcb.microcode - 1)
    return _with_table(snp, request, encode_table(snp.certificates(tcb=tcb)))


@FAULTS.define("snp-certs-other-chip", "success; a verifier refuses it")
def _certs_other_chip(snp: SevSnp, request: ReportRequest) -> Answer:
    """The VCEK in the table certifies another chip."""
    snp.check(request)
    other = derive(snp.seed, "another chip id", 64)
    return _with_table(snp, request, encode_table(snp.certificates(chip_id=other)))


@FAULTS.define("snp-certs-clamped", "success, auxblob truncated to 16 KiB")
def _certs_clamped(snp: SevSnp, request: ReportRequest) -> Answer:
    """An entry exceeds the driver's buffer: the driver warns and truncates the table."""
    table = encode_table([*_entries(snp, request), (GUIDS["CRL"], bytes(BUFFER_SIZE))])
    return _with_table(snp, request, table[:BUFFER_SIZE])


@FAULTS.define("snp-certs-wrapped", "success, auxblob has only the entries of the table")
def _certs_wrapped(snp: SevSnp, request: ReportRequest) -> Answer:
    """An entry's offset plus length overflows 32 bits, and the driver uses the small sum."""
    snp.check(request)
    entry = encode_entry(GUIDS["VCEK"], 0xFFFFFF00, 0x100 + 2 * 24)
    return _with_table(snp, request, entry + bytes(24))


@FAULTS.define("snp-certs-no-size", "success, auxblob empty")
def _certs_no_size(snp: SevSnp, request: ReportRequest) -> Answer:
    """The table's entries have offset and length 0: the driver warns and ignores them."""
    return _with_table(snp, request, b"")


@FAULTS.define("snp-invalid-parameter", "EINVAL")
def _invalid_parameter(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware returns status 0x16, as for a VMPL more privileged than the guest's own."""
    return _firmware(snp, request, status=_INVALID_PARAM)


@FAULTS.define("snp-invalid-key", "EINVAL")
def _invalid_key(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware returns status 0x27: it has no such key, for example no VLEK was loaded."""
    return _firmware(snp, request, status=_INVALID_KEY)


@FAULTS.define("snp-firmware-error", "ENXIO; EINVAL for 0x16 and 0x27")
def _firmware(snp: SevSnp, request: ReportRequest, *, status: int = 0x01) -> Answer:
    """Firmware returns ``status``."""
    snp.report(request)
    known = status in (_INVALID_PARAM, _INVALID_KEY)
    answer = Status.INVALID if known else Status.NO_DEVICE
    return refuse(snp, request, answer, f"firmware status {status:#x}")


@FAULTS.define("snp-report-too-large", "ENOMEM")
def _report_too_large(snp: SevSnp, request: ReportRequest) -> Answer:
    """Firmware announces a report longer than the driver's buffer."""
    snp.report(request)
    reason = "report_size + 32 exceeds 4096"
    return refuse(snp, request, Status.INJECT, reason, value=-errno.ENOMEM)


@FAULTS.define("snp-chip-key-masked", "success; a verifier refuses it")
def _chip_key_masked(snp: SevSnp, request: ReportRequest) -> Answer:
    """The chip's key is masked: the report has no signature and names no key."""
    return Answer(evidence=snp.report_unsigned(request))


@FAULTS.define("snp-svsm-buffers", "EINVAL")
def _svsm_buffers(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM requests larger buffers each time, until the driver gives up."""
    snp.check_service(request)
    return refuse(snp, request, Status.INVALID, f"buffers too small {_SVSM_TRIES} times")


@FAULTS.define("snp-svsm-unknown-service", "EINVAL")
def _svsm_unknown_service(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM does not know the requested service (unsupported protocol)."""
    return _svsm_failed(snp, request, code=0x80000001)


@FAULTS.define("snp-svsm-manifest-version", "EINVAL")
def _svsm_manifest_version(snp: SevSnp, request: ReportRequest) -> Answer:
    """The SVSM has no manifest of the requested version (invalid parameter)."""
    return _svsm_failed(snp, request, code=0x80000005)


@FAULTS.define("snp-svsm-failed", "EINVAL")
def _svsm_failed(snp: SevSnp, request: ReportRequest, *, code: int = 0x80000006) -> Answer:
    """The SVSM returns ``code``."""
    snp.check_service(request)
    return refuse(snp, request, Status.INVALID, f"SVSM result {code:#x}")


def _guid(member: str) -> UUID:
    if member not in GUIDS:
        raise ProviderError(f"member is one of {', '.join(GUIDS)}; not {member!r}")
    return GUIDS[member]
