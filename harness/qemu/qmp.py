# SPDX-License-Identifier: MIT
"""QEMU's monitor, for synchronous callers.

``qemu.qmp`` implements the protocol. One event loop in one thread serves every monitor of the
process. The commands are documented in QEMU's QMP reference (``qapi/*.json``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import QMPClient, QMPError

from harness.errors import GuestLostError
from harness.qemu.sockets import connect

__all__ = ["Monitor"]

T = TypeVar("T")

_UNBOUNDED = 1 << 40  # bytes a second; the default, 128 MiB, is for networks
_IGNORE_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
_POLL_SECONDS = 0.001
_FAILURES = (QMPError, OSError, TimeoutError, EOFError, asyncio.CancelledError)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # A task of qemu.qmp that reads from a QEMU which has ended fails. Nothing awaits it when Ctrl-C
    # comes during a command, and asyncio would print its traceback. Monitor raises what matters.
    loop.set_exception_handler(lambda *_: None)
    logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
    threading.Thread(target=loop.run_forever, name="qmp", daemon=True).start()
    return loop


def _run(work: Coroutine[Any, Any, T], seconds: float) -> T:
    async def bounded() -> T:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run_coroutine_threadsafe(bounded(), _loop()).result()


class Monitor:
    """A connection to the monitor socket of one QEMU.

    Every method raises :class:`GuestLostError` when QEMU has ended, refuses a command or does not
    answer within ``seconds``.
    """

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._seconds = seconds
        self._client = QMPClient("tsm-harness")
        try:
            connection = connect(path)
        except OSError as error:
            raise GuestLostError(f"QEMU's monitor is gone: {error.strerror}") from error
        self._do("connect", self._client.connect(connection))

    def _do(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return _run(work, self._seconds)
        except _FAILURES as error:
            reason = str(error) or type(error).__name__
            raise GuestLostError(f"QEMU's monitor failed at {what!r}: {reason}") from error

    def execute(self, command: str, **arguments: object) -> object:
        """Run one QMP command; returns its result."""
        return self._do(command, self._client.execute(command, arguments or None))

    def freeze(self, state_fd: int) -> None:
        """Stop the guest and write its device state to ``state_fd``.

        The state omits the memory if the memory file is mapped shared (``x-ignore-shared``).
        """
        self._do("freeze", self._freeze(state_fd))

    async def _freeze(self, state_fd: int) -> None:
        await self._client.execute("stop")
        await self._client.execute("migrate-set-capabilities", _IGNORE_SHARED)
        self._client.send_fd_scm(state_fd)
        await self._client.execute("getfd", {"fdname": "state"})
        await self._client.execute("migrate", {"uri": "fd:state"})
        while True:
            answer = await self._client.execute("query-migrate")
            assert isinstance(answer, dict)
            if answer.get("status") == "completed":
                return
            if answer.get("status") in ("failed", "cancelled"):
                raise GuestLostError(f"QEMU could not freeze the guest: {answer}")
            await asyncio.sleep(_POLL_SECONDS)

    def save(self, state_fd: int) -> None:
        """Write the guest's device state and private memory to ``state_fd``; it runs on after."""
        self.execute("migrate-set-parameters", **{"max-bandwidth": _UNBOUNDED})
        self._do("save", self._freeze(state_fd))
        self.execute("cont")

    def wait_for_peers(self, names: Iterable[str]) -> None:
        """Wait until QEMU has accepted the connections to these character devices."""
        self._do("peers", self._wait_for_peers(set(names)))

    async def _wait_for_peers(self, names: set[str]) -> None:
        while True:
            devices = await self._client.execute("query-chardev")
            assert isinstance(devices, list)
            waiting = {
                device["label"] for device in devices if "disconnected" in device["filename"]
            }
            if not names & waiting:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def restore(self, state_fd: int) -> None:
        """Load the state from ``state_fd``; QEMU starts the guest as soon as it is loaded."""
        self._do("restore", self._restore(state_fd))

    async def _restore(self, state_fd: int) -> None:
        await self._client.execute("migrate-set-capabilities", _IGNORE_SHARED)
        self._client.send_fd_scm(state_fd)
        await self._client.execute("getfd", {"fdname": "state"})
        await self._client.execute("migrate-incoming", {"uri": "fd:state"})

    def close(self) -> None:
        """Disconnect; QEMU continues to run."""
        try:
            _run(self._client.disconnect(), self._seconds)
        except _FAILURES:
            return  # QEMU has ended, and with it the connection
