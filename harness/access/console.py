# SPDX-License-Identifier: MIT
"""The serial console, for a person whose guest is not up yet or does not answer any more.

Nothing else needs it: verdicts rest on the agent and the kernel log. The agent's init keeps a
shell for whoever presses Enter; a kernel that runs no process any more still answers SysRq.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable
from typing import BinaryIO

import pexpect
from pexpect.fdpexpect import fdspawn

from harness.access.terminal import BREAK, LEAVE, raw_terminal
from harness.errors import DeadlineError, GuestLostError
from harness.qemu.machine import Machine

__all__ = ["Console"]

_PROMPT = b"guest# "
_CHUNK = 4096
_KNOCK_SECONDS = 1.0
_MONITOR_SECONDS = 10.0


class Console:
    """Attached to the console of ``machine`` until the context ends; it must be used meanwhile.

    Methods raise :class:`GuestLostError` when QEMU ends, with what it said.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._socket = machine.connect("console")
        self._spawn: fdspawn[bytes] = fdspawn(self._socket, timeout=None)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def interact(self, screen: BinaryIO) -> None:
        """Be this terminal's other end until Ctrl-] is pressed or input ends."""
        keyboard = sys.stdin.fileno()
        with raw_terminal():
            while True:
                ready = select.select([self._socket, keyboard], [], [])[0]
                if self._socket in ready:
                    screen.write(self._received())
                    screen.flush()
                if keyboard in ready and not self._typed(os.read(keyboard, _CHUNK)):
                    return

    def run(self, commands: Iterable[bytes], screen: BinaryIO, *, seconds: float) -> None:
        """Give ``commands`` to the console's shell one after the other; ``screen`` gets it all.

        Raises :class:`DeadlineError` when the shell does not come up, or a command does not end,
        within ``seconds``.
        """
        self._spawn.logfile_read = screen
        try:
            self._knock(time.monotonic() + seconds, seconds)
            # Every knock that was heard brings a prompt: only one that no echo holds is in step.
            for command in (b'PS1="guest-$((3 * 7))# "', *commands):
                self._spawn.sendline(command)
                self._spawn.expect_exact(b"guest-21# ", timeout=seconds)
        except pexpect.TIMEOUT:
            raise DeadlineError(
                f"a command at the console did not end in {seconds:.0f} s"
            ) from None
        except (pexpect.EOF, OSError) as error:
            raise self._lost() from error

    def _knock(self, deadline: float, seconds: float) -> None:
        """Press Enter until there is a shell: before it listens, keys are lost."""
        while True:
            self._spawn.sendline(b"")
            timeout = max(0.0, min(_KNOCK_SECONDS, deadline - time.monotonic()))
            if self._spawn.expect_exact([_PROMPT, pexpect.TIMEOUT], timeout=timeout) == 0:
                return
            if time.monotonic() >= deadline:
                raise DeadlineError(f"no shell at the guest's console within {seconds:.0f} s")

    def _typed(self, keys: bytes) -> bool:
        """Pass keys on; False when they say to leave."""
        before, leave, _ = keys.partition(LEAVE)
        for place, part in enumerate(before.split(BREAK)):
            if place:
                monitor = self._machine.monitor(seconds=_MONITOR_SECONDS)
                monitor.execute("chardev-send-break", id="console")
                monitor.close()
            try:
                self._socket.sendall(part)
            except OSError as error:
                raise self._lost() from error
        return bool(keys) and not leave

    def _received(self) -> bytes:
        try:
            data = self._socket.recv(_CHUNK)
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        return data

    def _lost(self) -> GuestLostError:
        self._machine.wait_for_exit(_MONITOR_SECONDS)
        return GuestLostError(f"the guest ended{self._machine.exit_text()}")
