# SPDX-License-Identifier: MIT
"""Passes the streams of this process on to a command in the guest, and back."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import BinaryIO

import paramiko

from harness.errors import GuestLostError

__all__ = ["Streams"]

_CHUNK = 1 << 15
_IDLE_SECONDS = 0.2  # how late the end of a command that prints nothing is seen
_HEARTBEAT_SECONDS = 2.0
_FULL_SECONDS = 0.01  # how late it is seen that the guest takes input again


class Streams:
    """What flows through ``channel``; none of it waits for any other.

    ``stdin`` is a descriptor to read from, None for an empty input; typing ``leave`` on it ends
    the passing on. A server that is mute for ``patience_s`` seconds is given up.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        leave: bytes = b"",
        *,
        patience_s: float,
    ) -> None:
        self._channel = channel
        self._heartbeat = Heartbeat(channel.get_transport(), patience_s)
        self._stdin = stdin
        self._sinks = (
            (channel.recv_ready, channel.recv, stdout),
            (channel.recv_stderr_ready, channel.recv_stderr, stderr),
        )
        self._leave = leave
        self._unsent = b""
        if stdin is None:
            channel.shutdown_write()

    def pass_on(self) -> bool:
        """Pass on until the command has ended or the guest is gone; False when told to leave.

        Raises :class:`GuestLostError` when the guest does not answer any more.
        """
        while not self._channel.exit_status_ready():
            if not self._once():
                return False
        self._take_output()
        return True

    def _once(self) -> bool:
        # After its last byte a channel stays readable for ever.
        watched: list[paramiko.Channel | int] = []
        if not self._channel.eof_received:
            watched.append(self._channel)
        if self._stdin is not None and not self._unsent:
            watched.append(self._stdin)
        seconds = _FULL_SECONDS if self._unsent else _IDLE_SECONDS
        ready = select.select(watched, [], [], seconds)[0]
        if self._stdin is not None and self._stdin in ready and not self._take_input(self._stdin):
            return False
        self._send()
        self._take_output()
        if not ready:
            self._heartbeat.check()
        return True

    def _take_input(self, stdin: int) -> bool:
        try:
            self._unsent = os.read(stdin, _CHUNK)
        except OSError:  # a terminal that went away: nothing more will come
            self._unsent = b""
        if not self._unsent:
            self._stdin = None
            self._channel.shutdown_write()
        return not (self._leave and self._leave in self._unsent)

    def _send(self) -> None:
        if self._unsent and self._channel.send_ready():
            try:
                sent = self._channel.send(self._unsent)
            except OSError:  # closed: nobody will read it
                sent = len(self._unsent)
            self._unsent = self._unsent[sent:]

    def _take_output(self) -> None:
        for ready, receive, sink in self._sinks:
            while ready():
                sink.write(receive(_CHUNK))
                sink.flush()


class Heartbeat:
    """Asks a server for signs of life, without waiting for them."""

    def __init__(self, transport: paramiko.Transport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s
        self._asked_at = time.monotonic()
        self._asking: threading.Thread | None = None

    def check(self) -> None:
        """Ask again now and then; raises :class:`GuestLostError` when an answer is overdue."""
        since = time.monotonic() - self._asked_at
        if self._asking is not None and self._asking.is_alive():
            if since > self._patience_s:
                raise GuestLostError(f"the guest's shell has been mute for {since:.0f} s")
        elif since > _HEARTBEAT_SECONDS:
            # RFC 4254, section 4: what a server does not know it refuses, which is an answer.
            self._asking = threading.Thread(
                target=self._transport.global_request,
                args=("keepalive@openssh.com",),
                daemon=True,
            )
            self._asked_at = time.monotonic()
            self._asking.start()
