# SPDX-License-Identifier: MIT
"""The claims: what reviewers of the TSM report interface demanded, and which verdicts are expected.

Sources: the review of "tsm: Introduce a shared ABI for attestation reports", version 2, on
linux-coco, August 2023; the code posted there; drivers/virt/coco of Linux 6.12 and 7.3 and its ABI
documentation. The expected verdicts follow from the implementations: the ``defect_list.h`` of
``tsm-class`` and ``tsm-configfs`` in ``guest-images/modules``, and for ``mainline``
drivers/virt/coco/tsm.c.

The ids S, G, R, T, K and J are from the review, one letter per reviewer. P are defects of the
posted code that the review does not mention, F are defects of the merged code, C is what the ABI
documentation of the merged code says, U are the protocols of its users. M are the claims that
exploration decides: it compares sequences of operations with a model of the interface.
"""

from __future__ import annotations

from harness.claims.model import Claim

__all__ = ["CLAIMS"]

_ORTIZ, _GREG, _LENDACKY, _KROAH = "Samuel Ortiz", "Dr. Greg", "Tom Lendacky", "Greg Kroah-Hartman"
_HOPKINS, _PIOTROWSKI = "Roy Hopkins", "Jeremi Piotrowski"
_POSTED, _MERGED = "reading the posted code", "reading the merged code"
_ABI, _CLIENTS = "the kernel's ABI documentation", "clients of the interface"

_LORE = "https://lore.kernel.org/r/"
_MAIL_KROAH = f"{_LORE}2023081432-evade-proofing-fb8c@gregkh"
_MAIL_PIOTROWSKI_0_5 = f"{_LORE}57f3a05e-8fcd-4656-beea-56bb8365ae64@linux.microsoft.com"
_MAIL_PIOTROWSKI_2_5 = f"{_LORE}e1a7a56d-b77c-4728-a8c7-be8db640c909@linux.microsoft.com"
_MAIL_LENDACKY_15 = f"{_LORE}53d6b712-e2e6-9188-51c7-6190a42dcc5f@amd.com"  # 15 August
_MAIL_LENDACKY_16 = f"{_LORE}7fada981-bc73-774e-bff3-e9be56c52b66@amd.com"  # 16 August
_MAIL_HOPKINS = f"{_LORE}9e8938589b295b7ae8c4c281be886d065edf60a5.camel@suse.de"
_MAIL_ORTIZ = f"{_LORE}ZOYOXTsveEhPCHq2@vermeer"
_MAIL_GREG = f"{_LORE}20230828104635.GA10014@wind.enjellic.com"

_MAIL_POSTED = f"{_LORE}169199900110.1782217.12112722316618515086.stgit@dwillia2-xfh.jf.intel.com"
_TREE = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree"
_MERGED_CODE = f"{_TREE}/drivers/virt/coco/guest/report.c"
_ABI_TEXT = f"{_TREE}/Documentation/ABI/testing/configfs-tsm-report"
_CLIENT_CODE = "https://github.com/google/go-configfs-tsm"

