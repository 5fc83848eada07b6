# SPDX-License-Identifier: MIT
"""What the model allows for a step, in words, for a reader who sees a disagreement."""

from __future__ import annotations

from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    Leave,
    ListEntry,
    MakeEntry,
    Overlap,
    ReadAttribute,
    ReadFile,
    RemoveEntry,
    Repeat,
    Return,
    Second,
    StatAttribute,
    Step,
    Stranger,
    TidyUp,
    WriteAttribute,
)
from harness.model.world import Entry, World
from harness.model.writes import understand

__all__ = ["allowed_text"]


def allowed_text(  # noqa: PLR0911, PLR0912 - one case for each kind of step
    world: World, step: Step, version: InterfaceVersion
) -> str:
    """What may happen in this state, in one sentence or two."""
    match step:
        case Overlap():
            return (
                "every call returns, and their outcomes are those of some order of the calls; "
                "while the report is made, another call may wait or be refused"
            )
        case ReadAttribute():
            entry = world.entry(step.entry)
            if entry is None or step.attribute not in entry.attributes:
                return "an error: there is no such file"
            if step.attribute in version.blobs:
                return _report(world, entry, step)
            return _text(world, entry, step, version)
        case ReadFile():
            return (
                "bytes of the report that the first read of this open file returned, or an error"
                if version.kind == "class"
                else "bytes of the report that the first read of this open file returned"
            )
        case WriteAttribute():
            return _write(world, step, version)
        case Repeat():
            return f"{step.rounds} writes succeed, and each moves the generation by one"
        case MakeEntry() | RemoveEntry() | ListEntry() | StatAttribute():
            return _look(world, step, version)
        case Leave():
            return "success" if world.provider else "an error: there is no provider"
        case Return():
            if world.provider:
                return "an error: a provider is registered"
            return "success" + ("" if not world.entries else ", or an error: entries exist")
        case Second():
            return "an error: a provider is registered"
        case Stranger():
            return "an error: this provider is not registered"
        case TidyUp():
            return "nothing of the implementation is left"
    return "success"


def _report(world: World, entry: Entry, step: ReadAttribute) -> str:
    who = "" if not step.nobody else "an error without a request, or: "
    if world.provider is None or entry.epoch != world.epoch:
        return who + "an error without a request: the provider of this entry is gone"
    if not entry.nonce:
        return who + "an error without a request: no nonce was written"
    if entry.report is not None:
        length = len(entry.report.of(step.attribute))
        return who + f"the {length} bytes of the report made since the last write, no new request"
    request = (
        f"one request with nonce {entry.nonce[:8].hex()} ({len(entry.nonce)} bytes, zeroes behind "
        f"it), level {entry.privlevel}"
    )
    if entry.format:
        request += f", format {entry.format}"
    if entry.service_provider or any(entry.service_guid) or entry.service_manifest_version:
        request += (
            f", service {entry.service_provider!r} {entry.service_guid.hex()} "
            f"{entry.service_manifest_version}"
        )
    return who + f"{request}; then the provider's answer, unchanged"


def _text(world: World, entry: Entry, step: ReadAttribute, version: InterfaceVersion) -> str:
    if step.attribute == "generation":
        start = "the first value" if entry.base is None else str(entry.base + entry.written)
        return f"{start}: {entry.written} writes were committed"
    if step.attribute in version.write_only:
        return "an error: the attribute is write-only"
    if world.provider is None or entry.epoch != world.epoch:
        return "an error: there is no provider"
    value = {
        "provider": world.provider.name,
        "privlevel_floor": world.provider.floor,
        "privlevel": entry.privlevel,
        "format": ("default", "extended")[entry.format],
    }.get(step.attribute, "its value")
    return str(value)


def _write(world: World, step: WriteAttribute, version: InterfaceVersion) -> str:
    entry = world.entry(step.entry)
    if entry is None or step.attribute not in entry.attributes:
        return "an error: there is no such file"
    if step.attribute == "inblob" and not version.hexadecimal:
        return (
            f"1 to {version.inblob_max} bytes in sequence are stored; other writes are refused and "
            "leave the stored nonce and the generation as they were; bytes at an offset may be "
            "refused or stored behind zeroes"
        )
    texts = [understand(step.attribute, data, world, version) for _, data in step.pieces]
    if all(text.required for text in texts):
        values = ", ".join(repr(text.values[0]) for text in texts)
        return f"success: the value is {values}, and the generation moves by {len(texts)}"
    if any(text.refused for text in texts):
        return "an error, and nothing changes: the value is malformed or out of range"
    return "the value is stored, or an error and nothing changes: its spelling is not documented"


def _look(  # noqa: PLR0911 - one for each case
    world: World,
    step: MakeEntry | RemoveEntry | ListEntry | StatAttribute,
    version: InterfaceVersion,
) -> str:
    entry = world.entry(step.entry)
    if isinstance(step, MakeEntry):
        if entry is not None:
            return "an error: the entry exists"
        return "success" if world.provider else "an error: there is no provider"
    if entry is None:
        return "an error: there is no such entry"
    if isinstance(step, ListEntry):
        return f"the files {', '.join(sorted(entry.attributes))}, and none of the others"
    if isinstance(step, StatAttribute):
        if step.attribute not in entry.attributes:
            return "an error: there is no such file"
        if step.attribute in version.read_write:
            return "a mode that lets the owner read and write, and nobody else write"
        use = (
            "write and nobody read"
            if step.attribute in version.write_only
            else ("read and nobody write")
        )
        return f"a mode that lets the owner {use}"
    return "success"
