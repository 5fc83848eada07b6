# SPDX-License-Identifier: MIT
"""Which attributes an implementation can offer on a kernel, as far as it is known before a run."""

from __future__ import annotations

from harness.claims.target import attributes_in_module, offered_attributes
from harness.errors import TsmHarnessError
from harness.interface.names import AttributeName
from harness.session import Session

__all__ = ["attributes_of"]

_NEWEST = (99, 0)


def attributes_of(session: Session, kernel_spec: str, tsm: str) -> frozenset[AttributeName]:
    """Return what the implementation can offer; all of its interface if it cannot be built."""
    implementation = session.known_implementation(kernel_spec, tsm)
    try:
        kernel = session.kernel(kernel_spec)
        attributes = offered_attributes(implementation, kernel.version)
        if implementation.verdicts_known or session.preparation_failure(kernel_spec, tsm):
            return attributes
        [module] = session.build(kernel_spec, tsm).modules
        return attributes & attributes_in_module(module.content)
    except TsmHarnessError:  # the guest, which needs the same, will raise it
        return offered_attributes(implementation, _NEWEST)
