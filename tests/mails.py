# SPDX-License-Identifier: MIT
"""Makes diffs and mails for the tests of the room `mail`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.implementations.apply import apply_patches
from harness.mail.file_diffs import created_files
from harness.mail.model import Posting
from harness.mail.sources import parse_postings

__all__ = ["CODE", "TSM", "contents", "diff", "mail", "mbox", "new_file", "only", "parse", "text"]

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


def new_file(path: str = TSM, code: Sequence[str] = CODE) -> str:
    """A diff that creates a file."""
    body = "".join(f"+{line}\n" for line in code)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(code)} @@\n{body}"
    )


def diff(path: str = TSM, old: str = "b", new: str = "B") -> str:
    """A diff that changes a line of an existing file."""
    return (
        f"diff --git a/{path} b/{path}\nindex 0000001..1111111 100644\n"
        f"--- a/{path}\n+++ b/{path}\n"
        f"@@ -10,3 +10,3 @@ int f(void)\n \ta;\n-\t{old};\n+\t{new};\n \tc;\n"
    )


def text(code: Sequence[str] = CODE) -> str:
    """The text of a file with these lines."""
    return "".join(f"{line}\n" for line in code)


def mail(
    subject: str = "[PATCH] tsm: Add it",
    body: str = "",
    *,
    ident: str = "",
    parent: str = "",
    author: str = "Ada Author <ada@example.com>",
    hour: int = 10,
    headers: Mapping[str, str] | None = None,
) -> str:
    """A mail as an archive has it, with the line that separates mails in an mbox."""
    head = {
        "From": author,
        "Subject": subject,
        "Date": f"Mon, 02 Mar 2026 {hour:02}:00:00 +0000",
        "Message-ID": f"<{ident or subject.replace(' ', '.')}@example.com>",
    } | ({"In-Reply-To": f"<{parent}@example.com>"} if parent else {})
    lines = "".join(f"{name}: {value}\n" for name, value in (head | dict(headers or {})).items())
    return f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{lines}\n{body or new_file()}-- \n2.40\n\n"


def mbox(*mails: str) -> bytes:
    """An mbox of mails."""
    return "".join(mails).encode()


def parse(data: bytes | str) -> tuple[Posting, ...]:
    """The postings in bytes."""
    return parse_postings(data.encode() if isinstance(data, str) else data, "a test")


def only(data: bytes | str) -> Posting:
    """The one posting in bytes."""
    [posting] = parse(data)
    return posting


def contents(posting: Posting) -> dict[str, str]:
    """The files that a posting creates."""
    return dict(apply_patches({}, posting.patches, created_files(posting)).files)
