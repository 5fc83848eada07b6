# SPDX-License-Identifier: MIT
"""The random part: a Hypothesis state machine that writes programs.

The rules choose steps by what the model expects the state to be. The program runs when it is
complete, so that one message to the guest carries many steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness.explore.blocks import Blocks
from harness.explore.values import (
    CHUNKS,
    OFFSETS,
    behaviours,
    nonce_values,
    ordinary_nonce,
    text_values,
)
from harness.interface.names import AttributeName
from harness.model.check import CLASS_ENTRY
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    ORDINARY,
    Behaviour,
    CloseFile,
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
    Single,
    StatAttribute,
    Step,
    Stranger,
    WriteAttribute,
)

__all__ = ["random_programs"]

_STEPS = 60
_ENTRIES = ("a", "b", "c")
_SLOTS = ("f", "g")
_ROUNDS = (2, 255, 256, 300, 1000)
_NAMES = ("tsm_sim", "x", "another-provider", "n" * 64)


class _Finished(BaseException):
    """No further program is wanted; ``error`` is the reason if a program could not be run."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error


def random_programs(
    version: InterfaceVersion, *, number: int, count: int, run: Callable[[Program], bool]
) -> None:
    """Write ``count`` programs from the seed ``number``, and call ``run`` with each.

    It ends early when ``run`` returns False, and raises what ``run`` raises.
    """
    configuration = settings(
        max_examples=count,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    try:
        run_state_machine_as_test(seed(number)(_machine(version, run)), settings=configuration)
    except _Finished as finished:
        if finished.error is not None:
            raise finished.error from None


def _machine(version: InterfaceVersion, run: Callable[[Program], bool]) -> Any:  # noqa: ANN401
    blocks = Blocks(version)
    answers = st.one_of(st.just(ORDINARY), st.sampled_from(list(behaviours(version).values())))
    nonces = st.sampled_from(sorted(nonce_values(version).items()))
    attributes = st.sampled_from(sorted(version.attributes))
    blobs = st.sampled_from(version.blobs)
    options = st.sampled_from([name for name in version.options if name != "inblob"])
    entries = st.sampled_from(_ENTRIES if blocks.configfs else (CLASS_ENTRY,))

    class Machine(RuleBasedStateMachine):
        """Writes one program."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: list[Step] = []
            self.provider = True
            self.last = ordinary_nonce(1)
            self.opened: set[str] = set()
            first = "a" if blocks.configfs else CLASS_ENTRY
            if blocks.configfs:
                self.steps.append(MakeEntry(first))
            self.steps.append(ReadAttribute(first, "generation"))
            self.steps.append(blocks.nonce(first, 1))

        @rule(entry=entries, value=nonces)
        def write_nonce(self, entry: str, value: tuple[str, Any]) -> None:
            self.steps.append(WriteAttribute(entry, "inblob", value[1], value[0]))

        @rule(entry=entries, where=st.integers(0, 63), how=st.sampled_from(("byte", "cut", "case")))
        def write_near_nonce(self, entry: str, where: int, how: str) -> None:
            nonce = bytearray(self.last)
            if how == "cut":
                nonce = nonce[: where + 1]
            elif where < len(nonce):
                nonce[where] ^= 0x20 if how == "case" else 0xFF
            self.last = bytes(nonce) or self.last
            data = self.last.hex().encode() if version.hexadecimal else self.last
            self.steps.append(WriteAttribute(entry, "inblob", ((None, data),), "near the last"))

        @rule(entry=entries, attribute=options, data=st.data())
        def write_option(self, entry: str, attribute: AttributeName, data: st.DataObject) -> None:
            name, text = data.draw(st.sampled_from(sorted(text_values(attribute).items())))
            self.steps.append(WriteAttribute(entry, attribute, ((None, text),), name))

        @rule(entry=entries, attribute=options, number=st.integers(0, 9))
        def write_ordinary(self, entry: str, attribute: AttributeName, number: int) -> None:
            self.steps.append(blocks.option(entry, attribute, number))

        @rule(entry=entries, attribute=options, rounds=st.sampled_from(_ROUNDS))
        def write_many(self, entry: str, attribute: AttributeName, rounds: int) -> None:
            single = blocks.option(entry, attribute, rounds)
            self.steps.append(Repeat(entry, attribute, single.pieces[0][1], rounds))

        @rule(entry=entries, blob=blobs, behaviour=answers, chunk=st.sampled_from(CHUNKS))
        def read_blob(
            self, entry: str, blob: AttributeName, behaviour: Behaviour, chunk: int
        ) -> None:
            if max(behaviour.lengths) > 300:
                chunk = max(chunk, 4095)
            self.steps.append(ReadAttribute(entry, blob, chunk, behaviour=behaviour))

        @rule(entry=entries, blob=blobs, offset=st.sampled_from(OFFSETS), nobody=st.booleans())
        def read_part(self, entry: str, blob: AttributeName, offset: int, nobody: bool) -> None:
            where = None if nobody else offset
            self.steps.append(ReadAttribute(entry, blob, 4096, where, nobody))

        @rule(entry=entries, attribute=attributes)
        def look(self, entry: str, attribute: AttributeName) -> None:
            self.steps.append(ReadAttribute(entry, attribute))
            self.steps.append(StatAttribute(entry, attribute))

        @rule(entry=entries)
        def check(self, entry: str) -> None:
            self.steps.append(ReadAttribute(entry, "generation"))
            self.steps.append(ReadAttribute(entry, "outblob"))

        @rule(entry=entries)
        def list_files(self, entry: str) -> None:
            self.steps.append(ListEntry(entry))

        @precondition(lambda self: len(self.opened) < len(_SLOTS))
        @rule(entry=entries, blob=blobs)
        def open_file(self, entry: str, blob: AttributeName) -> None:
            slot = next(slot for slot in _SLOTS if slot not in self.opened)
            self.opened.add(slot)
            self.steps.append(OpenFile(slot, entry, blob))

        @precondition(lambda self: self.opened)
        @rule(
            count=st.sampled_from((1, 40, 4096)),
            offset=st.sampled_from((None, 0, 8, 4096)),
            behaviour=answers,
        )
        def read_open_file(self, count: int, offset: int | None, behaviour: Behaviour) -> None:
            slot = min(self.opened)
            self.steps.append(ReadFile(slot, count, offset, behaviour=behaviour))

        @precondition(lambda self: self.opened)
        @rule()
        def close_file(self) -> None:
            slot = min(self.opened)
            self.opened.discard(slot)
            self.steps.append(CloseFile(slot))

        @precondition(lambda _: blocks.configfs)
        @rule(entry=entries)
        def make_entry(self, entry: str) -> None:
            self.steps += [MakeEntry(entry), ReadAttribute(entry, "generation")]

        @precondition(lambda _: blocks.configfs)
        @rule(entry=entries)
        def remove_entry(self, entry: str) -> None:
            self.steps.append(RemoveEntry(entry))

        @rule(
            name=st.sampled_from(_NAMES),
            floor=st.sampled_from((0, 0, 1, 2, 3)),
            attrs=st.sampled_from((0x7F, 0x7F, 0x3, 0x0F, 0x73)),
            bin_attrs=st.sampled_from((0xF, 0xF, 0x3, 0x7)),
            between=st.booleans(),
        )
        def change_provider(
            self, name: str, floor: int, attrs: int, bin_attrs: int, between: bool
        ) -> None:
            entry = _ENTRIES[0] if blocks.configfs else CLASS_ENTRY
            self.steps.append(Leave())
            if between:
                self.steps.append(ReadAttribute(entry, "outblob"))
                self.steps.append(blocks.nonce(entry, 4))
            if blocks.configfs:
                self.steps += [RemoveEntry(each) for each in _ENTRIES]
            self.steps.append(Return(name, floor, attrs, bin_attrs))
            if blocks.configfs:
                self.steps += [MakeEntry(entry), ReadAttribute(entry, "provider")]

        @rule(second=st.booleans())
        def intrude(self, second: bool) -> None:
            self.steps.append(Second() if second else Stranger())

        @rule(
            entry=entries,
            ending=st.sampled_from(("answer", "fail", "kill", "interrupt")),
            other=st.sampled_from(("none", "read", "write", "option", "generation")),
            number=st.integers(0, 9),
        )
        def overlap(self, entry: str, ending: Any, other: str, number: int) -> None:  # noqa: ANN401
            behaviour = Behaviour(-5) if ending == "fail" else Behaviour(lengths=(300, 30, 0))
            others: dict[str, tuple[Single, ...]] = {
                "none": (),
                "read": (ReadAttribute(entry, "outblob"),),
                "write": (blocks.nonce(entry, number),),
                "option": (blocks.option(entry, "privlevel", number),),
                "generation": (ReadAttribute(entry, "generation"),),
            }
            first = ReadAttribute(entry, "outblob", behaviour=behaviour)
            self.steps.append(blocks.nonce(entry, number + 20))
            self.steps.append(Overlap(first, others[other], ending))

        def teardown(self) -> None:
            self.steps += [CloseFile(slot) for slot in sorted(self.opened)]
            try:
                wanted = run(Program(tuple(self.steps), "random"))
            except Exception as error:  # Hypothesis would take it for a failure, and shrink it
                raise _Finished(error) from error
            if not wanted:
                raise _Finished

    return Machine
