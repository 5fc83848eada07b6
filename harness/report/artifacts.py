# SPDX-License-Identifier: MIT
"""Writes the evidence of a cell with the status FAIL or ERROR into a directory.

The files are ``console.log`` (the serial console, unchanged), ``kernel.log`` (level, time, caller
and text of each record; stack frames with file and line if they are known), ``transcript.jsonl``
(the frames on the provider port), ``timeline.txt``, ``timeline.json`` and ``timeline.html`` (calls
of the actors, events of the provider, splats), ``qemu.txt`` (the command line), ``rerun.txt``,
``versions.json`` and ``verdict.json``. A file without content is left out; ``left-out.txt`` says
why. The plugin adds ``bundle.json`` for a FAIL.

The size of a file is limited, because a guest may print without end. No function raises: a full
disk must not change a verdict.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.oracle.records import LogRecord
from harness.oracle.source_lines import SourceLines
from harness.report.page.timeline_page import timeline_page
from harness.report.run_json import cell_as_json
from harness.report.timeline import Mark, Span, provider_marks, requests, timeline_text
from harness.report.timeline_file import Timeline
from harness.verdict import Cell, CellResult

__all__ = ["MAX_FILE", "Evidence", "artifact_directory", "write_artifacts"]

MAX_FILE = 8 * 1024 * 1024
"""Limit of a file in bytes: a quarter from its start, the rest from its end."""

_VERDICT = "verdict.json"
_LEFT_OUT = "left-out.txt"
_NO_CALLS = "no call was made in the guest"
_REASONS = {
    "console.log": "the serial console was silent: the guest prints only emergencies, an oops and "
    "a panic there; kernel.log has what the kernel logged",
    "kernel.log": "the kernel logged nothing",
    "transcript.jsonl": "no message crossed the provider port",
    "timeline.txt": _NO_CALLS,
    "timeline.json": _NO_CALLS,
    "timeline.html": _NO_CALLS,
    "qemu.txt": "the command line of the emulator is not known",
}
"""Why a file has no content although a guest ran."""
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class Evidence:
    """What was recorded while the cell ran; every member may be empty.

    ``console`` may be the file that the emulator writes. ``transcript`` has JSON objects in order.
    """

    console: bytes | Path | None = None
    kernel_log: Sequence[LogRecord] = ()
    transcript: Sequence[Mapping[str, object]] = ()
    qemu_command: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    splats: Sequence[Mark] = ()
    source: SourceLines = field(default_factory=SourceLines)

    def timeline(self) -> list[str]:
        """Return the events before the verdict, one a line."""
        return timeline_text(self.spans, [*provider_marks(self.transcript), *self.splats])

    def picture(self) -> Timeline:
        """Return the same events, with requests as bars."""
        marks = provider_marks(self.transcript, without_requests=True)
        return Timeline([*self.spans, *requests(self.transcript)], [*marks, *self.splats])


def artifact_directory(root: Path, cell: Cell, kernel: str = "") -> Path:
    """Return the directory of a cell: readable, unique, without characters special to a shell.

    ``kernel`` is the kernel as the user named it: two kernels may have the same release.
    """
    parts = (cell.claim, cell.scenario, cell.kernel, cell.tsm, cell.provider, str(cell.seed))
    readable = "_".join(_UNSAFE.sub("-", part).strip("-.")[:40] for part in parts)
    digest = hashlib.sha256("\0".join((*parts, kernel)).encode("utf-8", "replace")).hexdigest()
    return root / f"{readable}_{digest[:8]}"


def write_artifacts(
    root: Path, result: CellResult, evidence: Evidence, kernel: str = ""
) -> Path | None:
    """Write the directory of a cell below ``root`` and return it; None if it cannot be made.

    ``verdict.json`` lists the files that could not be written, under ``not_written``.
    """
    directory = artifact_directory(root, result.cell, kernel)
    makers = _makers(result, evidence)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (*makers, _LEFT_OUT, _VERDICT):  # an earlier run may have left them
            if (directory / name).is_file():
                (directory / name).unlink()
    except OSError:
        return None
    problems = {
        name: problem
        for name, make in makers.items()
        if (problem := _write(directory / name, make))
    }
    empty = [name for name in _REASONS if name not in problems and not (directory / name).exists()]
    if problem := _write(directory / _LEFT_OUT, lambda: _lines(_reasons(empty, evidence))):
        problems[_LEFT_OUT] = problem
    verdict = cell_as_json(result) | {"artifacts": str(directory), "not_written": problems}
    _write(directory / _VERDICT, lambda: _json(verdict))
    return directory


def _makers(result: CellResult, evidence: Evidence) -> dict[str, Callable[[], bytes]]:
    """Return a function for each file that makes its content."""
    return {
        "console.log": lambda: _console(evidence.console),
        "kernel.log": lambda: _lines(
            evidence.source.decode(map(_record_line, evidence.kernel_log))
        ),
        "transcript.jsonl": lambda: _lines(
            json.dumps(entry, default=repr) for entry in evidence.transcript
        ),
        "timeline.txt": lambda: _lines(evidence.timeline()),
        "timeline.json": lambda: evidence.picture().to_json(),
        "timeline.html": lambda: timeline_page(result.cell, evidence.picture()),
        "qemu.txt": lambda: _lines([shlex.join(evidence.qemu_command)]),
        "rerun.txt": lambda: _lines([result.rerun]),
        "versions.json": lambda: _json(dict(evidence.versions)) if evidence.versions else b"",
    }


def _reasons(names: Iterable[str], evidence: Evidence) -> Iterator[str]:
    """Say for each file that is left out why it has no content."""
    has_guest = bool(evidence.qemu_command)
    for name in names:
        yield f"{name}: {_REASONS[name] if has_guest else 'no guest ran for this verdict'}"


def _write(path: Path, make: Callable[[], bytes]) -> str:
    """Write one file; return the error message, or an empty string."""
    try:
        data = make()
        if data.strip():
            path.write_bytes(data)
    except (OSError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _console(console: bytes | Path | None) -> bytes:
    if console is None:
        return b""
    if isinstance(console, bytes):
        return _capped(console[: MAX_FILE // 4], console[MAX_FILE // 4 :], 0)
    with console.open("rb") as file:
        head = file.read(MAX_FILE // 4)
        size = file.seek(0, 2)
        start = max(len(head), size - (MAX_FILE - MAX_FILE // 4))
        file.seek(start)
        return _capped(head, file.read(MAX_FILE), start - len(head))


def _capped(head: bytes, tail: bytes, omitted: int) -> bytes:
    keep = MAX_FILE - MAX_FILE // 4
    omitted += max(0, len(tail) - keep)
    if not omitted:
        return head + tail
    return head + f"\n[{omitted} bytes left out]\n".encode("ascii") + tail[-keep:]


def _lines(lines: Iterable[str]) -> bytes:
    """Join lines; if they exceed the limit, keep the first and the last of them."""
    head, tail = bytearray(), bytearray()
    omitted = 0
    for line in lines:
        data = line.encode("utf-8", "replace") + b"\n"
        if not tail and len(head) + len(data) <= MAX_FILE // 4:
            head += data
            continue
        tail += data
        if len(tail) > 2 * MAX_FILE:
            omitted += len(tail) - MAX_FILE
            del tail[:-MAX_FILE]
    return _capped(bytes(head), bytes(tail), omitted)


def _record_line(record: LogRecord) -> str:
    caller = f"[{record.caller}] " if record.caller else ""
    user = "" if record.from_kernel else "(user) "
    text = record.text.replace("\n", "\n    ")
    return f"<{record.level}>[{record.time_s:12.6f}] {caller}{user}{text}"


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=1, default=repr) + "\n").encode("ascii")
