# SPDX-License-Identifier: MIT
"""Writes: which entries may follow from the results of the calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.interface.names import AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.outcome import CallResult
from harness.model.values import (
    Understanding,
    compose,
    guid,
    hexadecimal,
    name_of_service,
    number,
    word,
)
from harness.model.world import Entry, World

__all__ = ["after_text", "after_writes", "understand"]

_FORMATS = (b"default", b"extended")
_MEMBERS: dict[AttributeName, str] = {"inblob": "nonce"}

Pieces = Sequence[tuple[int | None, bytes]]


def understand(
    attribute: AttributeName, data: bytes, world: World, version: InterfaceVersion
) -> Understanding:
    """How a text that is written to an option is understood."""
    if attribute == "privlevel":
        floor = 0 if version.kind == "class" or world.provider is None else world.provider.floor
        return number(data, floor, version.privlevel_max)
    if attribute == "service_manifest_version":
        return number(data)
    if attribute == "format":
        return word(data, _FORMATS)
    if attribute == "service_guid":
        return guid(data)
    if attribute == "service_provider":
        return name_of_service(data)
    return hexadecimal(data, version.inblob_max)


def after_writes(
    world: World,
    entry: Entry,
    attribute: AttributeName,
    pieces: Pieces,
    results: Sequence[CallResult],
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[Entry]:
    """The entries that may follow from these writes through one open file."""
    if attribute != "inblob" or version.hexadecimal:
        yield from _texts(world, entry, attribute, pieces, results, version, deviations)
    elif version.kind == "class":
        yield from _nonce_at_once(world, entry, pieces, results, version, deviations)
    else:
        yield from _nonce_at_close(world, entry, pieces, results, version, deviations)


def _texts(
    world: World,
    entry: Entry,
    attribute: AttributeName,
    pieces: Pieces,
    results: Sequence[CallResult],
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[Entry]:
    """Each call of an option in text form is a write of its own."""
    entries = [entry]
    for (offset, data), result in zip(pieces, results, strict=False):
        understood = understand(attribute, data, world, version)
        entries = [
            after
            for before in entries
            for after in after_text(world, before, attribute, understood, data, result, deviations,
                                    free=bool(offset))
        ]  # fmt: skip
    yield from entries


def after_text(
    world: World,
    entry: Entry,
    attribute: AttributeName,
    understood: Understanding,
    data: bytes,
    result: CallResult,
    deviations: frozenset[str],
    *,
    free: bool = False,
) -> Iterator[Entry]:
    """The entries that may follow from one write of a text; ``free``: it may be refused."""
    current = world.provider is not None and entry.epoch == world.epoch
    if result.err or (not data and not result.ret):
        if not understood.required or not current or free:
            yield entry
        if "F11" in deviations and attribute == "service_guid":
            yield entry.commit(service_guid=bytes(16))
        return
    if not data or 0 < result.ret < len(data):
        understood = Understanding(understood.values)
    values = understood.values
    if "K3" in deviations and attribute == "privlevel":
        values += number(data).values
    member = _MEMBERS.get(attribute, attribute)
    for value in dict.fromkeys(values):
        yield entry.commit(**{member: value})
        if "T1" in deviations and getattr(entry, member) == value:
            yield entry
        if "P1" in deviations and isinstance(value, bytes) and entry.nonce.startswith(value):
            yield entry


def _nonce_at_once(
    world: World,
    entry: Entry,
    pieces: Pieces,
    results: Sequence[CallResult],
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[Entry]:
    """The binary nonce of the class: each call is a write of its own; an offset may be refused."""
    entries = [entry]
    position = 0
    for (offset, data), result in zip(pieces, results, strict=False):
        start = position if offset is None else offset
        fits = start + len(data) <= version.inblob_max
        understood = Understanding((data,), required=bool(data) and start == 0 and fits)
        if not data or not fits:
            understood = Understanding()
        after: list[Entry] = []
        for before in entries:
            either = understood
            if start and fits:
                patched = [compose(n, start, data) for n in (before.nonce, before.nonce[:start])]
                either = Understanding(tuple(dict.fromkeys(patched)))
            after += after_text(world, before, "inblob", either, data, result, deviations)
        entries = after
        if offset is None and not result.err:
            position += max(result.ret, 0)
    yield from dict.fromkeys(entries)


def _nonce_at_close(
    world: World,
    entry: Entry,
    pieces: Pieces,
    results: Sequence[CallResult],
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[Entry]:
    """The nonce of configfs: the file's content is committed at its last close.

    The result of the commit reaches nobody, so that a nonce which was accepted must be committed.
    """
    content, plain, refused, wrong = _written_content(pieces, results, version)
    current = world.provider is not None and entry.epoch == world.epoch
    must = plain and not refused and current
    if wrong and current:
        return
    if content and len(content) <= version.inblob_max:
        yield entry.commit(nonce=content)
        if not must:
            yield entry
        if "T1" in deviations and content == entry.nonce:
            yield entry
    elif len(content) <= version.inblob_max:
        yield entry
    if "F3" in deviations and (refused or not content) and pieces:
        yield entry.commit(nonce=b"")


def _written_content(
    pieces: Pieces, results: Sequence[CallResult], version: InterfaceVersion
) -> tuple[bytes, bool, bool, bool]:
    """The content, whether it is contiguous, whether a piece was refused, and wrongly refused."""
    content, position, plain = b"", 0, True
    refused = wrong = False
    for (offset, data), result in zip(pieces, results, strict=False):
        start = position if offset is None else offset
        plain &= start == len(content) and bool(data)
        if result.err or (data and result.ret <= 0):
            refused = True
            wrong |= plain and start + len(data) <= version.inblob_max
            continue
        content = compose(content, start, data[: result.ret])
        if offset is None:
            position += result.ret
    return content, plain, refused, wrong
