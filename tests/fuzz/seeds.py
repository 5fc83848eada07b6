# SPDX-License-Identifier: MIT
"""Seeds of the fuzzing targets: valid messages and evidence."""

from __future__ import annotations

from pathlib import Path

from providers_sim import ReportRequest, available, create
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
    else:
        inputs = _blobs(pki_dir)
    for number, content in enumerate(inputs):
        (directory / f"seed{number}").write_bytes(content)


def _blobs(pki_dir: Path | None) -> list[bytes]:
    blobs: list[bytes] = []
    for provider_id in available():
        provider = create(provider_id, pki_dir=pki_dir)
        evidence = provider.report(_REQUEST)
        blobs += [evidence.outblob, evidence.auxblob, *provider.collateral().values()]
    return [blob for blob in blobs if blob]
