# SPDX-License-Identifier: MIT
"""Forwards the streams of this process to a command in the guest, and its output back."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

import paramiko

from harness.errors import GuestLostError

__all__ = ["Streams"]

_CHUNK = 1 << 15
_IDLE_SECONDS = 0.2  # how late the end of a command that prints nothing is noticed
_KEEPALIVE_SECONDS = 2.0
_FULL_SECONDS = 0.01  # how late it is noticed that the channel accepts input again


class Streams:
    """The three streams of ``channel``; none of them blocks another.

    ``stdin`` is a descriptor to read from, None for an empty input. The byte sequence ``leave`` in
    the input ends the forwarding. A server that does not answer for ``reply_seconds`` is given up.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        stdin: int | None,
        stdout: BinaryIO,
        stderr: BinaryIO,
        leave: bytes = b"",
        *,
        reply_seconds: float,
    ) -> None:
        self._channel = channel
        self._keepalive = _Keepalive(channel.get_transport(), reply_seconds)
        self._stdin = stdin
        self._outputs = (
            (channel.recv_ready, channel.recv, stdout),
            (channel.recv_stderr_ready, channel.recv_stderr, stderr),
        )
        self._leave = leave
        self._unsent = b""
        if stdin is None:
            channel.shutdown_write()

    def forward(self, on_round: Callable[[], None] = lambda: None) -> bool:
        """Forward until the command has ended; False when the input contains ``leave``.

        ``on_round`` is called several times a second. Raises :class:`GuestLostError` when the
        guest does not answer any more.
        """
        while not self._channel.exit_status_ready():
            if not self._forward_once():
                return False
            on_round()
        self._forward_output()
        return True

    def _forward_once(self) -> bool:
        watched: list[paramiko.Channel | int] = []
        if not self._channel.eof_received:  # after end of file a channel is always readable
            watched.append(self._channel)
        if self._stdin is not None and not self._unsent:
            watched.append(self._stdin)
        seconds = _FULL_SECONDS if self._unsent else _IDLE_SECONDS
        ready = select.select(watched, [], [], seconds)[0]
        if self._stdin is not None and self._stdin in ready and not self._read_input(self._stdin):
            return False
        self._send_input()
        self._forward_output()
        if not ready:
            self._keepalive.check()
        return True

    def _read_input(self, stdin: int) -> bool:
        try:
            self._unsent = os.read(stdin, _CHUNK)
        except OSError:  # the terminal has gone: treat it as end of file
            self._unsent = b""
        if not self._unsent:
            self._stdin = None
            self._channel.shutdown_write()
        return not (self._leave and self._leave in self._unsent)

    def _send_input(self) -> None:
        if self._unsent and self._channel.send_ready():
            try:
                sent = self._channel.send(self._unsent)
            except OSError:  # the command has closed its input: drop the rest
                sent = len(self._unsent)
            self._unsent = self._unsent[sent:]

    def _forward_output(self) -> None:
        for ready, receive, output in self._outputs:
            while ready():
                output.write(receive(_CHUNK))
                output.flush()


class _Keepalive:
    """Sends keepalive requests from a thread, and checks that the last one was answered."""

    def __init__(self, transport: paramiko.Transport, reply_seconds: float) -> None:
        self._transport = transport
        self._reply_seconds = reply_seconds
        self._sent_at = time.monotonic()
        self._request: threading.Thread | None = None

    def check(self) -> None:
        """Send a request if the last is old; raises :class:`GuestLostError` if it is overdue."""
        since = time.monotonic() - self._sent_at
        if self._request is not None and self._request.is_alive():
            if since > self._reply_seconds:
                raise GuestLostError(f"the guest's shell has not answered for {since:.0f} s")
        elif since > _KEEPALIVE_SECONDS:
            # RFC 4254, section 4: a server refuses requests it does not know, which is an answer.
            self._request = threading.Thread(
                target=_send_keepalive, args=(self._transport,), daemon=True
            )
            self._sent_at = time.monotonic()
            self._request.start()


def _send_keepalive(transport: paramiko.Transport) -> None:
    # The connection may end meanwhile, for example because the command has ended.
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        transport.global_request("keepalive@openssh.com")
