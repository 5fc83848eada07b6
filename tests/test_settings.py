# SPDX-License-Identifier: MIT
"""Every declared option reaches commands, pytest, worker processes, reruns and bundles."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harness.cli import options
from harness.cli.app import RENAMED_OPTIONS, app
from harness.errors import UsageError
from harness.option import Option, Use, option, options_of
from harness.plugin.options import SETTINGS
from harness.plugin.options import pytest_configure as configure
from harness.settings import Settings

CHANGED = Settings(
    kernels=("debian:7.3",),
    tsms=("class-fixed",),
    providers=("tdx:version=5",),
    claims=("R1",),
    seed=3,
    smp=2,
    memory_mib=512,
    cache=Path("/tmp/a cache"),
    shared_cache=Path("/tmp/shared"),
    kernel_build=Path("/tmp/build"),
    kernel_config=Path("/tmp/config"),
    qemu="/tmp/qemu",
    programs=7,
    times=4,
    artifacts=Path("/tmp/artifacts"),
)
"""Every setting, with a value that is not its default."""


def _settings_of_command(arguments: list[str]) -> Settings:
    received: list[Settings] = []

    @click.command()
    @click.argument("claims", nargs=-1)
    @options.settings(decides=True, all_used=False)
    def command(settings: Settings) -> None:
        received.append(settings)

    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return received[0]


def _settings_of_pytest(arguments: list[str]) -> Settings:
    config = pytest.Config.fromdictargs({}, ["-c", os.devnull, *arguments])
    configure(config)
    return config.stash[SETTINGS]


def test_example_changes_every_setting() -> None:
    for each in Settings.options():
        assert getattr(CHANGED, each.name) != each.default, each.name


@pytest.mark.parametrize("settings", [Settings(), CHANGED], ids=["default", "changed"])
def test_pytest_arguments_give_the_same_settings(settings: Settings) -> None:
    absolute = replace(settings, artifacts=settings.artifacts.absolute())
    assert _settings_of_pytest(settings.pytest_arguments()) == absolute


@pytest.mark.parametrize("settings", [Settings(), CHANGED], ids=["default", "changed"])
def test_run_arguments_give_the_same_settings(settings: Settings) -> None:
    default = Settings().artifacts  # a rerun does not repeat this output
    assert _settings_of_command(settings.run_arguments()) == replace(settings, artifacts=default)


def test_command_has_what_differs_from_the_defaults() -> None:
    settings = Settings(
        claims=("R1",), tsms=("patch:../fix.mbox",), cache=Path("/private"), artifacts=Path("/p")
    )
    assert settings.command() == "tsm-harness run R1 --tsm=patch:../fix.mbox"
    other = replace(settings, kernels=("../bzImage",), seed=4, kernel_build=Path("build"))
    assert other.command() == (
        "tsm-harness run R1 --kernel=../bzImage --tsm=patch:../fix.mbox --seed=4 "
        "--kernel-build=build"
    )
    packaged = replace(other, kernels=("debian:7.3",), programs=9)
    assert packaged.command() == (
        "tsm-harness run R1 --kernel=debian:7.3 --tsm=patch:../fix.mbox --seed=4"
    )


def test_bundle_has_the_options_of_the_cell_and_the_guest() -> None:
    restored = Settings.from_recorded(CHANGED.recorded())
    for each in Settings.options():
        expected = CHANGED if each.use in (Use.CELL, Use.GUEST, Use.SEARCH) else Settings()
        assert getattr(restored, each.name) == getattr(expected, each.name), each.name


def test_bundle_that_is_older_than_an_option_can_be_read() -> None:
    old = {key: value for key, value in CHANGED.recorded().items() if key != "smp"}
    assert Settings.from_recorded(old) == Settings.from_recorded(CHANGED.recorded() | {"smp": 1})


@dataclass(frozen=True, kw_only=True)
class WithOptional(Settings):
    """Settings with a guest option that is unset by default."""

    cpu_model: str | None = option(None, "CPU of a guest.", flag="cpu", use=Use.GUEST)

    @staticmethod
    @functools.cache
    def options() -> tuple[Option, ...]:
        return options_of(WithOptional)


@pytest.mark.parametrize("model", [None, "Nehalem"])
def test_a_bundle_keeps_an_option_without_a_default(model: str | None) -> None:
    settings = WithOptional(claims=("R1",), tsms=("mainline",), cpu_model=model)
    assert WithOptional.from_recorded(settings.recorded()) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": None}, "kernel is of type str; not None"),
        ({"smp": True}, "smp is of type int; not True"),
        ({"colour": "red"}, "unknown member colour"),
    ],
)
def test_damaged_record_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.from_recorded(CHANGED.recorded() | change)
    with pytest.raises(ValueError, match="no member tsm"):
        Settings.from_recorded({k: v for k, v in CHANGED.recorded().items() if k != "tsm"})


@pytest.mark.parametrize(
    "option",
    [option for option in Settings.options() if option.lowest is not None],
    ids=lambda option: option.flag,
)
def test_ranges_are_checked(option: Option) -> None:
    def check(value: int) -> None:
        values: dict[str, Any] = {option.name: value}
        Settings(**values).check()

    lowest, highest = option.lowest, option.highest
    assert lowest is not None and highest is not None
    check(lowest)
    check(highest)
    with pytest.raises(UsageError, match=f"--{option.flag} {lowest - 1} is out of range"):
        check(lowest - 1)
    with pytest.raises(UsageError, match="is out of range") as caught:
        check(highest + 1)
    assert caught.value.hint == f"use {highest} or less"


def test_old_name_of_an_option_is_refused_with_the_new_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(RENAMED_OPTIONS, "--core", "--tsm")
    done = CliRunner().invoke(app, ["run", "--core", "mainline"])
    assert done.exit_code == 2
    assert "the option --core was renamed: use --tsm" in done.output
