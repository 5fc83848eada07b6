# SPDX-License-Identifier: MIT
"""The sources of the guest modules, read as text: no compiler and no kernel is needed.

Other tests load the modules into guests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.implementations.defects import OwnKind, defects_of, parse_defects

GUEST_IMAGES = Path(__file__).parent.parent / "guest-images"
MODULES = GUEST_IMAGES / "modules"
TSM_SIM = MODULES / "tsm-sim"
SOURCES = sorted(
    path for path in MODULES.rglob("*") if path.suffix in (".c", ".h") or path.name == "Kbuild"
)


def unused_defects(identifiers: Iterable[str], code: str) -> set[str]:
    """Return the switches that nothing in ``code`` reads."""
    return set(identifiers) - set(re.findall(r"has_defect\(DEFECT_(\w+)\)", code))


def unmapped_statuses(wire: str, table: str) -> set[str]:
    """Return the statuses of tsmw.h that neither the errno table nor code of its own knows."""
    statuses = re.search(r"enum tsmw_status \{(.*?)\};", wire, re.S)
    assert statuses is not None
    names = set(re.findall(r"^\t(TSMW_\w+) =", statuses[1], re.M))
    special = {"TSMW_OK", "TSMW_THROTTLED", "TSMW_INJECT"}
    return names - special - set(re.findall(r"\[(TSMW_\w+)\] = E", table))


@pytest.mark.parametrize("kind", ["class", "configfs"])
def test_the_code_reads_every_defect(kind: OwnKind) -> None:
    code = "".join(path.read_text() for path in (MODULES / f"tsm-{kind}").glob("*.c"))
    identifiers = [defect.identifier for defect in defects_of(kind).values()]
    assert len(identifiers) > 10
    assert unused_defects(identifiers, code) == set()


def test_an_unread_defect_is_noticed() -> None:
    assert unused_defects(["A", "B"], "if (has_defect(DEFECT_A))") == {"B"}


def test_a_defect_list_is_parsed() -> None:
    text = (
        '/* One\n */\nDEFECT(A_B2, "a-b2", "R1 T1b",\n       "an effect")\n'
        'DEFECT(C, "c", "F1", "x")\n'
    )
    found = parse_defects(text, "list.h")
    assert list(found) == ["a-b2", "c"]
    assert (found["a-b2"].identifier, found["a-b2"].claims) == ("A_B2", ("R1", "T1b"))
    assert found["a-b2"].effect == "an effect"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("#define X", "not a defect: #define X"),
        ('DEFECT(A, "a", "R1")', "not a defect"),
        ('DEFECT(A, "a", "R1", "x");', "not a defect: ;"),
        ('DEFECT(A_B, "a-c", "R1", "x")', "A_B has the name 'a-c'"),
        ('DEFECT(A, "a", "", "x")', "a breaks no claim"),
        ('DEFECT(A, "a", "R1, T1", "x")', "a breaks R1, T1"),
        ('DEFECT(A, "a", "R1", "")', "a has no effect"),
        ('DEFECT(A, "a", "R1", "x") DEFECT(A, "a", "R1", "x")', "a is declared twice"),
    ],
)
def test_a_mistake_in_a_defect_list_is_an_error(entry: str, message: str) -> None:
    with pytest.raises(BuildError, match=re.escape(f"list.h:2: {message}")) as caught:
        parse_defects(f"/* A comment. */\n{entry}\n", "list.h")
    assert caught.value.hint


def test_every_status_has_an_errno() -> None:
    wire = (GUEST_IMAGES / "include" / "tsmw.h").read_text()
    assert unmapped_statuses(wire, (TSM_SIM / "reply.c").read_text()) == set()


def test_a_status_without_errno_is_noticed() -> None:
    wire = "enum tsmw_status {\n\tTSMW_OK = 0,\n\tTSMW_A = 1,\n\tTSMW_B = 2,\n};"
    assert unmapped_statuses(wire, "[TSMW_A] = EBUSY,") == {"TSMW_B"}


def test_there_are_sources() -> None:
    assert {path.name for path in SOURCES} >= {"Kbuild", "tsm.h", "class.c", "frame.c"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_licence_is_named_in_the_first_line(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert "SPDX-License-Identifier: GPL-2.0-only" in first
