# SPDX-License-Identifier: MIT
"""Patches to other sources: what they change, how they apply, and what is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.errors import NotJudgedError, UsageError
from harness.implementations.apply import refuse_name
from harness.implementations.core import core_of
from harness.implementations.from_patch import (
    read_patch_implementation,
    read_posting,
    split_base,
    with_base,
)
from harness.implementations.merged import MergedImplementation
from harness.implementations.patched import Changed, PatchToKernel, change
from harness.implementations.spec import parse_implementation
from harness.mail.model import FileChange, PostedPatch, Posting
from harness.settings import Settings
from tests.postings import diff_of, edited, write_patch

TSM = "drivers/virt/coco/tsm.c"
REPORT = "drivers/virt/coco/guest/report.c"
HEADER = "include/linux/tsm.h"
LINES = "".join(f"static int number_{n} = {n};\n" for n in range(40))
OLD = {
    "drivers/virt/coco/Kconfig": "config TSM_REPORTS\n\ttristate\n",
    "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM_REPORTS)\t+= tsm.o\n"
    "obj-$(CONFIG_SEV_GUEST)\t+= sev-guest/\n",
    "drivers/virt/coco/sev-guest/Makefile": "obj-$(CONFIG_SEV_GUEST) += sev-guest.o\n",
    "drivers/virt/coco/sev-guest/sev-guest.c": "static int sev;\n",
    TSM: f"#include <linux/tsm.h>\n{LINES}",
    HEADER: "int tsm_register(const struct tsm_ops *ops, void *priv);\n",
}
NEW = {
    "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM) += tsm-core.o\n"
    "obj-$(CONFIG_TSM_GUEST) += guest/\n",
    "drivers/virt/coco/tsm-core.c": "#include <linux/tsm.h>\nstatic int core;\n",
    "drivers/virt/coco/guest/Makefile": "obj-$(CONFIG_TSM_REPORTS) += tsm_report.o\n"
    "tsm_report-y := report.o\nobj-$(CONFIG_TSM_MEASUREMENTS) += tsm-mr.o\n",
    REPORT: OLD[TSM],
    "drivers/virt/coco/guest/tsm-mr.c": "#include <linux/tsm-mr.h>\nstatic int mr;\n",
    HEADER: "int tsm_report_register(const struct tsm_report_ops *ops, void *priv);\n",
    "include/linux/tsm-mr.h": "int tsm_mr;\n",
}


def changed(tmp_path: Path, base: Mapping[str, str], *steps: Mapping[str, str]) -> Changed:
    """Apply the patches between the steps to ``base``."""
    patch = write_patch(tmp_path / "a.patch", *steps)
    return change("patch:a", read_posting(f"patch:{patch}"), base, "the test")


def fixed(files: Mapping[str, str], path: str = TSM) -> dict[str, str]:
    """Change one line of the implementation."""
    return edited(files, path, "number_20 = 20", "number_20 = 21")


# What a kernel tree has


@pytest.mark.parametrize(
    ("files", "module", "owned"),
    [
        (OLD, "tsm", {TSM, HEADER}),
        (NEW, "tsm_report", {REPORT, HEADER}),
    ],
)
def test_module_is_found_in_the_makefile(
    files: Mapping[str, str], module: str, owned: set[str]
) -> None:
    core = core_of(files)
    assert core is not None
    assert (core.module, set(core.files)) == (module, owned)


def test_module_may_have_several_files_and_a_header_of_its_own() -> None:
    makefile = (
        "obj-$(CONFIG_TSM_REPORTS) += all.o\nall-y := tsm.o \\\n\tmore.o\nall-$(CONFIG_X) += x.o\n"
    )
    files = OLD | {
        "drivers/virt/coco/Makefile": makefile,
        "drivers/virt/coco/more.c": '#include "more.h"\n',
        "drivers/virt/coco/more.h": "#include <linux/tsm-mr.h>\n",
        "drivers/virt/coco/x.c": "",
        "include/linux/tsm-mr.h": "",
    }
    core = core_of(files)
    assert core is not None
    assert core.module == "all"
    assert {Path(name).name for name in core.files} == {
        "tsm.c", "more.c", "more.h", "x.c", "tsm.h", "tsm-mr.h",
    }  # fmt: skip


def test_kbuild_builds_one_module_with_the_headers_of_the_tree() -> None:
    source = MergedImplementation.of("tree:x", NEW).source()
    kbuild = dict(source.files)["drivers/virt/coco/guest/Kbuild"]
    assert kbuild.endswith("obj-m := tsm_report.o\ntsm_report-y += report.o\n")
    assert "-I$(src)/../../../../include " in kbuild
    assert (source.directory, source.include) == ("drivers/virt/coco/guest", "include")


def test_makefile_of_a_patch_is_read_and_not_run() -> None:
    makefile = (
        "ccflags-y += -DONE=1 -Wextra $(shell touch /tmp/ran) -I$(src)/../x\n"
        "obj-$(CONFIG_TSM_REPORTS) += tsm.o\n$(shell touch /tmp/ran)\n"
        "tsm-y := one.o $(shell touch /tmp/ran) ../two.o\ntsm-$(CONFIG_X) += three.o\n"
    )
    core = core_of({**OLD, "drivers/virt/coco/Makefile": makefile})
    assert core is not None
    assert core.flags == ("-DONE=1", "-Wextra", "-I$(src)/../x")
    assert core.parts == (("y", "one.o"), ("$(CONFIG_X)", "three.o"))
    assert "shell" not in core.kbuild


def test_tree_without_an_implementation_is_refused() -> None:
    with pytest.raises(UsageError, match="lack a Makefile that builds CONFIG_TSM_REPORTS"):
        MergedImplementation.of("tree:x", {TSM: "", HEADER: ""})
    with pytest.raises(UsageError, match=r"lack include/linux/tsm\.h"):
        MergedImplementation.of("tree:x", {k: v for k, v in OLD.items() if k != HEADER})


# What a patch changes


def test_change_is_applied(tmp_path: Path) -> None:
    found = changed(tmp_path, OLD, OLD, fixed(OLD))
    assert found.files == fixed(OLD)
    assert found.judged == {TSM}
    assert found.notes == ("applied to the test",)


def test_patches_of_a_series_are_applied_in_order(tmp_path: Path) -> None:
    last = edited(fixed(OLD), TSM, "number_20 = 21", "number_20 = 22")
    assert changed(tmp_path, OLD, OLD, fixed(OLD), last).files == last


def test_rename_is_followed(tmp_path: Path) -> None:
    moved = {name: text for name, text in fixed(OLD).items() if name != TSM}
    moved |= {
        REPORT: fixed(OLD)[TSM],
        "drivers/virt/coco/guest/Makefile": NEW["drivers/virt/coco/guest/Makefile"],
        "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM_GUEST) += guest/\n",
    }
    again = edited(moved, REPORT, "number_3 = 3", "number_3 = 4")
    found = changed(tmp_path, OLD, OLD, moved, again)
    assert found.files == again
    assert {TSM, REPORT} <= found.judged


def test_new_file_beside_the_implementation_is_part_of_it(tmp_path: Path) -> None:
    after = OLD | {
        "drivers/virt/coco/more.c": "static int more;\n",
        "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM_REPORTS)\t+= all.o\nall-y := tsm.o more.o\n"
        "obj-$(CONFIG_SEV_GUEST)\t+= sev-guest/\n",
    }
    found = changed(tmp_path, OLD, OLD, after)
    assert found.judged == {"drivers/virt/coco/more.c"}
    built = MergedImplementation.of("patch:a", found.files)
    assert "drivers/virt/coco/more.c" in dict(built.files)


@pytest.mark.parametrize(
    ("base", "written_for", "theirs", "ours"),
    [(NEW, OLD, TSM, REPORT), (OLD, NEW, REPORT, TSM)],
)
def test_file_that_another_kernel_names_differently_is_found(
    tmp_path: Path,
    base: Mapping[str, str],
    written_for: Mapping[str, str],
    theirs: str,
    ours: str,
) -> None:
    found = changed(tmp_path, base, written_for, fixed(written_for, theirs))
    assert found.files == fixed(base, ours)
    assert found.judged == {ours}
    assert f"{theirs} is {ours} there" in found.notes


def test_what_is_not_judged_is_listed_and_need_not_apply(tmp_path: Path) -> None:
    doc, driver = (
        "Documentation/ABI/testing/configfs-tsm",
        "drivers/virt/coco/sev-guest/sev-guest.c",
    )
    before = OLD | {doc: "one\n", driver: "static int other;\n"}
    after = fixed(before) | {
        doc: "two\n", driver: "static int changed;\n", "drivers/virt/coco/Kconfig": "config X\n",
    }  # fmt: skip
    found = changed(tmp_path, OLD, before, after)
    assert found.files == fixed(OLD)
    [note] = [note for note in found.notes if note.startswith("not judged: ")]
    assert set(note.removeprefix("not judged: ").split(", ")) == {
        doc, driver, "drivers/virt/coco/Kconfig",
    }  # fmt: skip


def test_less_context_is_tried_and_reported(tmp_path: Path) -> None:
    other = edited(OLD, TSM, "number_18 = 18", "number_18 = 99")  # the context's second line
    found = changed(tmp_path, other, OLD, fixed(OLD))
    assert found.files == fixed(other)
    assert any("one line of context" in note for note in found.notes)


# What is refused


def test_patch_that_does_not_apply_gives_gits_words_and_the_hunk(tmp_path: Path) -> None:
    other = edited(OLD, TSM, "number_20 = 20", "number_20 = 5")
    with pytest.raises(UsageError) as caught:
        changed(tmp_path, other, OLD, fixed(OLD))
    message = str(caught.value)
    assert "does not apply to the test" in message
    assert f"error: patch failed: {TSM}:19" in message
    assert f"hunk: @@ -19,7 +19,7 @@ static int number_16 = 16; in {TSM}" in message
    assert "--base" in caught.value.hint


def test_base_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tsm\.c: No such file"):
        changed(tmp_path, {"a.c": "", HEADER: ""}, OLD, fixed(OLD))


@pytest.mark.parametrize(
    "path",
    [
        "Documentation/ABI/testing/configfs-tsm",
        "drivers/virt/coco/Kconfig",
        "drivers/virt/coco/sev-guest/sev-guest.c",
        "drivers/net/tsm.c",
    ],
)
def test_patch_that_changes_nothing_judged_is_no_implementation(tmp_path: Path, path: str) -> None:
    before = {path: "one\n"}
    patch = write_patch(tmp_path / "a.patch", before, {path: "two\n"})
    with pytest.raises(NotJudgedError, match="changes nothing that is judged") as caught:
        parse_implementation(f"patch:{patch}")
    assert path in str(caught.value)


@pytest.mark.parametrize(
    "path", ["drivers/virt/coco/tsm-core.c", "drivers/virt/coco/guest/tsm-mr.c"]
)
def test_other_module_beside_the_implementation_is_not_judged(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotJudgedError, match=Path(path).name):
        changed(tmp_path, NEW, NEW, edited(NEW, path, "static", "extern"))


@pytest.mark.parametrize(
    "name",
    ["../a.c", "/etc/passwd", "a/../b.c", ".git/config", "a/.git/hooks/x", "a b.c", "a\nb", "-x",
     "", "a//b", "a/", "a\\b", "x" * 300, "a*.c", "drivers/[t]sm.c"],
)  # fmt: skip
def test_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no path in a kernel tree"):
        refuse_name(name)


@pytest.mark.parametrize("name", [TSM, "a/B_c-d+e.f", "Makefile", "include/linux/tsm-mr.h"])
def test_name_of_a_kernel_file_is_accepted(name: str) -> None:
    refuse_name(name)


def test_symbolic_link_is_refused() -> None:
    name = "drivers/virt/coco/secret.h"
    link = (
        f"{diff_of(OLD, fixed(OLD))}diff --git a/{name} b/{name}\n"
        f"new file mode 120000\nindex 0000000..3594e94\n--- /dev/null\n+++ b/{name}\n"
        "@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n"
    )
    changes = (FileChange(TSM, TSM), FileChange("", name))
    patch = PostedPatch("link", 0, "", changes, link.encode())
    posting = Posting("link", 1, "", "", "", (patch,))
    with pytest.raises(UsageError, match=r"makes drivers/virt/coco/secret\.h something else"):
        change("patch:a", posting, OLD, "the test")


def test_settings_of_the_users_git_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "home" / ".gitconfig"
    config.parent.mkdir()
    config.write_text(
        "[apply]\n\twhitespace = error-all\n[core]\n\tautocrlf = true\n"
        f"\thooksPath = {tmp_path}\n[init]\n\ttemplateDir = {tmp_path}/none\n"
    )
    monkeypatch.setenv("HOME", str(config.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no repository"))
    spaces = edited(OLD, TSM, "number_20 = 20;", "number_20 = 21; \t ")
    assert changed(tmp_path, OLD, OLD, spaces).files == spaces


def test_directory_for_temporary_files_may_be_in_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    assert changed(tmp_path, OLD, OLD, fixed(OLD)).files == fixed(OLD)
    assert not list((tmp_path / "tmp").iterdir())


# Names of implementations


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_patch_to_merged_code_has_the_kernels_own_as_its_base(tmp_path: Path) -> None:
    patch = write_patch(tmp_path / "a.patch", OLD, fixed(OLD))
    found = parse_implementation(f"patch:{patch}")
    assert isinstance(found, PatchToKernel)
    assert (found.base, found.interface, found.verdicts_known) == ("mainline", "configfs", False)
    assert found.digest != parse_implementation("mainline").digest


def test_patch_on_a_tree_is_known_without_a_kernel(tmp_path: Path) -> None:
    base = f"tree:{tree(tmp_path / 'linux', OLD)}"
    patch = write_patch(tmp_path / "a.patch", OLD, fixed(OLD))
    found = parse_implementation(f"patch:{patch},base={base}")
    assert found.base == base
    assert dict(found.files)[TSM] == fixed(OLD)[TSM]
    assert dict(parse_implementation(base).files)[TSM] == OLD[TSM]


def test_patch_on_a_directory_changes_the_file_of_that_name(tmp_path: Path) -> None:
    base = f"dir:{tree(tmp_path / 'mine', {'tsm.c': OLD[TSM], 'tsm.h': OLD[HEADER]})}"
    patch = write_patch(tmp_path / "a.patch", OLD, fixed(OLD))
    found = parse_implementation(f"patch:{patch},base={base}")
    assert found.base == base
    assert dict(found.files) == {"tsm.c": fixed(OLD)[TSM], HEADER: OLD[HEADER]}


def test_patch_on_another_patch(tmp_path: Path) -> None:
    first = write_patch(tmp_path / "1.patch", OLD, fixed(OLD))
    last = edited(fixed(OLD), TSM, "number_20 = 21", "number_20 = 22")
    second = write_patch(tmp_path / "2.patch", fixed(OLD), last)
    found = parse_implementation(f"patch:{second},base=patch:{first}")
    assert isinstance(found, PatchToKernel)
    assert found.base == f"patch:{first}"
    whole = write_patch(tmp_path / "0.patch", {}, {TSM: OLD[TSM], HEADER: OLD[HEADER]})
    alone = parse_implementation(f"patch:{first},base=patch:{whole}")
    assert dict(alone.files)["tsm.c"] == fixed(OLD)[TSM]


def test_patch_that_brings_a_whole_implementation_has_no_base(tmp_path: Path) -> None:
    kconfig = {"drivers/virt/coco/Kconfig": "menu\n"}
    patch = write_patch(tmp_path / "a.patch", kconfig, {**OLD})
    assert parse_implementation(f"patch:{patch}").base == ""


def test_base_is_given_to_every_patch_that_names_none() -> None:
    specs = ("mainline", "patch:a", "patch:b,base=dir:c")
    expected = ("mainline", "patch:a,base=tree:x", "patch:b,base=dir:c")
    assert with_base(specs, "tree:x") == expected
    assert split_base("patch:b,base=dir:c,d") == ("patch:b", "dir:c,d")
    assert split_base("patch:b,base=none") == ("patch:b,base=none", "")


@pytest.mark.parametrize(
    ("specs", "base", "message"),
    [
        (("mainline",), "tree:x", "has no effect"),
        (("patch:a,base=dir:b",), "tree:x", "has no effect"),
        (("patch:a",), "mainline", "no such base"),
    ],
)
def test_base_that_is_of_no_use_is_refused(specs: tuple[str, ...], base: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_base(specs, base)


def test_base_is_judged_before_its_patch(tmp_path: Path) -> None:
    patch = f"patch:{write_patch(tmp_path / 'a.patch', OLD, fixed(OLD))}"
    based = f"{patch},base=tree:{tree(tmp_path / 'linux', OLD)}"
    settings = Settings(tsms=("class-fixed", patch, based))
    expected = ("class-fixed", "mainline", patch, f"tree:{tmp_path / 'linux'}", based)
    assert settings.with_bases().tsms == expected
    assert Settings(tsms=(patch, "mainline")).with_bases().tsms == (patch, "mainline")


def test_missing_patch_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_patch_implementation(f"patch:{tmp_path / 'none'}")
