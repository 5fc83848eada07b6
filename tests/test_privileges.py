# SPDX-License-Identifier: MIT
"""What a guest that breaks out of its emulator could do on this host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest.guest import Guest
from harness.qemu import privileges
from harness.qemu.privileges import launch, read_privileges, sandbox_arguments
from harness.sandbox import find_sandbox
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")


@pytest.fixture
def without_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host without bubblewrap."""
    monkeypatch.setenv("TSM_HARNESS_SANDBOX", "off")
    find_sandbox.cache_clear()
    yield
    find_sandbox.cache_clear()


@by_root
def test_emulator_is_nobody_in_an_empty_root(guest: Guest) -> None:
    held = read_privileges(guest.machine.pid)
    assert (held.user, held.root, held.excess) == (65534, (), [])
    groups = Path(f"/proc/{guest.machine.pid}/status").read_text().partition("Groups:")[2]
    assert groups.splitlines()[0].split() == ["65534"]


def test_emulator_shares_no_namespace_where_bubblewrap_works(guest: Guest) -> None:
    if not find_sandbox().confines:
        pytest.skip(f"this host cannot confine: {find_sandbox().missing}")
    assert read_privileges(guest.machine.pid).shared == ()


@by_root
@pytest.mark.usefixtures("without_sandbox")
def test_emulator_is_nobody_without_bubblewrap(session: Session) -> None:
    factory = session.factory(DEFAULT_KERNEL)
    with factory.clone(factory.template()) as guest:
        held = read_privileges(guest.machine.pid)
        assert (held.user, held.root, held.excess) == (65534, (), [])
        assert guest.actors[0].read_file("/proc/uptime")


def test_privileges_of_an_ordinary_process_are_excess() -> None:
    held = read_privileges(os.getpid())
    assert "no seccomp filter" in held.excess
    assert ("the user root" in held.excess) == (os.geteuid() == 0)
    assert "net" in held.shared and "usr" in held.root


def test_emulator_is_gone_after_kill(session: Session) -> None:
    factory = session.factory(DEFAULT_KERNEL)
    with factory.clone(factory.template()) as guest:
        pid = guest.machine.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


@by_root
@pytest.mark.parametrize(
    ("version", "helped", "expected"),
    [
        ((7, 2, 0), "", ["-chroot", "/r", "-runas", "65534:65534"]),
        ((8, 2, 0), "chroot=dir", ["-runas", "65534:65534", "-run-with", "chroot=/r"]),
        ((10, 0, 0), "chroot=dir user=u", ["-run-with", "chroot=/r,user=65534:65534"]),
    ],
)
def test_options_of_each_version_of_qemu(
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int, int],
    helped: str,
    expected: list[str],
) -> None:
    monkeypatch.setattr(privileges, "_help", lambda _: helped)
    arguments = sandbox_arguments(Path("/usr/bin/qemu"), version, Path("/r"))
    assert arguments[2:] == expected


@by_root
def test_root_starts_an_emulator_with_few_capabilities(tmp_path: Path) -> None:
    """Until it has opened its files, the emulator is root; it parses a kernel's header then."""
    launched = launch(["cat", "/proc/self/status"], info=2, readable=[], writable=[])
    command = list(launched.command)
    if launched.nested:  # the emulator has no /proc
        at = command.index("--remount-ro")
        command[at:at] = ["--proc", "/proc"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    held = next(line for line in done.stdout.splitlines() if line.startswith("CapEff"))
    assert int(held.split()[1], 16) == 1 << 1 | 1 << 6 | 1 << 7 | 1 << 18
