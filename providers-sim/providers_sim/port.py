# SPDX-License-Identifier: MIT
"""The host's end of the provider port: one non-blocking stream socket and its queues."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterator

from tsmw.constants import MAX_REQUEST
from tsmw.frame import Frame, FrameParser

__all__ = ["Port", "PortClosedError"]

_RECV_SIZE = 65536
_MAX_QUEUED = 64
_FRAMES_PER_FLUSH = 16  # then look for input, however fast the peer reads


class PortClosedError(Exception):
    """The other side closed the stream."""


class Port:
    """Reads frames from and writes messages to ``sock``, which it owns.

    All methods but ``wake`` belong to one thread. While _MAX_QUEUED messages wait to be written
    nothing is read, so that a peer that never reads cannot make the queues grow.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[Iterator[bytes]] = deque()
        self._current = memoryview(b"")
        self.parser = FrameParser(MAX_REQUEST)

    def wake(self) -> None:
        """Make ``pump`` return soon; from any thread, also after ``close``."""
        try:
            self._wake_write.send(b"!")
        except OSError:  # full: a wake-up is already on its way; closed: nobody to wake
            return

    def send(self, message: bytes) -> None:
        """Queue one whole frame, ahead of those of ``send_bulk``."""
        self._urgent.append(message)

    def send_bulk(self, frames: Iterator[bytes]) -> None:
        """Queue the frames of a reply, made as they are written."""
        self._bulk.append(frames)

    def drop_bulk(self) -> None:
        """Forget the replies not yet written; a frame half written is still completed."""
        self._bulk.clear()

    def pump(self, timeout: float | None) -> list[Frame]:
        """Write what the socket takes, wait for something to read, and return its frames.

        Returns early, with no frames, on ``wake`` or when the socket takes more. Raises
        PortClosedError at the stream's end.
        """
        self.flush()
        readers = [self._wake_read]
        if len(self._urgent) + len(self._bulk) < _MAX_QUEUED:
            readers.append(self._sock)
        poll = select.poll()
        for reader in readers:
            poll.register(reader, select.POLLIN)
        if self._current or self._urgent or self._bulk:
            events = select.POLLOUT | (select.POLLIN if self._sock in readers else 0)
            poll.register(self._sock, events)
        ready = {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)}
        if self._wake_read.fileno() in ready:
            self._drain_wakeups()
        if self._sock.fileno() not in ready or self._sock not in readers:
            return []
        return self._receive()

    def flush(self) -> None:
        """Write some frames, as many as the socket takes without waiting."""
        for _ in range(_FRAMES_PER_FLUSH):
            if not self._current:
                message = self._next_message()
                if message is None:
                    return
                self._current = memoryview(message)
            try:
                sent = self._sock.send(self._current)
            except BlockingIOError:
                return
            except OSError as error:
                raise PortClosedError(str(error)) from error
            self._current = self._current[sent:]

    def close(self) -> None:
        """Close the socket; the peer sees the end of the stream."""
        for sock in (self._sock, self._wake_read, self._wake_write):
            sock.close()

    def _next_message(self) -> bytes | None:
        if self._urgent:
            return self._urgent.popleft()
        while self._bulk:
            frame = next(self._bulk[0], None)
            if frame is not None:
                return frame
            self._bulk.popleft()
        return None

    def _receive(self) -> list[Frame]:
        try:
            data = self._sock.recv(_RECV_SIZE)
        except BlockingIOError:
            return []
        except OSError as error:
            raise PortClosedError(str(error)) from error
        if not data:
            raise PortClosedError("end of stream")
        return self.parser.feed(data)

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_read.recv(_RECV_SIZE):
                pass
        except BlockingIOError:
            return
