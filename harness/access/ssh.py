# SPDX-License-Identifier: MIT
"""A shell in the guest over the ssh port: no network device, no address, no listening socket.

The agent bridges the port to a dropbear of its own; keys belong to the cache. Raises
:class:`GuestLostError` when the guest does not answer.
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
from harness.images import SshKeys

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["SshSession"]

_CONNECT_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_MUTE_SECONDS = 20.0
_CHUNK = 1 << 15


class _Limited(io.BytesIO):
    """Takes no more than ``limit`` bytes: what a guest prints is the guest's to choose."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: ReadableBuffer) -> int:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise UsageError("the command in the guest prints more than it was allowed")
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
                raise GuestLostError("the guest shows another host key than its image was given")
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
        self._transport.join(_CLOSE_SECONDS)  # the thread that reads ends a little later

    def run(
        self, command: Sequence[str], stdin: int | None, stdout: BinaryIO, stderr: BinaryIO
    ) -> int:
        """Run ``command``, passing streams through; its exit status (128 + n for signal n).

        ``stdin`` is a descriptor to read from, None for an empty one.
        """
        text = shlex.join(command) if len(command) > 1 else command[0]
        with self._channel() as channel:
            # By way of a shell that lives on: of one that a signal ends, paramiko learns nothing.
            channel.exec_command(f"sh -c {shlex.quote(text)}; exit $?")
            self._streams(channel, stdin, stdout, stderr).pass_on()
            return self._exit_status(channel)

    def capture(
        self, command: Sequence[str], stdin: bytes = b"", limit: int = 1 << 24
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``command`` and keep what it prints: ``limit`` bytes of each stream at most.

        Raises :class:`UsageError` when it prints more.
        """
        stdout, stderr = _Limited(limit), _Limited(limit)
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            status = self.run(command, given.fileno(), stdout, stderr)
        return subprocess.CompletedProcess(command, status, stdout.getvalue(), stderr.getvalue())

    def interact(self) -> int | None:
        """A login shell on this terminal; its exit status, None when Ctrl-] was pressed."""
        with self._channel() as channel, raw_terminal():
            if sys.stdin.isatty():
                size = os.get_terminal_size(sys.stdin.fileno())
                channel.get_pty(os.environ.get("TERM", "dumb"), size.columns, size.lines)
            channel.invoke_shell()
            keyboard, out, err = sys.stdin.fileno(), sys.stdout.buffer, sys.stderr.buffer
            if not self._streams(channel, keyboard, out, err, LEAVE).pass_on():
                return None
            return self._exit_status(channel)

    def push(self, local: Path, remote: str) -> None:
        """Copy a host file into the guest, keeping its permission bits."""
        try:
            data, mode = local.read_bytes(), local.stat().st_mode & 0o777
        except OSError as error:
            raise UsageError(f"cannot read {local}: {error.strerror}") from error
        command = f"cat > {shlex.quote(remote)} && chmod {mode:o} {shlex.quote(remote)}"
        with self._channel() as channel:
            channel.exec_command(command)
            with contextlib.suppress(OSError):  # its status says why it does not read
                channel.sendall(data)
                channel.shutdown_write()
            words = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
            if self._exit_status(channel):
                raise UsageError(f"cannot write {remote} in the guest: {words}")

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
            words = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
            if self._exit_status(channel):
                partial.unlink()
                raise UsageError(f"cannot read {remote} in the guest: {words}")
            partial.replace(local)

    def _channel(self) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=self._guest.timeouts.scaled(20.0))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise GuestLostError(
                f"the guest's shell is gone: {error}{self._guest.machine.exit_text()}"
            ) from error

    def _streams(
        self,
        channel: paramiko.Channel,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        leave: bytes = b"",
    ) -> Streams:
        timeouts = self._guest.timeouts.scaled(_MUTE_SECONDS)
        return Streams(channel, stdin, stdout, stderr, leave, patience_s=timeouts)

    def _exit_status(self, channel: paramiko.Channel) -> int:
        status = channel.recv_exit_status()
        if status < 0:
            raise GuestLostError(f"the guest's shell is gone{self._guest.machine.exit_text()}")
        return status
