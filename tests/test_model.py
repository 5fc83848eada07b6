# SPDX-License-Identifier: MIT
"""The model of the interface: what it allows, and what it does not."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.explore.compare import FIRST_PROVIDER, compare
from harness.interface.apis import PROVIDER_APIS
from harness.model.allowed import allowed_text
from harness.model.check import CLASS_ENTRY, Model, OverlapOutcome
from harness.model.deviations import DEVIATIONS
from harness.model.interface import class_version, configfs_version, posted_version
from harness.model.outcome import Blobs, CallResult, Outcome, SeenRequest
from harness.model.steps import (
    ORDINARY,
    Behaviour,
    Leave,
    ListEntry,
    MakeEntry,
    OpenFile,
    Overlap,
    Program,
    ReadAttribute,
    ReadFile,
    RemoveEntry,
    Repeat,
    Return,
    Second,
    StatAttribute,
    Step,
    WriteAttribute,
)
from harness.model.values import guid, hexadecimal, name_of_service, number, word

CONFIGFS = Model(configfs_version((6, 12)))
CLASS = Model(class_version(["inblob", "outblob", "generation"]))
NONCE, OTHER = bytes(range(1, 65)), bytes(range(64, 0, -1))
REPORT = Blobs(1, b"r" * 96, b"", b"")

Made = tuple[Step, Outcome | OverlapOutcome]


def request(
    nonce: bytes = NONCE,
    blobs: Blobs | None = REPORT,
    behaviour: Behaviour = ORDINARY,
    **options: object,
) -> SeenRequest:
    """A request as the provider sees it."""
    seen = SeenRequest(
        nonce, nonce.ljust(64, b"\0"), 0, 0, None, None, 0, behaviour=behaviour, blobs=blobs
    )
    return replace(seen, **options)  # type: ignore[arg-type] # members of SeenRequest


def made(entry: str = "e") -> Made:
    return MakeEntry(entry), Outcome((CallResult("mkdir", 0, 0),))


def wrote(
    nonce: bytes = NONCE,
    *,
    entry: str = "e",
    error: int = 0,
    requests: Sequence[SeenRequest] = (),
) -> Made:
    call = CallResult("write", -1 if error else len(nonce), error)
    calls = (CallResult("open", 3, 0), call, CallResult("close", 0, 0))
    return WriteAttribute(entry, "inblob", ((None, nonce),)), Outcome(calls, tuple(requests))


def set_option(attribute: str, text: bytes, *, error: int = 0, entry: str = "e") -> Made:
    call = CallResult("write", -1 if error else len(text), error)
    step = WriteAttribute(entry, attribute, ((None, text),))  # type: ignore[arg-type] # a name
    return step, Outcome((CallResult("open", 3, 0), call))


def read(
    data: bytes = REPORT.outblob,
    *,
    attribute: str = "outblob",
    error: int = 0,
    requests: Sequence[SeenRequest] = (),
    entry: str = "e",
) -> Made:
    calls = [CallResult("open", 3, 0), CallResult("read", -1 if error else len(data), error, data)]
    if not error:
        calls.append(CallResult("read", 0, 0))
    step = ReadAttribute(entry, attribute)  # type: ignore[arg-type] # a name
    return step, Outcome(tuple(calls), tuple(requests))


def generation(value: int, *, entry: str = "e") -> Made:
    return read(b"%d\n" % value, attribute="generation", entry=entry)


def left() -> Made:
    return Leave(), Outcome((CallResult("leave", 5, 0),))


def agrees(model: Model, *steps: Made) -> bool:
    """Whether the model allows every outcome; only the last one may be wrong."""
    program = Program(tuple(step for step, _ in steps))
    found = compare(model, program, [outcome for _, outcome in steps]).disagreement
    if found is not None:
        assert found.index == len(steps) - 1, f"{found.step.text}: {found.outcome.text}"
        assert allowed_text(found.worlds[0], found.step, model.version)
    return found is None


FIRST = (made(), generation(0), wrote(), read(requests=[request()]))
"""An entry with a report."""


@pytest.mark.parametrize(
    "steps",
    [
        (*FIRST, generation(1)),
        (*FIRST, read()),
        (*FIRST, wrote(), generation(2), read(requests=[request()])),
        (made(), read(error=errno.EINVAL)),
        (made(), read(error=errno.ENODATA)),
        (made(), wrote(requests=[request()]), read()),
        (made(), wrote(), read(error=5, requests=[request(blobs=None, behaviour=Behaviour(-5))]),
         read(requests=[request()])),
        (*FIRST, wrote(b"x" * 65, error=errno.EINVAL), generation(1), read()),
        (*FIRST, left(), read(error=errno.ENODEV)),
        (*FIRST, set_option("privlevel", b" 2", error=errno.EINVAL), generation(1)),
        (*FIRST, set_option("privlevel", b" 2"), generation(2)),
        (*FIRST, set_option("privlevel", b"4294967295", error=errno.ERANGE)),
    ],
)  # fmt: skip
def test_what_is_documented_or_free_is_allowed(steps: tuple[Made, ...]) -> None:
    assert agrees(CONFIGFS, *steps)


@pytest.mark.parametrize(
    "steps",
    [
        (*FIRST, generation(2)),
        (*FIRST, generation(0)),
        (*FIRST, read(requests=[request()])),
        (*FIRST, read(b"r" * 95)),
        (*FIRST, read(b"s" * 96)),
        (*FIRST, wrote(), read()),
        (*FIRST, wrote(OTHER), read(requests=[request(NONCE)])),
        (*FIRST, wrote(b"short"), read(requests=[request(b"short", array=b"short" + NONCE[5:])])),
        (*FIRST, wrote(b"x" * 65)),
        (*FIRST, wrote(b"x" * 65, error=errno.EFBIG), generation(2)),
        (*FIRST, wrote(NONCE, error=errno.EIO)),
        (made(), read()),
        (made(), read(error=5, requests=[request(b"")])),
        (made(), wrote(), read(error=0, requests=[request(blobs=None, behaviour=Behaviour(-5))])),
        (made(), wrote(), read(error=5, requests=[request(blobs=None, behaviour=Behaviour(-12))])),
        (made(), wrote(), read(requests=[request(), request()])),
        (made(), wrote(), read(requests=[request(privlevel=1)])),
        (*FIRST, left(), read()),
        (*FIRST, set_option("privlevel", b"2", error=errno.EINVAL)),
        (*FIRST, set_option("privlevel", b"4")),
        (*FIRST, set_option("privlevel", b"2"), read(requests=[request()])),
        (*FIRST, set_option("service_guid", b"none")),
        (*FIRST, (Second(), Outcome((CallResult("second", 6, 0),)))),
        (made(), made()),
    ],
)  # fmt: skip
def test_what_contradicts_the_documentation_is_not_allowed(steps: tuple[Made, ...]) -> None:
    assert not agrees(CONFIGFS, *steps)


def test_a_splat_a_dead_caller_and_a_call_that_does_not_return_are_never_allowed() -> None:
    step, outcome = read()
    assert isinstance(outcome, Outcome)
    for bad, claim in (
        (replace(outcome, splats=("SLUB: object already free",)), "M2"),
        (replace(outcome, splats=("LOCKDEP: circular locking",)), "M3"),
        (replace(outcome, died=True), "M1"),
        (replace(outcome, stuck=("read in the kernel",)), "M3"),
    ):
        program = Program((*(each for each, _ in FIRST), step))
        found = compare(CONFIGFS, program, [*(each for _, each in FIRST), bad]).disagreement
        assert found is not None
        assert found.claim == claim


def test_a_deviation_is_named_by_its_claim() -> None:
    stale = request(b"short", array=b"short" + NONCE[5:])
    steps = (*FIRST, wrote(b"short"), read(requests=[stale]))
    program = Program(tuple(step for step, _ in steps))
    found = compare(CONFIGFS, program, [outcome for _, outcome in steps]).disagreement
    assert found is not None
    assert found.known == ("T3",)
    assert set(found.known) <= DEVIATIONS.keys()
    assert agrees(replace(CONFIGFS, deviations=frozenset(["T3"])), *steps)


def test_the_class_has_one_entry_that_comes_and_goes_with_its_provider() -> None:
    start = (generation(0, entry=CLASS_ENTRY), wrote(entry=CLASS_ENTRY))
    registered = (Return(), Outcome((CallResult("return", 6, 0),)))
    again = read(error=errno.EINVAL, entry=CLASS_ENTRY)
    assert agrees(CLASS, *start, left(), registered, again)
    asked = read(requests=[request()], entry=CLASS_ENTRY)
    assert not agrees(CLASS, *start, left(), registered, asked)


def test_a_reader_of_the_class_gets_no_part_of_another_report() -> None:
    second = Blobs(2, b"s" * 96, b"", b"")
    opened = (OpenFile("f", CLASS_ENTRY, "outblob"), Outcome((CallResult("open", 3, 0),)))
    first_part = Outcome((CallResult("read", 40, 0, b"r" * 40),), (request(),))
    part = ReadFile("f", 40)
    splice = Outcome((CallResult("read", 40, 0, b"s" * 40),), (request(OTHER, second),))
    begin = (wrote(entry=CLASS_ENTRY), opened, (part, first_part), wrote(OTHER, entry=CLASS_ENTRY))
    assert not agrees(CLASS, *begin, (part, splice))
    refused = Outcome((CallResult("read", -1, errno.ESTALE),))
    assert agrees(CLASS, *begin, (part, refused))
    rest = Outcome((CallResult("read", 40, 0, b"r" * 40),))
    assert agrees(CLASS, *begin, (part, rest))


def test_an_open_file_of_configfs_keeps_its_report() -> None:
    opened = (OpenFile("f", "e", "outblob"), Outcome((CallResult("open", 3, 0),)))
    part = ReadFile("f", 40)
    old = Outcome((CallResult("read", 40, 0, b"r" * 40),))
    begin = (*FIRST, opened, (part, old), wrote(OTHER))
    assert agrees(CONFIGFS, *begin, (part, old))
    second = Blobs(2, b"s" * 96, b"", b"")
    new = Outcome((CallResult("read", 40, 0, b"s" * 40),), (request(OTHER, second),))
    assert not agrees(CONFIGFS, *begin, (part, new))


def overlap(first: Outcome, other: Made, *, ending: str = "answer", killed: bool = False) -> Made:
    step, outcome = other
    assert isinstance(outcome, Outcome)
    assert not isinstance(step, Overlap)
    overlapped = Overlap(ReadAttribute("e", "outblob"), (step,), ending)  # type: ignore[arg-type]
    return overlapped, OverlapOutcome(first, (outcome,), killed)


def test_calls_that_overlap_may_happen_in_any_order() -> None:
    start = (made(), generation(0), wrote())
    got = read(requests=[request()])[1]
    assert isinstance(got, Outcome)
    assert agrees(CONFIGFS, *start, overlap(got, read()))
    assert agrees(CONFIGFS, *start, overlap(got, read(error=errno.EBUSY)))
    assert agrees(CONFIGFS, *start, overlap(got, wrote(OTHER)), generation(2))
    two_makers = read(requests=[request()])
    assert not agrees(CONFIGFS, *start, overlap(got, two_makers))
    assert not agrees(CONFIGFS, *start, overlap(got, read(b"x" * 96)))


def test_a_killed_caller_leaves_the_entry_usable() -> None:
    start = (made(), generation(0), wrote())
    dead = overlap(Outcome(died=True), generation(1), ending="kill", killed=True)
    assert agrees(CONFIGFS, *start, dead, read(requests=[request()]))
    assert not agrees(CONFIGFS, *start, dead, read())


def test_visibility_and_modes() -> None:
    hidden = Return("x", 0, 0x3, 0x3)
    returned = (left(), (hidden, Outcome((CallResult("return", 1, 0),))), made())
    shown = b"generation\0provider\0inblob\0outblob\0"
    assert agrees(
        CONFIGFS, *returned, (ListEntry("e"), Outcome((CallResult("list", 4, 0, shown),)))
    )
    more = shown + b"privlevel\0"
    assert not agrees(
        CONFIGFS, *returned, (ListEntry("e"), Outcome((CallResult("list", 5, 0, more),)))
    )
    for mode, allowed in ((0o100200, True), (0o100600, False), (0o100222, False)):
        stat = (StatAttribute("e", "inblob"), Outcome((CallResult("stat", mode, 0),)))
        assert agrees(CONFIGFS, made(), stat) is allowed
    for mode, allowed in ((0o100444, True), (0o100400, True), (0o100644, False)):
        stat = (StatAttribute("e", "outblob"), Outcome((CallResult("stat", mode, 0),)))
        assert agrees(CONFIGFS, made(), stat) is allowed


def test_many_writes_are_counted() -> None:
    step = Repeat("e", "privlevel", b"1", 300)
    done = (step, Outcome((CallResult("repeat", 300, 0),)))
    assert agrees(CONFIGFS, made(), generation(0), done, generation(300))
    assert not agrees(CONFIGFS, made(), generation(0), done, generation(44))


def test_a_provider_can_be_refused_while_entries_of_the_last_one_exist() -> None:
    refused = (Return(), Outcome((CallResult("return", -1, errno.EBUSY),)))
    removed = (RemoveEntry("e"), Outcome((CallResult("rmdir", 0, 0),)))
    assert agrees(CONFIGFS, made(), left(), refused)
    assert not agrees(CONFIGFS, made(), left(), removed, refused)


@pytest.mark.parametrize(
    ("understood", "required", "values"),
    [
        (number(b"3\n", 0, 3), True, (3,)),
        (number(b"4", 0, 3), False, ()),
        (number(b"0x2", 0, 3), False, (2,)),
        (number(b"02"), False, (2,)),
        (number(b"010"), False, (10, 8)),
        (number(b" 2"), False, (2,)),
        (number(b"-1"), False, ()),
        (number(b"4294967296"), False, ()),
        (number(b""), False, ()),
        (number(b"1\x002"), False, (1,)),
        (word(b"extended\n", (b"default", b"extended")), True, (1,)),
        (word(b" Extended", (b"default", b"extended")), False, (1,)),
        (word(b"ext", (b"default", b"extended")), False, ()),
        (guid(b"00112233-4455-6677-8899-aabbccddeeff"), True,
         (bytes.fromhex("33221100554477668899aabbccddeeff"),)),
        (guid(b"00112233-4455-6677-8899-aabbccddeeff0"), False,
         (bytes.fromhex("33221100554477668899aabbccddeeff"),)),
        (guid(b"00112233"), False, ()),
        (name_of_service(b"svsm\n"), True, (b"svsm",)),
        (name_of_service(b"two\nlines"), False, (b"two\nlines",)),
        (hexadecimal(b"abcd\n", 64), True, (b"\xab\xcd",)),
        (hexadecimal(b"ABCD", 64), False, (b"\xab\xcd",)),
        (hexadecimal(b"abc", 64), False, ()),
        (hexadecimal(b"ab" * 65, 64), False, ()),
    ],
)  # fmt: skip
def test_texts_are_understood(
    understood: object, required: bool, values: tuple[object, ...]
) -> None:
    assert (understood.required, understood.values) == (required, values)  # type: ignore[attr-defined]


def test_versions_of_the_interface_are_data() -> None:
    assert configfs_version((7, 0)).outblob_max == 16 << 20
    assert configfs_version((6, 19)).outblob_max == 32 << 10
    old = configfs_version((6, 8), services=False)
    assert "manifestblob" not in old.attributes
    assert class_version(["inhex", "outblob"]).hexadecimal


def test_the_postings_have_versions_of_their_own() -> None:
    third = posted_version(PROVIDER_APIS["posted_v3"])
    fourth = posted_version(PROVIDER_APIS["posted_v4"])
    assert "format" in third.write_only and not third.read_write
    assert "format" not in fourth.attributes
    for version in (third, fourth):
        assert version.kind == "configfs"
        assert not version.attributes & {"auxblob", "manifestblob", "service_guid"}
        assert version.visible(0, 0xF) == {"inblob", "outblob", "generation", "provider"}
        assert version.visible(0x7F, 0xF) == version.attributes
    assert CONFIGFS.start(FIRST_PROVIDER).provider is not None
