# SPDX-License-Identifier: MIT
"""Options that several commands share; a command receives those of a run as checked settings."""

from __future__ import annotations

import errno
import functools
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.cli.kept_mails import with_kept_mails
from harness.errors import UsageError
from harness.implementations.from_patch import with_base
from harness.option import Option, Use
from harness.report.output import STANDARD_OUTPUT
from harness.settings import Settings

__all__ = [
    "INPUT_FILE",
    "INPUT_PATH",
    "OUTPUT_FILE",
    "REPORT_FILE",
    "given",
    "history",
    "host_settings",
    "refuse",
    "refuse_unused",
    "setting",
    "settings",
    "workers",
]

R = TypeVar("R")

_PATH = click.Path(path_type=Path)
_OF_DECIDING = (Use.SEARCH, Use.REPEAT, Use.OUTPUT)


class _OutputFile(click.Path):
    """A file that is written when the command ends; refused at once when that would fail."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(str(super().convert(value, param, ctx)))  # type: ignore[arg-type]
        if path == STANDARD_OUTPUT and self.allow_dash:
            return path
        if path == STANDARD_OUTPUT:
            self.fail("this command prints more than this file: name a file", param, ctx)
        try:
            _try_to_write(path)
        except OSError as error:
            self.fail(f"{path} cannot be written: {error.strerror or error}", param, ctx)
        return path


def _try_to_write(path: Path) -> None:
    """Raise OSError if the file cannot be written; leave nothing behind.

    Permissions do not tell: root may write to /proc, where no file can be made.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    parent = next(each for each in path.absolute().parents if each.exists())
    with tempfile.NamedTemporaryFile(dir=parent):
        pass


INPUT_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
"""The type of an option that names a file to read."""
INPUT_PATH = _PATH
"""The type of an option that names a file or a directory to read."""
OUTPUT_FILE = _OutputFile(dir_okay=False)
"""The type of an option that names a file to write."""
REPORT_FILE = _OutputFile(dir_okay=False, allow_dash=True)
"""The same; ``-`` is the standard output."""

history = click.option(
    "--history",
    type=_PATH,
    envvar="TSM_HARNESS_HISTORY",
    show_envvar=True,
    help="Database file of past runs.",
)
workers = click.option(
    "-n",
    "workers",
    type=click.IntRange(0, 64),
    default=0,
    help="Guests that run in parallel; 0: one for each CPU, as far as free memory allows.",
)

_base = click.option(
    "--base",
    metavar="BASE",
    help="What patches change, instead of the sources of the kernel: tree:PATH, dir:PATH or "
    "patch:FILE. The same for one patch: --tsm patch:FILE,base=BASE.",
)


def given(*names: str) -> list[str]:
    """Return which of these parameters the command line of the current command has."""
    context = click.get_current_context()
    command_line = click.core.ParameterSource.COMMANDLINE
    return [name for name in names if context.get_parameter_source(name) is command_line]


def refuse(name: str, reason: str, hint: str = "") -> None:
    """Raise :class:`UsageError` if the command line has an option that would be ignored."""
    if given(name):
        [flag] = [
            max(each.opts, key=len)
            for each in click.get_current_context().command.params
            if each.name == name
        ]
        raise UsageError(f"{flag} has no effect: {reason}", hint=hint or f"leave out {flag}")


def refuse_unused(settings: Settings) -> None:
    """Raise :class:`UsageError` for a setting on the command line that nothing would use."""
    for name, reason in settings.unused().items():
        refuse(name, reason)


def setting(name: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command one option of the settings, by the name of its field."""
    [declared] = [each for each in Settings.options() if each.name == name]
    return _click_option(declared, declared.default, single=False)


def settings(
    *,
    one_cell: bool = False,
    decides: bool = False,
    check: bool = True,
    all_used: bool = True,
    without: Sequence[str] = (),
    **defaults: object,
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command the options of the settings, and pass their values as ``settings``.

    With ``one_cell``, ``--kernel``, ``--tsm`` and ``--provider`` take a single value. ``decides``
    adds the options of commands that decide claims. Without ``check`` the values are not checked,
    because paths among them are relative to another directory. With ``all_used``, an option that
    nothing would use is refused; another command does that itself. ``without`` has the fields that
    the command does not use, and so does not offer. ``defaults`` replace declared defaults, by the
    name of the field; one may be a function that returns the default.
    """
    declared = [
        each
        for each in Settings.options()
        if not (each.positional or each.name in without)
        and (decides or each.use not in _OF_DECIDING)
    ]

    # In a command about commits, --base is a commit.
    takes_base = check and "tsms" not in without

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> R:  # noqa: ANN401 - click has converted each
            base = arguments.pop("base", None) if takes_base else None
            made = Settings(**_take(Settings.options(), arguments))
            if base is not None:
                made = replace(made, tsms=with_base(made.tsms, base))
            if check:
                made = replace(made, tsms=with_kept_mails(made.tsms, made.cache))
                made.check()
            if all_used:
                refuse_unused(made)
            return command(settings=made, **arguments)

        decorated = _base(wrapper) if takes_base else wrapper
        return _with_options(decorated, declared, defaults, single=one_cell)

    return decorate


def host_settings(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that no bundle records, and pass their values as ``host``."""
    declared = [each for each in Settings.options() if not each.recorded]

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> R:  # noqa: ANN401 - click has converted each
        return command(host=_take(declared, arguments), **arguments)

    return _with_options(wrapper, declared, {})


def _with_options(
    command: Callable[..., R],
    declared: Sequence[Option],
    defaults: Mapping[str, object],
    *,
    single: bool = True,
) -> Callable[..., R]:
    for each in reversed(declared):
        default = defaults.get(each.name, each.default)
        command = _click_option(each, default, single=single)(command)
    return command


def _take(declared: Iterable[Option], arguments: dict[str, Any]) -> dict[str, Any]:
    """Move the values of options out of a command's arguments."""
    taken = {each: arguments.pop(each.name) for each in declared if each.name in arguments}
    return {
        each.name: (value,) if each.repeatable and not isinstance(value, tuple) else value
        for each, value in taken.items()
    }


def _click_option(
    declared: Option,
    default: Any,  # noqa: ANN401 - of the field's type
    *,
    single: bool,
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    many = declared.repeatable and not single
    if declared.repeatable and not callable(default):
        values = (default,) if isinstance(default, str) else tuple(default)
        default = values[:1] if single else values
    shown = default is not None and not callable(default)
    return click.option(
        f"--{declared.flag}",
        declared.name,
        type=_type(declared),
        multiple=declared.repeatable,
        callback=_only_one if declared.repeatable and single else None,
        default=default,
        show_default=shown,
        envvar=declared.variable or None,
        show_envvar=bool(declared.variable),
        help=f"{declared.help} Repeatable." if many else declared.help,
    )


def _only_one(
    context: click.Context, parameter: click.Parameter, values: tuple[object, ...]
) -> tuple[object, ...]:
    """Refuse a second value of an option that other commands let the user repeat."""
    if len(values) > 1:
        raise click.BadParameter(
            f"{context.info_name} takes one; {len(values)} are given", context, parameter
        )
    return values


def _type(declared: Option) -> click.ParamType[Any]:
    if declared.kind is Path:
        return _PATH
    if declared.kind is int:
        bounded = (declared.lowest, declared.highest) != (None, None)
        return click.IntRange(declared.lowest, declared.highest) if bounded else click.INT
    return click.STRING
