# SPDX-License-Identifier: MIT
"""Patches: the forms of diffs, changes of new files in a series, and damage by mail programs."""

from __future__ import annotations

import difflib
import html
import quopri
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.implementations.apply import apply_patches
from harness.mail.choice import choose_posting
from harness.mail.file_diffs import created_files
from harness.mail.model import FileChange
from harness.mail.sources import parse_postings
from tests.mails import CODE, TSM, contents, diff, mail, mbox, new_file, only, parse, text

HEADER = "include/linux/tsm.h"


def test_new_files_of_a_diff_are_read() -> None:
    posting = only(new_file() + new_file(HEADER, ["#define X 1"]))
    assert contents(posting) == {TSM: text(), HEADER: "#define X 1\n"}
    assert posting.notes == ()


def test_changes_of_existing_files_are_no_new_files() -> None:
    change = "--- a/drivers/virt/Kconfig\n+++ b/drivers/virt/Kconfig\n@@ -1,2 +1,3 @@\n a\n+b\n c\n"
    posting = only(change + new_file() + change)
    assert contents(posting) == {TSM: text()}
    assert posting.paths == ("drivers/virt/Kconfig", TSM)


def test_file_that_is_created_again_begins_a_posting() -> None:
    versions = [new_file(code=[f"v{n}"]) + new_file(HEADER, ["h"]) for n in (1, 2)]
    first, second = parse("".join(versions))
    assert contents(first) == {TSM: "v1\n", HEADER: "h\n"}
    assert contents(second) == {TSM: "v2\n", HEADER: "h\n"}


def test_quoted_lines_of_a_thread_are_ignored() -> None:
    reply = "On Monday a reviewer wrote:\n" + "".join(
        f"> {line}\n" for line in new_file(code=["quoted"]).splitlines()
    )
    part = f"From: a\nSubject: [PATCH v2 2/5] tsm\n\nText.\n---\n\n{new_file()}-- \n2.40\n\n{reply}"
    posting = only(reply + part + reply)
    assert contents(posting) == {TSM: text()}
    assert (posting.version, posting.author, posting.patches[0].number) == (2, "a", 2)


def test_incomplete_posting_is_not_chosen() -> None:
    cut = "\n".join(new_file(code=["first", "cut"]).splitlines()[:-1]) + "\n"
    chosen = choose_posting(parse(cut + new_file() + new_file(code=["later"])))
    assert contents(chosen) == {TSM: text()}
    with pytest.raises(UsageError, match=f"the change of {TSM} is incomplete: a hunk is cut off"):
        choose_posting(parse(cut))


def test_wrapped_lines_are_joined() -> None:
    damaged = new_file().replace("const char *a_rather", "const char\n*a_rather")
    posting = only(damaged)
    assert contents(posting) == {TSM: text()}
    assert posting.notes == ("joined wrapped lines",)


def test_wrapped_line_of_a_change_is_joined() -> None:
    posting = only(diff(new="call(one, two)").replace("one, two", "one,\ntwo"))
    assert posting.patches[0].diff.decode() == diff(new="call(one, two)")
    assert posting.notes == ("joined wrapped lines",)


def test_wrapped_head_of_a_hunk_is_joined() -> None:
    posting = only(diff().replace("int f(void)", "int\nf(void)"))
    assert posting.patches[0].diff.decode() == diff()


def test_wrapped_last_line_is_joined() -> None:
    code = ["int f(int a,", "int b);"]
    damaged = new_file(code=["int f(int a,"]).rstrip("\n") + "\nint b);\n"
    assert contents(only(damaged)) == {TSM: "int f(int a, int b);\n"}
    assert contents(only(new_file(code=code))) == {TSM: text(code)}


def test_wrapped_head_of_a_file_is_joined() -> None:
    assert contents(only(new_file().replace(" b/drivers", "\nb/drivers", 1))) == {TSM: text()}


def test_quoted_printable_is_decoded() -> None:
    encoded = quopri.encodestring(new_file().encode()).decode()
    posting = only(f"Content-Transfer-Encoding: quoted-printable\n\n{encoded}")
    assert contents(posting) == {TSM: text()}
    assert posting.notes == ()


def test_quoted_printable_without_its_header_is_decoded() -> None:
    posting = only(quopri.encodestring(new_file().encode()).decode())
    assert contents(posting) == {TSM: text()}
    assert posting.notes == ("decoded quoted-printable",)


@pytest.mark.parametrize("code", ["x = 3;", "x =3D 4;", "y ==", "/* =3D */ x = 1;"])
def test_code_that_is_not_encoded_is_kept(code: str) -> None:
    posting = only(new_file(code=[code, "z = 1;"]))
    assert contents(posting) == {TSM: f"{code}\nz = 1;\n"}
    assert posting.notes == ()


