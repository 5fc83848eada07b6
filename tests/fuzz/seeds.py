# SPDX-License-Identifier: MIT
"""Seeds of the fuzzing targets: valid messages, evidence and mails."""

from __future__ import annotations

import base64
import quopri
from pathlib import Path

from providers_sim import ReportRequest, available, create
from tests.mails import diff, mail, mbox, new_file
from tsmw.constants import VERSION, FrameType
from tsmw.frame import Frame, encode_frame
from tsmw.hello import GuestHello, encode_guest_hello
from tsmw.report import encode_report_request

__all__ = ["write_seeds"]

_REQUEST = ReportRequest(id=1, inblob=bytes(64))


def write_seeds(target: str, directory: Path, pki_dir: Path | None = None) -> None:
    """Write valid inputs of ``target`` into ``directory``, one file each."""
    hello = encode_guest_hello(GuestHello(1, VERSION, VERSION, 3, 65536, 32768, 16))
    request = encode_report_request(_REQUEST)
    frames = [(FrameType.HELLO, hello), (FrameType.REPORT, request)]
    if target in ("stream", "resync"):
        inputs = [b"".join(encode_frame(Frame(kind, 0, 1, 1, 0, body)) for kind, body in frames)]
    elif target == "session":
        inputs = [b"".join(bytes((kind, 1, len(body), 0)) + body for kind, body in frames)]
    elif target == "messages":
        inputs = [hello, request]
    elif target == "mails":
        inputs = _mails()
    else:
        inputs = _blobs(pki_dir)
    for number, content in enumerate(inputs):
        (directory / f"seed{number}").write_bytes(content)


def _mails() -> list[bytes]:
    """A thread, and one mail or diff of each form that the reader tells apart."""
    rename = "diff --git a/x.c b/y.c\nsimilarity index 90%\nrename from x.c\nrename to y.c\n"
    kinds = (
        "text/plain; format=flowed; delsp=yes",
        'multipart/mixed; boundary="b"',
        "text/x-patch; charset=utf-16",
    )
    body = f"--b\nContent-Type: text/x-patch\n\n{new_file()}--b--\n"
    return [
        mbox(mail("[PATCH v2 1/2] a", ident="1"), mail("Re: [PATCH v2 1/2] a", diff(), parent="1")),
        *(mail(body=body, headers={"Content-Type": kind}).encode() for kind in kinds),
        quopri.encodestring(new_file().encode()),
        base64.b64encode(new_file().encode()),
        f"# [PATCH 1/2] a\n\n**From:** b\n\n{diff()}\n## Re: c\n\n> {rename}".encode(),
        f"# HG changeset patch\n# User a\ntitle\n\nIndex: x.c\n{rename}{diff()}".encode(),
        b"diff --cc x\n@@@ -1 -1 +1 @@@\n*** a\n--- b\n***************\nGIT binary patch\n",
    ]


def _blobs(pki_dir: Path | None) -> list[bytes]:
    blobs: list[bytes] = []
    for provider_id in available():
        provider = create(provider_id, pki_dir=pki_dir)
        evidence = provider.report(_REQUEST)
        blobs += [evidence.outblob, evidence.auxblob, *provider.collateral().values()]
    return [blob for blob in blobs if blob]
