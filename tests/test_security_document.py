# SPDX-License-Identifier: MIT
"""The page about security names tests; each of them must exist."""

from __future__ import annotations

import re
from pathlib import Path

_TESTS = Path(__file__).parent
_PAGE = _TESTS.parent / "docs" / "security.md"


def unknown_tests(page: str) -> set[str]:
    """The names of tests on a page that no file of the tests defines."""
    defined: set[str] = set()
    for file in _TESTS.glob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M))
    return set(re.findall(r"`(test_\w+)`", page)) - defined


def test_every_statement_names_tests_that_exist() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    assert unknown_tests(page) == set()
    rows = page.partition("## Boundaries")[2].partition("\n## ")[0].splitlines()[4:]
    bare = [row for row in rows if row.startswith("|") and "`test_" not in row]
    assert [row for row in bare if "see guest" not in row] == []


def test_a_name_that_no_test_has_is_noticed() -> None:
    assert unknown_tests("`test_that_nobody_wrote`") == {"test_that_nobody_wrote"}
