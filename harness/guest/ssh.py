# SPDX-License-Identifier: MIT
"""A shell in the guest over the ssh port: no network device, no address, no listening socket.

The agent bridges the port to a dropbear of its own; keys belong to the cache. Raises
:class:`GuestLostError` when the guest does not answer.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import paramiko

from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.guest.terminal import LEAVE, raw_terminal
from harness.images import SshKeys

__all__ = ["SshSession"]

_CONNECT_SECONDS = 30.0
_CHUNK = 1 << 15


class SshSession:
    """One SSH connection to ``guest``; use it as a context manager."""

    def __init__(self, guest: Guest, keys: SshKeys) -> None:
        self._guest = guest
        seconds = guest.patience.seconds(_CONNECT_SECONDS)
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
            self._transport.close()
            raise GuestLostError(
                f"no shell over the guest's ssh port: {error or type(error).__name__}"
                f"{guest.machine.last_words()}",
                hint="a guest without dropbear in its image has no shell; see `images list`",
            ) from error

    def __enter__(self) -> SshSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def run(
        self, command: Sequence[str], stdin: int | None, stdout: BinaryIO, stderr: BinaryIO
    ) -> int:
        """Run ``command``, passing streams through; its exit status (128 + n for signal n).

        ``stdin`` is a descriptor to read from, None for an empty one.
        """
        with self._channel() as channel:
            channel.exec_command(shlex.join(command) if len(command) > 1 else command[0])
            if stdin is None:
                channel.shutdown_write()
            self._pump(channel, stdin, stdout, stderr)
            return channel.recv_exit_status()

    def interact(self) -> int | None:
        """A login shell on this terminal; its exit status, None when Ctrl-] was pressed."""
        with self._channel() as channel, raw_terminal():
            size = os.get_terminal_size() if sys.stdout.isatty() else os.terminal_size((80, 24))
            channel.get_pty(os.environ.get("TERM", "dumb"), size.columns, size.lines)
            channel.invoke_shell()
            keyboard = sys.stdin.fileno()
            if not self._pump(channel, keyboard, sys.stdout.buffer, sys.stderr.buffer, LEAVE):
                return None
            return channel.recv_exit_status()

    def push(self, local: Path, remote: str) -> None:
        """Copy a host file into the guest, keeping its permission bits."""
        try:
            data, mode = local.read_bytes(), local.stat().st_mode & 0o777
        except OSError as error:
            raise UsageError(f"cannot read {local}: {error.strerror}") from error
        command = f"cat > {shlex.quote(remote)} && chmod {mode:o} {shlex.quote(remote)}"
        with self._channel() as channel:
            channel.exec_command(command)
            channel.sendall(data)
            channel.shutdown_write()
            words = channel.makefile_stderr("rb").read().decode("utf-8", "replace").strip()
            if channel.recv_exit_status():
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
            if channel.recv_exit_status():
                partial.unlink()
                raise UsageError(f"cannot read {remote} in the guest: {words}")
            partial.replace(local)

    def _channel(self) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=self._guest.patience.seconds(20.0))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise GuestLostError(
                f"the guest's shell is gone: {error}{self._guest.machine.last_words()}"
            ) from error

    def _pump(
        self,
        channel: paramiko.Channel,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        leave: bytes = b"",
    ) -> bool:
        """Pass everything on until the command ends; False when ``leave`` was typed."""
        watched: list[paramiko.Channel | int] = [channel] if stdin is None else [channel, stdin]
        while not (channel.exit_status_ready() and not channel.recv_ready()):
            ready = select.select(watched, [], [], 0.2)[0]
            if stdin is not None and stdin in ready:
                data = os.read(stdin, _CHUNK)
                if leave and leave in data:
                    return False
                if not _feed(channel, data):
                    watched.remove(stdin)
            if _drain(channel, stdout, stderr) and channel.closed:
                return True
            if not self._transport.is_active():
                raise GuestLostError(f"the guest's shell ended{self._guest.machine.last_words()}")
        while _drain(channel, stdout, stderr) is False:
            pass
        return True


def _feed(channel: paramiko.Channel, data: bytes) -> bool:
    """Pass on what was read; False at the end of input."""
    if not data:
        channel.shutdown_write()
        return False
    with contextlib.suppress(socket.error):
        channel.sendall(data)
    return True


def _drain(channel: paramiko.Channel, stdout: BinaryIO, stderr: BinaryIO) -> bool:
    """Pass on what has arrived; whether that was nothing."""
    idle = True
    for ready, receive, sink in (
        (channel.recv_ready, channel.recv, stdout),
        (channel.recv_stderr_ready, channel.recv_stderr, stderr),
    ):
        while ready():
            sink.write(receive(_CHUNK))
            sink.flush()
            idle = False
    return idle
