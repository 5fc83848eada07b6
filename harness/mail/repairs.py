# SPDX-License-Identifier: MIT
"""Undoes what mail programs and web archives did to a patch; the caller reports each repair."""

from __future__ import annotations

import quopri
import re

from harness.mail.text import to_bytes

__all__ = [
    "decode_quoted_printable",
    "join_flowed",
    "remove_dash_escapes",
    "remove_indentation",
    "replace_entities",
    "replace_spaces",
]

_ADDED_LINE = re.compile(r"^\+(.*)$", re.MULTILINE)
_ENCODED = re.compile("=(3D|09|20|[89A-F][0-9A-F])")
_BARE_EQUALS = re.compile("=(?![0-9A-F]{2}|$)", re.MULTILINE)
_ENTITY = re.compile(r"&(lt|gt|amp|quot|nbsp|#39|#x27|#34|#160);")
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "nbsp": " ", "#160": " "} | {
    "#39": "'", "#x27": "'", "#34": '"',
}  # fmt: skip
# A mail program replaces blanks of an indentation; a lone one between words may be the author's.
_NO_BREAK = re.compile("\xa0(?=[ \t\xa0])|(?<=[ \t\xa0])\xa0|^\xa0|(?<=^[+-])\xa0")
_INDENTED_HEAD = re.compile(r"^ {4}(diff --git |--- (a/|/dev/null))", re.MULTILINE)
_HEAD = re.compile(r"^(diff --git |--- (a/|/dev/null))", re.MULTILINE)
_SIGNED = re.compile(
    r"^-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z]+: .*\n)*\n"
    r"(?P<text>(?:(?!-----).*\n)*)-----BEGIN PGP SIGNATURE-----\n(?:(?!-----).*\n)*"
    r"-----END PGP SIGNATURE-----$",
    re.MULTILINE,
)


def replace_entities(text: str) -> str:
    """Replace HTML entities when the added lines have no bare ``<``, ``>`` or ``&``.

    Code that has them beside entities really contains the entities.
    """
    added = "\n".join(_ADDED_LINE.findall(text)) if "&" in text else ""
    if not _ENTITY.search(added) or re.search(r"[<>]|&(?!#?\w+;)", added):
        return text
    return _ENTITY.sub(lambda found: _CHARACTERS[found[1]], text)


def replace_spaces(line: str) -> str:
    """Replace non-breaking spaces that stand beside other white space or begin the line."""
    return _NO_BREAK.sub(" ", line) if "\xa0" in line else line


def join_flowed(text: str, *, delete_space: bool = False) -> str:
    """Decode format=flowed (RFC 3676): join lines at soft breaks, remove stuffed spaces."""
    joined: list[str] = []
    is_open, depth = False, 0
    for line in text.split("\n"):
        quotes = len(line) - len(line.lstrip(">"))
        content = line[quotes:]
        content = content.removeprefix(" ")
        is_soft = content.endswith(" ") and content != "-- "
        if is_soft and delete_space:
            content = content[:-1]
        if is_open and quotes == depth and content != "-- ":
            joined[-1] += content
        else:
            joined.append(">" * quotes + (" " if quotes else "") + content)
        is_open, depth = is_soft, quotes
    return "\n".join(joined)


def decode_quoted_printable(text: str) -> str:
    """Decode a text that was saved without the header that says how it is encoded.

    In such a text no added line has ``=`` in another place than before two digits or at the end.
    """
    added = "\n".join(_ADDED_LINE.findall(text)) if "=" in text else ""
    if not _ENCODED.search(added) or _BARE_EQUALS.search(added):
        return text
    raw = quopri.decodestring(to_bytes(text))
    return raw.decode("utf-8", "surrogateescape")


def remove_dash_escapes(text: str) -> str:
    """Remove the frame of a text that is signed by PGP, and the ``- `` before lines with a dash."""
    return _SIGNED.sub(lambda found: re.sub(r"(?m)^- ", "", found["text"]), text)


def remove_indentation(text: str) -> str:
    """Remove four blanks before each line where that is how Markdown marks the code."""
    if _HEAD.search(text) or not _INDENTED_HEAD.search(text):
        return text
    return re.sub(r"(?m)^ {4}", "", text)
