# SPDX-License-Identifier: MIT
"""Check the C sources with the kernel's checkpatch.pl; ``tox -e checkpatch`` runs this file.

The default run does not collect this file: it fetches the source package of the kernel (140 MB).
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache

import pytest

from harness.cache import Cache
from harness.kernels.source import fetch_source
from harness.kernels.spec import KernelTree, PackagedSource, parse_kernel
from harness.paths import cache_directory, guest_images_directory
from harness.progress import NullProgress

_SOURCES = guest_images_directory()
_FILES = tuple("*/scripts/" + name for name in ("checkpatch.pl", "spelling.txt", "const_structs.*"))
_MESSAGE = re.compile(r"^(?P<file>[^:]+):\d+: (?:ERROR|WARNING|CHECK):(?P<type>\w+): ")


@dataclass(frozen=True)
class Exemption:
    """Allows the messages of ``types`` about files that match ``pattern``."""

    pattern: str
    types: frozenset[str]
    reason: str


EXEMPTIONS = (
    Exemption("agent/*", frozenset({"PREFER_KERNEL_TYPES"}), "a user-space program uses stdint.h"),
    Exemption(
        "include/tsmw.h",
        frozenset({"PREFER_DEFINED_ATTRIBUTE_MACRO"}),
        "the header defines __packed for user space",
    ),
    Exemption(
        "modules/*/defect_list.h",
        frozenset({"LEADING_SPACE"}),
        "checkpatch wants the second line of a DEFECT() at its parenthesis, in column 8, but "
        "also no spaces",
    ),
    Exemption(
        "modules/common/defects.[ch]",
        frozenset({"MACRO_ARG_UNUSED"}),
        "each expansion of the list uses other arguments of DEFECT()",
    ),
    Exemption(
        "modules/tsm-class/bin_attr.h",
        frozenset({"SPACING", "TRAILING_STATEMENTS", "CAMELCASE"}),
        "checkpatch does not parse _Generic()",
    ),
    Exemption(
        "modules/tsm-class/bin_attr.h",
        frozenset({"NEW_TYPEDEFS"}),
        "only typeof() expresses a type that differs between kernels",
    ),
    Exemption(
        "modules/tsm-configfs/include/linux/tsm.h",
        frozenset({"LINUX_VERSION_CODE"}),
        "one source is built for several kernels",
    ),
    Exemption(
        "modules/tsm-configfs/include/linux/tsm.h",
        frozenset({"CONSTANT_COMPARISON"}),
        "checkpatch takes the LINUX_VERSION_CODE in a comparison for a constant",
    ),
)


@cache
def messages() -> tuple[str, ...]:
    """Return the messages of checkpatch.pl; file names are relative to the sources."""
    source = parse_kernel("source:6.12")
    assert isinstance(source, KernelTree) and isinstance(source.source, PackagedSource)
    tree = fetch_source(source.source, Cache(cache_directory()), NullProgress(), only=_FILES)
    files = sorted(str(path.relative_to(_SOURCES)) for path in _SOURCES.rglob("*.[ch]"))
    assert len(files) > 40
    done = subprocess.run(
        ["perl", tree / "scripts" / "checkpatch.pl", "--no-tree", "--strict", "--terse",
         "--show-types", "--file", *files],
        cwd=_SOURCES, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = tuple(line for line in done.stdout.splitlines() if not line.startswith("total: "))
    assert done.returncode == bool(lines)
    return lines


def _is_exempt(line: str, exemption: Exemption) -> bool:
    message = _MESSAGE.match(line)
    assert message is not None, line
    return fnmatch(message["file"], exemption.pattern) and message["type"] in exemption.types


def test_checkpatch_has_no_other_message() -> None:
    unexpected = [
        line
        for line in messages()
        if not any(_is_exempt(line, exemption) for exemption in EXEMPTIONS)
    ]
    assert unexpected == []


@pytest.mark.parametrize("exemption", EXEMPTIONS, ids=lambda exemption: exemption.pattern)
def test_every_exemption_is_needed(exemption: Exemption) -> None:
    assert exemption.reason
    needed = {
        message["type"]
        for line in messages()
        if (message := _MESSAGE.match(line)) and _is_exempt(line, exemption)
    }
    assert needed == exemption.types
