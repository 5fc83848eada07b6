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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import paramiko

from harness.access.streams import Streams
from harness.access.terminal import LEAVE, raw_terminal
from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.images.keys import SshKeys

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["SshSession"]

_CONNECT_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_REPLY_SECONDS = 20.0
_CHUNK = 1 << 15


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
        self, command: Sequence[str], stdin: int | None, stdout: BinaryIO, stderr: BinaryIO
    ) -> int:
        """Run ``command`` and forward its streams; its exit status (128 + n for signal n).

        A single argument is a line for the shell. ``stdin`` is a descriptor to read from, None
        for an empty input.
        """
        text = shlex.join(command) if len(command) > 1 else command[0]
        with self._channel() as channel:
            # The outer shell outlives a signal that ends the inner one, and reports it as a status.
            channel.exec_command(f"sh -c {shlex.quote(text)}; exit $?")
            self._streams(channel, stdin, stdout, stderr).forward()
            return self._exit_status(channel)

    def capture(
        self, command: Sequence[str], stdin: bytes = b"", limit: int = 1 << 24
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``command`` and return its output, at most ``limit`` bytes of each stream.

        Raises :class:`UsageError` when it prints more.
        """
        stdout, stderr = _Limited(limit), _Limited(limit)
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            status = self.run(command, file.fileno(), stdout, stderr)
        return subprocess.CompletedProcess(command, status, stdout.getvalue(), stderr.getvalue())

    def interact(self) -> int | None:
        """Run a login shell on this terminal; its exit status, None when Ctrl-] was pressed."""
        with self._channel() as channel, raw_terminal():
            if sys.stdin.isatty():
                size = os.get_terminal_size(sys.stdin.fileno())
                channel.get_pty(os.environ.get("TERM", "dumb"), size.columns, size.lines)
            channel.invoke_shell()
            keyboard, out, err = sys.stdin.fileno(), sys.stdout.buffer, sys.stderr.buffer
            if not self._streams(channel, keyboard, out, err, LEAVE).forward():
                return None
            return self._exit_status(channel)

    def push(self, local: Path, remote: str) -> None:
        """Copy a host file and its permission bits into the guest."""
        try:
            data, mode = local.read_bytes(), local.stat().st_mode & 0o777
        except OSError as error:
            raise UsageError(f"cannot read {local}: {error.strerror}") from error
        command = f"cat > {shlex.quote(remote)} && chmod {mode:o} {shlex.quote(remote)}"
        with self._channel() as channel:
            channel.exec_command(command)
            with contextlib.suppress(OSError):  # the command ended early: its exit status follows
                channel.sendall(data)
                channel.shutdown_write()
            message = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
            if self._exit_status(channel):
                raise UsageError(f"cannot write {remote} in the guest: {message}")

    def pull(self, remote: str, local: Path, limit: int = 1 << 30) -> None:
        """Copy a guest file of at most ``limit`` bytes to the host."""
        with self._channel() as channel:
            channel.exec_command(f"cat {shlex.quote(remote)}")
            channel.shutdown_write()
            partial = local.with_name(local.name + ".part")
            size = 0
            with partial.open("wb") as target:
                while block := channel.recv(_CHUNK):
                    size += len(block)
                    if size > limit:
                        partial.unlink()
                        raise UsageError(f"{remote} in the guest is longer than {limit} bytes")
                    target.write(block)
            message = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
            if self._exit_status(channel):
                partial.unlink()
                raise UsageError(f"cannot read {remote} in the guest: {message}")
            partial.replace(local)

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
        ended = self._guest.machine.exit_text()
        return GuestLostError(f"the connection to the guest's shell ended{reason}{ended}")
