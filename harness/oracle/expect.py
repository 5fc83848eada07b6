# SPDX-License-Identifier: MIT
"""What a scenario says to state a demand."""

from __future__ import annotations

import errno as errno_names
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import ClaimViolatedError, GuestCallError

__all__ = ["demand", "raises_errno"]


def demand(holds: bool, seen: str) -> None:
    """Raise :class:`ClaimViolatedError` with what was ``seen`` unless the demand ``holds``."""
    if not holds:
        raise ClaimViolatedError(seen)


@contextmanager
def raises_errno(*expected: int) -> Iterator[None]:
    """The block's call in the guest must fail with one of these errnos.

    Raises :class:`ClaimViolatedError` when it succeeds or fails with another; what goes wrong
    on the host, or with the actor, passes through.
    """
    wanted = " or ".join(errno_names.errorcode.get(code, str(code)) for code in expected)
    try:
        yield
    except GuestCallError as error:
        if error.errno in expected:
            return
        got = errno_names.errorcode.get(error.errno or 0, str(error.errno))
        raise ClaimViolatedError(f"{error.filename}: {got} instead of {wanted}") from error
    raise ClaimViolatedError(f"a call succeeded that must fail with {wanted}")