def test_html_entities_and_non_breaking_spaces_of_a_web_archive_are_replaced() -> None:
    posting = only(html.escape(new_file()).replace("  ", " \xa0"))
    assert contents(posting)[TSM].splitlines()[1] == "#include <linux/tsm.h>"
    assert "return a < b && b == 42;" in contents(posting)[TSM]
    assert posting.notes == ("replaced HTML entities", "replaced non-breaking spaces")


@pytest.mark.parametrize("code", ['s = "&lt;"; p->x = 1;', "/* a\xa0b */", "x = a && b; // &amp;"])
def test_entities_and_spaces_that_the_author_wrote_are_kept(code: str) -> None:
    posting = only(new_file(code=[code]))
    assert contents(posting) == {TSM: f"{code}\n"}
    assert posting.notes == ()


def test_windows_line_ends_are_accepted() -> None:
    assert contents(only(new_file().replace("\n", "\r\n"))) == {TSM: text()}


OLDER, NEWER = ["a", "", "b", "c", "d", "e"], ["a", "", "b", "C", "c2", "d"]


def change(old: list[str] = OLDER, new: list[str] = NEWER, shift: int = 0) -> str:
    body = difflib.unified_diff(old, new, f"a/{TSM}", f"b/{TSM}", lineterm="")
    changed = "".join(f"{line}\n" for line in body)
    return changed.replace("@@ -1,", f"@@ -{1 + shift},")


@pytest.mark.parametrize("shift", [0, 1, 40])
def test_later_patch_of_the_series_changes_the_file(shift: int) -> None:
    second = "-- \n2.40\n\nSubject: [PATCH 2/2] tsm\n\n" + change(shift=shift)
    posting = only(new_file(code=OLDER) + second)
    assert contents(posting) == {TSM: text(NEWER)}
    assert [patch.number for patch in posting.patches] == [1, 2]


def test_change_in_a_reply_is_not_applied() -> None:
    thread = new_file(code=OLDER) + "Subject: Re: [PATCH] tsm\n\nHow about this?\n" + change()
    assert contents(only(thread)) == {TSM: text(OLDER)}


def test_change_of_another_version_is_not_applied() -> None:
    thread = new_file(code=OLDER) + new_file(code=["v2"]) + change(["v2"], ["v2", "next"])
    first, second = parse(thread)
    assert contents(first) == {TSM: text(OLDER)}
    assert contents(second) == {TSM: "v2\nnext\n"}


FULL = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize("damage", [("-b", "-x"), ("@@ -1,5", "@@ -1,9999999")])
def test_change_that_does_not_apply_is_an_error(damage: tuple[str, str]) -> None:
    broken = change(FULL, ["a", "B", "c", "d", "e", "f"]).replace(*damage)
    with pytest.raises(UsageError, match=r"patch 2 of 2|incomplete"):
        contents(choose_posting(parse(new_file(code=FULL) + broken)))


def test_change_with_damaged_context_is_applied_with_a_note() -> None:
    broken = change(FULL, ["a", "B", "c", "d", "e", "f"]).replace(" d", "")
    posting = choose_posting(parse(new_file(code=FULL) + broken))
    applied = apply_patches({}, posting.patches, created_files(posting))
    assert applied.files == {TSM: text(["a", "B", "c", "d", "e", "f"])}
    assert "applied with one line of context" in applied.notes[0]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_change_between_any_texts_is_applied(old: list[str], new: list[str]) -> None:
    if old not in (new, []) and new:
        assert contents(only(new_file(code=old) + change(old, new))) == {TSM: text(new)}


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_random_bytes_raise_usage_errors_only(noise: bytes, at: int) -> None:
    for whole in (new_file().encode(), mail().encode()):
        for data in (noise, whole[:at] + noise + whole[at:]):
            try:
                parse_postings(data, "noise")
            except UsageError as error:
                assert error.hint


@pytest.mark.parametrize("count", ["99999999999999999999", "0", "-1", "7", "9"])
def test_wrong_count_of_lines_makes_the_posting_incomplete(count: str) -> None:
    wrong = new_file().replace(f"+1,{len(CODE)} @@", f"+1,{count} @@")
    [posting] = parse(wrong)
    assert posting.damaged == (TSM,)
    with pytest.raises(UsageError, match="is incomplete"):
        choose_posting([posting])


# Forms of diffs.

