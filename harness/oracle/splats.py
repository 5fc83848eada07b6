# SPDX-License-Identifier: MIT
"""Finds splats in a kernel log: one for each event.

PRINTK_CALLER tags, if the kernel writes them, separate the lines of splats that processors print
at the same time. Without tags, such splats share lines, but none is lost: a further first line
goes to the splat that awaits it, and what each splat has once goes to the one that lacks it.

The log comes from the kernel under test, so the work is linear in its size, and the number and
size of splats is limited (``MAX_SPLATS``, ``MAX_SPLAT_LINES``, ``MAX_LINE``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.detectors import Pattern, SplatKind
from harness.oracle.draft import QUIET_S, Draft, one_line
from harness.oracle.patterns import match_head
from harness.oracle.records import LogRecord
from harness.oracle.splat import Splat

__all__ = ["MAX_SPLATS", "Splat", "SplatReader", "find_splats"]

MAX_SPLATS = 256
MAX_LINE = 1024
MAX_LANES = 64
MAX_MESSAGE_LINES = 8
MAX_UNFINISHED = 8

_CUT_HERE = re.compile(r"-{6,}\[ cut here \]-{6,}")
_SEPARATOR = re.compile(r"={20,}\s*$")
_END = re.compile(r" ?</TASK>|---\[ end (?:trace|Kernel panic)")
_REOPEN = re.compile(r"Call [Tt]race:| ?<(?:TASK|IRQ|NMI)>|[Aa]llocated by task|[Ff]reed by task")
# Lines that belong to a splat although they follow the end of its trace.
_TRAILER = re.compile(
    r"FIX \S|object pointer: |Modules linked in:|RIP: |RSP: |Code: |CR2: |CS: |FS: |PKRU: |"
    r"R[A-Z0-9]{2}: |DR[0-7]: |note: |Kernel Offset: |Rebooting in |Disabling lock debugging|"
    r"-{20,}|CPU: \d|Tainted: |Hardware name: |Workqueue: |Preemption disabled at:|"
    r"Unloaded tainted modules|irq event stamp|(?:hard|soft)irqs last |"
    r"\*\* replaying previous printk message|\s*$"
)
_FRAME_TOKENS = frozenset({"frame", "slub-head", "slub-destroy", "vfree-area"})


def find_splats(records: Iterable[LogRecord]) -> list[Splat]:
    """Return the splats in the records, in the order of their first lines; at most ``MAX_SPLATS``.

    Records that user space wrote are never part of a splat.
    """
    reader = SplatReader()
    reader.read(records)
    return reader.splats()


class SplatReader:
    """Reads a log that grows."""

    def __init__(self) -> None:
        self._drafts: list[Draft] = []
        self._lanes: dict[str | None, _Lane] = {}
        self._hung: dict[tuple[str, str], Draft] = {}

    def read(self, records: Iterable[LogRecord]) -> None:
        """Read further records."""
        for record in records:
            if not record.from_kernel:
                continue
            if "\n" not in record.text:
                self._feed(record, record.text[:MAX_LINE], True)
                continue
            for number, line in enumerate(_lines(record.text)):
                self._feed(record, line[:MAX_LINE], number == 0)

    def splats(self) -> list[Splat]:
        """Return the splats in what has been read, as `find_splats()` does."""
        return [draft.finish() for draft in self._drafts]

    def _feed(self, record: LogRecord, line: str, is_first: bool) -> None:
        if not line:
            return
        lane = self._lane(record.caller)
        draft = lane.draft
        if draft and record.time_s - draft.last.time_s > QUIET_S:
            lane.draft = None
        found = match_head(line)
        if found and (is_first or found[0].kind is not SplatKind.BUG):
            self._head(lane, record, *found)
        elif _CUT_HERE.match(line):
            lane.cut_here(record, line)
            if lane.draft and not lane.draft.awaits & _FRAME_TOKENS:
                lane.draft = None
            elif lane.draft:
                lane.draft.add(record, line)
        else:
            lane.collect(line)
            if lane.draft:
                self._body(lane, lane.draft, record, line)

    def _lane(self, caller: str | None) -> _Lane:
        lane = self._lanes.get(caller)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._lanes.pop(next(iter(self._lanes)))
            lane = self._lanes[caller] = _Lane()
        return lane

    def _head(self, lane: _Lane, record: LogRecord, row: Pattern, match: re.Match[str]) -> None:
        line = one_line(match.string)
        draft = lane.draft
        if draft is not None and draft.explained_by(row):
            if row.kind is SplatKind.BUG:
                draft.add_body(record, line)
            else:
                draft.become(row, match)
                draft.add(record, line)
            return
        if draft is None or not draft.accepts(row, match, record):
            draft = self._earlier(row, match, record)
        if draft is not None:
            draft.absorb(row, match)
            draft.add(record, line)
            lane.draft = draft
            if row.continues == "frame" and not draft.after_cut:
                lane.drop_cut()
            return
        preface = lane.take_preface() if row.continues == "frame" else []
        after_cut = bool(preface) or ("frame" in row.awaits and lane.drop_cut())
        if len(self._drafts) < MAX_SPLATS:
            self._start(lane, record, line, Draft(row, match, record, preface, after_cut))
        else:
            lane.draft = None

    def _earlier(self, row: Pattern, match: re.Match[str], record: LogRecord) -> Draft | None:
        """Find the splat of another lane, or an earlier one, to which this first line belongs."""
        if row.kind is SplatKind.HUNG_TASK:
            hung = self._hung.get((one_line(match["task"]), match["pid"]))
            if hung:
                hung.repeats += 1
            return hung
        if not row.continues:
            return None
        recent = self._drafts[-MAX_UNFINISHED:]
        # A panic ends the log, so its cause is the last splat.
        candidates = reversed(recent) if row.kind is SplatKind.PANIC else recent
        fits = (d for d in candidates if d.accepts_from_elsewhere(row, match, record))
        return next(fits, None)

    def _start(self, lane: _Lane, record: LogRecord, line: str, draft: Draft) -> None:
        draft.add(record, line)
        self._drafts.append(draft)
        lane.draft = draft
        if draft.kind is SplatKind.HUNG_TASK:
            self._hung[draft.groups["task"], draft.groups["pid"]] = draft

    def _body(self, lane: _Lane, draft: Draft, record: LogRecord, line: str) -> None:
        if record.caller is None and (draft.bare or line.startswith(("RIP: 0010:", "CPU: "))):
            draft = self._owner(draft, record, line)
            if line.startswith("CPU: "):
                lane.draft = draft
        if _SEPARATOR.match(line) or _END.match(line):
            draft.in_tail = True
        elif _REOPEN.match(line) and not draft.row.single:
            draft.in_tail = False
        elif draft.in_tail and not _TRAILER.match(line):
            if not draft.hold(line):
                lane.draft = None
            return
        draft.add_body(record, line)

    def _owner(self, draft: Draft, record: LogRecord, line: str) -> Draft:
        """Find the splat that lacks this line, if processors print several at the same time."""
        if line.startswith("CPU: ") and draft.wants(line):
            return draft
        recent = (d for d in self._drafts[-MAX_UNFINISHED:] if d.wants(line))
        return next((d for d in recent if record.time_s - d.last.time_s <= QUIET_S), draft)


class _Lane:
    """The state of one caller: the splat its lines belong to, and a frame that has just begun.

    A frame begins with "cut here" and a message, which its ``WARNING:`` follows.
    """

    def __init__(self) -> None:
        self.draft: Draft | None = None
        self._cuts: list[str] = []
        self._messages: list[str] = []
        self._collects = False
        self._time_s = 0.0

    def cut_here(self, record: LogRecord, line: str) -> None:
        """Begin a frame. If one has begun already, two processors print at the same time."""
        if record.time_s - self._time_s > QUIET_S or len(self._cuts) == MAX_UNFINISHED:
            self._forget()
        self._time_s = record.time_s
        self._cuts.append(line)
        self._collects = True

    def collect(self, line: str) -> None:
        """Take in a line that may be a message."""
        if self._collects:
            self._messages.append(line)
            if len(self._messages) > MAX_MESSAGE_LINES:
                self._forget()

    def take_preface(self) -> list[str]:
        """Return "cut here" and the message before a ``WARNING:``, and forget them.

        If as many frames have begun as there are messages, each frame has one, in their order.
        """
        self._collects = False
        if len(self._cuts) > 1 and len(self._cuts) == len(self._messages):
            return [self._cuts.pop(0), self._messages.pop(0)]
        preface = [*self._cuts[-1:], *self._messages]
        self._forget()
        return preface

    def drop_cut(self) -> bool:
        """Forget a "cut here" whose message is known; whether there was one."""
        found = bool(self._cuts)
        del self._cuts[:1]
        if not self._cuts:
            self._forget()
        return found

    def _forget(self) -> None:
        self._cuts, self._messages, self._collects = [], [], False


def _lines(text: str) -> Iterator[str]:
    """Split a message into lines; a line feed in the name of a task does not end its line."""
    found = match_head(text)
    end = text.find("\n", found[1].end()) if found else -1
    if found and "\n" in found[1][0]:
        yield text[: end if end >= 0 else len(text)]
        text = text[end + 1 :] if end >= 0 else ""
    yield from text.split("\n")
