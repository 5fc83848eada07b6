# SPDX-License-Identifier: MIT
"""Makes text of a guest, a patch or a mail safe for a terminal, for XML and for HTML."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Everything but tab, line feed, and what is both printable and legal in XML 1.0 (section 2.2).
# Then what reorders or hides other characters: bidirectional controls, characters without width,
# line and paragraph separators, tags. With them, a line of code can look like another one.
_UNSAFE = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    r"|[\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def printable(text: str, limit: int | None = None) -> str:
    """Replace control characters and lone surrogates; cut the text after ``limit`` characters.

    Control characters include those that change the order of what is displayed.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… [{len(text) - limit} more characters]"
    return _UNSAFE.sub("\ufffd", text)
