# SPDX-License-Identifier: MIT
"""The serial console: for a guest that is still booting, or does not answer any more.

Verdicts do not depend on it. The agent's init starts a shell on it when Enter is pressed. A
kernel that runs no process any more still answers SysRq.
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
_RETRY_SECONDS = 1.0
_MONITOR_SECONDS = 10.0


class Console:
    """Connected to the console of ``machine`` until the context ends.

    Call :meth:`interact` or :meth:`run` at once: a guest waits while nobody reads its console.
    Methods raise :class:`GuestLostError`, with QEMU's output, when QEMU ends.
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
        """Connect the console to this terminal until Ctrl-] is pressed or the input ends."""
        keyboard = sys.stdin.fileno()
        with raw_terminal():
            while True:
                ready = select.select([self._socket, keyboard], [], [])[0]
                if self._socket in ready:
                    screen.write(self._receive())
                    screen.flush()
                if keyboard in ready and not self._send_keys(os.read(keyboard, _CHUNK)):
                    return

    def run(self, commands: Iterable[bytes], screen: BinaryIO, *, seconds: float) -> None:
        """Run ``commands`` one after another in the console's shell; ``screen`` gets all output.

        Raises :class:`DeadlineError` when the shell does not start, or a command does not end,
        within ``seconds``.
        """
        self._spawn.logfile_read = screen
        try:
            self._wait_for_shell(time.monotonic() + seconds, seconds)
            # Each Enter printed a prompt. Set another prompt, computed so that the echo of the
            # command does not contain it.
            for command in (b'PS1="guest-$((3 * 7))# "', *commands):
                self._spawn.sendline(command)
                self._spawn.expect_exact(b"guest-21# ", timeout=seconds)
        except pexpect.TIMEOUT:
            raise DeadlineError(
                f"a command at the console did not end in {seconds:.0f} s"
            ) from None
        except (pexpect.EOF, OSError) as error:
            raise self._lost() from error

    def _wait_for_shell(self, deadline: float, seconds: float) -> None:
        """Press Enter until a prompt appears: keys sent before the shell reads are lost."""
        while True:
            self._spawn.sendline(b"")
            timeout = max(0.0, min(_RETRY_SECONDS, deadline - time.monotonic()))
            if self._spawn.expect_exact([_PROMPT, pexpect.TIMEOUT], timeout=timeout) == 0:
                return
            if time.monotonic() >= deadline:
                raise DeadlineError(f"no shell at the guest's console within {seconds:.0f} s")

    def _send_keys(self, keys: bytes) -> bool:
        """Send keys to the console; False at the end of the input or at Ctrl-]."""
        before, leave, _ = keys.partition(LEAVE)
        for number, part in enumerate(before.split(BREAK)):
            if number:
                monitor = self._machine.monitor(seconds=_MONITOR_SECONDS)
                monitor.execute("chardev-send-break", id="console")
                monitor.close()
            try:
                self._socket.sendall(part)
            except OSError as error:
                raise self._lost() from error
        return bool(keys) and not leave

    def _receive(self) -> bytes:
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
