# SPDX-License-Identifier: MIT
"""The clock of a guest: its rate, and templates of guests whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import BuildError
from harness.guest.guest import Guest
from harness.progress import NullProgress
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from harness.vm import boot, clock, factory
from harness.vm.factory import GuestFactory
from tests.conftest import Clone


def test_clock_of_a_clone_keeps_time(clone: Clone) -> None:
    lowest, highest = clock.clock_rate(clone("mainline"))
    assert lowest <= highest
    assert clock.keeps_time((lowest, highest))


@pytest.mark.parametrize("factor", [80.0, 0.01])
def test_wrong_clock_does_not_keep_time(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    read = clock._guest_clock

    def scaled(guest: Guest) -> tuple[float, float, float]:
        guest_time, before, after = read(guest)
        return guest_time * factor, before, after

    monkeypatch.setattr(clock, "_guest_clock", scaled)
    assert not clock.keeps_time(clock.clock_rate(clone("mainline")))


@pytest.fixture
def empty(session: Session, tmp_path: Path) -> Iterator[GuestFactory]:
    """A factory whose cache has no template."""
    real = session.factory(DEFAULT_KERNEL)
    cache, run = Cache(tmp_path), session.run_directory
    yield GuestFactory(real.image, real.emulator, cache, run, NullProgress())
    for memory in tmp_path.rglob("memory"):
        memory.unlink()  # otherwise pytest keeps these hundreds of megabytes for three runs


@pytest.mark.parametrize("khz", [30_000, 10_000_000])
def test_kernel_with_a_wrong_tsc_frequency_does_not_keep_time(
    empty: GuestFactory, monkeypatch: pytest.MonkeyPatch, khz: int
) -> None:
    """The parameter of the kernel has the effect of a calibration that a busy host disturbed."""
    if empty.emulator.accelerator == "kvm":
        pytest.skip("a guest under KVM takes its time from kvm-clock, not from the TSC alone")
    arguments = (*boot.KERNEL_ARGUMENTS, f"tsc_early_khz={khz}")
    monkeypatch.setattr(boot, "KERNEL_ARGUMENTS", arguments)
    with empty.boot() as guest:
        assert not clock.keeps_time(clock.clock_rate(guest))


def test_guest_with_a_wrong_clock_is_booted_again(
    empty: GuestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(factory, "keeps_time", lambda rate: next(answers))
    with empty.clone(empty.template()) as guest:
        assert guest.actors[0].exists("/proc/uptime")
    assert next(answers, None) is None


def test_clock_that_is_wrong_in_every_boot_is_an_error(
    empty: GuestFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "_BOOTS", 1)
    monkeypatch.setattr(factory, "clock_rate", lambda guest: (80.0, 81.0))
    with pytest.raises(BuildError, match="counts 80 seconds in one second of the host"):
        empty.template()
    assert not list(tmp_path.rglob("memory"))
