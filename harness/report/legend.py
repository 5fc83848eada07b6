# SPDX-License-Identifier: MIT
"""What the marks in a table of verdicts mean: only those that appear."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.verdict import Status

__all__ = ["legend"]

_VERDICTS = {
    Status.FAIL.value: "the demand does not hold",
    Status.ERROR.value: "the harness could not decide",
    Status.MISS.value: "not run",
    Status.PASS.value: "the demand holds",
    Status.SKIP.value: "does not apply here",
}
_MARKS = {
    "!": "not as expected",
    "<": "another verdict than before",
    "-": "no scenario of this claim was run here",
}
_SHARE = re.compile(r"\d+/\d+")


def legend(cells: Iterable[str]) -> list[str]:
    """Explain the verdicts and the marks in the cells of a table, in at most two lines."""
    words = {word for cell in cells for word in cell.split()}
    verdicts = [f"{word}: {meaning}" for word, meaning in _VERDICTS.items() if word in words]
    marks = [f"{word} {meaning}" for word, meaning in _MARKS.items() if word in words]
    shares = sorted(word for word in words if _SHARE.fullmatch(word))
    marks += [f"{share} how many of the claim's results have this verdict" for share in shares[:1]]
    return [line for line in ("; ".join(verdicts), "; ".join(marks)) if line]
