# SPDX-License-Identifier: MIT
"""Strangers' trees and sources that attack this host while they are built.

Each attack is made twice. In the sandbox it must fail. Without the sandbox it must succeed:
otherwise the test would prove nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness import sandbox
from harness.cache import Cache
from harness.errors import BuildError, HostError, UsageError
from harness.git import repository_paths
from harness.implementations.path_proofs import Proof
from harness.implementations.source_text import _quoted
from harness.implementations.user import read_user_implementation
from harness.kernels.kbuild import tree_identity
from harness.kernels.kconfig import explain_lost
from harness.kernels.model import Kernel
from harness.kernels.module_build import build_module
from harness.kernels.resolve import resolve_kernel
from harness.oracle.source_files import SourceFiles
from harness.progress import NullProgress
from harness.sandbox import find_sandbox
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

_SECRET = "the-secret-of-the-user"
_MODES = ("auto", "off")
_IMPLEMENTATION = Path(__file__).parent / "data" / "implementation"

# Reading the sources refuses an .incbin that it recognises; this one is made by the preprocessor.
_HIDDEN_INCBIN = """
#define WORD(text) #text
asm(".section .rodata\\n." WORD(inc) WORD(bin) " \\"/etc/passwd\\"\\n.previous");
"""

both = pytest.mark.parametrize("mode", _MODES)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Forget what this process knows of its host, before and after a test."""
    find_sandbox.cache_clear()
    if not find_sandbox().confines:
        pytest.skip(f"this host cannot confine: {find_sandbox().missing}")
    find_sandbox.cache_clear()
    yield
    find_sandbox.cache_clear()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a secret; another secret is in the environment."""
    path = tmp_path / "home"
    (path / ".ssh").mkdir(parents=True)
    (path / ".ssh" / "id").write_text(_SECRET)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("TOKEN", _SECRET)
    return path


def _choose(monkeypatch: pytest.MonkeyPatch, mode: str) -> bool:
    """Set the mode; returns whether an attack succeeds in it."""
    monkeypatch.setenv("TSM_HARNESS_SANDBOX", mode)
    find_sandbox.cache_clear()
    return mode == "off"


def _tree(tmp_path: Path, attack: str) -> Path:
    """A kernel tree whose first goal runs a shell script, and whose second one fails."""
    tree = tmp_path / "linux"
    (tree / "scripts/kconfig").mkdir(parents=True)
    (tree / "scripts/kconfig/merge_config.sh").touch()
    (tree / "Kconfig").touch()
    (tree / "attack.sh").write_text(attack)
    goal = "tinyconfig:\n\tO=$(O) bash attack.sh; true\nolddefconfig:\n\t@echo error: end; false\n"
    (tree / "Makefile").write_text(goal)
    return tree


def _build(tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Build a tree that attacks; returns the directory of the build."""
    monkeypatch.setattr("harness.kernels.kbuild._TOOLS", {})
    monkeypatch.setattr("harness.kernels.kbuild._HEADERS", {})
    with pytest.raises(BuildError, match="error: end"):
        tree = _tree(tmp_path, attack)
        resolve_kernel(f"tree:{tree}", Cache(tmp_path / "cache"), NullProgress())
    [out] = (tmp_path / "cache" / "build").iterdir()
    return out


