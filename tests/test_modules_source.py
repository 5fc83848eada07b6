# SPDX-License-Identifier: MIT
"""The sources of the guest modules: every switch does something, every status has an errno.

The modules themselves are tried in a guest; this needs no compiler and no kernel.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.implementations.spec import CLASS_DEFECTS, CONFIGFS_DEFECTS

GUEST_IMAGES = Path(__file__).parent.parent / "guest-images"
TSM_CLASS = GUEST_IMAGES / "modules" / "tsm-class"
TSM_CONFIGFS = GUEST_IMAGES / "modules" / "tsm-configfs"
TSM_SIM = GUEST_IMAGES / "modules" / "tsm-sim"
SOURCES = sorted(
    path
    for module in (TSM_CLASS, TSM_CONFIGFS, TSM_SIM)
    for path in module.rglob("*")
    if path.suffix in (".c", ".h") or path.name == "Kbuild"
)


def declared_defects(header: str) -> set[str]:
    """Return the enumerators of ``enum defect``, without the count."""
    return set(re.findall(r"^\t(DEFECT_\w+),$", header, re.M)) - {"DEFECT_COUNT"}


def unused_defects(declared: set[str], code: str) -> set[str]:
    """Return the switches that nothing in ``code`` asks for."""
    return declared - set(re.findall(r"has_defect\((DEFECT_\w+)\)", code))


def unmapped_statuses(wire: str, table: str) -> set[str]:
    """Return the statuses of tsmw.h that neither the errno table nor code of its own knows."""
    statuses = re.search(r"enum tsmw_status \{(.*?)\};", wire, re.S)
    assert statuses is not None
    names = set(re.findall(r"^\t(TSMW_\w+) =", statuses[1], re.M))
    special = {"TSMW_OK", "TSMW_THROTTLED", "TSMW_INJECT"}
    return names - special - set(re.findall(r"\[(TSMW_\w+)\] = E", table))


@pytest.mark.parametrize(
    ("core", "defects"), [(TSM_CLASS, CLASS_DEFECTS), (TSM_CONFIGFS, CONFIGFS_DEFECTS)]
)
def test_every_defect_changes_something(core: Path, defects: dict[str, str]) -> None:
    declared = declared_defects((core / "defects.h").read_text())
    code = "".join(path.read_text() for path in core.glob("*.c"))
    assert len(declared) == len(defects)
    assert unused_defects(declared, code) == set()


def test_a_defect_nobody_asks_for_is_noticed() -> None:
    declared = declared_defects("\tDEFECT_A,\n\tDEFECT_B,\n\tDEFECT_COUNT,\n")
    assert unused_defects(declared, "if (has_defect(DEFECT_A))") == {"DEFECT_B"}


def test_every_status_has_an_errno() -> None:
    wire = (GUEST_IMAGES / "include" / "tsmw.h").read_text()
    assert unmapped_statuses(wire, (TSM_SIM / "reply.c").read_text()) == set()


def test_a_status_without_errno_is_noticed() -> None:
    wire = "enum tsmw_status {\n\tTSMW_OK = 0,\n\tTSMW_A = 1,\n\tTSMW_B = 2,\n};"
    assert unmapped_statuses(wire, "[TSMW_A] = EBUSY,") == {"TSMW_B"}


def test_there_are_sources() -> None:
    assert {path.name for path in SOURCES} >= {"Kbuild", "tsm.h", "core.c", "wire.c"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_licence_is_named_in_the_first_line(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert "SPDX-License-Identifier: GPL-2.0-only" in first
