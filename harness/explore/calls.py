# SPDX-License-Identifier: MIT
"""From a step to system calls: what an actor in the guest makes for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.interface.find import CLASS_DEVICE, CONFIGFS_REPORTS
from harness.interface.names import AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    Behaviour,
    CloseFile,
    Leave,
    ListEntry,
    MakeEntry,
    OpenFile,
    ReadAttribute,
    ReadFile,
    RemoveEntry,
    Repeat,
    Return,
    Second,
    Single,
    StatAttribute,
    Stranger,
    WriteAttribute,
)
from tsmw.ops import Op

__all__ = ["CONTROL", "MARK", "Files", "calls_of", "reply_bytes"]

MARK = "/sys/class/misc/tsm_sim/mark"
"""The number that the driver puts into the requests of the step."""

CONTROL = "/sys/class/misc/tsm_sim/control"
"""Makes the driver register or unregister, synchronously."""

_MAX_READS = 30
_MAX_COUNT = 40960
_END = 64  # bytes that are asked for where the end is expected
_PAGE = 4096  # a read of sysfs returns no more
_RESULT = 32  # bytes of the reply for each call

Named = tuple[str, Op]


@dataclass(frozen=True)
class Files:
    """Where the files of entries are, for one version of the interface."""

    version: InterfaceVersion

    def directory(self, entry: str) -> str:
        """The directory of an entry."""
        return CLASS_DEVICE if self.version.kind == "class" else f"{CONFIGFS_REPORTS}/{entry}"

    def path(self, entry: str, attribute: AttributeName) -> str:
        """The file of an attribute."""
        name = "inhex" if attribute == "inblob" and self.version.hexadecimal else attribute
        return f"{self.directory(entry)}/{name}"


def calls_of(
    step: Single, files: Files, descriptors: Mapping[str, int], longest: int
) -> Iterator[Named]:
    """The system calls of a step, with the names under which its outcome has them.

    ``descriptors`` are the open files by slot, ``longest`` is the length of the longest blob that
    the provider has issued or issues in this step.
    """
    match step:
        case MakeEntry():
            yield "mkdir", Op.mkdir(files.directory(step.entry))
        case RemoveEntry():
            yield "rmdir", Op.rmdir(files.directory(step.entry))
        case WriteAttribute():
            yield from _write(step, files)
        case Repeat():
            yield from _repeat(step, files)
        case ReadAttribute():
            yield from _read(step, files, longest)
        case OpenFile():
            yield "open", Op.open(files.path(step.entry, step.attribute))
        case ReadFile():
            yield _read_once(step.count, step.offset, descriptors.get(step.slot, _NO_FILE))
        case CloseFile():
            yield "close", Op.close(descriptors.get(step.slot, _NO_FILE))
        case ListEntry():
            yield "list", Op.list(files.directory(step.entry))
        case StatAttribute():
            yield "stat", Op.stat(files.path(step.entry, step.attribute))
        case Leave() | Return() | Second() | Stranger():
            yield from _control(step)


_NO_FILE = 1000  # a descriptor that no actor has


def _write(step: WriteAttribute, files: Files) -> Iterator[Named]:
    yield "open", Op.open(files.path(step.entry, step.attribute), os.O_WRONLY)
    for offset, data in step.pieces:
        if offset is None:
            yield "write", Op.write(data)
        else:
            yield "pwrite", Op.pwrite(data, offset)
    yield "close", Op.close()


def _repeat(step: Repeat, files: Files) -> Iterator[Named]:
    path = files.path(step.entry, step.attribute)
    opening = Op.open(path, os.O_WRONLY)
    if step.attribute == "inblob" and files.version.kind == "configfs":
        yield "repeat", Op.repeat(step.rounds, 3)
        yield from (("open", opening), ("write", Op.write(step.data)), ("close", Op.close()))
        return
    yield "open", opening
    yield "repeat", Op.repeat(step.rounds, 1)
    yield from (("pwrite", Op.pwrite(step.data, 0)), ("close", Op.close()))


def _read(step: ReadAttribute, files: Files, longest: int) -> Iterator[Named]:
    blob = step.attribute in files.version.blobs
    length = min(longest, files.version.outblob_max) if blob else _PAGE
    count = min(step.chunk, length + _END, _MAX_COUNT)
    most = min(count, _PAGE) if files.version.kind == "class" else count
    position = step.offset or 0
    wanted = max(length - position, 0)
    reads = min(-(-wanted // most) + 1, _MAX_READS) if blob else 2
    if blob and not _succeeds(step.behaviour, files.version):
        reads = 1  # a caller stops at the first error
    yield "open", Op.open(files.path(step.entry, step.attribute))
    for index in range(reads):
        offset = position + index * most if step.offset is not None else None
        yield _read_once(count if index * most < wanted else min(count, _END), offset)
    yield "close", Op.close()


def _succeeds(behaviour: Behaviour, version: InterfaceVersion) -> bool:
    longest = max(behaviour.lengths)
    return not behaviour.value and bool(behaviour.lengths[0]) and longest <= version.outblob_max


def _read_once(count: int, offset: int | None, fd: int | None = None) -> Named:
    if fd is None:
        return ("read", Op.read(count)) if offset is None else ("pread", Op.pread(count, offset))
    if offset is None:
        return "read", Op.read(count, fd)
    return "pread", Op.pread(count, offset, fd)


def _control(step: Leave | Return | Second | Stranger) -> Iterator[Named]:
    text: str = step.kind
    if isinstance(step, Return):
        text = f"return {step.name} {step.floor} {step.attrs} {step.bin_attrs}"
    yield "open", Op.open(CONTROL, os.O_WRONLY)
    yield step.kind, Op.write(text.encode())
    yield "close", Op.close()


def reply_bytes(step: Single, calls: list[Named], longest: int) -> int:
    """An upper bound for the bytes that the reply has for the calls of a step."""
    data = 0
    if isinstance(step, ReadAttribute):
        data = longest if step.attribute.endswith("blob") else _PAGE // 16
    elif isinstance(step, ReadFile):
        data = min(step.count, longest)
    elif isinstance(step, ListEntry):
        data = 512
    return data + _RESULT * (len(calls) + 1)
