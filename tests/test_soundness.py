# SPDX-License-Identifier: MIT
"""The stress test of the emulator: it passes with sound flags, and fails with damaged memory."""

from __future__ import annotations

import mmap
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.guest import Guest
from harness.qemu.emulator import KNOWN_ISSUES, Emulator
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from harness.vm.clone import restore
from harness.vm.soundness import stress
from harness.vm.template import copy_sparse
from tests.conftest import Clone

_PAGE = 4096


@contextmanager
def _writable_clone(session: Session, directory: Path) -> Iterator[tuple[Guest, Path]]:
    """Restore a clone; changes of the file that holds its memory reach the guest."""
    factory = session.factory(DEFAULT_KERNEL)
    template, memory = factory.template(), directory / "memory"
    copy_sparse(template.memory, memory)
    saved = replace(template.saved, memory=memory)
    with restore(factory.emulator, saved, directory, shared=True) as guest:
        guest.timeouts = replace(guest.timeouts, scale=0.2)  # a guest that crashes sends no error
        yield guest, memory


def _damage(memory: Path, until: threading.Event) -> None:
    """Flip bits of random pages, as an unsound emulator does, but faster."""
    source = random.Random(1)
    with memory.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        pages = len(content) // _PAGE
        while not until.wait(0.001):
            for page in source.sample(range(pages), 200):
                content[page * _PAGE + source.randrange(_PAGE)] ^= 1 << source.randrange(8)


def test_stress_passes_with_the_chosen_flags(clone: Clone) -> None:
    outcome = stress(clone("class-fixed"), rounds=60)
    assert outcome.sound, outcome.evidence
    assert "240 rounds" in outcome.evidence


def test_stress_fails_in_a_corrupted_guest(session: Session, tmp_path: Path) -> None:
    over = threading.Event()
    with _writable_clone(session, tmp_path) as (guest, memory):
        damage = threading.Thread(target=_damage, args=(memory, over))
        damage.start()
        try:
            outcome = stress(guest, rounds=10_000)
        finally:
            over.set()
            damage.join()
    assert not outcome.sound


@pytest.mark.parametrize(
    ("version", "accelerator", "masked"),
    [
        ((7, 2, 22), "tcg", True),
        ((9, 2, 0), "tcg", True),
        ((10, 0, 0), "tcg", False),
        ((7, 2, 22), "kvm", False),
    ],
)
def test_flags_of_known_issues_are_masked(
    version: tuple[int, int, int], accelerator: str, masked: bool
) -> None:
    emulator = Emulator(Path("/qemu"), version).with_accelerator(
        "kvm" if accelerator == "kvm" else "tcg"
    )
    assert ("-cx16" in emulator.cpu.split(",")) is masked
    assert bool(emulator.issues) is masked
    assert all(issue.why for issue in KNOWN_ISSUES)
