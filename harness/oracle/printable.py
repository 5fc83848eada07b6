# SPDX-License-Identifier: MIT
"""Makes text from a guest safe to show: on a terminal, in XML, in a file name's neighbourhood."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Everything but tab, line feed, and what is both printable and legal in XML 1.0 (section 2.2).
_UNSAFE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str, limit: int | None = None) -> str:
    """Replace control characters and lone surrogates; cut after ``limit`` characters and say so."""
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… [{len(text) - limit} more characters]"
    return _UNSAFE.sub("\ufffd", text)
