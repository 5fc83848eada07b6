# SPDX-License-Identifier: MIT
"""Mails: encodings, attachments, signatures, and which mails are which posting."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import lzma
import mailbox
import quopri
import subprocess
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import UsageError
from harness.mail.choice import choose_posting, concerned_paths, split_selector
from harness.mail.model import Posting
from harness.mail.sources import read_postings
from tests.mails import CODE, TSM, contents, diff, mail, mbox, new_file, only, parse, text

ROOT = Path(__file__).parent.parent
HEADER = "include/linux/tsm.h"
ENCODED = {"Content-Transfer-Encoding": "quoted-printable"}


def encoded(body: str) -> str:
    return quopri.encodestring(body.encode()).decode()


def titles(postings: tuple[Posting, ...]) -> list[tuple[str, int]]:
    return [(posting.subject, posting.version) for posting in postings]


def test_one_encoded_reply_leaves_the_other_mails_as_they_are() -> None:
    plain = mail(body="Set x=3D and a=20b in the text.\n---\n" + new_file(code=["x=3D;", "y ="]))
    reply = mail("Re: [PATCH] tsm: Add it", encoded("a = b\n> +x"), headers=ENCODED)
    for data in (mbox(plain, reply), mbox(reply, plain)):
        assert contents(only(data)) == {TSM: "x=3D;\ny =\n"}


def test_each_mail_is_decoded_by_its_own_headers() -> None:
    header = new_file(HEADER, ["#define X 'é'"])
    in_base64 = base64.encodebytes(header.encode()).decode()
    mails = (
        mail("[PATCH 1/2] tsm", encoded(new_file()), headers=ENCODED),
        mail("[PATCH 2/2] tsm", in_base64, headers={"Content-Transfer-Encoding": "base64"}),
    )
    posting = only(mbox(*mails))
    assert contents(posting) == {TSM: text(), HEADER: "#define X 'é'\n"}
    assert posting.notes == ()


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_charset_of_a_mail_is_decoded(charset: str) -> None:
    kind = {"Content-Type": f"text/plain; charset={charset}"}
    data = mail(body=new_file(code=["/* © */"]), headers=kind).encode(charset)
    assert contents(only(data)) == {TSM: "/* © */\n"}


def test_bytes_that_are_not_utf8_are_kept() -> None:
    data = mail(body=new_file(code=["/* X */"])).encode().replace(b"X", b"\xff\xfe")
    [patch] = only(data).patches
    assert b"+/* \xff\xfe */\n" in patch.diff


@pytest.mark.parametrize("charset", ["no-such-charset", "zlib", "punycode", "utf-8 bytes"])
def test_unknown_charset_is_reported(charset: str) -> None:
    kind = {"Content-Type": f'text/plain; charset="{charset}"'}
    posting = only(mail(headers=kind))
    assert contents(posting) == {TSM: text()}
    assert charset in ("zlib", "punycode") or "claims the charset" in posting.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("source", [new_file(), mail()])
def test_byte_order_mark_of_a_file_is_understood(source: str, encoding: str) -> None:
    assert contents(only(source.encode(encoding))) == {TSM: text()}


def test_byte_order_mark_of_an_attachment_is_removed() -> None:
    message = MIMEMultipart()
    message["Subject"], message["From"] = "[PATCH] tsm", "a@example.com"
    message.attach(MIMEText("See the attachment.\n"))
    message.attach(MIMEApplication(new_file().encode("utf-8-sig"), "octet-stream", name="a.patch"))
    assert contents(only(message.as_bytes())) == {TSM: text()}


@pytest.mark.parametrize("kind", ["x-patch", "x-diff", "plain"])
def test_attached_patches_are_read(kind: str) -> None:
    message = MIMEMultipart()
    message["Subject"], message["From"] = "[PATCH] tsm", "a@example.com"
    message.attach(MIMEText("See the attachments.\n"))
    for content in (new_file(), new_file(HEADER, ["h"])):
        message.attach(MIMEText(content, kind))
    posting = only(message.as_bytes())
    assert contents(posting) == {TSM: text(), HEADER: "h\n"}
    assert len(posting.patches) == 2


def test_patch_that_is_also_attached_counts_once() -> None:
    message = MIMEMultipart()
    message["Subject"] = "[PATCH] tsm"
    message.attach(MIMEText(new_file()))
    message.attach(MIMEText(new_file(), "x-patch"))
    assert len(only(message.as_bytes()).patches) == 1


def test_text_is_preferred_to_html_and_html_alone_is_reported() -> None:
    both = MIMEMultipart("alternative")
    both["Subject"] = "[PATCH] tsm"
    both.attach(MIMEText(new_file()))
    both.attach(MIMEText(f"<pre>{new_file()}</pre>", "html"))
    posting = only(both.as_bytes())
    assert contents(posting) == {TSM: text()}
    assert posting.notes == ()
    html = MIMEText(f"<pre>{new_file()}</pre>", "html")
    html["Subject"] = "[PATCH] tsm"
    with pytest.raises(UsageError, match="left out a part in HTML"):
        parse(html.as_bytes())


@pytest.mark.parametrize("kind", ["pgp", "pkcs7"])
def test_mail_with_a_separate_signature_is_read(kind: str) -> None:
    message = MIMEMultipart("signed", protocol=f"application/{kind}-signature")
    message["Subject"] = "[PATCH] tsm"
    message.attach(MIMEText(new_file()))
    message.attach(MIMEApplication(b"\x30\x82" + new_file().encode(), f"{kind}-signature"))
    assert contents(only(message.as_bytes())) == {TSM: text()}


def test_dashes_of_an_inline_signature_are_unescaped() -> None:
    signed = "".join(
        f"- {line}\n" if line[:1] == "-" else f"{line}\n" for line in diff().split("\n")
    )
    frame = (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{signed}"
        "-----BEGIN PGP SIGNATURE-----\n\niQEz\n=abcd\n-----END PGP SIGNATURE-----\n"
    )
    [patch] = only(mail(body=frame)).patches
    assert patch.diff.decode() == diff()


def test_opaque_signature_is_reported() -> None:
    message = MIMEApplication(b"\x30\x82", "pkcs7-mime")
    message["Subject"] = "[PATCH] tsm"
    with pytest.raises(UsageError, match="left out a part that S/MIME wraps"):
        parse(message.as_bytes())


FLOWED = {"Content-Type": "text/plain; charset=utf-8; format=flowed"}


def stuffed(body: str) -> str:
    return "".join(f" {line}\n" if line[:1] == " " else f"{line}\n" for line in body.split("\n"))


def test_flowed_text_is_joined() -> None:
    broken = stuffed(diff(new="call(a, b)")).replace("call(a, b)", "call(a, \nb)")
    [patch] = only(mail(body=broken, headers=FLOWED)).patches
    assert patch.diff.decode() == diff(new="call(a, b)")
    deleted = broken.replace("call(a, \n", "call(a,  \n")
    kind = {"Content-Type": FLOWED["Content-Type"] + "; delsp=yes"}
    [patch] = only(mail(body=deleted, headers=kind)).patches
    assert patch.diff.decode() == diff(new="call(a, b)")


def test_text_that_only_claims_to_be_flowed_is_not_decoded() -> None:
    [patch] = only(mail(body=diff(new="x "), headers=FLOWED)).patches
    assert patch.diff.decode() == diff(new="x ")


def test_windows_line_ends_of_a_mailbox_are_accepted() -> None:
    data = mbox(mail(), mail("Re: [PATCH] tsm: Add it")).replace(b"\n", b"\r\n")
    assert contents(only(data)) == {TSM: text()}


@pytest.mark.parametrize("character", ["\f", "\v", "\x1c", "\x85", "\u2028", "\u2029", "\r"])
def test_only_line_feeds_end_lines(character: str) -> None:
    code = ["/* a", f" * b{character}c */", "int x;"]
    posting = only(mail(body=new_file(code=code)))
    assert contents(posting) == {TSM: text(code)}
    assert posting.notes == ()


REPLIES = [
    "Re: [PATCH] tsm: Add it",
    "RE: [PATCH] tsm: Add it",
    "AW: [PATCH] tsm: Add it",
    "SV: [PATCH] tsm: Add it",
    "Re[2]: [PATCH] tsm: Add it",
    "[list] Re: [PATCH] tsm: Add it",
    "=?utf-8?q?Re=3A_=5BPATCH=5D_tsm=3A_Add_it?=",
    "=?utf-8?b?UmU6IFtQQVRDSF0gdHNtOiBBZGQgaXQ=?=",
    "回复: [PATCH] tsm: Add it",
    "How about this?",
    "[PATCH] tsm: Add it",
]


@pytest.mark.parametrize("subject", REPLIES)
@pytest.mark.parametrize("is_first", [False, True])
def test_hunk_of_a_reply_is_not_applied(subject: str, is_first: bool) -> None:
    hunk = new_file(code=["what a reviewer proposes"])
    mails = [
        mail(ident="1"),
        mail(subject, hunk, ident="2", parent="1", author="Remy <remy@example.com>", hour=12),
    ]
    posting = only(mbox(*(mails[::-1] if is_first else mails)))
    assert contents(posting) == {TSM: text()}


def test_diff_of_a_remark_is_reported() -> None:
    data = mbox(mail(ident="1"), mail("How about this?", ident="2", parent="1"))
    assert only(data).notes == ("left out a diff in 'How about this?', which is no posting",)


def test_mail_without_a_tag_is_a_posting_where_no_mail_has_one() -> None:
    assert only(mail("tsm: Add it")).subject == "tsm: Add it"


SERIES = [
    mail("[PATCH 0/2] tsm", "A cover letter.\n" + diff(), ident="v1-0", hour=1),
    mail("[PATCH 1/2] tsm: a", new_file(), ident="v1-1", parent="v1-0", hour=1),
    mail("[PATCH 2/2] tsm: b", new_file(HEADER, ["h1"]), ident="v1-2", parent="v1-0", hour=1),
    mail("Re: [PATCH 1/2] tsm: a", diff(), ident="r", parent="v1-1", hour=2),
    mail("[PATCH v2 1/2] tsm: a", new_file(code=["v2"]), ident="v2-1", parent="v1-0", hour=3),
    mail("[PATCH v2 2/2] tsm: b", new_file(HEADER, ["h2"]), ident="v2-2", parent="v2-1", hour=3),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(6)))[::37])
def test_thread_in_any_order_has_the_same_postings(order: tuple[int, ...]) -> None:
    first, second = parse(mbox(*(SERIES[at] for at in order)))
    assert contents(first) == {TSM: text(), HEADER: "h1\n"}
    assert contents(second) == {TSM: "v2\n", HEADER: "h2\n"}
    assert (first.version, second.version) == (1, 2)
    assert (first.message_id, second.message_id) == ("v1-0@example.com", "v2-1@example.com")
    assert [patch.number for patch in first.patches] == [1, 2]
    assert first.notes == second.notes == ()


def test_series_that_is_sent_again_is_a_posting_of_its_own() -> None:
    again = [
        mail(f"[PATCH {tag}{n}/2] tsm", new_file(f"coco/{n}.c", [tag]), ident=f"{tag}{n}",
             parent=f"{tag}0", hour=hour)
        for hour, tag in enumerate(("", "RESEND "), 5) for n in (1, 2)
    ]  # fmt: skip
    first, second = parse(mbox(*again))
    assert [len(posting.patches) for posting in (first, second)] == [2, 2]
    assert contents(second)["coco/1.c"] == "RESEND \n"


def test_two_series_of_equal_length_are_told_apart_by_thread() -> None:
    mails = [
        mail(f"[PATCH {n}/2] {name}", new_file(f"{name}{n}.c", [name]), ident=f"{name}{n}",
             parent="" if n == 1 else f"{name}1", hour=hour)
        for hour, name in enumerate("ab", 5) for n in (1, 2)
    ]  # fmt: skip
    for order in (mails, mails[::-1], [mails[at] for at in (0, 2, 3, 1)]):
        assert [posting.paths for posting in parse(mbox(*order))] == [
            ("a1.c", "a2.c"),
            ("b1.c", "b2.c"),
        ]


def test_missing_patches_are_reported() -> None:
    posting = only(mail("[PATCH v2 2/4] tsm"))
    assert posting.notes == ("of 4 patches, these are missing: 1, 3, 4",)


def test_copies_of_a_mail_count_once() -> None:
    assert len(only(mbox(mail(), mail())).patches) == 1


def test_line_that_begins_with_from_does_not_split_a_mail() -> None:
    body = "Some text.\n\nFrom here on, it works:\n\nFrom 10:00 to 12:00 it does not.\n---\n"
    assert contents(only(mail(body=body + new_file()))) == {TSM: text()}


def test_bytes_of_a_posting_say_who_sent_it_and_when() -> None:
    posting = only(mail("=?utf-8?q?=5BPATCH_v3=5D_tsm=3A_Gr=C3=BC=C3=9Fe?="))
    assert posting.subject == "tsm: Grüße"
    assert posting.version == 3
    assert posting.author == "Ada Author <ada@example.com>"
    assert posting.date == "Mon, 02 Mar 2026 10:00:00 +0000"


# Sources.


def test_compressed_archives_are_read(tmp_path: Path) -> None:
    for name, data in (
        ("t.mbox.gz", gzip.compress(mbox(*SERIES))),
        ("t.xz", lzma.compress(mbox(*SERIES))),
    ):
        (tmp_path / name).write_bytes(data)
        assert titles(read_postings(str(tmp_path / name))) == [("tsm", 1), ("tsm: a", 2)]
    both = lzma.compress(mbox(*SERIES[:3])) + lzma.compress(mbox(*SERIES[3:]))
    (tmp_path / "t.xz").write_bytes(both)
    assert len(read_postings(str(tmp_path / "t.xz"))) == 2


@pytest.mark.parametrize("damage", [slice(0, 60), slice(0, -1)])
@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_damaged_archive_is_refused(compress: object, damage: slice, tmp_path: Path) -> None:
    assert callable(compress)
    (tmp_path / "t").write_bytes(compress(mbox(*SERIES))[damage])
    with pytest.raises(UsageError, match="cannot be decompressed"):
        read_postings(str(tmp_path / "t"))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(buffer=io.BytesIO(gzip.compress(mail().encode())))
    monkeypatch.setattr("sys.stdin", stream)
    [posting] = read_postings("-")
    assert contents(posting) == {TSM: text()}


def test_maildir_is_read(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    for each in SERIES:
        box.add(each.partition("\n")[2].encode())
    assert titles(read_postings(str(tmp_path / "box"))) == [("tsm", 1), ("tsm: a", 2)]


def exported(tmp_path: Path, *options: str) -> Path:
    """The directory that git format-patch writes for three commits."""
    tree, output = tmp_path / "tree", tmp_path / "out"
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    if not tree.exists():
        subprocess.run(["git", "init", "-q", tree], check=True)
        for number, content in enumerate(("start", "one", "two"), 1):
            (tree / TSM).parent.mkdir(parents=True, exist_ok=True)
            (tree / TSM).write_text(f"{content}\n")
            (tree / f"{number}.c").write_text("x\n")
            subprocess.run(["git", "-C", tree, "add", "."], check=True)
            commit = ["commit", "-q", "-m", f"tsm: {content}"]
            subprocess.run(["git", "-C", tree, *identity, *commit], check=True)
    command = ["format-patch", "-q", "--root", "-o", str(output), *options]
    subprocess.run(["git", "-C", tree, *identity, *command], check=True)
    return output


@pytest.mark.parametrize(
    "options", [(), ("--cover-letter",), ("-N",), ("-N", "--cover-letter"), ("-v2",)]
)
def test_directory_of_format_patch_is_one_posting(tmp_path: Path, options: tuple[str, ...]) -> None:
    [posting] = read_postings(str(exported(tmp_path, *options)))
    assert contents(posting) == {TSM: "two\n", "1.c": "x\n", "2.c": "x\n", "3.c": "x\n"}
    assert len(posting.patches) == 3
    assert posting.notes == ()


def test_two_versions_side_by_side_are_refused(tmp_path: Path) -> None:
    exported(tmp_path)
    directory = exported(tmp_path, "-v2")
    with pytest.raises(UsageError, match=r"version 1: 'tsm: start' and version 2: 'tsm: start'"):
        read_postings(str(directory))


def test_series_of_one_file_is_one_posting(tmp_path: Path) -> None:
    directory = exported(tmp_path, "-N")
    stream = b"".join(file.read_bytes() for file in sorted(directory.iterdir()))
    assert contents(only(stream))[TSM] == "two\n"


def test_quilt_directory_is_read_in_the_order_of_its_series(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text("second\n\n" + change_of_first())
    (tmp_path / "z.patch").write_text("first\n\n" + new_file(code=["one"]))
    (tmp_path / "series").write_text("# a comment\nz.patch\na.patch -p1\n")
    [posting] = read_postings(str(tmp_path))
    assert contents(posting) == {TSM: "two\n"}
    (tmp_path / "series").write_text("../z.patch\n")
    with pytest.raises(UsageError, match="outside of its directory"):
        read_postings(str(tmp_path))


def change_of_first() -> str:
    names = f"--- linux.orig/{TSM}\t2026-01-01 10:00:00.000000000 +0100\n+++ linux/{TSM}\n"
    return f"Index: linux/{TSM}\n{'=' * 67}\n{names}@@ -1 +1 @@\n-one\n+two\n"


@pytest.mark.parametrize("source", ["/nowhere", "/dev/zero", "a\0b", "/etc/hostname", "x" * 5000])
def test_source_without_a_patch_is_refused(source: str) -> None:
    with pytest.raises(UsageError):
        read_postings(source)


def test_thread_with_replies_only_is_refused() -> None:
    with pytest.raises(UsageError, match="1 of its mails have a diff, and are replies"):
        parse(mbox(mail("Re: [PATCH] tsm: Add it")))


# b4.


def fake_b4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "b4"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_message_id_is_fetched_with_b4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thread").write_bytes(mbox(*SERIES))
    fake_b4(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/args; cp {tmp_path}/thread "$3/t.mbx"')
    for ident in ("<v1-2@example.com>", "v1-2@example.com"):
        [posting] = read_postings(ident)
        assert contents(posting)[HEADER] == "h1\n"
    assert (tmp_path / "args").read_text().split()[::4] == ["mbox", "v1-2@example.com"]


def test_message_id_needs_b4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs b4, which is not installed"):
        read_postings("<v1-2@example.com>")


def test_message_of_b4_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_b4(tmp_path, monkeypatch, "echo no such message >&2; exit 1")
    with pytest.raises(UsageError, match="no such message"):
        read_postings("<v1-2@example.com>")


# Selection.


def test_posting_is_chosen_by_number_and_version() -> None:
    postings = parse(mbox(*SERIES))
    assert choose_posting(postings, "1").version == 1
    assert choose_posting(postings, "2").version == 2
    assert choose_posting(postings, "v2").version == 2
    assert choose_posting(postings, "v2").notes == ()


@pytest.mark.parametrize("selector", ["0", "3", "9", "v3", "v0", "x", "v", "02x"])
def test_wrong_selector_lists_the_postings(selector: str) -> None:
    postings = parse(mbox(*SERIES))
    with pytest.raises(UsageError, match=f"no posting for #{selector}") as caught:
        choose_posting(postings, selector)
    assert "#1 tsm (2 patches, Ada Author <ada@example.com>); #2 tsm: a (v2" in caught.value.hint


def test_number_beyond_the_only_posting_is_refused() -> None:
    with pytest.raises(UsageError, match="no posting for #9"):
        choose_posting(parse(mail()), "9")


def test_version_that_two_series_have_is_refused() -> None:
    postings = parse(mbox(mail("[PATCH v2] a"), mail("[PATCH v2] b")))
    with pytest.raises(UsageError, match="2 postings, and one is wanted"):
        choose_posting(postings, "v2")


def test_first_posting_that_changes_the_interface_is_chosen() -> None:
    other = mail("[PATCH] mm: Fix it", diff("mm/slub.c"), hour=8)
    chosen = choose_posting(parse(mbox(other, mail())))
    assert chosen.subject == "tsm: Add it"
    assert chosen.notes[0].startswith("used: #2 tsm: Add it")
    assert chosen.notes[1].startswith("not used: #1 mm: Fix it")
    assert choose_posting(parse(other)).subject == "mm: Fix it"


def test_incomplete_posting_is_not_chosen() -> None:
    cut = mail("[PATCH] tsm: cut", new_file()[:-4], hour=8)
    postings = parse(mbox(cut, mail("[PATCH v2] tsm: whole")))
    assert choose_posting(postings).subject == "tsm: whole"
    with pytest.raises(
        UsageError, match="'tsm: cut' is incomplete: the change of drivers/virt/coco"
    ):
        choose_posting(postings, "1")


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (diff(TSM) + diff("mm/slub.c") + diff("drivers/virt/coco/Kconfig"), (TSM,)),
        (diff("drivers/virt/coco/guest/report.c"), ("drivers/virt/coco/guest/report.c",)),
        (diff("include/linux/tsm-mr.h"), ("include/linux/tsm-mr.h",)),
        (diff("include/linux/tsm2.h") + diff("include/linux/tsm/x.h"), ("include/linux/tsm2.h",)),
        (new_file("mine/a.c", ["#include <linux/tsm.h>"]), ("mine/a.c",)),
        (new_file("a.c", ["\treturn tsm_register(&ops, NULL);"]), ("a.c",)),
        (new_file("a.c", ["int x;"]) + new_file("tsm.h", ["int x;"]), ("tsm.h",)),
        (diff("lib/a.c", new="tsm_register(x)"), ()),
    ],
)  # fmt: skip
def test_files_of_the_interface_are_found(body: str, paths: tuple[str, ...]) -> None:
    assert concerned_paths(only(mail(body=body))) == paths


def test_selector_is_split_from_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a#2").touch()
    assert split_selector("a#2") == ("a#2", "")
    assert split_selector("a#2#v3") == ("a#2", "v3")
    assert split_selector("b#9") == ("b", "9")
    assert split_selector("-#2") == ("-", "2")
    assert split_selector("b") == ("b", "")


def test_example_has_two_postings() -> None:
    first, second = read_postings(str(ROOT / "examples" / "review" / "thread.mbox"))
    assert (first.version, second.version) == (1, 2)
    assert set(contents(first)) == set(contents(second)) == {TSM, HEADER}


def test_message_of_python_is_read() -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "[PATCH] Grüße", "Ä <a@example.com>"
    message.set_content(new_file(code=[*CODE, "/* ä " + "x" * 990 + " */"]))
    assert TSM in contents(only(message.as_bytes()))
