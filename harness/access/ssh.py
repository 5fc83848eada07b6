# SPDX-License-Identifier: MIT
"""SSH to a guest over its ssh port, without a network device or an address.

The agent relays the port to a dropbear that it starts. The keys are in the cache. Everything
raises :class:`GuestLostError` when the guest does not answer.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import paramiko

from harness.access.command import GuestCommand, signal_command
from harness.access.files import Advance, pull, push
from harness.access.streams import Streams
from harness.access.terminal import LEAVE, raw_terminal, window_changes
from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.guest.panic import find_panic
from harness.images.keys import SshKeys

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["SshSession"]

_CONNECT_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_REPLY_SECONDS = 20.0
_MAX_SCRIPT = 4000  # characters; dropbear does not answer to a command above 9000 bytes
_SCRIPT_FILE = "/run/tsm-exec.sh"


class _Limited(io.BytesIO):
    """Raises when more than ``limit`` bytes are written: a guest may print without end."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = self._left = limit

    def write(self, data: ReadableBuffer) -> int:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise UsageError(
                f"the command in the guest prints more than {self._limit} bytes",
                hint="raise the limit, or write the output to a file and pull it",
            )
        return super().write(data)


class SshSession:
    """One SSH connection to ``guest``; use it as a context manager."""

    def __init__(self, guest: Guest, keys: SshKeys) -> None:
        self._guest = guest
        seconds = guest.timeouts.scaled(_CONNECT_SECONDS)
        connection = guest.machine.connect("ssh")
        connection.settimeout(seconds)
        self._transport = paramiko.Transport(connection)
        self._transport.banner_timeout = self._transport.auth_timeout = seconds
        try:
            self._transport.start_client(timeout=seconds)
            offered = self._transport.get_remote_server_key().asbytes()
            if offered != keys.host_public:
                raise GuestLostError("the guest shows another host key than the one in its image")
            key = paramiko.Ed25519Key.from_private_key_file(str(keys.client_private))
            self._transport.auth_publickey("root", key)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._close()
            raise GuestLostError(
                f"no shell over the guest's ssh port: {error or type(error).__name__}"
                f"{guest.machine.exit_text()}",
            ) from error
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> SshSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._transport.close()
        self._transport.join(_CLOSE_SECONDS)  # wait for the end of its thread

    def run(
        self,
        command: GuestCommand,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        *,
        signals: deque[int] | None = None,
    ) -> int:
        """Run ``command`` and forward its streams; its exit status (128 + n for signal n).

        ``stdin`` is a descriptor to read from, None for an empty input. The command's
        processes get the ``signals``, also those that come meanwhile.
        """
        with self._channel() as channel:
            # The outer shell outlives a signal that ends the inner one, and reports it as a status.
            self._execute(channel, f"setsid {self._inner_shell(command)}; exit $?")
            streams = self._streams(channel, stdin, stdout, stderr)
            streams.forward(lambda: self._pass_on(signals or deque()))
            return self._exit_status(channel)

    def run_on_terminal(self, command: GuestCommand) -> int | None:
        """Run ``command`` on this terminal; its exit status, None when Ctrl-] was pressed."""
        with self._channel() as channel, raw_terminal():
            self._take_terminal(channel)
            # Ctrl-C reaches both shells, and the outer one must report the status of the inner one.
            self._execute(channel, f"trap : INT QUIT; {self._inner_shell(command)}; exit $?")
            return self._interact(channel)

    def _inner_shell(self, command: GuestCommand) -> str:
        """The shell that runs the command; a long one from a file, as the server has a limit."""
        script = command.script()
        if len(script) <= _MAX_SCRIPT:
            return f"sh -c {shlex.quote(script)}"
        self._guest.actors[0].create_file(_SCRIPT_FILE, os.fsencode(script))
        return f"sh {_SCRIPT_FILE}"

    def _execute(self, channel: paramiko.Channel, text: str) -> None:
        try:
            channel.exec_command(text)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(f": {error}") from error

    def _pass_on(self, signals: deque[int]) -> None:
        while signals:
            with self._channel() as channel:
                self._execute(channel, signal_command(signals.popleft()))
                channel.recv_exit_status()

    def _take_terminal(self, channel: paramiko.Channel) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        channel.get_pty(os.environ.get("TERM", "dumb"), size.columns, size.lines)

    def _interact(self, channel: paramiko.Channel) -> int | None:
        keyboard, out, err = sys.stdin.fileno(), sys.stdout.buffer, sys.stderr.buffer
        streams = self._streams(channel, keyboard, out, err, LEAVE)
        with window_changes() as change:
            if not streams.forward(lambda: _resize(channel, change())):
                return None
        return self._exit_status(channel)

    def capture(
        self, arguments: Sequence[str], stdin: bytes = b"", limit: int = 1 << 24
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``command`` and return its output, at most ``limit`` bytes of each stream.

        Raises :class:`UsageError` when it prints more.
        """
        stdout, stderr = _Limited(limit), _Limited(limit)
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            status = self.run(GuestCommand(arguments), file.fileno(), stdout, stderr)
        return subprocess.CompletedProcess(arguments, status, stdout.getvalue(), stderr.getvalue())

    def interact(self) -> int | None:
        """Run a login shell on this terminal; its exit status, None when Ctrl-] was pressed."""
        with self._channel() as channel, raw_terminal():
            if sys.stdin.isatty():
                self._take_terminal(channel)
            channel.invoke_shell()
            return self._interact(channel)

    def push(self, local: Path, remote: str, advance: Advance = lambda _: None) -> None:
        """Copy a host file or directory and its permission bits into the guest."""
        by_mode: dict[int, list[str]] = {}
        for path, mode in push(self._guest.actors[0], local, remote, advance).items():
            by_mode.setdefault(mode, []).append(path)
        lines = [f"chmod {mode:o} -- {shlex.join(paths)}" for mode, paths in by_mode.items()]
        done = self.capture([" && ".join(lines)])
        if done.returncode:
            message = done.stderr.decode("utf-8", "replace").strip()
            raise UsageError(f"cannot set permissions of {remote} in the guest: {message}")

    def pull(
        self,
        remote: str,
        local: Path,
        limit: int = 1 << 30,
        advance: Advance = lambda _: None,
    ) -> None:
        """Copy a guest file or directory of at most ``limit`` bytes to the host."""
        pull(self._guest.actors[0], remote, local, limit, advance)

    def _channel(self) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=self._guest.timeouts.scaled(_REPLY_SECONDS))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(f": {error}") from error

    def _streams(
        self,
        channel: paramiko.Channel,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        leave: bytes = b"",
    ) -> Streams:
        seconds = self._guest.timeouts.scaled(_REPLY_SECONDS)
        return Streams(channel, stdin, stdout, stderr, leave, reply_seconds=seconds)

    def _exit_status(self, channel: paramiko.Channel) -> int:
        status = channel.recv_exit_status()
        if status < 0:
            raise self._lost()
        return status

    def _lost(self, reason: str = "") -> GuestLostError:
        panic = find_panic(self._guest.machine)
        ended = f"; {panic}" if panic is not None else self._guest.machine.exit_text()
        return GuestLostError(f"the connection to the guest's shell ended{reason}{ended}")


def _resize(channel: paramiko.Channel, change: tuple[int, int] | None) -> None:
    if change is not None:
        with contextlib.suppress(OSError, paramiko.SSHException):
            channel.resize_pty(*change)
