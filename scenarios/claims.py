# SPDX-License-Identifier: MIT
"""The claims: what reviewers of the TSM report interface demanded, and what should come of each.

Source of the claims: the review of "tsm: Introduce a shared ABI for attestation reports", version
2, on linux-coco, August 2023; the code posted there; drivers/virt/coco of 6.12 and 7.3 and their
ABI documentation. The source of a core's expected verdict is the core itself: the switches of
``tsm-class`` and ``tsm-configfs`` in ``guest-images/modules``, and drivers/virt/coco/tsm.c for
``mainline``.

S, G, R, T, K and J are of the review, by reviewer; P are defects of the posted code that nobody
mentioned; F are defects of the merged code; C is what the merged interface documents; U are the
protocols its clients use.
"""

from __future__ import annotations

from harness.claims.model import Claim

__all__ = ["CLAIMS"]

_ORTIZ, _GREG, _LENDACKY, _KROAH = "Samuel Ortiz", "Dr. Greg", "Tom Lendacky", "Greg Kroah-Hartman"
_HOPKINS, _PIOTROWSKI = "Roy Hopkins", "Jeremi Piotrowski"
_POSTED, _MERGED = "reading the posted code", "reading the merged code"
_ABI, _CLIENTS = "the kernel's ABI documentation", "clients of the interface"

