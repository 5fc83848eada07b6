# SPDX-License-Identifier: MIT
"""Options that several commands share; a command receives them as checked settings."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from rich.console import Console

from harness.progress import Progress, terminal_progress
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER, DEFAULT_TSMS, Settings

__all__ = [
    "INPUT_FILE",
    "OUTPUT_FILE",
    "artifacts",
    "cache_option",
    "history",
    "many_cells",
    "one_cell",
    "progress",
    "workers",
]

P = ParamSpec("P")
R = TypeVar("R")

_PATH = click.Path(path_type=Path)


class _OutputFile(click.Path):
    """A file to be written at the end of a long run: what would go wrong then is said now."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(str(super().convert(value, param, ctx)))  # type: ignore[arg-type]
        parent = next(one for one in (path.absolute().parents) if one.exists())
        if not os.access(parent if not path.exists() else path, os.W_OK) or not parent.is_dir():
            self.fail(f"{path} cannot be written", param, ctx)
        return path


INPUT_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
"""The type of an option that names a file to be read."""
OUTPUT_FILE = _OutputFile(dir_okay=False)
"""The type of an option that names a report."""

cache_option = click.option(
    "--cache", type=_PATH, envvar="TSM_HARNESS_CACHE", help="Cache directory."
)
artifacts = click.option(
    "--artifacts",
    type=_PATH,
    default=Path("tsm-harness-results"),
    show_default=True,
    help="Where evidence of FAIL and ERROR is kept.",
)
history = click.option(
    "--history",
    type=_PATH,
    envvar="TSM_HARNESS_HISTORY",
    help="Database file of past runs.",
)
workers = click.option(
    "-n",
    "workers",
    type=click.IntRange(0, 64),
    default=0,
    help="Guests side by side; 0: one per core, as far as memory is free.",
)

_GUEST = (
    click.option("--seed", type=int, default=0, help="Seed of nonces and evidence."),
    cache_option,
    click.option(
        "--kernel-build",
        "build",
        type=_PATH,
        help="Build tree or headers of a kernel given by its path.",
    ),
    click.option(
        "--kernel-config",
        type=_PATH,
        help="Configuration that a tree is built with, in place of a minimal one.",
    ),
    click.option("--qemu", help="QEMU binary to use."),
    click.option(
        "--smp",
        type=click.IntRange(1, 16),
        default=1,
        show_default=True,
        help="Processors.",
    ),
    click.option(
        "--memory",
        "memory_mib",
        type=click.IntRange(128, 65536),
        default=256,
        show_default=True,
        help="Memory of a guest in MiB.",
    ),
)
_KERNEL_HELP = (
    "debian:6.12, debian:7.3, tree:PATH or source:6.12 (each +kasan, +lockdep, +kcsan, +ubsan), "
    "or the path of a kernel image."
)
_TSM_HELP = (
    "Implementation: mainline, configfs-fixed, class-posted, class-fixed, defect:NAME, patch:FILE "
    "or dir:PATH."
)
_PROVIDER_HELP = "The TEE to simulate, with its variants: ID[:OPTION=VALUE,...]."


def _settings_from(words: dict[str, object]) -> Settings:
    names = set(Settings.__dataclass_fields__)
    given = {name: words.pop(name) for name in list(words) if name in names}
    return Settings(**given)  # type: ignore[arg-type] # click has converted each


def _passing_settings(
    command: Callable[..., R], *, many: bool, check: bool = True
) -> Callable[..., R]:
    @functools.wraps(command)
    def wrapper(**words: object) -> R:
        for plural, default in (
            ("kernels", (DEFAULT_KERNEL,)),
            ("tsms", DEFAULT_TSMS),
            ("providers", (DEFAULT_PROVIDER,)),
        ):
            value = words.pop(plural)
            words[plural] = (tuple(value) or default) if many else (value,)  # type: ignore[arg-type]
        settings = _settings_from(words)
        return command(settings=settings.check() if check else settings, **words)

    for option in reversed(_GUEST):
        wrapper = option(wrapper)
    return wrapper


def many_cells(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command repeatable ``--kernel``, ``--tsm``, ``--provider``, and ``settings``."""
    wrapper = _passing_settings(command, many=True)
    wrapper = click.option("--provider", "providers", multiple=True, help=_PROVIDER_HELP)(wrapper)
    wrapper = click.option("--tsm", "tsms", multiple=True, help=_TSM_HELP)(wrapper)
    return click.option("--kernel", "kernels", multiple=True, help=_KERNEL_HELP)(wrapper)


def one_cell(tsm: str, *, check: bool = True) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command single ``--kernel``, ``--tsm`` (default ``tsm``), ``--provider``.

    With ``check`` off the settings are not looked at: paths in them are of another directory.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        wrapper = _passing_settings(command, many=False, check=check)
        for name, default, words in (
            ("provider", DEFAULT_PROVIDER, _PROVIDER_HELP),
            ("tsm", tsm, _TSM_HELP),
            ("kernel", DEFAULT_KERNEL, _KERNEL_HELP),
        ):
            option = click.option(
                f"--{name}", f"{name}s", default=default, show_default=True, help=words
            )
            wrapper = option(wrapper)
        return wrapper

    return decorate


def progress() -> Progress:
    """Where long steps show themselves: on standard error, so that output stays clean."""
    return terminal_progress(Console(stderr=True))
