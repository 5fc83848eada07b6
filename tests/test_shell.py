# SPDX-License-Identifier: MIT
"""``shell`` on a terminal: over SSH, on the serial console, and with a session that hangs."""

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
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.conftest import Clone

_LEAVE, _BREAK = "\x1d", "\x1c"  # Ctrl-] and Ctrl-\
_SECONDS = 60

Start = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def shell(session: Session, tmp_path: Path) -> Iterator[Start]:
    """Starts ``tsm-harness shell``, or another command, on a new pseudo-terminal."""
    session.template(DEFAULT_KERNEL, "mainline")
    started: list[pexpect.spawn[str]] = []

    def start(*arguments: str, name: str = "shell") -> pexpect.spawn[str]:
        command = ["-m", "harness", name, "--cache", str(session.cache.root), *arguments]
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


def test_ssh_shell_returns_its_exit_status(shell: Start) -> None:
    child = shell()
    child.expect_exact("guest# ")
    child.sendline("ls -d /sys/kernel/config/tsm/report; echo $((6 * 7)); tty")
    child.expect(r"report\r\n42\r\n/dev/pts/\d")
    child.sendline("exit 5")
    assert _end(child) == 5


def test_exec_on_a_terminal_gives_the_command_one(shell: Start) -> None:
    child = shell("--", "tty; stty size; read line; echo got $line; exit 4", name="exec")
    child.expect(r"/dev/pts/\d\r\n24 80\r\n")
    child.sendline("text")
    child.expect_exact("got text")
    assert _end(child) == 4


def test_ctrl_c_interrupts_the_command_and_not_the_guest(shell: Start) -> None:
    # The shell runs a trap between two commands: one long sleep could begin after the signal.
    loop = "while true; do sleep 1; done"
    child = shell("--", f"trap 'echo caught; exit 6' INT; echo ready; {loop}", name="exec")
    child.expect_exact("ready")
    child.sendintr()
    child.expect_exact("caught")
    assert _end(child) == 6


def test_ctrl_bracket_leaves_a_command(shell: Start) -> None:
    child = shell("--", "trap '' INT; echo ready; sleep 1000", name="exec")
    child.expect_exact("ready")
    child.send(_LEAVE)
    assert _end(child) == 125


def test_ctrl_bracket_switches_from_a_hung_shell_to_the_console(
    shell: Start,
) -> None:
    child = shell()
    child.expect_exact("guest# ")
    child.sendline("kill -STOP $(pidof dropbear); echo not printed")
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
    shell: Start,
) -> None:
    child = shell("--console")
    child.expect_exact("Linux version")
    child.expect_exact("Run /init")
    child.send(_LEAVE)
    assert _end(child) == 0


def test_commands_run_on_the_console_of_a_clone(clone: Clone) -> None:
    guest = clone("class-fixed")
    screen = io.BytesIO()
    with Console(guest.machine) as console:
        console.run([b"cat /proc/1/comm", b"uname -r"], screen, seconds=_SECONDS)
    output = screen.getvalue().decode("utf-8", "replace")
    assert guest.kernel_release in output
    assert re.search(r"^init\r?$", output, re.MULTILINE)
    logged = guest.machine.console_bytes().decode("utf-8", "replace")
    assert guest.kernel_release in logged
