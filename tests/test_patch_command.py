# SPDX-License-Identifier: MIT
"""The command `patch`: what it lists, and that it agrees with a run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from harness.cli.app import app
from harness.cli.kept_mails import with_kept_mails
from harness.errors import UsageError
from harness.implementations.spec import parse_implementation
from tests.mails import TSM, diff, mail, mbox, new_file

ROOT = Path(__file__).parent.parent
THREAD = ROOT / "examples" / "review" / "thread.mbox"
HEADER = "include/linux/tsm.h"


def show(*arguments: str, data: bytes = b"") -> str:
    done = CliRunner().invoke(app, ["patch", *arguments], input=data, catch_exceptions=False)
    return done.output


def test_postings_of_a_thread_are_listed() -> None:
    lines = show(str(THREAD)).splitlines()
    assert lines[0].startswith(
        "#1 virt: coco: Add a small implementation of TSM reports (1 patch, "
    )
    assert f"  judged: {TSM} (new), {HEADER} (new)" in lines
    assert lines[-1] == f"`tsm-harness run --tsm patch:{THREAD}` takes #1."
    chosen = show(f"{THREAD}#v2").splitlines()
    assert chosen[0].startswith("#2 virt: coco: Add a small implementation")
    assert chosen[-1] == f"`tsm-harness run --tsm patch:{THREAD}#v2` takes #2."
    assert len(chosen) < len(lines)


SERIES = mbox(
    mail("[PATCH v2 1/2] tsm: a", diff() + diff("MAINTAINERS"), ident="1"),
    mail("[PATCH v2 2/2] tsm: b", new_file("lib/f.c", ["int x;"]), ident="2", parent="1"),
)


def test_each_file_is_listed_as_judged_or_not() -> None:
    shown = show("-", data=SERIES)
    assert "#1 tsm: a (v2, 2 patches, Ada Author <ada@example.com>)" in shown
    assert "  1/2 tsm: a\n  2/2 tsm: b\n" in shown
    assert f"  judged: {TSM}\n  not judged: MAINTAINERS, lib/f.c (new)\n" in shown
    [listed] = json.loads(show("-", "--json", data=SERIES))
    assert listed["judged"] == [TSM]
    assert listed["not_judged"] == ["MAINTAINERS", "lib/f.c"]
    assert listed["chosen"] is True
    assert [patch["subject"] for patch in listed["patches"]] == ["tsm: a", "tsm: b"]
    assert listed["patches"][1]["files"] == [{"old": "", "new": "lib/f.c"}]


def test_posting_that_a_run_would_refuse_is_listed() -> None:
    shown = show("-", data=mail(body=new_file()[:-4]).encode())
    assert f"note: the change of {TSM} is incomplete" in shown
    assert "A run would refuse it: the posting 'tsm: Add it' is incomplete" in shown
    shown = show("-", data=mail(body=diff("mm/slub.c")).encode())
    assert "A run would judge nothing: #1 changes no file of the report interface." in shown


@pytest.mark.parametrize(
    ("path", "judged"),
    [
        (TSM, True),
        ("drivers/virt/coco/guest/report.c", True),
        ("include/linux/tsm.h", True),
        ("drivers/virt/coco/guest/tsm-mr.c", False),
        ("drivers/char/random.c", False),
    ],
)
def test_what_is_listed_as_judged_is_what_a_run_judges(
    path: str, judged: bool, tmp_path: Path
) -> None:
    (tmp_path / "a.patch").write_text(diff(path))
    [listed] = json.loads(show(str(tmp_path / "a.patch"), "--json"))
    assert (listed["judged"] == [path]) is judged
    try:
        parse_implementation(f"patch:{tmp_path / 'a.patch'}")
    except Exception as error:
        assert not judged, error
    else:
        assert judged


def test_wrong_selector_and_missing_file_are_usage_errors() -> None:
    for source in (f"{THREAD}#9", "/nowhere"):
        with pytest.raises(UsageError):
            show(source)


def test_command_imports_neither_pytest_nor_qemu() -> None:
    """The listing takes under a second because little is imported."""
    code = (
        "import sys; import harness.cli.patch; "
        "print(*{'pytest', 'qemu', 'hypothesis', 'cryptography', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_standard_input_is_kept_for_the_workers_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(SERIES)))
    specs = ("mainline", "patch:-#v2,base=dir:x", f"patch:{THREAD}#2")
    kept = with_kept_mails(specs, tmp_path)
    assert (kept[0], kept[2]) == (specs[0], specs[2])
    file = Path(kept[1].removeprefix("patch:").removesuffix("#v2,base=dir:x"))
    assert file.read_bytes() == SERIES
    assert file.is_relative_to(tmp_path)
    with pytest.raises(UsageError, match="for one implementation only"):
        with_kept_mails(("patch:-", "patch:-#2"), tmp_path)


def test_thread_of_a_message_id_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = mbox(mail(ident="a"), mail("[PATCH v2] tsm: Add it", ident="b", hour=12))
    (tmp_path / "thread").write_bytes(thread)
    program = tmp_path / "b4"
    program.write_text(f'#!/bin/sh\ncp {tmp_path}/thread "$3/t.mbx"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for ident, number in (("<b@example.com>", "#2"), ("a@example.com", "#1")):
        [kept] = with_kept_mails((f"patch:{ident}",), tmp_path / "cache")
        assert kept.endswith(f"/thread.mbox{number}")
    [kept] = with_kept_mails(("patch:c@example.com",), tmp_path / "cache")
    assert kept.endswith("/thread.mbox")


@pytest.mark.parametrize("spec", ["dir:-", "mainline", "patch:a@b/c", "patch:/x@y"])
def test_other_names_are_kept_as_they_are(spec: str, tmp_path: Path) -> None:
    assert with_kept_mails((spec,), tmp_path) == (spec,)