@both
@pytest.mark.parametrize(
    ("attack", "loot"),
    [
        ("cat /etc/passwd > $O/loot", "root:"),
        ("cat {home}/.ssh/id > $O/loot", _SECRET),
        ("tr '\\0' '\\n' < /proc/{pid}/environ > $O/loot", "PATH="),
        ("kill -0 {pid} && echo seen > $O/loot", "seen"),
    ],
    ids=["passwd", "key", "environ", "kill"],
)
def test_build_of_a_tree_cannot_reach_the_host(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, attack: str, loot: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    script = attack.format(home=home, pid=os.getpid(), tmp=tmp_path)
    out = _build(tmp_path, script, monkeypatch)
    taken = (out / "loot").read_text() if (out / "loot").exists() else ""
    assert (loot in taken) == succeeds


@both
@pytest.mark.parametrize("place", ["cache", "linux", "home"])
def test_build_of_a_tree_cannot_write_to_the_host(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, place: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    planted = home.with_name(place) / "planted"
    out = _build(tmp_path, f"touch $O/own; touch {planted}", monkeypatch)
    assert planted.exists() == succeeds
    assert (out / "own").exists()


def test_environment_of_a_build_has_nothing_of_the_users(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = _build(tmp_path, "env > $O/loot; cat ~/.ssh/id >> $O/loot", monkeypatch)
    taken = (out / "loot").read_text()
    assert "PATH=" in taken
    assert _SECRET not in taken and str(home) not in taken


@both
def test_build_of_a_tree_has_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    with socket.create_server(("127.0.0.1", 0)) as server:
        _build(tmp_path, f"echo > /dev/tcp/127.0.0.1/{server.getsockname()[1]}", monkeypatch)
        server.setblocking(False)
        try:
            server.accept()[0].close()
            connected = True
        except BlockingIOError:
            connected = False
    assert connected == succeeds


@both
def test_build_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    mark = f"{os.getpid()}.25"
    _build(tmp_path, f"setsid sleep {mark} > /dev/null 2>&1 & sleep 0.1", monkeypatch)
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", mark]
    ]
    for process in found:
        process.kill()
    assert bool(found) == succeeds


def test_fork_bomb_ends_with_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_PROCESSES", 40)
    bomb = "exec 2> $O/loot; bomb() { bomb | bomb & }; bomb; for i in $(seq 90); do sleep 1 & done"
    out = _build(tmp_path, bomb, monkeypatch)
    assert "Resource temporarily unavailable" in (out / "loot").read_text()
    assert not [each for each in psutil.process_iter(["cmdline"]) if "attack.sh" in _line(each)]


def _line(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user for a build")
@both
def test_build_by_root_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    out = _build(
        tmp_path, "grep -E '^(Uid|Gid|Cap|NoNew)' /proc/self/status > $O/loot", monkeypatch
    )
    status = (out / "loot").read_text()
    numbers = {name: value.split() for name, value in re.findall(r"(\w+):\t(.*)", status)}
    assert (set(numbers["Uid"]) == set(numbers["Gid"]) == {"65534"}) != succeeds
    assert (
        not any(int(numbers[f"Cap{kind}"][0], 16) for kind in ("Prm", "Eff", "Bnd"))
    ) != succeeds
    assert numbers["NoNewPrivs"] == ["1"]


@both
@pytest.mark.parametrize("link", [".config", "include/config/kernel.release", "vmlinux"])
def test_links_that_a_build_plants_are_removed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, link: str
) -> None:
    """In both modes: what opens a file through the link is this process, outside the sandbox."""
    _choose(monkeypatch, mode)
    profile = home / ".profile"
    profile.write_text("original")
    attack = (
        f"mkdir -p $O/include/config; ln -s {profile} $O/{link}; mkfifo $O/pipe; ln -s . $O/own"
    )
    out = _build(tmp_path, attack, monkeypatch)
    assert profile.read_text() == "original"
    assert not (out / link).is_symlink() and not (out / "pipe").exists()
    assert (out / "own").is_symlink()


@both
def test_kconfig_of_a_tree_cannot_read_the_host(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    text = f'config STOLEN\n\tbool "a"\n\tdepends on $(shell,cat {home}/.ssh/id)\n'
    tree = tmp_path / "linux"
    tree.mkdir()
    (tree / "Kconfig").write_text(text)
    (tree / ".config").touch()
    [line] = explain_lost(tree, tree / ".config", ["STOLEN"], "gcc")
    assert line.startswith("STOLEN: ")
    assert (_SECRET in line) == succeeds


@both
def test_git_configuration_of_a_tree_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    _choose(monkeypatch, mode)
    tree = tmp_path / "linux"
    tree.mkdir()
    (tree / "file").touch()
    git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *arguments], check=True)
    planted = tmp_path / "planted"
    subprocess.run([*git, "config", "core.fsmonitor", f"touch {planted}; false"], check=True)
    assert tree_identity(tree) is not None
    assert not planted.exists()  # git gets settings that win over those of the tree


def test_linked_working_tree_brings_only_a_repository_that_names_it(tmp_path: Path) -> None:
    repository, tree = tmp_path / "repository" / ".git", tmp_path / "tree"
    linked = repository / "worktrees" / "tree"
    linked.mkdir(parents=True)
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {linked}\n")
    assert repository_paths(tree) == [tree]
    (linked / "gitdir").write_text(f"{tree}/.git\n")
    assert repository_paths(tree) == [tree, repository]


# Sources that a user brings, built as a module


def _kernel(tmp_path: Path) -> Kernel:
    """A build tree that compiles one file, and has a key."""
    build = tmp_path / "kernel"
    (build / "certs").mkdir(parents=True)
    (build / "certs" / "signing_key.pem").write_text(_SECRET)
    (build / "Makefile").write_text("modules:\n\tgcc -c $(M)/tsm.c -o $(M)/tsm.ko\n")
    return Kernel("fake", "6.12", build / "image", build, None)


@both
@pytest.mark.parametrize("file", ["/etc/passwd", "{home}/.ssh/id", "{build}/certs/signing_key.pem"])
def test_source_cannot_include_files_of_the_host(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, file: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    kernel, module = _kernel(tmp_path), tmp_path / "module"
    path = file.format(home=home, build=kernel.build)
    module.mkdir()
    (module / "tsm.c").write_text(f'asm(".incbin \\"{path}\\"");\n')
    with suppress(BuildError):
        build_module(kernel, module, [])
    built = module / "tsm.ko"
    assert (built.exists() and Path(path).read_bytes() in built.read_bytes()) == succeeds


@both
def test_posted_patch_cannot_carry_a_file_of_the_host_into_the_guest(
    tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    succeeds = _choose(monkeypatch, mode)
    shutil.copytree(_IMPLEMENTATION, tmp_path / "posted")
    [file] = (tmp_path / "posted").glob("*.c")
    with file.open("a") as source:
        source.write(_HIDDEN_INCBIN)
    posted = read_user_implementation(f"dir:{tmp_path}/posted")
    stolen = b""
    try:
        built = posted.build(
            session.kernel(DEFAULT_KERNEL), Cache(tmp_path / "cache"), NullProgress()
        )
        stolen = built.modules[0].content.read_bytes()
    except BuildError as error:
        assert "/etc/passwd" in str(error)
    assert (Path("/etc/passwd").read_bytes() in stolen) == succeeds


def test_directive_that_names_a_file_of_the_host_quotes_nothing(tmp_path: Path) -> None:
    """A proof about a source names lines by the ``#line`` directives of that source."""
    proof = Proof("/etc/passwd:1", "uses it")
    assert _quoted(proof, {"tsm.c": "first\n"}) == "/etc/passwd:1:  (uses it)"
    assert _quoted(Proof("tsm.c:1", "uses it"), {"tsm.c": " first\n"}) == "tsm.c:1: first (uses it)"


def test_link_in_a_tree_is_not_quoted(tmp_path: Path, home: Path) -> None:
    coco = tmp_path / "linux" / "drivers" / "virt" / "coco"
    coco.mkdir(parents=True)
    (coco / "stolen.c").symlink_to(home / ".ssh" / "id")
    (coco / "tsm.c").write_text("int a;\n")
    sources = SourceFiles({}, (tmp_path / "linux",))
    assert sources.excerpt("drivers/virt/coco/stolen.c", 1) is None
    assert sources.excerpt("drivers/virt/coco/tsm.c", 1) is not None


# What the host lacks


def test_missing_bubblewrap_is_said_and_can_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_sandbox()
    assert not found.confines and "no bwrap" in found.missing
    find_sandbox.cache_clear()
    monkeypatch.setenv("TSM_HARNESS_SANDBOX", "require")
    with pytest.raises(HostError, match="no bwrap") as caught:
        find_sandbox()
    assert "bubblewrap" in caught.value.hint


def test_host_that_allows_no_namespace_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespace' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = find_sandbox()
    assert not found.confines and "No permissions to create namespace" in found.missing


def test_unknown_mode_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSM_HARNESS_SANDBOX", "on")
    with pytest.raises(UsageError, match="'on'"):
        find_sandbox()
