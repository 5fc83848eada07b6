# SPDX-License-Identifier: MIT
"""Makes a guest's text safe for a terminal and for XML."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Everything but tab, line feed, and what is both printable and legal in XML 1.0 (section 2.2).
_UNSAFE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str, limit: int | None = None) -> str:
    """Replace control characters and lone surrogates; cut the text after ``limit`` characters."""
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… [{len(text) - limit} more characters]"
    return _UNSAFE.sub("\ufffd", text)
