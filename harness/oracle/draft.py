# SPDX-License-Identifier: MIT
"""Makes one splat from its lines, while they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.detectors import Pattern, SplatKind
from harness.oracle.records import LogRecord
from harness.oracle.splat import Splat
from harness.oracle.splat_details import Details, read_details

__all__ = ["QUIET_S", "Draft", "one_line"]

MAX_SPLAT_LINES = 600
MAX_TITLE = 300
MAX_HELD = 4
QUIET_S = 5.0
"""Seconds of kernel time without a line after which a splat without an end mark is over."""
PANIC_S = 30.0
"""Seconds within which a panic belongs to the splat before it: locks are printed in between."""

# Further first lines that may come when the stack of the splat is complete.
_TAIL_TOKENS = frozenset({"slub-head", "slub-destroy", "vfree-area", "fault", "stall", "kobject"})
_PANIC_TOKENS = frozenset({"panic", "oops-panic", "hung-panic", "lockup-panic", "stall-panic"})
# Tokens of lines that another task or processor may print.
_SHARED_TOKENS = _PANIC_TOKENS | {"stall"}
_FILE = re.compile(r"\b[\w/.-]{1,300}\.(?:c|h|S|rs):\d")
_LOST = re.compile(r"\*\* ")
# A line of the body of each WARN(); any other line that follows the first is the message.
_BODY_OF_WARNING = re.compile(
    r"Modules linked in:|CPU: |Hardware name: |Tainted: |RIP: |Code: |RSP: |R[A-Z0-9]{2}: |"
    r"Call [Tt]race:|Workqueue: |-{3,}|\*\* |irq event stamp|\s*$"
)
_NOT_CARRIED = frozenset({"subtype", "function", "module"})


def one_line(text: str) -> str:
    """Replace line feeds, which only the name of a task has."""
    return text.replace("\n", "\ufffd")


class Draft:
    """A splat that is being read.

    ``preface`` are the lines from "cut here" to the first line, ``after_cut`` whether there is
    such a mark. In the tail of a splat its stack is complete, and only a few more lines belong to
    it.
    """

    def __init__(
        self,
        row: Pattern,
        match: re.Match[str],
        record: LogRecord,
        preface: Sequence[str] = (),
        after_cut: bool = False,
    ) -> None:
        self.first = record
        self.last = record
        self.lines = list(preface)
        self.message = [line for line in self.lines[1:] if not _LOST.match(line)]
        self.omitted = 0
        self.after_cut = after_cut
        self.in_tail = row.single or (row.maybe_single and not after_cut)
        self.panicked = row.kind is SplatKind.PANIC
        self.repeats = 0
        self._held: list[str] = []
        self._has_frame = row.continues == "frame"
        self._has_rip = False
        self._oopsed = False
        self._begin(row, match, {})

    def _begin(self, row: Pattern, match: re.Match[str], known: Mapping[str, str]) -> None:
        self.row = row
        self.kind = row.kind
        self.head = one_line(match.string)
        self.awaits = set(row.awaits)
        self.groups = dict(known) | _groups(match)
        if row.subtype:
            self.groups["subtype"] = row.subtype
        self.bare = row.kind is SplatKind.WARNING
        self._oopsed = row.kind is SplatKind.OOPS

    def add(self, record: LogRecord, line: str) -> None:
        """Take in a line."""
        self.last = record
        if len(self.lines) < MAX_SPLAT_LINES:
            self.lines.append(line)
        else:
            self.omitted += 1

    def hold(self, line: str) -> bool:
        """Keep a line that belongs to an unknown ``BUG:`` only if a stack follows."""
        holds = self.kind is SplatKind.BUG and len(self.lines) == 1 and len(self._held) < MAX_HELD
        if holds:
            self._held.append(line)
        return holds

    def add_body(self, record: LogRecord, line: str) -> None:
        """Take in a line that is no first line; a text just after a ``WARNING:`` is its message."""
        self.lines += self._held
        self._held = []
        self._has_rip = self._has_rip or line.startswith("RIP: 0010:")
        if self.bare and not self.message and not _BODY_OF_WARNING.match(line):
            self.message = [line]
        self.bare = self.bare and _LOST.match(line) is not None
        self.add(record, line)

    def wants(self, line: str) -> bool:
        """Whether this splat lacks this line, which each frame has once."""
        if self.in_tail:
            return False
        if line.startswith("RIP: 0010:"):
            return self._has_frame and not self._has_rip
        if line.startswith("CPU: "):
            return f" PID: {self.groups.get('pid')} " in line
        return self.bare and not self.message and not _BODY_OF_WARNING.match(line)

    def accepts(self, row: Pattern, match: re.Match[str], record: LogRecord) -> bool:
        """Whether this first line of a pattern is a further line of the same event."""
        token = row.continues
        quiet_s = record.time_s - self.last.time_s
        if token == "note":
            return True
        if token in _PANIC_TOKENS:
            return self._causes(token) and not self.panicked and quiet_s <= PANIC_S
        if token not in self.awaits or quiet_s > QUIET_S:
            return False
        slub = self.kind is row.kind is SplatKind.SLUB
        if self.in_tail and token not in _TAIL_TOKENS and not slub:
            return False
        if token == "frame" and not _prints(self.row, match.string):
            return False
        cache = match.groupdict().get("cache")
        return "cache" not in self.groups or cache in (None, self.groups["cache"])

    def accepts_from_elsewhere(self, row: Pattern, match: re.Match[str], record: LogRecord) -> bool:
        """Like `accepts()`, for a line that other lines separate from this splat."""
        same_caller = record.caller == self.first.caller or row.continues in _SHARED_TOKENS
        return row.continues != "note" and same_caller and self.accepts(row, match, record)

    def _causes(self, panic: str) -> bool:
        return panic in self.awaits or panic == "panic" or (panic == "oops-panic" and self._oopsed)

    def explained_by(self, row: Pattern) -> bool:
        """Whether the line just after this bare ``WARNING:`` is the message of its check."""
        explains = self.bare and not self.message and "frame" in row.awaits
        return explains and _prints(row, self.head)

    def become(self, row: Pattern, match: re.Match[str]) -> None:
        """Take the kind of the message that follows the ``WARNING:``."""
        carried = {k: v for k, v in self.groups.items() if k not in _NOT_CARRIED}
        self._begin(row, match, carried)
        self.awaits.discard("frame")
        self.in_tail = False

    def absorb(self, row: Pattern, match: re.Match[str]) -> None:
        """Take in a further first line; what is already known stays."""
        if self.kind is SplatKind.BUG and row.continues == "frame":
            self.message = [self.head]
            self._begin(row, match, {})
        self.awaits.discard(row.continues)
        self.awaits |= row.awaits
        if row.continues == "slub-head":
            self.head = f"{match.string} [{self.groups.get('subtype', '')}]"
            self.row = row
        self.panicked = self.panicked or row.continues in _PANIC_TOKENS
        self.repeats += row.continues == "stall"
        self._has_frame = self._has_frame or row.continues == "frame"
        self._oopsed = self._oopsed or row.kind is SplatKind.OOPS
        if row.continues == "note":
            return
        self.in_tail = row.maybe_single
        if row.continues not in _SHARED_TOKENS:
            for name, value in _groups(match).items():
                if name not in _NOT_CARRIED:
                    self.groups.setdefault(name, value)

    def finish(self) -> Splat:
        """Return the splat as far as it has been read."""
        groups = self.groups
        details = read_details(self.lines, groups)
        function, module = details.at_fault
        return Splat(
            kind=self.kind,
            subtype=groups.get("subtype", "").strip(),
            title=self._title(function),
            cache=groups.get("cache") or details.cache,
            function=function,
            module=module,
            task=self._task(details),
            taint=details.taint,
            stack=details.stack,
            allocated_by=details.allocated_by,
            freed_by=details.freed_by,
            lines=tuple(self.lines),
            first_sequence=self.first.sequence,
            last_sequence=self.last.sequence,
            time_s=self.first.time_s,
            panicked=self.panicked,
            repeats=self.repeats,
            omitted_lines=self.omitted,
        )

    def _title(self, function: str) -> str:
        title = self.head.strip()
        if self.message:
            title += f": {self.message[-1].strip()}"
        title = title[:MAX_TITLE]
        return title if not function or function in title else f"{title} in {function}"

    def _task(self, details: Details) -> str:
        comm, pid = self.groups.get("task"), self.groups.get("pid")
        return f"{comm}/{pid}" if comm and pid else details.task or comm or ""


def _prints(message: Pattern, frame: str) -> bool:
    """Whether this frame can be that of the message; some kernels print no file."""
    files = message.printed_by
    return not files or not _FILE.search(frame) or any(file in frame for file in files)


def _groups(match: re.Match[str]) -> dict[str, str]:
    return {name: one_line(value) for name, value in match.groupdict().items() if value}
