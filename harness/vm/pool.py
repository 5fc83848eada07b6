# SPDX-License-Identifier: MIT
"""A clone that a thread makes ahead of need, so that a scenario does not wait for one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from harness.guest.guest import Guest
from harness.vm.factory import GuestFactory
from harness.vm.template import Template

__all__ = ["ClonePool"]


class ClonePool:
    """Keeps one clone of the template that was asked for last."""

    def __init__(self, factory: GuestFactory) -> None:
        self._factory = factory
        self._template: Template | None = None
        self._clone: Future[Guest] | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clones")

    def take(self, template: Template) -> Guest:
        """A clone of ``template``, which is the caller's; the pool starts to make the next one."""
        clone = self.prepare(template)
        self._clone = None
        guest = clone.result()
        self.prepare(template)
        return guest

    def prepare(self, template: Template) -> Future[Guest]:
        """Start to make a clone of ``template``, unless the pool has one already."""
        if template != self._template:
            self._close_clone()
            self._template = template
        if self._clone is None:
            self._clone = self._worker.submit(self._factory.clone, template)
        return self._clone

    def close(self) -> None:
        """End the clone that was not taken."""
        self._close_clone()
        self._worker.shutdown()

    def _close_clone(self) -> None:
        clone, self._clone = self._clone, None
        # The error of a clone that failed is dropped: the next take() meets it again.
        if clone is not None and not clone.cancel() and clone.exception() is None:
            clone.result().close()