_REVIEW = (
    Claim(
        "S1",
        _ORTIZ,
        "No caller takes a report over another caller's nonce for its own: it cannot happen, or "
        "the generation protocol flags it.",
    ),
    Claim(
        "S2",
        _ORTIZ,
        "Attestation is repeated: writing the nonce again gives a fresh report, also of "
        "measurements that have changed.",
    ),
    Claim(
        "S3",
        _ORTIZ,
        "A good report is not flagged because another caller wrote after it was made.",
        impossible_on=("class",),
    ),
    Claim("S4", _ORTIZ, "The contact in the documentation is linux-coco.", undecided="text"),
    Claim(
        "G1",
        _GREG,
        "A single writer never sees a conflict of generations.",
    ),
    Claim(
        "R1",
        _HOPKINS,
        "A failed regeneration frees the old report once.",
    ),
    Claim(
        "J1",
        _PIOTROWSKI,
        "Readers that meet share one report: it is made once and the old one freed once.",
    ),
    Claim(
        "J2",
        _PIOTROWSKI,
        "Several callers have reports of their own at the same time.",
        impossible_on=("class",),
    ),
    Claim(
        "T1",
        _LENDACKY,
        "Every write moves the generation, also one that writes the value already there.",
    ),
    Claim(
        "T1b",
        _LENDACKY,
        "Who asks for the extended format does not get the default one unawares.",
    ),
    Claim(
        "T2",
        _LENDACKY,
        "The length of the nonce is not used to index speculatively.",
        undecided="speculation leaves nothing that a guest could see; the parser is gone since",
    ),
    Claim(
        "T3",
        _LENDACKY,
        "A shorter nonce leaves nothing of a longer one before it.",
        fails_on_mainline=True,
    ),
    Claim(
        "T4",
        _LENDACKY,
        "Registering a second provider fails, and says so.",
    ),
    Claim("T5", _LENDACKY, "Lines have no more than 100 columns.", undecided="style of the text"),
    Claim(
        "K1",
        _KROAH,
        "The nonce goes in as bytes, as the report comes out.",
    ),
    Claim(
        "K2",
        _KROAH,
        "The nonce cannot be read back.",
    ),
    Claim(
        "K3",
        _KROAH,
        "A privilege level outside the documented range is refused.",
    ),
    Claim(
        "K4",
        _KROAH,
        "The class is a constant structure, not made by class_create().",
    ),
    Claim("K5", _KROAH, "The format is published somewhere.", undecided="documentation"),
    Claim(
        "K6",
        _KROAH,
        "A nonce on the stack does not grow.",
        undecided="of code to come; configfs keeps it on the heap",
    ),
)
_OF_THE_POSTED_CODE = (
    Claim(
        "P1",
        _POSTED,
        "A nonce that is the beginning of the one before it is stored.",
    ),
    Claim(
        "P4",
        _POSTED,
        "Unregistering a provider while attributes are read comes to an end.",
    ),
    Claim(
        "P5",
        _POSTED,
        "What is still open when the provider leaves gives an error, not an oops.",
    ),
    Claim(
        "P6",
        _POSTED,
        "The next provider makes no report from what was written for the last one.",
    ),
    Claim(
        "P7",
        _POSTED,
        "A report read in parts is one report.",
    ),
    Claim(
        "P8",
        _POSTED,
        "Options are read under the lock.",
    ),
    Claim(
        "P9",
        _POSTED,
        "Readers that meet while the provider fails free the old report once.",
    ),
    Claim(
        "P10",
        _POSTED,
        "Unregistering after a failed regeneration frees the old report once.",
    ),
    Claim(
        "P11",
        _POSTED,
        "A provider that was refused does not believe that it is registered.",
        undecided="the consequence of T4, decided there",
    ),
    Claim(
        "P12",
        _POSTED,
        "A provider that succeeds without a report harms nobody but its reader.",
        fails_on_mainline=True,
    ),
    Claim(
        "P13",
        _POSTED,
        "A caller without privileges cannot read the nonce.",
    ),
    Claim(
        "P14",
        _POSTED,
        "A slow report does not delay who only asks for the generation.",
        impossible_on=("class",),
        mended_by=("reader-race",),  # the report is made under the read lock
        fails_on_mainline=True,
    ),
    Claim(
        "P15",
        _POSTED,
        "What selects TSM_REPORTS uses it.",
        undecided="of a series' Kconfig, not of a kernel that runs",
    ),
)
_OF_THE_MERGED_CODE = (
    Claim(
        "F1",
        _MERGED,
        "A blob that the next report lacks is empty: nothing is read where the last one was.",
        fails_on_mainline=True,
    ),
    Claim(
        "F2",
        _MERGED,
        "A report that changes between a reader's two passes is neither cut nor padded.",
        fails_on_mainline=True,
    ),
    Claim(
        "F3",
        _MERGED,
        "A nonce that is refused leaves the one before it in force.",
        fails_on_mainline=True,
    ),
    Claim(
        "F4",
        _MERGED,
        "A nonce that is not stored is refused, also when the counters of writes and reads meet.",
        fails_on_mainline=True,
    ),
    Claim(
        "F6",
        _MERGED,
        "When the provider has left, no report is served.",
        fails_on_mainline=True,
    ),
    Claim(
        "F7",
        _MERGED,
        "A slow report does not delay who makes an entry of his own.",
        fails_on_mainline=True,
    ),
    Claim(
        "F8",
        _MERGED,
        "A caller without privileges cannot have reports made.",
        fails_on_mainline=True,
    ),
    Claim(
        "F10",
        _MERGED,
        "An entry that is made while the provider leaves has its attributes, or is refused.",
        fails_on_mainline=True,
    ),
)
_OF_THE_INTERFACE = (
    Claim(
        "C1",
        _ABI,
        "Each call fails with the errno that is documented, and only then.",
    ),
    Claim(
        "C2",
        _ABI,
        "Each provider's attributes are there, with their modes.",
    ),
    Claim(
        "C3",
        _ABI,
        "A nonce is stored at close, whole, in one or several writes.",
    ),
    Claim("C4", _ABI, "An open file goes on with the report it began with."),
    Claim(
        "C5",
        _ABI,
        "A report is made once for each set of options.",
    ),
    Claim(
        "U1",
        _CLIENTS,
        "The documented protocol tells a good report from a conflict.",
    ),
    Claim(
        "U2",
        _CLIENTS,
        "Who shares an entry learns of every conflict.",
    ),
    Claim(
        "U3",
        _CLIENTS,
        "Who tries again after a conflict gets a report of his own.",
    ),
)

CLAIMS = {
    claim.id: claim
    for claim in (*_REVIEW, *_OF_THE_POSTED_CODE, *_OF_THE_MERGED_CODE, *_OF_THE_INTERFACE)
}
"""Every claim by its id, in the order a report shows them."""
