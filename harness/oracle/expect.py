# SPDX-License-Identifier: MIT
"""Functions with which a scenario states what its claim demands."""

from __future__ import annotations

import errno as errno_names
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import ClaimViolatedError, GuestCallError

__all__ = ["demand", "raises_errno"]


def demand(holds: bool, observed: str, *, subject: str = "", place: str = "") -> None:
    """Raise :class:`ClaimViolatedError` with what was ``observed``, unless the demand ``holds``.

    ``subject`` distinguishes two violations of one demand. ``place`` is the FILE:LINE of the code
    under test that violates it.
    """
    if not holds:
        raise ClaimViolatedError(observed, subject=subject, place=place)


@contextmanager
def raises_errno(*expected: int) -> Iterator[None]:
    """Demand that the block's call in the guest fails with one of these errnos; none means any.

    Raises :class:`ClaimViolatedError` if it succeeds, or fails with another errno. Errors of the
    host and of the actor pass through.
    """
    wanted = " or ".join(errno_names.errorcode.get(code, str(code)) for code in expected)
    try:
        yield
    except GuestCallError as error:
        if not expected or error.errno in expected:
            return
        got = errno_names.errorcode.get(error.errno or 0, str(error.errno))
        raise ClaimViolatedError(
            f"{error.filename}: {got} instead of {wanted}", subject=got
        ) from error
    raise ClaimViolatedError(f"a call succeeded that must fail{f' with {wanted}' * bool(wanted)}")
