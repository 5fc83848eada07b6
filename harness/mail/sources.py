# SPDX-License-Identifier: MIT
"""From what a user names (a file, a directory, standard input, a message id) to postings."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import UsageError
from harness.mail.b4 import fetch_thread, is_message_id
from harness.mail.files import MAX_BYTES, read_file, read_standard_input
from harness.mail.message import Mail, looks_like_mail, read_mail
from harness.mail.model import Posting
from harness.mail.sections import read_text
from harness.mail.text import decode_text, to_bytes
from harness.mail.threads import postings_of

__all__ = ["parse_postings", "position_of", "read_postings"]

_MAX_MAILS = 5000
_MAX_FILES = 2000
_PATCH_FILE = re.compile(r".+\.(patch|diff|eml|mbox|mbx|txt|md)(\.gz|\.xz)?$|\d{1,6}$|\d{4}-.+")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_postings(source: str) -> tuple[Posting, ...]:
    """Read every posting of a path, of ``-`` (standard input), or of a message id.

    A message id gives the posting that the mail belongs to, and needs b4. Raises
    :class:`UsageError` when there is no posting, or for bytes that exceed a limit.
    """
    if source == "-":
        return parse_postings(read_standard_input(), "standard input")
    try:
        path = Path(source)
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {source!a}: {error}", hint="name a file, or give - for standard input"
        ) from error
    if not exists and is_message_id(source):
        return _postings_around(source.strip("<>"))
    if path.is_dir():
        return _read_directory(path)
    return parse_postings(read_file(path), str(path))


def parse_postings(data: bytes, name: str) -> tuple[Posting, ...]:
    """Read the postings in bytes; ``name`` says where they are from."""
    mails = list(_mails(data))
    return _require(postings_of(mails), mails, name)


def _require(
    postings: tuple[Posting, ...], mails: Sequence[Mail], name: str
) -> tuple[Posting, ...]:
    if postings:
        return postings
    notes = [note for mail in mails for note in mail.notes]
    replies = sum(1 for mail in mails if any(mail.patches))
    what = f"{name} has no patch"
    if replies:
        what += f" that is posted: {replies} of its mails have a diff, and are replies"
    raise UsageError(
        "; ".join([what, *dict.fromkeys(notes[:5])]),
        hint="give mails with a unified diff, or the output of git format-patch",
    )


def _mails(data: bytes) -> Iterator[Mail]:
    if data.startswith(_UTF16):
        data = to_bytes(decode_text(data)[0])
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not looks_like_mail(data):
        yield from read_text(data)
    elif data.startswith(b"From "):
        for raw in _split_mbox(data):
            yield from read_mail(raw)
    else:
        yield from read_mail(data)


def _split_mbox(data: bytes) -> list[bytes]:
    """The mails of an mbox. A line of a text that begins with ``From `` begins no mail."""
    with TemporaryDirectory(prefix="tsm-harness-mail-") as folder:
        file = Path(folder) / "mbox"
        file.write_bytes(data)
        box = mailbox.mbox(file, create=False)
        try:
            pieces = [box.get_bytes(key, from_=True) for key in box.iterkeys()]
        finally:
            box.close()
    mails: list[list[bytes]] = []
    for piece in pieces:
        if looks_like_mail(piece) or not mails:
            mails.append([piece])
        else:
            mails[-1].append(piece)
    if len(mails) > _MAX_MAILS:
        raise UsageError(
            f"the mailbox has more than {_MAX_MAILS} mails", hint="give the mails of one thread"
        )
    return [b"\n".join(pieces) for pieces in mails]


def _read_directory(path: Path) -> tuple[Posting, ...]:
    if (path / "cur").is_dir() or (path / "new").is_dir():
        files = sorted(file for part in ("cur", "new") for file in (path / part).glob("*"))
        mails = [mail for data in _contents(files) for mail in _mails(data)]
        return _require(postings_of(mails), mails, str(path))
    files = _quilt_series(path) or sorted(
        (file for file in path.iterdir() if _PATCH_FILE.fullmatch(file.name) and file.is_file()),
        key=lambda file: [int(part) if part.isdigit() else part for part in _digits(file.name)],
    )
    mails = [mail for data in _contents(files) for mail in _mails(data)]
    if any(mail.message_id for mail in mails):
        return _require(postings_of(mails), mails, str(path))
    postings = _require(postings_of(mails, in_one_directory=True), mails, str(path))
    if len(postings) > 1:
        both = " and ".join(f"version {each.version}: {each.subject!a}" for each in postings[:4])
        raise UsageError(
            f"{path} has {len(postings)} versions or series side by side: {both}",
            hint="keep each in a directory of its own, or name one file",
        )
    return postings


def _digits(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _quilt_series(path: Path) -> list[Path]:
    """The patches that quilt's file ``series`` lists; none where there is no such file."""
    series = path / "series"
    if not series.is_file():
        return []
    lines = read_file(series).decode("utf-8", "surrogateescape").split("\n")
    names = [line.split("#")[0].split() for line in lines]
    files = [path / name[0] for name in names if name]
    outside = [file for file in files if ".." in file.parts or not file.is_relative_to(path)]
    if outside:
        raise UsageError(
            f"{series} names a file outside of its directory: {str(outside[0])!a}",
            hint="list the patches of the directory",
        )
    return files


def _contents(files: Sequence[Path]) -> Iterator[bytes]:
    if len(files) > _MAX_FILES:
        raise UsageError(
            f"the directory has more than {_MAX_FILES} files", hint="give the mails of one thread"
        )
    total = 0
    for file in files:
        data = read_file(file)
        total += len(data)
        if total > MAX_BYTES:
            raise UsageError(
                f"the files are larger than {MAX_BYTES >> 20} MiB", hint="give one thread"
            )
        yield data


def _postings_around(message_id: str) -> tuple[Posting, ...]:
    """The posting with this mail, from the thread that b4 fetches."""
    postings = parse_postings(fetch_thread(message_id), f"the thread of {message_id}")
    position = position_of(message_id, postings)
    return postings if position is None else (postings[position],)


def position_of(message_id: str, postings: Sequence[Posting]) -> int | None:
    """The position of the posting that has this mail; None for a reply."""
    for position, posting in enumerate(postings):
        if message_id in {posting.message_id, *(each.message_id for each in posting.patches)}:
            return position
    return None
