# SPDX-License-Identifier: MIT
"""A stream socket served by a thread, and waits for what that thread changes."""

from __future__ import annotations

import heapq
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from threading import Condition, Thread
from time import monotonic
from typing import TypeVar

from providers_sim.errors import ProviderError, ProviderTimeout
from tsmw.constants import MAX_REQUEST
from tsmw.frame import Frame, FrameParser

__all__ = ["Transport"]

T = TypeVar("T")

_RECV_SIZE = 65536
_MAX_QUEUED = 64
_FRAMES_PER_FLUSH = 16  # A peer that reads fast must not keep the thread from reading.
_LONGEST_POLL_S = 3600.0
_WAIT_SECONDS = 30.0
_JOIN_SECONDS = 30.0


class _StreamEnd(Exception):  # noqa: N818 - the peer may close the stream at any time
    """The peer closed the stream."""


class Transport:
    """Owns ``sock`` and serves it from a thread, from ``start`` to ``close`` or the stream's end.

    The thread passes received frames to a handler, runs posted calls and due timers, and writes
    queued messages. While _MAX_QUEUED messages are queued, it reads nothing: a peer that never
    reads cannot make the queue grow.

    ``post``, ``call``, ``wait_until``, ``update``, ``start`` and ``close`` may be called from any
    thread, all other methods only from the transport's thread (or before ``start``).
    ``time_scale`` multiplies the default timeout of waits.
    """

    def __init__(self, sock: socket.socket, *, name: str, time_scale: float = 1.0) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._name = name
        self._default_timeout = _WAIT_SECONDS * time_scale
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[Iterator[bytes]] = deque()
        self._current = memoryview(b"")
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_order = count()
        self._thread: Thread | None = None
        self._stopping = False
        self.parser = FrameParser(MAX_REQUEST)
        self.changed = Condition()
        """Guards the state that threads share; writers use ``update``."""
        self.ended = ""
        """Why the thread has ended; empty while it runs."""
        self.error: Exception | None = None
        """The exception that ended the thread, if one did."""

    # Any thread.

    def start(self, receive: Callable[[list[Frame]], None]) -> None:
        """Start the thread, which passes the frames of each read to ``receive``."""
        self._thread = Thread(target=self._run, args=(receive,), name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and close the socket; a second call does nothing.

        Raises ProviderError when the thread does not stop.
        """
        self._stopping = True
        self._wake()
        if self._thread is None:
            self._end("the provider loop was closed")
            return
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            raise ProviderError(
                f"thread {self._name} did not stop within {_JOIN_SECONDS:g} s:"
                " the provider's report() does not return"
            )

    def post(self, work: Callable[[], None]) -> None:
        """Have the thread call ``work`` between two reads."""
        self._posted.append(work)
        self._wake()

    def call(self, work: Callable[[], T]) -> T:
        """Have the thread call ``work`` between two reads; return or raise what it does."""
        future: Future[T] = Future()

        def run() -> None:
            with self.update():
                try:
                    future.set_result(work())
                except Exception as error:
                    future.set_exception(error)

        self.post(run)
        self.wait_until(future.done, None, lambda: "a call in the provider's thread")
        return future.result()

    @contextmanager
    def update(self) -> Iterator[None]:
        """Hold ``changed`` while the caller changes shared state, then wake every waiter."""
        with self.changed:
            yield
            self.changed.notify_all()

    def wait_until(
        self, predicate: Callable[[], bool], timeout: float | None, event: Callable[[], str]
    ) -> None:
        """Wait until ``predicate`` is true, at most ``timeout`` seconds (default: 30, scaled).

        Raises ProviderTimeout at the deadline, and ProviderError once the thread has ended;
        both messages name ``event``.
        """
        if timeout is None:
            timeout = self._default_timeout
        deadline = monotonic() + timeout
        with self.changed:
            while not predicate():
                if self.ended:
                    raise ProviderError(f"{event()} can no longer happen: {self.ended}")
                left = deadline - monotonic()
                if left <= 0:
                    raise ProviderTimeout(f"{event()} did not happen within {timeout:g} s")
                self.changed.wait(left)

    # The transport's thread.

    def send(self, message: bytes) -> None:
        """Queue one whole frame, ahead of those of ``send_bulk``."""
        self._urgent.append(message)

    def send_bulk(self, frames: Iterator[bytes]) -> None:
        """Queue the frames of a reply; each is made when it is written."""
        self._bulk.append(frames)

    def drop_bulk(self) -> None:
        """Drop the replies not yet written; a frame half written is still completed."""
        self._bulk.clear()

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Call ``work`` in so many seconds."""
        heapq.heappush(self._timers, (monotonic() + seconds, next(self._timer_order), work))

    def pump(self, timeout: float | None) -> list[Frame]:
        """Write what the socket takes, wait for input, and return the frames that it completes.

        Returns no frames when a post or a writable socket ends the wait early.
        """
        self._flush()
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

    def _run(self, receive: Callable[[list[Frame]], None]) -> None:
        why = "the provider loop was closed"
        try:
            while not self._stopping:
                receive(self.pump(self._seconds_to_timer()))
                self._run_posted()
                self._run_timers()
            self._run_posted()  # Calls posted just before close() may have queued a message.
            self._flush()
        except _StreamEnd as closed:
            why = f"the guest's side of the provider port closed ({closed})"
        except Exception as error:  # The guest must not wait for a thread that is gone.
            self.error = error
            why = f"the provider loop broke: {error!r}"
        finally:
            self._end(why)

    def _end(self, why: str) -> None:
        for sock in (self._sock, self._wake_read, self._wake_write):
            sock.close()
        with self.update():
            self.ended = self.ended or why

    def _run_posted(self) -> None:
        while self._posted:
            self._posted.popleft()()

    def _seconds_to_timer(self) -> float | None:
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0][0] - monotonic()), _LONGEST_POLL_S)

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= monotonic():
            heapq.heappop(self._timers)[2]()

    def _flush(self) -> None:
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
                raise _StreamEnd(str(error)) from error
            self._current = self._current[sent:]

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
            raise _StreamEnd(str(error)) from error
        if not data:
            raise _StreamEnd("end of stream")
        return self.parser.feed(data)

    def _wake(self) -> None:
        try:
            self._wake_write.send(b"!")
        except OSError:  # The buffer is full of wake-ups, or the thread has ended.
            return

    def _drain_wakeups(self) -> None:
        try:
            while self._wake_read.recv(_RECV_SIZE):
                pass
        except BlockingIOError:
            return
