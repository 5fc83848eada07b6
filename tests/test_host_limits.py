# SPDX-License-Identifier: MIT
"""What a host runs out of, and what is killed on it: each is an error that names it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HostError, UsageError
from harness.qemu.emulator import find_emulator
from harness.qemu.limits import full_disk
from harness.qemu.rundir import RunDirectory
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from harness.vm.template import copy_sparse


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB, which has room for a console log but not for a guest's memory."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root and CAP_SYS_ADMIN")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_boot_on_a_full_disk_says_so(session: Session, small: Path) -> None:
    factory = session.factory(DEFAULT_KERNEL)
    with pytest.raises(HostError, match="the disk is full: ") as caught:
        factory.boot(small / "memory")
    assert str(small) in str(caught.value)
    assert "images prune" in caught.value.hint


def test_disk_with_space_is_not_full(tmp_path: Path, small: Path) -> None:
    assert full_disk(small) is None
    assert full_disk(tmp_path / "none") is None
    (small / "file").write_bytes(bytes((24 << 20) - (64 << 10)))
    assert isinstance(full_disk(small), HostError)


def test_copying_a_template_to_a_full_disk_says_so(small: Path) -> None:
    (small / "memory").write_bytes(b"x" * (15 << 20))
    with pytest.raises(HostError, match="No space left"):
        copy_sparse(small / "memory", small / "copy")


LIMITED = """
import resource, sys
from pathlib import Path
from harness.errors import HostError
from harness.qemu.limits import check_file_size
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, Settings
from harness.progress import NullProgress
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
check_file_size(1 << 20)
try:
    with Session(Settings(), NullProgress()) as session:
        factory = session.factory(DEFAULT_KERNEL)
        factory.clone(factory.template())
except HostError as error:
    sys.exit(f"{error}; {error.hint}")
"""


def test_limit_of_file_sizes_is_named(session: Session) -> None:
    session.factory(DEFAULT_KERNEL).template()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "files may have 1048576 bytes at most (ulimit -f)" in done.stderr
    assert "ulimit -f unlimited" in done.stderr
    assert "Traceback" not in done.stderr


def fake_qemu(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_version_query_that_was_killed_once_is_repeated(tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    qemu = fake_qemu(
        tmp_path / "qemu",
        f"[ -e {mark} ] || {{ touch {mark}; kill -KILL $$; }}; echo 'QEMU version 9.1.2'",
    )
    assert find_emulator(qemu).version == (9, 1, 2)
    assert mark.exists()


def test_version_query_that_is_always_killed_is_a_host_error(tmp_path: Path) -> None:
    qemu = fake_qemu(tmp_path / "qemu", "kill -KILL $$")
    with pytest.raises(HostError, match="was ended by SIGKILL, 3 times") as caught:
        find_emulator(qemu)
    assert "memory" in caught.value.hint


def test_program_that_is_not_qemu_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not QEMU"):
        find_emulator(fake_qemu(tmp_path / "qemu", "exit 3"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_run_directory_that_its_reaper_removed_is_named() -> None:
    run = RunDirectory()
    reaper = run._reaper
    found: list[int] = []
    while not found:  # the shell has started its cat
        found = children(reaper.pid)
    os.kill(found[0], signal.SIGKILL)
    reaper.wait(timeout=20)
    with pytest.raises(HostError, match="its reaper, of which a process was killed") as caught:
        run.subdirectory("clone")
    assert "space" not in caught.value.hint
    run.close()


def test_run_directory_that_another_program_removed_is_named() -> None:
    run = RunDirectory()
    run.path.rmdir()
    with pytest.raises(HostError, match="another program did it") as caught:
        run.subdirectory("clone")
    assert "clean TMPDIR" in caught.value.hint
    run.close()
