# SPDX-License-Identifier: MIT
"""Words with parameters, as command lines have them: ``NAME:KEY=VALUE,...``."""

from __future__ import annotations

__all__ = ["parse_words"]


def parse_words(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and its parameters; one that stands alone is "yes"."""
    name, _, words = text.partition(":")
    pairs = [word.partition("=") for word in words.split(",")] if words else []
    return name, {key.strip(): value if equals else "yes" for key, equals, value in pairs}
