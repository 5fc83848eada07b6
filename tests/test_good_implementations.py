# SPDX-License-Identifier: MIT
"""Correct implementations in many styles: each is recognised, and builds without warnings.

Each is written to the interface of its folder and differs in style from all others; the comment at
the start of one of its C files names the style and the freedoms that it takes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.implementations.user import read_user_implementation
from harness.kernels.module_build import build_module
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

ROOT = Path(__file__).parent / "data" / "implementations"
IMPLEMENTATIONS = sorted(path for path in ROOT.glob("*/*") if path.is_dir())

# Warnings of -Wextra that code of the kernel causes are off.
_WARNINGS = ("-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-sign-compare")
_STYLE = "// SPDX-License-Identifier: GPL-2.0-only\n/*\n * Style: "
_WARNING = re.compile(r"^.*: warning: .*$|^WARNING: .*$", re.MULTILINE)

each = pytest.mark.parametrize(
    "path", IMPLEMENTATIONS, ids=lambda path: f"{path.parent.name}/{path.name}"
)


def warnings_of(path: Path, session: Session, tmp_path: Path) -> list[str]:
    """Build the implementation and return the warnings of compiler and modpost."""
    source = read_user_implementation(f"dir:{path}").source().write(tmp_path / "module")
    return _WARNING.findall(build_module(session.kernel(DEFAULT_KERNEL), source, _WARNINGS))


@each
def test_the_interface_is_recognised(path: Path) -> None:
    assert read_user_implementation(f"dir:{path}").interface == path.parent.name


@each
def test_the_style_is_stated(path: Path) -> None:
    comments = [file.read_text().partition("*/")[0] for file in path.glob("*.c")]
    stated = [comment for comment in comments if comment.startswith(_STYLE)]
    assert len(stated) == 1 and "\n * Freedoms: " in stated[0]


@each
def test_it_builds_without_warnings(path: Path, session: Session, tmp_path: Path) -> None:
    assert warnings_of(path, session, tmp_path) == []


def test_a_warning_is_found(session: Session, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "include" / "linux").mkdir(parents=True)
    header = IMPLEMENTATIONS[0] / "include" / "linux" / "tsm.h"
    (source / "include" / "linux" / "tsm.h").write_text(header.read_text())
    (source / "tsm.c").write_text(
        "#include <linux/module.h>\nstatic int unused;\n"
        'MODULE_DESCRIPTION("Has a warning");\nMODULE_LICENSE("GPL");\n'
    )
    found = warnings_of(source, session, tmp_path)
    assert len(found) == 1 and "unused" in found[0]
