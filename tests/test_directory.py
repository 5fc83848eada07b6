# SPDX-License-Identifier: MIT
"""``dir:PATH``: which files of a directory are built, what is said, what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import BuildError, UsageError
from harness.implementations.model import Build
from harness.implementations.user import UserImplementation, read_user_implementation
from harness.progress import NullProgress
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

SMALL = Path(__file__).parent / "data" / "implementation"
CODE = (SMALL / "tsm.c").read_text()
HEADER = (SMALL / "include" / "linux" / "tsm.h").read_text()
FLAT = {"tsm.c": CODE, "tsm.h": HEADER}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., UserImplementation]:
    """Read a directory with these files; ``inside`` is the part of it that is named."""

    def read_files(files: Mapping[str, str], inside: str = "") -> UserImplementation:
        for name, text in files.items():
            target = tmp_path / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return read_user_implementation(f"dir:{tmp_path / 'tree' / inside}")

    return read_files


Read = Callable[..., UserImplementation]


def names(implementation: UserImplementation) -> set[str]:
    return {name for name, _ in implementation.files}


def test_a_small_directory_has_no_notes(read: Read) -> None:
    found = read(FLAT)
    assert names(found) == {"tsm.c", "include/linux/tsm.h"}
    assert found.notes == ()


KERNEL = {
    "include/linux/tsm.h": HEADER,
    "drivers/virt/coco/Kconfig": "config TSM_REPORTS\n\ttristate\n",
    "drivers/virt/coco/tsm.c": CODE,
    "drivers/virt/coco/sev-guest/sev-guest.c": "#include <linux/module.h>\nmodule_init(x);\n",
    "drivers/virt/coco/sev-guest/Makefile": "obj-$(CONFIG_SEV_GUEST) += sev-guest.o\n",
    "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM_REPORTS)\t+= tsm.o # reports\n"
    "obj-$(CONFIG_SEV_GUEST) += sev-guest/\n",
}


def test_the_layout_of_the_kernel_is_taken_as_it_is(read: Read) -> None:
    found = read(KERNEL, "drivers/virt/coco")
    assert names(found) == {"tsm.c", "include/linux/tsm.h"}
    assert dict(found.files)["include/linux/tsm.h"] == HEADER
    notes = "\n".join(found.notes)
    assert "include/linux/tsm.h" in notes
    assert "not used: sev-guest/sev-guest.c (not listed)" in notes
    assert "Makefile: only its list of objects is used" in notes
    whole = read(KERNEL)
    assert names(whole) == names(found)


def test_a_composite_object_is_followed(read: Read) -> None:
    found = read(
        {
            "include/linux/tsm.h": HEADER,
            "coco/guest/Makefile": "obj-$(CONFIG_TSM_REPORTS) += tsm_report.o\n"
            "tsm_report-y := report.o \\\n\toptions.o\nobj-m += tsm-mr.o\n",
            "coco/guest/report.c": CODE,
            "coco/guest/options.c": "int tsm_options;\n",
            "coco/guest/tsm-mr.c": "int tsm_mr;\n",
            "coco/tsm-core.c": "int tsm_register(void)\n{\n}\n/* EXPORT_SYMBOL(tsm_register); */\n",
        },
        "coco",
    )
    assert names(found) == {"report.c", "options.c", "include/linux/tsm.h"}


def test_what_is_not_used_is_said(read: Read) -> None:
    found = read(
        {
            **FLAT,
            "Makefile": "all:\n\tmake -C /lib/modules M=$(PWD)\n",
            "tool.c": "#include <stdio.h>\nint main(void) { return 0; }\n",
            "other.c": "#include <linux/module.h>\nmodule_platform_driver(other);\n",
            "private/tsm.h": "/* another */\n",
        }
    )
    assert names(found) == {"tsm.c", "include/linux/tsm.h"}
    notes = "\n".join(found.notes)
    for expected in (
        "not used: tool.c (a userspace program)",
        "not used: other.c (a module of its own)",
        "not used: private/tsm.h; it declares no function to register with",
        "not used: Makefile; the harness has a Kbuild file of its own",
    ):
        assert expected in notes


def test_a_second_header_is_said(read: Read) -> None:
    found = read({"tsm.c": CODE, "include/linux/tsm.h": HEADER, "old/tsm.h": f"{HEADER}\n"})
    assert "not used: old/tsm.h; include/linux/tsm.h is the header" in found.notes


def test_results_and_hidden_directories_are_skipped(read: Read) -> None:
    old = CODE.replace("memset", "(void)")
    found = read(
        {
            **FLAT,
            "tsm-harness-results/R1_x/implementation/tsm.c": old,
            "results/R1_x/bundle.json": "{}",
            "results/R1_x/implementation/tsm.c": old,
            ".git/tsm.c": old,
            "tsm.mod.c": "int generated;\n",
        }
    )
    assert dict(found.files)["tsm.c"] == CODE
    assert {note.partition(":")[0] for note in found.notes} == {
        "skipped results/R1_x",
        "skipped tsm-harness-results",
    }


@pytest.mark.parametrize("other", ["old/tsm.c", "old/tsm-old.c"])
def test_two_implementations_are_refused(other: str, read: Read) -> None:
    with pytest.raises(UsageError, match=f"tree/tsm.c and .*tree/{other} both define tsm_reg"):
        read({**FLAT, other: CODE})


def test_two_files_of_one_name_are_refused(read: Read) -> None:
    files = {**FLAT, "a/options.c": "int a;\n", "b/options.c": "int b;\n"}
    with pytest.raises(UsageError, match=r"tree/a/options\.c and .*tree/b/options\.c"):
        read(files)


def test_a_kernel_tree_is_refused_with_the_option_for_it(read: Read, tmp_path: Path) -> None:
    tree = dict.fromkeys(("Kbuild", "Kconfig", "Makefile", "kernel/fork.c"), "")
    with pytest.raises(UsageError, match="is the source tree of a kernel") as error:
        read({**KERNEL, **tree})
    assert f"--kernel tree:{tmp_path / 'tree'}" in (error.value.hint or "")
    assert names(read({}, "drivers/virt/coco")) == {"tsm.c", "include/linux/tsm.h"}


def test_a_directory_with_too_many_files_is_refused(read: Read) -> None:
    with pytest.raises(UsageError, match="has more than 5000 files"):
        read(FLAT | {f"data/{number}.txt": "" for number in range(5000)})


def test_a_link_that_leads_nowhere_and_a_pipe_are_left_out(read: Read, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "lost.c").symlink_to("nowhere.c")
    os.mkfifo(tmp_path / "tree" / "pipe.c")
    assert names(read(FLAT)) == {"tsm.c", "include/linux/tsm.h"}


def test_a_link_to_a_file_of_the_host_is_left_out(read: Read, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "secret.c").write_text("secret")
    (tmp_path / "tree" / "stolen.c").symlink_to(tmp_path / "secret.c")
    (tmp_path / "tree" / "part.inc").write_text("int part;\n")
    (tmp_path / "tree" / "alias.c").symlink_to("part.inc")
    assert names(read(FLAT)) == {"tsm.c", "alias.c", "include/linux/tsm.h"}


@pytest.mark.parametrize("name", ["$(shell touch x).c", "a b.c", "-x.c", "a:b.c", "a#.c", "ä.c"])
def test_a_name_that_make_would_interpret_is_refused(name: str, read: Read) -> None:
    with pytest.raises(UsageError, match="cannot be built under its name") as error:
        read({**FLAT, name: "int x;\n"})
    assert ascii(name) in str(error.value)


@pytest.mark.parametrize("name", ["a+b.c", "a-b_1.c", "v1.2.c"])
def test_an_ordinary_name_is_accepted(name: str, read: Read) -> None:
    assert name in names(read({**FLAT, name: "int x;\n"}))


@pytest.mark.parametrize(
    "line",
    [
        'asm(".incbin \\"/etc/hostname\\"");',
        'asm(".section .rodata\\n\\t.incbin \\"x\\"");',
        'asm(".inc" "bin \\"/etc/hostname\\"");',
        '#include "/etc/hostname"',
        "#  include <../../etc/hostname>",
        '#include "../x.h"',
    ],
)
def test_a_file_of_the_host_is_refused(line: str, read: Read) -> None:
    with pytest.raises(UsageError, match=r"^tsm\.c in "):
        read({**FLAT, "tsm.c": f"{CODE}\n{line}\n"})


@pytest.mark.parametrize(
    "line",
    [
        '/* .incbin "/etc/hostname" */',
        '#include "options.h"',
        "#include <linux/../linux/slab.h>",
        'static const char *name = "a.include";',
    ],
)
def test_what_only_looks_like_it_is_accepted(line: str, read: Read) -> None:
    read({**FLAT, "tsm.c": f"{CODE}\n{line}\n"})


Made = Callable[[Mapping[str, str]], Build]


@pytest.fixture
def build(read: Read, session: Session) -> Made:
    """Build an implementation for the default kernel."""

    def build_files(files: Mapping[str, str]) -> Build:
        cache: Cache = session.cache
        return read(files).build(session.kernel(DEFAULT_KERNEL), cache, NullProgress())

    return build_files


def test_a_file_with_the_name_of_the_module_is_built(build: Made) -> None:
    made = build({"tsm-user.c": CODE, "tsm.h": HEADER})
    assert [load.content.name for load in made.modules] == ["tsm-user-module.ko"]


def test_the_header_is_found_beside_a_file_that_includes_it(build: Made) -> None:
    build({"tsm.c": CODE.replace("<linux/tsm.h>", '"tsm.h"'), "tsm.h": HEADER})


def test_warnings_of_the_compiler_are_notes(build: Made) -> None:
    assert build(FLAT).notes == ()
    made = build({**FLAT, "tsm.c": f"{CODE}\nstatic int idle;\n"})
    number = CODE.count("\n") + 2
    [note] = made.notes
    assert note.startswith(f"warning of the compiler: tsm.c:{number}: 'idle' defined but not used")


def test_a_function_that_is_not_exported_is_said(build: Made) -> None:
    text = CODE.replace("EXPORT_SYMBOL_GPL(tsm_register);", "")
    with pytest.raises(BuildError, match=r"defines tsm_register\(\) and does not export it") as at:
        build({**FLAT, "tsm.c": text})
    assert at.value.hint == "add EXPORT_SYMBOL_GPL(tsm_register)"


def test_a_condition_around_the_file_is_said(build: Made) -> None:
    text = f"#if IS_ENABLED(CONFIG_TSM_NEW)\n{CODE}\n#endif\n"
    tail = '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("x");\n'
    with pytest.raises(
        BuildError, match=r"`#if IS_ENABLED\(CONFIG_TSM_NEW\)`, and this kernel has"
    ):
        build({**FLAT, "tsm.c": text + tail})


CONST = """
#include <linux/sysfs.h>
static ssize_t const_read(struct file *file, struct kobject *kobj, const struct bin_attribute *attr,
	char *buf, loff_t offset, size_t count)
{
	return 0;
}
struct bin_attribute const_attr = { .read = const_read };
"""


def test_a_shim_silences_no_other_pointer_error(build: Made) -> None:
    made = build({**FLAT, "tsm.c": CODE + CONST})
    assert [note.partition(":")[0] for note in made.notes] == ["shim"]
    wrong = "\nint (*number)(long);\nvoid set(void);\nvoid set(void)\n{\n\tnumber = kstrdup;\n}\n"
    with pytest.raises(BuildError, match=r"tsm\.c:\d+:\d+: error: .*incompatible pointer type"):
        build({**FLAT, "tsm.c": CODE + CONST + wrong})


def test_a_file_that_was_edited_is_read_again(read: Read) -> None:
    read(FLAT)
    found = read({"tsm.c": f"{CODE}\n/* edited */\n"})
    assert dict(found.files)["tsm.c"].endswith("/* edited */\n")
