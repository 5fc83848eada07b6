# SPDX-License-Identifier: MIT
"""An option that a command would ignore is refused, before anything is fetched or booted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from harness.bundle import Bundle, Outcome, write_bundle
from harness.cli import replay, revisions, run, shell
from harness.cli.app import app
from harness.errors import UsageError
from harness.settings import Settings
from harness.verdict import Cause


class ReachedError(Exception):
    """Raised in place of the work of a command: its options were accepted."""


def _reached(*_: object, **__: object) -> object:
    raise ReachedError


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Invokes a command whose work is replaced."""
    for module, names in (
        (run, ("decide", "decide_jobs")),
        (revisions, ("commit_verdict", "bisect_repository")),
        (shell, ("Session",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, _reached)
    return lambda *arguments: CliRunner().invoke(app, arguments)


REFUSED = [
    # option, arguments with which it would be ignored, arguments with which it is used
    ("--kernel-build", "run R1 --kernel-build .", "run R1 --kernel IMAGE --kernel-build ."),
    (
        "--kernel-build",
        "run R1 --kernel debian:7.3 --kernel debian:6.12 --kernel-build .",
        "run R1 --kernel debian:7.3 --kernel IMAGE --kernel-build .",
    ),
    (
        "--kernel-build",
        "exec --kernel-build . -- true",
        "exec --kernel IMAGE --kernel-build . -- true",
    ),
    (
        "--kernel-config",
        "run R1 --kernel-config x",
        "run R1 --kernel source:6.12 --kernel-config x",
    ),
    (
        "--kernel-config",
        "run R1 --kernel IMAGE --kernel-config x",
        "run R1 --kernel source:6.12+kasan --kernel-config x",
    ),
    ("--programs", "run R1 J1 --programs 9", "run R1 M1 --programs 9"),
    ("--programs", "run --programs 9 --tsm defect:reader-race", "run --programs 9"),
    ("--kcidb-origin", "run R1 --kcidb-origin me", "run R1 --kcidb-origin me --kcidb OUT"),
    ("-n", "run R1 -n 2 --cluster tcp://h:1", "run R1 -n 2 --cluster local"),
    (
        "--bad",
        "bisect R1 --kernel TREE --bad HEAD~1",
        "bisect R1 --kernel TREE --bad HEAD~1 --good HEAD~2",
    ),
    (
        "--confidence",
        "bisect R1 --kernel TREE --confidence 0.5",
        "bisect R1 --kernel TREE --confidence 0.5 --rate 0.5",
    ),
    (
        "--times",
        "bisect R1 --kernel TREE --rate 0.5 --times 7",
        "bisect R1 --kernel TREE --times 7",
    ),
    ("--tsm", "shell --console --tsm class-fixed", "shell --tsm class-fixed"),
    ("--fault", "shell --console --fault x", "shell --fault x"),
]


@pytest.mark.parametrize(("option", "ignored", "used"), REFUSED)
def test_an_option_without_effect_is_refused(
    invoke: Callable[..., Result], tmp_path: Path, option: str, ignored: str, used: str
) -> None:
    (tmp_path / "bzImage").touch()
    names = {
        "IMAGE": str(tmp_path / "bzImage"),
        "OUT": str(tmp_path / "out"),
        "TREE": "tree:.",
    }
    refused = invoke(*(names.get(word, word) for word in ignored.split()))
    assert isinstance(refused.exception, UsageError), refused.output
    assert option in str(refused.exception) or option == "-n"
    assert refused.exception.hint
    accepted = invoke(*(names.get(word, word) for word in used.split()))
    assert isinstance(accepted.exception, ReachedError), accepted.output


def test_options_of_a_matrix_are_used_by_one_of_its_jobs(
    invoke: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "bzImage").touch()
    file = tmp_path / "matrix.toml"
    for kernel, expected in ((tmp_path / "bzImage", ReachedError), ("debian:7.3", UsageError)):
        file.write_text(f"kernels = ['debian:6.12', '{kernel}']", encoding="utf-8")
        done = invoke("run", "--matrix", str(file), "--kernel-build", str(tmp_path))
        assert isinstance(done.exception, expected), done.output


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("explore", "--programs"),
        ("exec", "--programs"),
        ("bench", "--programs"),
        ("doctor", "--tsm"),
        ("doctor", "--provider"),
        ("doctor", "--seed"),
    ],
)
def test_a_command_does_not_offer_what_it_does_not_use(name: str, option: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert option not in flags
    assert "--kernel" in flags


@pytest.mark.parametrize("kernel", ["debian:7.3", "IMAGE"])
def test_replay_refuses_what_its_kernel_does_not_use(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel: str
) -> None:
    monkeypatch.setattr(replay, "decide", _reached)
    (tmp_path / "bzImage").touch()
    chosen = kernel.replace("IMAGE", str(tmp_path / "bzImage"))
    settings = Settings(kernels=(chosen,), tsms=("mainline",), claims=("R1",))
    write_bundle(tmp_path, Bundle(settings, Outcome("s", "6.12", "d", "FAIL", "seen", Cause(""))))
    named = ("--kernel", chosen, "--kernel-build", str(tmp_path))
    done = invoke("replay", str(tmp_path), *named)
    expected = ReachedError if kernel == "IMAGE" else UsageError
    assert isinstance(done.exception, expected), done.output


def test_the_base_of_a_series_is_a_commit(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bases: list[str] = []
    monkeypatch.setattr(revisions, "series_verdicts", lambda _, base, *rest: bases.append(base))
    tree = "--kernel=tree:."
    done = invoke("series", str(tmp_path), "R1", tree, "--base", "v6.12")
    assert bases == ["v6.12"], done.output


@pytest.mark.parametrize("option", ["--tsm=mainline", "--provider=tdx", "--kernel=debian:6.12"])
def test_a_command_for_one_cell_refuses_a_second_value(option: str) -> None:
    other = option.partition("=")[0] + "=another"
    done = CliRunner().invoke(app, ["reproduce", "R1", option, other])
    assert done.exit_code == 2
    assert "reproduce takes one; 2 are given" in done.output


@pytest.mark.parametrize(
    "twice",
    [
        Settings(kernels=("debian:6.12", "debian:7.3", "debian:6.12")),
        Settings(tsms=("mainline", "mainline")),
        Settings(providers=("tdx", "tdx")),
    ],
    ids=["kernel", "tsm", "provider"],
)
def test_a_value_that_is_given_twice_is_refused(twice: Settings) -> None:
    with pytest.raises(UsageError, match="is given twice"):
        twice.check()
    Settings(kernels=("debian:6.12", "debian:7.3"), providers=("tdx", "tdx:version=5")).check()


def test_a_cell_passes_only_what_it_uses_to_a_worker() -> None:
    settings = Settings(
        kernels=("debian:6.12",), claims=("R1",), kernel_build=Path("b"), programs=9
    )
    assert settings.used() == Settings(kernels=("debian:6.12",), claims=("R1",))
    explored = Settings(kernels=("bzImage",), claims=("M1",), kernel_build=Path("b"), programs=9)
    assert explored.used() == explored


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tdx --faults --version 5", "--faults only lists"),
        ("tdx --describe /dev/null --seed 1", "--describe FILE only describes"),
        ("sev-snp --manifest-version 1", "--service is not given"),
    ],
)
def test_evidence_refuses_what_it_would_ignore(arguments: str, message: str) -> None:
    done = CliRunner().invoke(app, ["evidence", *arguments.split()])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert CliRunner().invoke(app, ["evidence", "tdx", "--faults"]).exit_code == 0
