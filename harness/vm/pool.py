# SPDX-License-Identifier: MIT
"""Clones made ahead of need, so that a scenario does not wait for one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from harness.guest.guest import Guest
from harness.vm.factory import GuestFactory
from harness.vm.template import Template

__all__ = ["ClonePool"]


class ClonePool:
    """Keeps ``depth`` clones of the template last asked for running and ready.

    Handing out a prepared clone costs nothing but the hand-over; every clone is handed out once.
    """

    def __init__(self, factory: GuestFactory, *, depth: int = 1) -> None:
        self._factory = factory
        self._depth = depth
        self._template: Template | None = None
        self._ready: list[Future[Guest]] = []
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clones")

    def take(self, template: Template) -> Guest:
        """A pristine clone of ``template``; the next one is begun."""
        if template != self._template:
            self._drop()
            self._template = template
        self.prepare(template)
        guest = self._ready.pop(0).result() if self._ready else self._factory.clone(template)
        self.prepare(template)
        return guest

    def prepare(self, template: Template) -> None:
        """Begin as many clones as the pool keeps."""
        self._template = template
        while len(self._ready) < self._depth:
            self._ready.append(self._worker.submit(self._factory.clone, template))

    def wait(self) -> None:
        """Wait until every clone begun is ready."""
        for future in self._ready:
            future.result()

    def close(self) -> None:
        """End the clones nobody took."""
        self._drop()
        self._worker.shutdown()

    def _drop(self) -> None:
        ready, self._ready = self._ready, []
        for future in ready:
            # One that never came up is told to whoever takes the next.
            if not future.cancel() and future.exception() is None:
                future.result().close()