EPOCHS = [
    "1970-01-01 00:00:00.000000000 +0000",
    "1970-01-01 01:00:00.000000000 +0100",
    "1969-12-31 16:00:00.000000000 -0800",
    "Thu Jan  1 00:00:00 1970",
    "Thu Jan 01 00:00:00 1970 +0000",
    "1 Jan 1970 00:00:00 -0000",
]
DATE = "2026-03-02 10:00:00.123456789 +0100"
BODY = "@@ -0,0 +1 @@\n+x\n"


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("blank", ["\t", " "])
def test_epoch_dates_mean_that_there_is_no_file(epoch: str, blank: str) -> None:
    created = f"--- linux.orig/{TSM}{blank}{epoch}\n+++ linux/{TSM}{blank}{DATE}\n{BODY}"
    assert only(created).patches[0].changes == (FileChange("", TSM),)
    assert contents(only(created)) == {TSM: "x\n"}
    removed = f"--- a/{TSM}{blank}{DATE}\n+++ b/{TSM}{blank}{epoch}\n@@ -1 +0,0 @@\n-x\n"
    assert only(removed).patches[0].changes == (FileChange(TSM, ""),)


NAMES = {
    "git": (f"a/{TSM}", f"b/{TSM}"),
    "mnemonic": (f"i/{TSM}", f"w/{TSM}"),
    "no prefix": (TSM, TSM),
    "trees": (f"linux-6.12.orig/{TSM}", f"linux-6.12/{TSM}"),
    "above": (f"linux/{TSM}", f"linux/{TSM}"),
    "backup": (f"{TSM}.orig", TSM),
    "dot": (f"./{TSM}", f"./{TSM}"),
}


@pytest.mark.parametrize("form", NAMES)
def test_prefixes_of_names_are_removed(form: str) -> None:
    old, new = NAMES[form]
    posting = only(f"--- {old}\t{DATE}\n+++ {new}\t{DATE}\n@@ -1 +1 @@\n-x\n+y\n")
    assert posting.patches[0].changes == (FileChange(TSM, TSM),)


def test_index_line_of_cvs_has_the_path() -> None:
    cvs = (
        f"Index: {TSM}\n{'=' * 67}\nRCS file: /cvs/{TSM},v\nretrieving revision 1.1\n"
        "diff -u -r1.1 -r1.2\n--- tsm.c\t2 Mar 2026 09:00:00 -0000\t1.1\n"
        "+++ tsm.c\t2 Mar 2026 10:00:00 -0000\t1.2\n@@ -1 +1 @@\n-x\n+y\n"
    )
    assert only(cvs).paths == (TSM,)


def test_file_of_subversion_that_did_not_exist_is_new() -> None:
    svn = f"Index: {TSM}\n{'=' * 67}\n--- {TSM}\t(nonexistent)\n+++ {TSM}\t(working copy)\n{BODY}"
    assert contents(only(svn)) == {TSM: "x\n"}


def test_mercurial_changesets_are_patches_of_one_posting() -> None:
    def changeset(title: str, body: str) -> str:
        return (
            f"# HG changeset patch\n# User Ada <ada@example.com>\n# Date 1772445600 0\n"
            f"# Node ID 0123456789ab\n# Parent  0000000000000\n{title}\n\nA text.\n\n{body}\n"
        )

    created = f"diff -r 000 -r 111 {TSM}\n--- /dev/null\t{EPOCHS[4]}\n+++ b/{TSM}\t{EPOCHS[4]}\n"
    changed = f"diff --git a/{TSM} b/{TSM}\n--- a/{TSM}\n+++ b/{TSM}\n@@ -1 +1 @@\n-x\n+y\n"
    posting = only(changeset("tsm: first", created + BODY) + changeset("tsm: second", changed))
    assert contents(posting) == {TSM: "y\n"}
    assert [patch.subject for patch in posting.patches] == ["tsm: first", "tsm: second"]
    assert posting.author == "Ada <ada@example.com>"


def test_output_of_git_log_is_read_from_the_oldest_commit() -> None:
    def commit(number: int, body: str) -> str:
        head = f"commit {str(number) * 40}\nAuthor: Ada <ada@example.com>\n"
        return (
            f"{head}Date:   Mon Mar {number} 10:00:00 2026 +0000\n\n    tsm: {number}\n\n{body}\n"
        )

    changed = f"diff --git a/{TSM} b/{TSM}\n--- a/{TSM}\n+++ b/{TSM}\n@@ -1 +1 @@\n-x\n+y\n"
    posting = only(commit(3, changed) + commit(2, new_file(code=["x"])))
    assert contents(posting) == {TSM: "y\n"}
    assert posting.subject == "tsm: 2"


