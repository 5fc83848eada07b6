# SPDX-License-Identifier: MIT
"""What a core that was written for another kernel needs to be built for this one.

Each adaptation answers one thing the compiler says, changes no line of the core, and is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError

__all__ = ["Shim", "build_with_shims"]


@dataclass(frozen=True)
class Shim:
    """Where the compiler says ``complaint``, ``flags`` and lines of a first header go in."""

    complaint: str
    told: str
    header: str = ""
    flags: str = ""


_SHIMS = (
    Shim(
        r"implicit declaration of function .(hex2bin|bin2hex)",
        "hex2bin() and bin2hex() are declared in linux/hex.h, since 6.18",
        header="#include <linux/hex.h>",
    ),
    Shim(
        r"implicit declaration of function .(kvfree|memory_read_from_buffer|kvmalloc)",
        "linux/mm.h and linux/string.h are included",
        header="#include <linux/mm.h>\n#include <linux/string.h>",
    ),
    Shim(
        r"too many arguments to function .class_create",
        "class_create() has lost its first argument, in 6.4",
        header="#include <linux/device.h>\n#define class_create(owner, name) class_create(name)",
    ),
    Shim(
        r"bin_attribute.*from incompatible pointer type|incompatible pointer type.*bin_attribute",
        "callbacks and lists of binary attributes have pointers to const, from 6.13 to 6.17",
        flags="-Wno-incompatible-pointer-types",
    ),
    Shim(
        r"config_item_type.*discards .const. qualifier|discarded-qualifiers",
        "a qualifier of const is dropped",
        flags="-Wno-discarded-qualifiers",
    ),
)


def build_with_shims(tree: Path, flags: str, build: Callable[[str], None]) -> list[str]:
    """Call ``build`` with the flags for make until it succeeds; what was adapted, in words.

    Raises the :class:`BuildError` that nothing here answers.
    """
    used: list[Shim] = []
    header = tree / "tsm-adapted.h"
    while True:
        header.write_text("".join(f"{one.header}\n" for one in used), encoding="ascii")
        words = [flags, *(one.flags for one in used if one.flags)]
        if any(one.header for one in used):
            words.append(f"-include {header}")
        try:
            build(" ".join(words))
        except BuildError as error:
            answer = _answer(str(error), used)
            if answer is None:
                raise
            used.append(answer)
        else:
            return [one.told for one in used]


def _answer(said: str, used: list[Shim]) -> Shim | None:
    left = (one for one in _SHIMS if one not in used)
    return next((one for one in left if re.search(one.complaint, said)), None)
