# SPDX-License-Identifier: MIT
"""Reads blobs of evidence from files and prints their descriptions."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text

from harness.errors import UsageError
from harness.oracle.printable import printable
from providers_sim import describe
from providers_sim.description import Node

__all__ = ["print_description", "read_blob"]

_MAX_BLOB = 64 << 20
_MAX_LINES = 5000


def read_blob(file: str) -> bytes:
    """Read a file, "-" for standard input; UsageError when it is unreadable or over 64 MiB."""
    try:
        with click.open_file(file, "rb") as stream:
            blob = stream.read(_MAX_BLOB + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if len(blob) > _MAX_BLOB:
        raise UsageError(f"{file} is larger than any blob: over {_MAX_BLOB} bytes")
    assert isinstance(blob, bytes)
    return blob


def print_description(name: str, blob: bytes) -> int:
    """Decode a blob and print it as a tree; UsageError when its format is unknown."""
    node = describe(blob)
    if node is None:
        raise UsageError(
            f"{name} ({len(blob)} bytes) has an unknown format",
            hint="known are reports, quotes, tokens, certificate tables, service manifests, "
            "X.509 certificates, revocation lists and TDX collateral",
        )
    console = Console(highlight=False, soft_wrap=True)
    for number, line in enumerate(_lines(node)):
        if number == _MAX_LINES:
            console.print(f"… and more: only {_MAX_LINES} lines are shown")
            break
        console.print(line)
    return 0


def _lines(node: Node, indent: str = "", guide: str = "") -> Iterator[Text]:
    line = Text(indent + guide)
    line.append(printable(node.label), style="bold" if node.children else "")
    if node.value:
        line.append(f"  {printable(node.value)}")
    yield line
    below = indent + {"": "", "├── ": "│   ", "└── ": "    "}[guide]
    for child in node.children:
        yield from _lines(child, below, "└── " if child is node.children[-1] else "├── ")
