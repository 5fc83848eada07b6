# SPDX-License-Identifier: MIT
"""Keeps mails that no file has, from standard input or b4: each worker of a run reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.from_patch import split_base
from harness.mail.b4 import fetch_thread, is_message_id
from harness.mail.choice import split_selector
from harness.mail.files import read_standard_input
from harness.mail.sources import parse_postings, position_of
from harness.paths import cache_directory

__all__ = ["with_kept_mails"]

_FILE = "thread.mbox"


def with_kept_mails(tsms: Sequence[str], cache: Path | None) -> tuple[str, ...]:
    """Return ``tsms`` with a file of the cache in place of ``patch:-`` and ``patch:MESSAGE-ID``.

    Raises :class:`UsageError` when several of them are standard input.
    """
    sources = [spec for spec in tsms if _source(spec)[0] == "-"]
    if len(sources) > 1:
        raise UsageError(
            "standard input can be read for one implementation only",
            hint="save the mails, and name the file for each",
        )
    return tuple(_kept(spec, cache) for spec in tsms)


def _source(spec: str) -> tuple[str, str]:
    """The source and the selector of a spec; both are empty for what is no patch."""
    kind, _, rest = split_base(spec)[0].partition(":")
    return split_selector(rest) if kind == "patch" else ("", "")


def _kept(spec: str, cache: Path | None) -> str:
    source, selector = _source(spec)
    base = split_base(spec)[1]
    if source == "-":
        data = read_standard_input()
    elif is_message_id(source) and not Path(source).exists():
        ident = source.strip("<>")
        data = fetch_thread(ident)
        position = position_of(ident, parse_postings(data, f"the thread of {ident}"))
        selector = selector or (str(position + 1) if position is not None else "")
    else:
        return spec
    file = _keep(data, cache)
    return f"patch:{file}{f'#{selector}' if selector else ''}{f',base={base}' if base else ''}"


def _keep(data: bytes, cache: Path | None) -> Path:
    def make(directory: Path) -> None:
        (directory / _FILE).write_bytes(data)

    store = Cache(cache_directory(cache))
    key = hashlib.sha256(data).hexdigest()[:32]
    return store.get_or_make("mail", key, make) / _FILE
