# SPDX-License-Identifier: MIT
"""Shims: what lets an implementation that was written for another kernel build for this one.

Each shim is triggered by one compiler error, leaves the source alone, and is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError

__all__ = ["Shim", "build_with_shims"]


@dataclass(frozen=True)
class Shim:
    """An expression for a compiler error, and the remedy.

    ``header`` are lines of a header that every C file includes first. ``warning`` is the error that
    becomes a warning; each such warning must differ in const alone and match ``error``, or the
    build fails. ``note`` tells the user the difference between the kernels.
    """

    error: str
    note: str
    header: str = ""
    warning: str = ""


_SHIMS = (
    Shim(
        r"implicit declaration of function .(hex2bin|bin2hex)",
        "hex2bin() and bin2hex() are declared in linux/hex.h since 6.18",
        header="#include <linux/hex.h>",
    ),
    Shim(
        r"implicit declaration of function .(kvfree|memory_read_from_buffer|kvmalloc)",
        "linux/mm.h and linux/string.h are included",
        header="#include <linux/mm.h>\n#include <linux/string.h>",
    ),
    Shim(
        r"too many arguments to function .class_create",
        "class_create() has no module argument since 6.4",
        header="#include <linux/device.h>\n#define class_create(owner, name) class_create(name)",
    ),
    Shim(
        r"bin_attribute.*from incompatible pointer type|incompatible pointer type.*bin_attribute",
        "pointers to binary attributes became const between 6.13 and 6.17",
        warning="incompatible-pointer-types",
    ),
    Shim(
        r"discards .const. qualifier from pointer target type.*discarded-qualifiers",
        "a const qualifier is discarded",
        warning="discarded-qualifiers",
    ),
)


def build_with_shims(
    module: Path, flags: Sequence[str], build: Callable[[Sequence[str]], str]
) -> tuple[list[str], str]:
    """Call ``build`` with compiler flags until it succeeds.

    Returns the notes of the shims used, and the compiler's output without their warnings. Raises
    the last :class:`BuildError` when no shim is left for it.
    """
    used: list[Shim] = []
    header = module / "tsm-shims.h"
    while True:
        header.write_text("".join(f"{shim.header}\n" for shim in used), encoding="ascii")
        # A warning is reported, also where CONFIG_WERROR is set.
        added = ["-Wno-error", *(f"-Wno-error={shim.warning}" for shim in used if shim.warning)]
        if any(shim.header for shim in used):
            added.append(f"-include {header}")
        try:
            output = build([*flags, *added])
        except BuildError as error:
            shim = _shim_for(str(error), used)
            if shim is None:
                raise
            used.append(shim)
        else:
            return [shim.note for shim in used], _without_answered(output, used)


def _shim_for(output: str, used: list[Shim]) -> Shim | None:
    unused = (shim for shim in _SHIMS if shim not in used)
    return next((shim for shim in unused if re.search(shim.error, output)), None)


def _without_answered(output: str, used: list[Shim]) -> str:
    """The output without the warnings that the shims are for.

    Raises :class:`BuildError` for a warning that a shim made of another error.
    """
    kept, others = [], []
    for line in output.splitlines():
        shim = next((s for s in used if s.warning and f"[-W{s.warning}]" in line), None)
        if shim is None:
            kept.append(line)
        elif not (re.search(shim.error, line) and _differs_in_const(line)):
            others.append(line.replace(": warning: ", ": error: "))
    if others:
        errors = "\n".join(line.rpartition("/")[2] for line in others[:20])
        raise BuildError(f"building the implementation failed:\n{errors}")
    return "\n".join(kept)


def _differs_in_const(line: str) -> bool:
    """Whether the types that the message names are the same but for const."""
    types = re.findall(r"'([^']*)'", re.sub(r"\{aka '[^']*'\}", "", line))
    types = [text for text in types if "*" in text]
    return len({re.sub(r"\bconst\b|\s", "", text) for text in types}) <= 1
