# SPDX-License-Identifier: MIT
"""Patches: new files, changes of these in a series, and damage by mail programs."""

from __future__ import annotations

import difflib
import html
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.implementations.patch import read_patch

TSM = "drivers/virt/coco/tsm.c"
CODE = [
    "/* an implementation */",
    "#include <linux/tsm.h>",
    "",
    "static int answer(struct device *dev, const char *a_rather_long_name,",
    "\t\t  int b)",
    "{",
    "\treturn a < b && b == 42;",
    "}",
]


def patch(path: str = TSM, code: list[str] = CODE) -> str:
    body = "".join(f"+{line}\n" for line in code)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(code)} @@\n{body}"
    )


def text(code: list[str] = CODE) -> str:
    return "".join(f"{line}\n" for line in code)


def files_in(data: str) -> dict[str, str]:
    return read_patch(data.encode()).files


def test_new_files_of_a_diff_are_read() -> None:
    parsed = read_patch((patch() + patch("include/linux/tsm.h", ["#define X 1"])).encode())
    assert parsed.files == {
        TSM: text(),
        "include/linux/tsm.h": "#define X 1\n",
    }
    assert parsed.repairs == []


def test_changes_of_existing_files_are_ignored() -> None:
    change = "--- a/drivers/virt/Kconfig\n+++ b/drivers/virt/Kconfig\n@@ -1,2 +1,3 @@\n a\n+b\n c\n"
    assert files_in(change + patch() + change) == {TSM: text()}


def test_first_version_is_read_unless_another_is_selected() -> None:
    thread = "".join(patch(code=[f"v{n}"]) for n in (1, 2)) + patch("include/linux/tsm.h", ["h"])
    for version, content in ((1, "v1"), (2, "v2"), (3, "v2")):
        files = read_patch(thread.encode(), version).files
        assert files == {TSM: f"{content}\n", "include/linux/tsm.h": "h\n"}


def test_quoted_lines_of_a_thread_are_ignored() -> None:
    reply = "On Monday a reviewer wrote:\n" + "".join(
        f"> {line}\n" for line in patch(code=["quoted"]).splitlines()
    )
    mail = f"From: a\nSubject: [PATCH v2 2/5] tsm\n\nText.\n---\n\n{patch()}-- \n2.40\n\n{reply}"
    assert files_in(reply + mail + reply) == {TSM: text()}


def test_incomplete_version_is_ignored() -> None:
    cut = "\n".join(patch(code=["first", "cut"]).splitlines()[:-1]) + "\n"
    assert files_in(cut + patch() + patch(code=["later"])) == {TSM: text()}
    assert files_in(cut) == {}


def test_wrapped_lines_are_joined() -> None:
    damaged = patch().replace("const char *a_rather", "const char\n*a_rather")
    parsed = read_patch(damaged.encode())
    assert parsed.files[TSM] == text()
    assert parsed.repairs == ["joined wrapped lines"]


def test_wrapped_last_line_is_joined() -> None:
    code = ["int f(int a,", "int b);"]
    damaged = patch(code=["int f(int a,"]).rstrip("\n") + "\nint b);\n"
    assert files_in(damaged) == {TSM: "int f(int a, int b);\n"}
    assert files_in(patch(code=code)) == {TSM: text(code)}


def test_quoted_printable_is_decoded() -> None:
    encoded = quopri.encodestring(patch().encode()).decode()
    mail = f"Content-Transfer-Encoding: quoted-printable\n\n{encoded}"
    parsed = read_patch(mail.encode())
    assert parsed.files[TSM] == text()
    assert parsed.repairs == ["decoded quoted-printable"]


def test_html_entities_and_non_breaking_spaces_of_a_web_archive_are_replaced() -> None:
    parsed = read_patch(html.escape(patch()).replace("  ", " \xa0").encode())
    assert parsed.files[TSM].splitlines()[1] == "#include <linux/tsm.h>"
    assert "return a < b && b == 42;" in parsed.files[TSM]
    assert parsed.repairs[0] == "replaced HTML entities"


def test_windows_line_ends_are_accepted() -> None:
    assert files_in(patch().replace("\n", "\r\n")) == {TSM: text()}


OLDER, NEWER = ["a", "", "b", "c", "d", "e"], ["a", "", "b", "C", "c2", "d"]


def change(old: list[str] = OLDER, new: list[str] = NEWER, shift: int = 0) -> str:
    body = difflib.unified_diff(old, new, f"a/{TSM}", f"b/{TSM}", lineterm="")
    diff = "".join(f"{line}\n" for line in body)
    return diff.replace("@@ -1,", f"@@ -{1 + shift},")


@pytest.mark.parametrize("shift", [0, 1, 40])
def test_later_patch_of_the_series_changes_the_file(shift: int) -> None:
    series = patch(code=OLDER) + "-- \n2.40\n\nSubject: [PATCH 2/2] tsm\n\n" + change(shift=shift)
    parsed = read_patch(series.encode())
    assert parsed.files == {TSM: text(NEWER)}
    assert parsed.repairs == [f"applied a later change of {TSM}"]


def test_change_in_a_reply_is_not_applied() -> None:
    thread = patch(code=OLDER) + "Subject: Re: [PATCH] tsm\n\nHow about this?\n" + change()
    assert files_in(thread) == {TSM: text(OLDER)}


def test_change_of_another_version_is_not_applied() -> None:
    thread = patch(code=OLDER) + patch(code=["v2"]) + change(["v2"], ["v2", "next"])
    assert files_in(thread) == {TSM: text(OLDER)}
    assert read_patch(thread.encode(), 2).files == {TSM: "v2\nnext\n"}


@pytest.mark.parametrize("damage", [("-b", "-x"), (" d", ""), ("@@ -1,5", "@@ -1,9999999")])
def test_change_that_does_not_apply_is_reported(damage: tuple[str, str]) -> None:
    old = ["a", "b", "c", "d", "e", "f"]
    broken = change(old, ["a", "B", "c", "d", "e", "f"]).replace(*damage)
    parsed = read_patch((patch(code=old) + broken).encode())
    assert parsed.files == {TSM: text(old)}
    assert parsed.repairs == [f"skipped a later change of {TSM}, which does not apply"]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_change_between_any_texts_is_applied(old: list[str], new: list[str]) -> None:
    if old != new and old:
        assert files_in(patch(code=old) + change(old, new)) == {TSM: text(new)}


@given(st.binary(max_size=400), st.integers(0, 300))
def test_random_bytes_raise_no_error(noise: bytes, at: int) -> None:
    whole = patch().encode()
    read_patch(noise)
    read_patch(whole[:at] + noise + whole[at:])


@pytest.mark.parametrize(
    ("count", "files"), [("99999999999999999999", {}), ("0", {TSM: ""}), ("-1", {})]
)
def test_lines_beyond_a_wrong_count_are_not_read(count: str, files: dict[str, str]) -> None:
    wrong = patch().replace(f"+1,{len(CODE)} @@", f"+1,{count} @@")
    assert files_in(wrong) == files
