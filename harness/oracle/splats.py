# SPDX-License-Identifier: MIT
"""Finds splats in a kernel log: one for each event.

PRINTK_CALLER tags, if the kernel writes them, separate the lines of splats that processors print
at the same time. Without tags, such splats share lines, but none is lost.

The log comes from the kernel under test, so the work is linear in its size, and the number and
size of splats is limited (``MAX_SPLATS``, ``MAX_SPLAT_LINES``, ``MAX_LINE``).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from harness.detectors import Pattern, SplatKind
from harness.oracle.patterns import match_head
from harness.oracle.records import LogRecord
from harness.oracle.splat_details import Details, read_details

__all__ = ["MAX_SPLATS", "Splat", "find_splats"]

MAX_SPLATS = 256
MAX_SPLAT_LINES = 600
MAX_LINE = 1024
MAX_TITLE = 300
MAX_LANES = 64
MAX_MESSAGE_LINES = 8
QUIET_S = 5.0
"""Seconds of kernel time without a line after which a splat without an end mark is over."""

_CUT_HERE = re.compile(r"-{6,}\[ cut here \]-{6,}")
_SEPARATOR = re.compile(r"={20,}\s*$")
_END = re.compile(r" ?</TASK>|---\[ end (?:trace|Kernel panic)")
_REOPEN = re.compile(r"Call Trace:| ?<(?:TASK|IRQ|NMI)>|[Aa]llocated by task|[Ff]reed by task")
# Lines that belong to a splat although they follow the end of its trace.
_TRAILER = re.compile(
    r"FIX \S|object pointer: |Modules linked in:|RIP: |RSP: |Code: |CR2: |CS: |FS: |PKRU: |"
    r"R[A-Z0-9]{2}: |note: |Kernel Offset: |Rebooting in |Disabling lock debugging|-{20,}|"
    r"Unloaded tainted modules|irq event stamp|(?:hard|soft)irqs last |\s*$"
)
# The files whose WARN() prints the message of this kind; a frame of another file is another event.
_FRAME_FILES = {
    SplatKind.SLUB: ("mm/slub.c", "mm/slab_common.c"),
    SplatKind.VFREE: ("mm/vmalloc.c",),
    SplatKind.LIST_CORRUPTION: ("lib/list_debug.c",),
}
_TAIL_TOKENS = frozenset({"slub-head", "slub-destroy", "vfree-area", "fault"})
_OF_A_TSM = re.compile(r"\btsm_\w{1,100}\+0x|\[tsm[-\w]{0,60}\]")


@dataclass(frozen=True)
class Splat:
    """One event that the kernel reported about itself.

    ``subtype`` is the kernel's own term ("Object already free"). ``function`` and ``module`` name
    the code at fault, if the splat has it; functions of allocators, locks and detectors are left
    out. ``task`` is ``comm/pid``, ``taint`` the taint letters before this splat. The stacks are
    innermost first. ``panicked``: the kernel panicked because of it. ``repeats`` counts further
    splats of the same hang, ``omitted_lines`` the lines that ``lines`` has no room for.
    """

    kind: SplatKind
    subtype: str
    title: str
    cache: str
    function: str
    module: str
    task: str
    taint: str
    stack: tuple[str, ...]
    allocated_by: tuple[str, ...]
    freed_by: tuple[str, ...]
    lines: tuple[str, ...]
    first_sequence: int
    last_sequence: int
    time_s: float
    panicked: bool = False
    repeats: int = 0
    omitted_lines: int = 0

    @property
    def blamed(self) -> tuple[str, ...]:
        """The stack from the function at fault outwards."""
        found = self.function in self.stack
        return self.stack[self.stack.index(self.function) :] if found else self.stack

    @property
    def outside_tsm(self) -> bool:
        """Whether it is a data race outside the TSM code; kernels have many of those."""
        return self.kind is SplatKind.KCSAN and not any(map(_OF_A_TSM.search, self.lines))

    @property
    def signature(self) -> tuple[str, str, str, str]:
        """Kind, subtype, cache and function: equal for every splat of one bug."""
        return (self.kind.value, self.subtype, self.cache, self.function)


def find_splats(records: Iterable[LogRecord]) -> list[Splat]:
    """Return the splats in the records, in the order of their first lines; at most ``MAX_SPLATS``.

    Records that user space wrote are never part of a splat.
    """
    reader = _Reader()
    for record in records:
        if record.from_kernel:
            for line in record.text.split("\n"):
                if line:
                    reader.feed(record, line[:MAX_LINE])
    return [draft.finish() for draft in reader.drafts]


class _Draft:
    """A splat that is being read."""

    def __init__(
        self, row: Pattern, match: re.Match[str], record: LogRecord, preface: list[str]
    ) -> None:
        self.kind = row.kind
        self.single = row.single
        self.head = match.string
        self.awaits = set(row.awaits)
        self.groups = {k: v for k, v in match.groupdict().items() if v}
        if row.subtype:
            self.groups["subtype"] = row.subtype
        self.first = record
        self.last = record
        self.lines = list(preface)
        self.message = preface[1:]
        self.omitted = 0
        self.in_tail = row.single
        self.panicked = row.kind is SplatKind.PANIC
        self.repeats = 0

    def add(self, record: LogRecord, line: str) -> None:
        self.last = record
        if len(self.lines) < MAX_SPLAT_LINES:
            self.lines.append(line)
        else:
            self.omitted += 1

    def accepts(self, row: Pattern, match: re.Match[str]) -> bool:
        """Whether this first line of a pattern is a further line of the same event."""
        token = row.continues
        if token == "panic":
            return not self.panicked
        if token == "note":
            return True
        if token not in self.awaits or (self.in_tail and token not in _TAIL_TOKENS):
            return False
        if token == "frame" and (files := _FRAME_FILES.get(self.kind)):
            return any(file in match.string for file in files)
        cache = match.groupdict().get("cache")
        return "cache" not in self.groups or cache in (None, self.groups["cache"])

    def absorb(self, row: Pattern, match: re.Match[str]) -> None:
        """Take in a further line; what is already known stays."""
        self.awaits.discard(row.continues)
        self.awaits |= row.awaits
        if row.continues == "slub-head":
            self.head = f"{match.string} [{self.groups.get('subtype', '')}]"
        if row.continues == "panic":
            self.panicked = True
        elif row.continues != "note":
            self.in_tail = False
            for name, value in match.groupdict().items():
                if value and name not in ("subtype", "function", "module"):
                    self.groups.setdefault(name, value)

    def finish(self) -> Splat:
        groups = self.groups
        details = read_details(self.lines)
        function = groups.get("function") or details.culprit
        return Splat(
            kind=self.kind,
            subtype=groups.get("subtype", "").strip(),
            title=self._title(function),
            cache=groups.get("cache") or details.cache,
            function=function,
            module=groups.get("module") or details.module_of(function),
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


class _Lane:
    """The state of one caller: the splat its lines belong to, and a frame that has just begun."""

    def __init__(self) -> None:
        self.draft: _Draft | None = None
        self.pending: list[str] = []


class _Reader:
    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        self._lanes: dict[str | None, _Lane] = {}
        self._hung: dict[tuple[str, str], _Draft] = {}
        self._frameless: deque[_Draft] = deque(maxlen=8)

    def feed(self, record: LogRecord, line: str) -> None:
        lane = self._lane(record.caller)
        draft = lane.draft
        if draft and record.time_s - draft.last.time_s > QUIET_S:
            self._close(lane)
        found = match_head(line)
        if found:
            self._head(lane, record, line, *found)
        elif lane.draft:
            self._body(lane, lane.draft, record, line)
        elif _CUT_HERE.match(line):
            lane.pending = [line]
        elif lane.pending and len(lane.pending) <= MAX_MESSAGE_LINES:
            lane.pending.append(line)
        else:
            lane.pending = []

    def _lane(self, caller: str | None) -> _Lane:
        lane = self._lanes.get(caller)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._lanes.pop(next(iter(self._lanes)))
            lane = self._lanes[caller] = _Lane()
        return lane

    def _head(
        self, lane: _Lane, record: LogRecord, line: str, row: Pattern, match: re.Match[str]
    ) -> None:
        draft = lane.draft
        if draft is None or not draft.accepts(row, match):
            draft = self._other_draft(row, match)
        if draft is not None:
            draft.absorb(row, match)
            draft.add(record, line)
            lane.draft, lane.pending = draft, []
            return
        preface = lane.pending if row.continues == "frame" else []
        self._close(lane)
        if len(self.drafts) < MAX_SPLATS:
            self._start(lane, record, line, _Draft(row, match, record, preface))

    def _other_draft(self, row: Pattern, match: re.Match[str]) -> _Draft | None:
        """Find the splat of another lane, or an earlier one, to which this first line belongs."""
        if row.kind is SplatKind.HUNG_TASK:
            hung = self._hung.get((match["task"], match["pid"]))
            if hung:
                hung.repeats += 1
            return hung
        if row.kind is SplatKind.SLUB and row.continues == "frame":
            for draft in self._frameless:
                if draft.kind is SplatKind.SLUB and "frame" in draft.awaits:
                    return draft
        return None

    def _start(self, lane: _Lane, record: LogRecord, line: str, draft: _Draft) -> None:
        draft.add(record, line)
        self.drafts.append(draft)
        lane.draft = draft
        if draft.kind is SplatKind.HUNG_TASK:
            self._hung[draft.groups["task"], draft.groups["pid"]] = draft

    def _body(self, lane: _Lane, draft: _Draft, record: LogRecord, line: str) -> None:
        if _CUT_HERE.match(line) and not draft.awaits:
            self._close(lane)
            lane.pending = [line]
            return
        if _SEPARATOR.match(line) or _END.match(line):
            draft.in_tail = True
        elif _REOPEN.match(line) and not draft.single:
            draft.in_tail = False
        elif draft.in_tail and not _TRAILER.match(line) and not _CUT_HERE.match(line):
            self._close(lane)
            return
        draft.add(record, line)

    def _close(self, lane: _Lane) -> None:
        if lane.draft and "frame" in lane.draft.awaits:
            self._frameless.append(lane.draft)
        lane.draft, lane.pending = None, []
