# SPDX-License-Identifier: MIT
"""Reads: which worlds may follow from what a reader got."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.interface.names import AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.outcome import CallResult, Outcome
from harness.model.requests import ANY_ERROR, Serving, servings
from harness.model.steps import ReadAttribute, ReadFile
from harness.model.world import Entry, OpenedFile, World

__all__ = ["after_read", "after_read_of_file"]

_FORMATS = ("default", "extended")


def after_read(
    world: World,
    entry: Entry,
    step: ReadAttribute,
    outcome: Outcome,
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[World]:
    """The worlds after a file was opened, read to its end and closed."""
    reads = [call for call in outcome.calls if call.name in ("read", "pread")]
    if step.attribute in version.blobs:
        ways = servings(
            world, entry, step.attribute, outcome, version, deviations, nobody=step.nobody
        )
        for way in ways:
            if _served(way, step, outcome.error, reads):
                yield world.with_entry(step.entry, way.entry)
        return
    if outcome.requests:
        return
    if outcome.error:
        if step.nobody or _may_fail(world, entry, step.attribute, version):
            yield world
        return
    text = b"".join(call.data for call in reads).decode("ascii", "replace")
    for after in _after_text(world, entry, step.attribute, text, version):
        yield world.with_entry(step.entry, after)


def _served(way: Serving, step: ReadAttribute, error: int, reads: Sequence[CallResult]) -> bool:
    if error:
        beyond = step.offset and way.blobs and step.offset > len(way.blobs.of(step.attribute))
        return bool(beyond) or way.error in (error, ANY_ERROR)
    if way.blobs is None:
        return False
    data = b"".join(call.data for call in reads)
    expected = way.blobs.of(step.attribute)[step.offset or 0 :]
    complete = any(not call.data for call in reads)
    return data == expected if complete else bool(data) and expected.startswith(data)


def _may_fail(
    world: World, entry: Entry, attribute: AttributeName, version: InterfaceVersion
) -> bool:
    if attribute in version.write_only:
        return True
    return attribute != "generation" and (world.provider is None or entry.epoch != world.epoch)


def _after_text(
    world: World, entry: Entry, attribute: AttributeName, text: str, version: InterfaceVersion
) -> Iterator[Entry]:
    line = text.removesuffix("\n")
    if attribute == "generation":
        if line.isascii() and line.isdecimal():
            base = int(line) - entry.written
            if entry.base in (None, base) and base >= 0:
                yield replace(entry, base=base)
        return
    if attribute == "inblob":
        if version.hexadecimal and line.lower() == entry.nonce.hex():
            yield entry
        return
    if line == _shown(world, entry, attribute):
        yield entry


def _shown(world: World, entry: Entry, attribute: AttributeName) -> str | None:
    provider = world.provider
    if attribute == "privlevel":
        return str(entry.privlevel)
    if attribute == "format":
        return _FORMATS[entry.format]
    if provider is None:
        return None
    return {"provider": provider.name, "privlevel_floor": str(provider.floor)}.get(attribute)


def after_read_of_file(  # noqa: PLR0912 - two interfaces, each with and without a report
    world: World,
    file: OpenedFile,
    step: ReadFile,
    outcome: Outcome,
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[World]:
    """The worlds after one read of an open blob.

    configfs keeps the report of the first read; the class reads anew, but must not mix reports.
    """
    call = outcome.calls[0] if outcome.calls else CallResult("read", 0, 0)
    entry = world.entry(file.entry)
    removed = entry is None or entry.number != file.number
    at = file.position if step.offset is None else step.offset
    moved = replace(file, position=file.position + len(call.data) * (step.offset is None))
    if file.seen is not None and not outcome.requests:
        if call.err:
            if version.kind == "class" or removed:
                yield world
        elif _part(file.seen.of(file.attribute), at, step.count, call.data):
            yield world.with_file(step.slot, moved)
    if removed:
        if call.err and not outcome.requests:
            yield world
        return
    if file.seen is not None and version.kind == "configfs":
        return
    assert entry is not None
    for way in servings(world, entry, file.attribute, outcome, version, deviations):
        after = world.with_entry(file.entry, way.entry)
        if call.err:
            beyond = way.blobs is not None and at > len(way.blobs.of(file.attribute))
            spliced = version.kind == "class" and at > 0
            if beyond or spliced or way.error in (call.err, ANY_ERROR):
                yield after
        elif way.blobs is not None and _part(
            way.blobs.of(file.attribute), at, step.count, call.data
        ):
            other = file.seen is not None and file.seen.serial != way.blobs.serial
            if other and at > 0 and call.data and "P7" not in deviations:
                continue
            seen = way.blobs if call.data or version.kind == "class" else None
            yield after.with_file(step.slot, replace(moved, seen=seen))
    if version.kind == "class" and at > 0 and call.err and not outcome.requests:
        yield world  # told to begin again


def _part(blob: bytes, at: int, count: int, data: bytes) -> bool:
    """Whether a read of ``count`` bytes at an offset may have returned ``data``."""
    if at >= len(blob) or not count:
        return not data
    return bool(data) and len(data) <= count and blob[at : at + len(data)] == data
