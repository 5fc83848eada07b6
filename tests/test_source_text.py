# SPDX-License-Identifier: MIT
"""What is proved of source text: of correct functions nothing, of wrong ones their defect."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.implementations.model import ModuleSource
from harness.implementations.source_text import SourceText
from harness.implementations.spec import parse_implementation
from harness.implementations.user import read_user_implementation
from harness.paths import guest_images_directory
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.test_good_implementations import IMPLEMENTATIONS as GOOD

_DATA = Path(__file__).parent / "data" / "source_text"
_KBUILD = "ccflags-y := -I$(src)\nobj-m := snippet.o\n"
_KEPT, _UNSET = "/* kept */", "/* unset */"


def analyse(session: Session, file: Path) -> SourceText:
    """Return the text of a module that consists of ``file``."""
    files = (
        ("skeleton.h", (_DATA / "skeleton.h").read_text()),
        ("snippet.c", file.read_text()),
        ("Kbuild", _KBUILD),
    )
    return SourceText(ModuleSource(files), session.kernel(DEFAULT_KERNEL), session.cache)


def marked(file: Path, mark: str) -> list[str]:
    """Return the places of the lines of ``file`` that have ``mark``."""
    lines = enumerate(file.read_text().splitlines(), 1)
    return [f"snippet.c:{number}" for number, line in lines if mark in line]


def places(found: tuple[str, ...]) -> list[str]:
    """Return the places of what was found, without the text of the lines."""
    return [":".join(each.split(":")[:2]) for each in found]


@pytest.mark.parametrize("file", sorted((_DATA / "correct").iterdir()), ids=lambda file: file.stem)
def test_nothing_is_proved_of_correct_code(session: Session, file: Path) -> None:
    text = analyse(session, file)
    assert text.kept_pointers() == ()
    assert text.unset_results() == ()
    assert text.warnings() == ()


@pytest.mark.parametrize("file", sorted((_DATA / "wrong").iterdir()), ids=lambda file: file.stem)
def test_a_defect_is_proved_at_its_line(session: Session, file: Path) -> None:
    text = analyse(session, file)
    kept, unset = marked(file, _KEPT), marked(file, _UNSET)
    assert len(kept) + len(unset) == 1
    assert places(text.kept_pointers()) == kept
    assert places(text.unset_results()) == unset


@pytest.mark.parametrize("name", ["tsm-class", "tsm-configfs"])
def test_nothing_is_proved_of_our_modules(session: Session, name: str, tmp_path: Path) -> None:
    modules = guest_images_directory() / "modules"
    for source in (modules / name, modules / "common"):
        for file in (*source.rglob("*.c"), *source.rglob("*.h")):
            target = tmp_path / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text())
    ours = read_user_implementation(f"dir:{tmp_path}").source()
    text = SourceText(ours, session.kernel(DEFAULT_KERNEL), session.cache)
    assert text.kept_pointers() + text.unset_results() + text.warnings() == ()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_proved_of_good_implementations(session: Session, path: Path) -> None:
    good = read_user_implementation(f"dir:{path}").source()
    text = SourceText(good, session.kernel(DEFAULT_KERNEL), session.cache)
    assert text.kept_pointers() + text.unset_results() + text.warnings() == ()


def test_posted_patch_keeps_what_a_void_function_freed(session: Session) -> None:
    thread = Path("examples/review/thread.mbox").resolve()
    first, second = (
        SourceText(
            parse_implementation(f"patch:{thread}{version}").source() or ModuleSource(()),
            session.kernel(DEFAULT_KERNEL),
            session.cache,
        )
        for version in ("", "#2")
    )
    assert places(first.kept_pointers()) == ["tsm.c:29", "tsm.c:30", "tsm.c:31"]
    assert second.kept_pointers() == ()
    assert first.unset_results() == second.unset_results() == ()


def test_source_that_does_not_build_has_no_verdict(session: Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text('#include "skeleton.h"\nstatic int f(void) { return kvfree(1, 2); }\n')
    text = analyse(session, broken)
    for method in (text.kept_pointers, text.unset_results, text.warnings, text.symbols):
        with pytest.raises(BuildError, match="too many arguments"):
            method()
