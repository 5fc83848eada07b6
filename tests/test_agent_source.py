# SPDX-License-Identifier: MIT
"""The source of the guest agent: it compiles without warnings, and its files form layers."""

from __future__ import annotations

import shutil
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from harness.images.agent import COMPILE_FLAGS
from harness.paths import guest_images_directory

Graph = dict[str, set[str]]

# From the lowest to the highest layer. A file uses only functions and variables of lower layers.
LAYERS = (
    {"util", "frame", "procfs", "pump", "seed"},
    {"lock", "ports"},
    {"calls"},
    {"ops", "out", "init"},
    {"actor", "echo", "kmsg", "relay", "ssh", "stress", "tty"},
    {"serve"},
    {"main"},
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("nm")), reason="no C compiler or no nm"
)


def compile_objects(source: Path, include: Path, out: Path) -> list[Path]:
    """Compile every C file of ``source`` with the agent's flags; a warning is an error."""
    objects = []
    for file in sorted(source.glob("*.c")):
        objects.append(out / f"{file.stem}.o")
        options = ["-Werror", f"-I{include}", "-c", "-o", str(objects[-1])]
        subprocess.run(["gcc", *COMPILE_FLAGS, *options, str(file)], check=True)
    return objects


def symbols(file: Path) -> tuple[set[str], set[str]]:
    """Return the global symbols that an object file defines, and those that it needs."""
    lines = subprocess.run(
        ["nm", "-P", "-g", file], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    named = [(kind, name) for name, kind, *_ in map(str.split, lines)]
    needed = {name for kind, name in named if kind == "U"}
    return {name for kind, name in named if kind != "U"}, needed


def use_graph(objects: list[Path]) -> Graph:
    """Return, for each object file, the files whose functions or variables it uses."""
    tables = {file.stem: symbols(file) for file in objects}
    return {
        user: {name for name, (defined, _) in tables.items() if defined & needed}
        for user, (_, needed) in tables.items()
    }


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    root = guest_images_directory()
    out = tmp_path_factory.mktemp("objects")
    return use_graph(compile_objects(root / "agent", root / "include", out))


def test_no_two_files_use_each_other(graph: Graph) -> None:
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


def test_files_use_only_lower_layers(graph: Graph) -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    assert graph.keys() == level.keys(), "put every C file of the agent into LAYERS"
    upward = {
        (user, name) for user, used in graph.items() for name in used if level[name] >= level[user]
    }
    assert upward == set()


def test_files_that_use_each_other_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "low.c").write_text(
        "int low(void);\nint high(void);\nint low(void) { return high(); }\n"
    )
    (tmp_path / "high.c").write_text(
        "int low(void);\nint high(void);\nint high(void) { return low(); }\n"
    )
    graph = use_graph(compile_objects(tmp_path, tmp_path, tmp_path))
    assert graph == {"low": {"high"}, "high": {"low"}}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