def test_renames_and_modes_are_kept() -> None:
    old, new = TSM, "drivers/virt/coco/guest/report.c"
    rename = (
        f"diff --git a/{old} b/{new}\nsimilarity index 90%\nrename from {old}\nrename to {new}\n"
        f"index 0000001..1111111 100644\n--- a/{old}\n+++ b/{new}\n@@ -1,2 +1,2 @@\n a\n-b\n+B\n"
    )
    mode = "diff --git a/lib/x.sh b/lib/x.sh\nold mode 100644\nnew mode 100755\n"
    pure = "diff --git a/a.c b/b.c\nsimilarity index 100%\nrename from a.c\nrename to b.c\n"
    posting = only(rename + mode + pure)
    [patch] = posting.patches
    assert patch.diff.decode() == rename + mode + pure
    assert patch.changes == (
        FileChange(old, new),
        FileChange("lib/x.sh", "lib/x.sh"),
        FileChange("a.c", "b.c"),
    )


def test_change_after_a_rename_is_applied() -> None:
    new = "drivers/virt/coco/guest/report.c"
    rename = (
        f"diff --git a/{TSM} b/{new}\nsimilarity index 100%\nrename from {TSM}\nrename to {new}\n"
    )
    changed = f"diff --git a/{new} b/{new}\n--- a/{new}\n+++ b/{new}\n@@ -1 +1 @@\n-x\n+y\n"
    bodies = (new_file(code=["x"]), rename, changed)
    mails = [mail(f"[PATCH {n}/3] tsm", body) for n, body in enumerate(bodies, 1)]
    assert contents(only(mbox(*mails))) == {new: "y\n"}


