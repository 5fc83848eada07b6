# SPDX-License-Identifier: MIT
"""Options for the files that a run report is written to: one per format."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from harness.cli import options
from harness.errors import UsageError
from harness.report.formats import formats
from harness.report.output import STANDARD_OUTPUT
from harness.verdict import RunResult

__all__ = ["ReportFiles", "report_files"]

R = TypeVar("R")


@dataclass(frozen=True)
class ReportFiles:
    """The requested files, and the arguments of their formats, both by format."""

    paths: Mapping[str, Path | None]
    arguments: Mapping[str, Mapping[str, str]]

    @property
    def use_standard_output(self) -> bool:
        """Whether a report goes to the standard output, which must then hold nothing else."""
        return STANDARD_OUTPUT in self.paths.values()

    def write(self, run: RunResult) -> None:
        """Write the files; raises :class:`HostError` if one cannot be written."""
        for each in formats():
            path = self.paths[each.name]
            if path is not None:
                each.write(path, run, **self.arguments[each.name])


def report_files(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options ``--FORMAT FILE`` and ``--FORMAT-ARGUMENT``; pass them as ``reports``."""

    @functools.wraps(command)
    def wrapper(**given: object) -> R:
        paths: dict[str, Path | None] = {}
        arguments: dict[str, dict[str, str]] = {}
        for each in formats():
            path = given.pop(f"{each.name}_file")
            paths[each.name] = path if isinstance(path, Path) else None
            arguments[each.name] = {
                name: str(given.pop(f"{each.name}_{name}")) for name in each.arguments
            }
            if paths[each.name] is None:
                for name in each.arguments:
                    options.refuse(f"{each.name}_{name}", f"--{each.name} is not given")
        _check_paths(paths)
        return command(reports=ReportFiles(paths, arguments), **given)

    decorated = wrapper
    for each in reversed(formats()):
        for name, argument in each.arguments.items():
            flag = f"--{each.name}-{name}"
            decorated = click.option(
                flag, default=argument.default, show_default=True, help=argument.help
            )(decorated)
        decorated = click.option(
            f"--{each.name}",
            f"{each.name}_file",
            type=options.REPORT_FILE,
            metavar="FILE|-",
            help=each.help,
        )(decorated)
    return decorated


def _check_paths(paths: Mapping[str, Path | None]) -> None:
    """Refuse two reports in one file: the second would replace the first."""
    known: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None and path.absolute() in known:
            raise UsageError(
                f"--{known[path.absolute()]} and --{name} write to the same file {path}",
                hint="name two files",
            )
        if path is not None:
            known[path.absolute()] = name
