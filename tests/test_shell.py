# SPDX-License-Identifier: MIT
"""``shell`` on a terminal: over ssh, at the serial console, and with a guest that hangs."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from harness.access.console import Console
from harness.guest.guest import Guest
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

_LEAVE, _BREAK = "\x1d", "\x1c"
_SECONDS = 60


@pytest.fixture
def shell(session: Session, tmp_path: Path) -> Iterator[Callable[..., pexpect.spawn[str]]]:
    """Starts ``tsm-harness shell`` on a new pseudo-terminal."""
    session.template(DEFAULT_KERNEL, "mainline")
    started: list[pexpect.spawn[str]] = []

    def start(*arguments: str) -> pexpect.spawn[str]:
        command = ["-m", "harness", "shell", "--cache", str(session.cache.root), *arguments]
        environment = os.environ | {"TERM": "dumb"}
        child = pexpect.spawn(
            sys.executable,
            command,
            timeout=_SECONDS,
            cwd=str(tmp_path),
            env=environment,
            encoding="utf-8",
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def _end(child: pexpect.spawn[str]) -> int | None:
    child.expect(pexpect.EOF)
    child.wait()
    return child.exitstatus


def test_ssh_shell_returns_its_exit_status(shell: Callable[..., pexpect.spawn[str]]) -> None:
    child = shell()
    child.expect_exact("guest# ")
    child.sendline("ls -d /sys/kernel/config/tsm/report; echo $((6 * 7)); tty")
    child.expect(r"report\r\n42\r\n/dev/pts/\d")
    child.sendline("exit 5")
    assert _end(child) == 5


def test_ctrl_bracket_leaves_a_hung_shell_for_the_console(
    shell: Callable[..., pexpect.spawn[str]],
) -> None:
    child = shell()
    child.expect_exact("guest# ")
    child.sendline("kill -STOP $(pidof dropbear); echo not to be seen")
    child.send(_LEAVE)
    child.expect_exact("serial console")
    child.sendline("")
    child.expect_exact("guest# ")
    child.sendline("echo $((6 * 7)); tty")
    child.expect(r"42\r\n/dev/ttyS0")
    child.sendline("dmesg -n 7")
    child.send(_BREAK)
    child.send("h")
    child.expect_exact("sysrq: HELP")
    child.send(_LEAVE)
    assert _end(child) == 0


def test_console_shows_the_boot_from_its_first_line(
    shell: Callable[..., pexpect.spawn[str]],
) -> None:
    child = shell("--console")
    child.expect_exact("Linux version")
    child.expect_exact("Run /init")
    child.send(_LEAVE)
    assert _end(child) == 0


def test_commands_at_the_console_of_a_clone(clone: Callable[[str], Guest]) -> None:
    guest = clone("class-fixed")
    screen = io.BytesIO()
    with Console(guest.machine) as console:
        console.run([b"cat /proc/1/comm", b"uname -r"], screen, seconds=_SECONDS)
    output = screen.getvalue().decode("utf-8", "replace")
    assert guest.kernel_release in output
    assert re.search(r"^init\r?$", output, re.MULTILINE)
    logged = guest.machine.console_bytes().decode("utf-8", "replace")
    assert guest.kernel_release in logged