LEFT_OUT = {
    "a combined diff of 'x.c', which only a merge has": "diff --cc x.c\nindex 1,2..3\n--- a/x.c\n"
    "+++ b/x.c\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n",
    "a binary change, x.png": "diff --git a/x.png b/x.png\nnew file mode 100644\nindex 0000000..1\n"
    "GIT binary patch\nliteral 3\nKcmZ\n\nliteral 0\nHcmV\n\n",
    "a binary change, y.png": "diff --git a/y.png b/y.png\nindex 1234567..1234568 100644\n"
    "Binary files a/y.png and b/y.png differ\n",
    "a context diff of 'x.c.orig'": "*** x.c.orig\tMon\n--- x.c\tTue\n***************\n*** 1 ****\n"
    "! a\n--- 1 ----\n! b\n",
    "a symbolic link or submodule, l": "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n"
    "+++ b/l\n@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n",
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_diff_that_cannot_be_applied_is_reported(what: str) -> None:
    for body in (LEFT_OUT[what] + new_file(), new_file() + LEFT_OUT[what]):
        posting = only(body)
        assert contents(posting) == {TSM: text()}
        assert posting.notes == (f"left out {what}",)


def test_missing_line_feed_at_the_end_is_kept() -> None:
    assert contents(only(new_file() + "\\ No newline at end of file\n"))[TSM] == text()[:-1]


def test_blank_context_lines_without_their_space_are_accepted() -> None:
    assert only(diff().replace(" \ta;", "")).patches[0].diff.decode() == diff().replace("\ta;", "")


def test_diff_of_git_is_normalised_to_itself(tmp_path: Path) -> None:
    """What git writes for created, changed, renamed, removed and odd files, git applies again."""
    for tree, files in (("a", {"x": "1\n", "r": "r\n" * 9, "d": "d"}), ("b", {"x": "2", "n": ""})):
        for name, content in files.items():
            (tmp_path / tree / "lib").mkdir(parents=True, exist_ok=True)
            (tmp_path / tree / "lib" / name).write_text(content)
    (tmp_path / "b/lib/moved").write_text("r\n" * 9)
    command = ["git", "diff", "--no-index", "--no-prefix", "-M", "a", "b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    [patch] = only(done.stdout).patches
    (tmp_path / "a" / ".git").mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path / "a", check=True)
    subprocess.run(["git", "apply", "-"], input=patch.diff, cwd=tmp_path / "a", check=True)
    command = ["diff", "-r", "-x.git", "a/lib", "b/lib"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


# Threads as text.

MARKDOWN = """\
# [PATCH v2 1/2] tsm: one

**From:** Ada Author <ada@example.com>
**Date:** Mon, 02 Mar 2026 10:00:00 +0000

Some words.

```diff
{one}```

## Re: [PATCH v2 1/2] tsm: one

- From: Remy <remy@example.com>

> +quoted

```diff
{hunk}```

# [PATCH v2 2/2] tsm: two

```diff
{two}```

### Review by Remy

{hunk}
"""


def test_markdown_of_a_thread_is_read() -> None:
    one, two = new_file(code=["x"]), new_file(HEADER, ["h"])
    hunk = f"--- a/{TSM}\n+++ b/{TSM}\n@@ -1 +1 @@\n-x\n+what a reviewer proposes\n"
    posting = only(MARKDOWN.format(one=one, two=two, hunk=hunk))
    assert contents(posting) == {TSM: "x\n", HEADER: "h\n"}
    assert (posting.version, posting.author) == (2, "Ada Author <ada@example.com>")
    indented = re.sub(r"(?m)^(?=.)", "    ", one)
    posting = only(f"# [PATCH] tsm\n\nText.\n\n{indented}")
    assert contents(posting) == {TSM: "x\n"}
    assert posting.notes == ("removed the indentation of code",)


def test_text_of_a_web_page_is_read() -> None:
    page = (
        f"From: Ada <ada@example.com>\nTo: list\nSubject: [PATCH 1/2] one\n\n{new_file()}\n"
        f"From: Ada <ada@example.com>\nSubject: [PATCH 2/2] two\n\n{new_file(HEADER, ['h'])}\n"
        f"From: Remy <remy@example.com>\nSubject: AW: [PATCH 2/2] two\n\n{new_file(code=['no'])}\n"
    )
    assert contents(only("The thread\n\n" + page)) == {TSM: text(), HEADER: "h\n"}
    assert only(page).author == "Ada <ada@example.com>"


def test_commands_in_a_description_do_not_hide_the_patch() -> None:
    shell = "# modprobe tsm\n# cat /sys/kernel/config/tsm\n\n"
    assert contents(only(shell + new_file())) == {TSM: text()}
    assert contents(only("tsm: Add it\n\n" + shell + new_file())) == {TSM: text()}


def test_line_of_a_description_that_looks_like_a_head_is_ignored() -> None:
    posting = only(f"See\ndiff --git a/x.c b/x.c\nfor more.\n\n{new_file()}")
    assert posting.paths == (TSM,)
    assert posting.notes == ()


@pytest.mark.parametrize(
    "body",
    [
        "diff --git a/x.c b/x.c\nindex 0000001..1111111 100644\n",
        "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n b\n",
        "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@ a\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n",
    ],
)
def test_diff_that_changes_nothing_is_incomplete(body: str) -> None:
    [posting] = parse(body)
    assert posting.damaged == ("x.c",)


# Names.


@pytest.mark.parametrize(
    "name",
    [
        *("../x.c", "a/../../x.c", "/etc/passwd", "a//x.c", ".git/config", "a/.GIT/hooks/x"),
        *("-x.c", "a b.c", "x;reboot.c", "$(reboot).c", "`x`.c", "x\x01.c", "x\x1b[2J.c", "é.c"),
        *("x|y.c", "x*.c", "x?.c", "a/./x.c", "x" * 300, "a/" * 600 + "x.c", "x\u202ec.c"),
    ],
)
def test_harmful_name_is_refused(name: str) -> None:
    plain = f"--- /dev/null\n+++ b/{name}\n{BODY}"
    quoted = "".join(f"\\{byte:03o}" for byte in name.encode())
    git = f'diff --git "a/{quoted}" "b/{quoted}"\nnew file mode 100644\n'
    for body in (plain, git + f'--- /dev/null\n+++ "b/{quoted}"\n{BODY}', git):
        with pytest.raises(UsageError, match="names a file that is refused: '") as caught:
            parse(body)
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()


def test_name_that_is_not_utf8_is_refused_with_escapes() -> None:
    data = f"--- /dev/null\n+++ b/x\n{BODY}".encode().replace(b"b/x", b"b/\xff.c")
    with pytest.raises(UsageError, match=r"'\\udcff\.c'"):
        parse(data)


@pytest.mark.parametrize("name", ["a/B_c-d+e,f@g=h.c", "Documentation/x.rst", "lib/x#y.c", "x~y.c"])
def test_names_of_the_kernel_are_accepted(name: str) -> None:
    assert only(f"--- /dev/null\n+++ b/{name}\n{BODY}").paths == (name,)


@pytest.mark.parametrize("end", ["from", "to"])
def test_harmful_name_of_a_rename_is_refused(end: str) -> None:
    names = {"from": "a.c", "to": "b.c"} | {end: "../x.c"}
    rename = f"rename from {names['from']}\nrename to {names['to']}\n"
    with pytest.raises(UsageError, match="refused"):
        parse(f"diff --git a/a.c b/b.c\nsimilarity index 100%\n{rename}")
