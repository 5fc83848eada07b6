# SPDX-License-Identifier: MIT
"""The file formats of a run report, in one table.

A format NAME is a module ``NAME_format`` here with ``write(path, run)``, and one line in
:data:`FORMATS`. The options of the command line are derived from the table. A module is imported
when its format is used, so that its libraries do not delay every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from harness.verdict import RunResult

__all__ = ["FORMATS", "Argument", "Format"]


@dataclass(frozen=True)
class Argument:
    """A further keyword argument of a format's ``write``."""

    default: str
    help: str


@dataclass(frozen=True)
class Format:
    """A file format; ``arguments`` are those of ``write`` besides path and run."""

    name: str
    help: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    def write(self, path: Path, run: RunResult, **arguments: str) -> None:
        """Write the run report to ``path``; raises :class:`HostError` if that fails."""
        import_module(f"{__name__}.{self.name}_format").write(path, run, **arguments)


FORMATS = (
    Format("json", "Write the verdicts as JSON."),
    Format("junit", "Write the verdicts as JUnit XML."),
    Format("ktap", "Write the verdicts as KTAP."),
    Format("html", "Write the verdicts and the evidence as one HTML page."),
    Format(
        "kcidb",
        "Write the verdicts as KCIDB JSON.",
        {"origin": Argument("tsm_harness", "Name that KCIDB knows the sender by.")},
    ),
)
"""Every format, in the order of the options."""
