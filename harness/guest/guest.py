# SPDX-License-Identifier: MIT
"""A guest whose agent answers: a machine, a session with its agent, and its providers."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import GuestLostError, NoInterfaceError, TsmHarnessError
from harness.guest.actor import CALLS_KEPT, Actor
from harness.guest.agent_session import REPLY_SECONDS, AgentSession
from harness.guest.call import Call
from harness.qemu.machine import Machine
from harness.timeouts import Timeouts
from providers_sim import AnyProvider, ProviderLoop
from tsmw.constants import FrameType
from tsmw.layout import encode_u32

__all__ = ["Guest"]

_BOOT_SECONDS = 40.0
_REGISTRATION_SECONDS = 20.0


class Guest:
    """Owns a machine whose agent answers; use it as a context manager.

    ``session`` is the session with the agent, ``log`` the kernel log since boot, ``actors`` the
    agent's actor slots. ``provider`` is the loop that serves the provider port now, ``providers``
    all that did. Raises :class:`GuestLostError` or :class:`DeadlineError`, and kills the machine,
    when its agent does not answer within ``seconds``.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        seconds: float = REPLY_SECONDS,
        timeouts: Timeouts | None = None,
        connection: socket.socket | None = None,
    ) -> None:
        self.machine = machine
        self.provider: ProviderLoop | None = None
        self.providers: list[ProviderLoop] = []
        try:
            self.session = AgentSession(
                connection or machine.connect("agent"),
                timeouts or Timeouts(),
                seconds=seconds,
                exit_text=machine.exit_text,
            )
        except BaseException:
            machine.kill()
            raise
        self.log = self.session.log
        self.kernel_release = self.session.kernel_release
        self.actors = tuple(Actor(self.session, slot) for slot in range(self.session.slots))

    @classmethod
    def booted(cls, machine: Machine) -> Guest:
        """Wait until a cold boot is ready, and measure how fast the guest answers."""
        guest = cls(machine, seconds=_BOOT_SECONDS)
        try:
            guest.timeouts = Timeouts.calibrated(guest.session.ping())
        except BaseException:
            machine.kill()
            raise
        return guest

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts, scaled to the guest's measured speed."""
        return self.session.timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        self.session.timeouts = timeouts

    @property
    def calls(self) -> Sequence[Call[Any]]:
        """The most recent calls of all actors, oldest first."""
        made = [call for actor in self.actors for call in actor.calls]
        return sorted(made, key=lambda call: call.started_s)[-CALLS_KEPT:]

    @property
    def open_calls(self) -> Sequence[Call[Any]]:
        """The calls whose result has not been taken."""
        return [call for actor in self.actors for call in actor.open_calls]

    def settle(self) -> None:
        """Take the result of every call that has returned."""
        try:
            self.session.client.poll()
        except GuestLostError:
            return  # taking the result of any of these calls raises it again
        for call in self.open_calls:
            with contextlib.suppress(OSError, TsmHarnessError):
                if call.done():
                    call.result()

    def attach(self, provider: AnyProvider, *, request_timeout_ms: int | None = 0) -> ProviderLoop:
        """Serve ``provider`` on the provider port until the guest is closed or detached.

        ``request_timeout_ms`` is how long the driver waits for a reply: 0 means for ever, so that
        a slow host is a :class:`DeadlineError` rather than a failed call in the guest; None means
        the driver's own default.
        """
        again = bool(self.providers)
        if again:
            # The relay may not have noticed that the last host left, and would continue the old
            # session with the new one: restart it. The kernel may not have noticed that the relay
            # stopped: then its HELLO was lost, and the loop asks for another one (``reset``).
            self.detach()
            self.relay(start=False)
            self.relay(start=True)
        return self._serve(
            ProviderLoop(
                provider,
                self.machine.connect("provider"),
                time_scale=self.timeouts.scale,
                request_timeout_ms=request_timeout_ms,
                reset=again,
            )
        )

    def register(self, provider: AnyProvider) -> ProviderLoop:
        """Attach ``provider``, and wait until the driver has registered it.

        Raises :class:`NoInterfaceError` when the implementation refuses it.
        """
        loop = self.attach(provider)
        refused = loop.wait_registered(self.timeouts.scaled(_REGISTRATION_SECONDS))
        if refused:
            name = errno.errorcode.get(refused, str(refused))
            raise NoInterfaceError(f"the implementation refused to register the provider: {name}")
        return loop

    def resume(
        self, provider: AnyProvider, connection: socket.socket, state: Mapping[str, Any]
    ) -> ProviderLoop:
        """Serve ``provider`` on ``connection``, in the session that ``state`` was saved from."""
        scale = self.timeouts.scale
        return self._serve(
            ProviderLoop(provider, connection, time_scale=scale, request_timeout_ms=0, resume=state)
        )

    def _serve(self, loop: ProviderLoop) -> ProviderLoop:
        self.provider = loop
        self.providers.append(loop)
        return loop

    def detach(self) -> None:
        """Close the provider port: the guest sees that its host has left."""
        if self.provider is not None:
            self.provider.close()
            self.provider = None

    def relay(self, *, start: bool) -> None:
        """Start or stop the relay between the provider device and the provider port."""
        state = encode_u32("RELAY", int(start))
        self.session.request(FrameType.RELAY, state, "the relay's start or stop")

    def close(self) -> None:
        """End the machine, the provider and the session, and remove the machine's files."""
        self.machine.kill()
        self.detach()
        self.session.client.close()
        shutil.rmtree(self.machine.directory, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