_REVIEW = (
    Claim(
        "S1",
        _ORTIZ,
        "A caller never takes a report over another caller's nonce for its own: either this "
        "cannot happen, or the generation check flags it.",
        link=_MAIL_ORTIZ,
    ),
    Claim(
        "S2",
        _ORTIZ,
        "Writing the same nonce again gives a new report, which shows measurements that have "
        "changed since.",
        link=_MAIL_ORTIZ,
    ),
    Claim(
        "S3",
        _ORTIZ,
        "The generation check does not flag a valid report because another caller wrote after "
        "it was made.",
        link=_MAIL_ORTIZ,
        impossible_on=("class",),
        why_impossible="one device has one generation for all callers",
    ),
    Claim(
        "S4",
        _ORTIZ,
        "The ABI documentation names linux-coco as the contact.",
        link=_MAIL_ORTIZ,
        undecided="it is about documentation",
    ),
    Claim(
        "G1",
        _GREG,
        "A single writer never sees a generation conflict.",
        link=_MAIL_GREG,
    ),
    Claim(
        "R1",
        _HOPKINS,
        "If regenerating a report fails, the old report is freed once, not twice.",
        link=_MAIL_HOPKINS,
    ),
    Claim(
        "J1",
        _PIOTROWSKI,
        "Concurrent readers share one report: the provider makes it once, and the old one is "
        "freed once.",
        link=_MAIL_PIOTROWSKI_2_5,
    ),
    Claim(
        "J2",
        _PIOTROWSKI,
        "Several callers can have reports of their own at the same time.",
        link=_MAIL_PIOTROWSKI_0_5,
        impossible_on=("class",),
        why_impossible="one device has one nonce for all callers",
    ),
    Claim(
        "T1",
        _LENDACKY,
        "Every write increments the generation, even if it writes the value that is already set.",
        link=_MAIL_LENDACKY_16,
    ),
    Claim(
        "T1b",
        _LENDACKY,
        "A request for the extended format never silently returns the default one.",
        link=_MAIL_LENDACKY_16,
    ),
    Claim(
        "T2",
        _LENDACKY,
        "The length of the nonce is not used as a speculative array index.",
        link=_MAIL_LENDACKY_15,
        undecided="speculation leaves no trace in a guest, and version 3 has no hex parser",
    ),
    Claim(
        "T3",
        _LENDACKY,
        "A shorter nonce leaves no bytes of the previous nonce in the buffer that the provider "
        "gets.",
        link=_MAIL_LENDACKY_15,
        fails_on_mainline=True,
    ),
    Claim(
        "T4",
        _LENDACKY,
        "Registering a second provider fails with an error.",
        link=_MAIL_LENDACKY_15,
    ),
    Claim(
        "T5",
        _LENDACKY,
        "A line may have up to 100 columns, so that a call fits on one line.",
        link=_MAIL_LENDACKY_15,
        undecided="it is about coding style",
    ),
    Claim(
        "K1",
        _KROAH,
        "The nonce is written as binary data, in the same way as the report is read.",
        link=_MAIL_KROAH,
    ),
    Claim(
        "K2",
        _KROAH,
        "The nonce cannot be read back.",
        link=_MAIL_KROAH,
    ),
    Claim(
        "K3",
        _KROAH,
        "A privilege level outside the documented range is rejected.",
        link=_MAIL_KROAH,
    ),
    Claim(
        "K4",
        _KROAH,
        "The class is a static constant structure, not created with class_create().",
        link=_MAIL_KROAH,
    ),
    Claim(
        "K5",
        _KROAH,
        "The format of the report is published.",
        link=_MAIL_KROAH,
        undecided="it is about documentation",
    ),
    Claim(
        "K6",
        _KROAH,
        "The nonce buffer on the stack does not grow too large.",
        link=_MAIL_KROAH,
        undecided="it is about future code, and configfs keeps the nonce on the heap",
    ),
)
_OF_THE_POSTED_CODE = (
    Claim(
        "P1",
        _POSTED,
        "A nonce that is a prefix of the previous nonce is stored.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P4",
        _POSTED,
        "Unregistering a provider finishes even while attributes are being read.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P5",
        _POSTED,
        "A file that is still open when the provider unregisters returns errors; the kernel "
        "does not oops.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P6",
        _POSTED,
        "A new provider makes no report from the nonce written for the previous provider.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P7",
        _POSTED,
        "A report that is read in several parts is one report, not parts of two.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P8",
        _POSTED,
        "Reading an option while it is written is no data race.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P9",
        _POSTED,
        "If concurrent readers get an error from the provider, the old report is freed once.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P10",
        _POSTED,
        "If a provider unregisters after a failed regeneration, the old report is freed once.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P11",
        _POSTED,
        "A provider whose registration failed does not continue as if it were registered.",
        link=_MAIL_POSTED,
        undecided="it follows from T4, which is decided",
    ),
    Claim(
        "P12",
        _POSTED,
        "If the provider returns success without a report, the reader gets an error or no "
        "bytes; the kernel does not oops.",
        link=_MAIL_POSTED,
        fails_on_mainline=True,
    ),
    Claim(
        "P13",
        _POSTED,
        "An unprivileged user cannot read the nonce.",
        link=_MAIL_POSTED,
    ),
    Claim(
        "P14",
        _POSTED,
        "A slow report does not block reading the generation.",
        link=_MAIL_POSTED,
        impossible_on=("class",),
        why_impossible="the lock that the review agreed on covers the report and the generation",
        mended_by=("reader-race",),  # it makes the report under the read lock
        fails_on_mainline=True,
    ),
    Claim(
        "P15",
        _POSTED,
        "A driver that selects TSM_REPORTS uses it.",
        link=_MAIL_POSTED,
        undecided="it is about the Kconfig of a series, not about a running kernel",
    ),
)
_OF_THE_MERGED_CODE = (
    Claim(
        "F1",
        _MERGED,
        "A blob that the new report does not have reads as empty, not through a NULL pointer.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F2",
        _MERGED,
        "If the report changes its size during a read, the reader still gets one whole report.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F3",
        _MERGED,
        "A rejected nonce leaves the previous nonce in place.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F4",
        _MERGED,
        "A write of a nonce that is not stored fails, also when the write counter wraps around "
        "to the read counter.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F6",
        _MERGED,
        "No report is served after the provider has unregistered.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F7",
        _MERGED,
        "A slow report does not block the creation of another entry.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F8",
        _MERGED,
        "An unprivileged user cannot make the provider create a report.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F10",
        _MERGED,
        "An entry created while the provider unregisters has its attributes, or mkdir fails.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
    Claim(
        "F11",
        _MERGED,
        "A rejected service GUID leaves the stored one in place.",
        link=_MERGED_CODE,
        fails_on_mainline=True,
    ),
)
_OF_THE_INTERFACE = (
    Claim(
        "C1",
        _ABI,
        "Each call fails in the documented cases only, and a reader gets the provider's errno.",
        link=_ABI_TEXT,
    ),
    Claim(
        "C2",
        _ABI,
        "Each provider's attributes exist, and can be read or written as documented.",
        link=_ABI_TEXT,
    ),
    Claim(
        "C3",
        _ABI,
        "The nonce is stored at close, complete, whether it was written in one or several calls.",
        link=_ABI_TEXT,
    ),
    Claim(
        "C4",
        _ABI,
        "An open file keeps returning the report of its first read.",
        link=_ABI_TEXT,
    ),
    Claim(
        "C5",
        _ABI,
        "A report is made once for each set of options.",
        link=_ABI_TEXT,
    ),
    Claim(
        "C6",
        _ABI,
        "The interface has the attributes that its documentation names, as far as the provider "
        "shows them: a client needs them, and so do the other claims.",
        link=_ABI_TEXT,
    ),
    Claim(
        "U1",
        _CLIENTS,
        "The documented protocol distinguishes a valid report from a conflict.",
        link=_CLIENT_CODE,
    ),
    Claim(
        "U2",
        _CLIENTS,
        "A caller that shares an entry detects every conflict.",
        link=_CLIENT_CODE,
    ),
    Claim(
        "U3",
        _CLIENTS,
        "A caller that retries after a conflict gets a report over its own nonce.",
        link=_CLIENT_CODE,
    ),
)
_OF_EXPLORATION = (
    Claim(
        "M1",
        _ABI,
        "Every sequence of operations has an outcome that the documentation allows.",
        link=_ABI_TEXT,
        fails_on_mainline=True,
    ),
    Claim(
        "M2",
        _ABI,
        "When the provider has gone, nothing is kept: memory is freed, and freed once; references "
        "are dropped; the kernel log shows no secret.",
        link=_ABI_TEXT,
    ),
    Claim(
        "M3",
        _ABI,
        "After every operation the next one returns: no lock is kept, and a killed caller ends.",
        link=_ABI_TEXT,
    ),
)

CLAIMS = {
    claim.id: claim
    for claim in (
        *_REVIEW,
        *_OF_THE_POSTED_CODE,
        *_OF_THE_MERGED_CODE,
        *_OF_THE_INTERFACE,
        *_OF_EXPLORATION,
    )
}
"""Every claim by its id, in the order of a run report."""
