# SPDX-License-Identifier: MIT
"""Kernel trees: specs, sanitizers, lost settings, and when a tree is built again.

The trees are makefiles that log their goals, because a kernel takes minutes to build. ``tox -e
sanitizers`` builds kernels.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import kconfiglib
import pytest

from harness.cache import Cache
from harness.detectors import SANITIZERS, Sanitizer, Setting, SplatKind, pattern
from harness.errors import BuildError, HostError, UsageError
from harness.kernels.kbuild import tree_identity
from harness.kernels.kconfig import explain_lost, lost_symbols, read_fragment
from harness.kernels.model import parse_config
from harness.kernels.resolve import resolve_kernel
from harness.kernels.spec import KernelTree, PackagedSource, kernel_forms, parse_kernel
from harness.progress import NullProgress
from tests.test_kernels import RELEASE, bzimage

KCONFIG = """\
config MODULES
\tbool "Modules"
\tmodules

config EFI
\tbool "EFI"

config SEV_GUEST
\ttristate "SEV"
\tdepends on EFI && !SLUB_TINY
\tselect TSM_REPORTS

config TSM_REPORTS
\ttristate

config SLUB_TINY
\tbool "tiny"
\ttransitional
"""
MAKEFILE = """\
log = echo $@ >> $(O)/log
tinyconfig:
\t$(log); echo "# CONFIG_EFI is not set" > $(O)/.config
olddefconfig:
\t$(log); {drop}
bzImage:
\t$(log); echo "  CC      init/main.o"; {build}
\tmkdir -p $(O)/arch/x86/boot $(O)/include/config
\tcp image $(O)/arch/x86/boot/bzImage
\techo {release} > $(O)/include/config/kernel.release
\ttouch $(O)/Module.symvers
modules:
\t$(log)
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a kernel tree; its olddefconfig also runs ``drop``, and its bzImage runs ``build``."""
    monkeypatch.setattr("harness.kernels.kbuild._TOOLS", {"make": "make"})
    monkeypatch.setattr("harness.kernels.kbuild._HEADERS", {})

    def make(drop: str = "true", build: str = "true") -> Path:
        path = tmp_path / "linux"
        (path / "scripts/kconfig").mkdir(parents=True, exist_ok=True)
        (path / "scripts/kconfig/merge_config.sh").touch()
        (path / "Kconfig").write_text(KCONFIG)
        (path / "image").write_bytes(bzimage())
        makefile = MAKEFILE.format(drop=drop, build=build, release=RELEASE)
        (path / "Makefile").write_text(makefile)
        return path

    return make


def goals(tmp_path: Path) -> list[str]:
    """The goals of every build, those of the latest build last."""
    logs = sorted(tmp_path.glob("cache/build/*/log"), key=lambda log: log.stat().st_mtime_ns)
    return [goal for log in logs for goal in log.read_text().split()]


def commit(path: Path) -> None:
    git = ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "state"], check=True)


def build(tmp_path: Path, spec: str, config: Path | None = None) -> str:
    return resolve_kernel(spec, Cache(tmp_path / "cache"), NullProgress(), config=config).release


def test_specs_are_parsed(tree: Callable[..., Path]) -> None:
    path = tree()
    assert parse_kernel(f"tree:{path}") == KernelTree(f"tree:{path}", path)
    spec = f"tree:{path}+lockdep+kasan"
    assert parse_kernel(spec) == KernelTree(spec, path, ("kasan", "lockdep"))
    packaged = parse_kernel("source:6.12+kcsan")
    assert isinstance(packaged, KernelTree) and packaged.sanitizers == ("kcsan",)
    assert isinstance(packaged.source, PackagedSource)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tree:/nowhere", "not a kernel source tree: it has no Kconfig"),
        ("tree:", "not a kernel source tree"),
        ("source:6.12+newsan", "no such sanitizer: newsan"),
        ("source:6.12+kasan+kcsan", "both kasan and kcsan"),
        ("source:1.0", "no such kernel"),
        ("debian:6.12+kasan", "no such kernel"),
    ],
)
def test_invalid_spec_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_kernel(spec)
    assert caught.value.hint


@pytest.mark.parametrize("sanitizer", SANITIZERS.values(), ids=lambda sanitizer: sanitizer.name)
def test_entry_of_the_sanitizer_table_is_complete(sanitizer: Sanitizer) -> None:
    assert SANITIZERS[sanitizer.name] is sanitizer
    settings = parse_config(sanitizer.fragment)
    assert settings == {setting.symbol: setting.value for setting in sanitizer.settings}
    assert settings[sanitizer.detector] == "y"
    assert all(setting.reason for setting in sanitizer.settings)
    assert sanitizer.finds and sanitizer.patterns
    assert set(sanitizer.excludes) <= set(SANITIZERS) - {sanitizer.name}


@pytest.fixture
def newsan(monkeypatch: pytest.MonkeyPatch) -> str:
    """Adds an entry to the sanitizer table, for a sanitizer that the project does not have."""
    head = pattern(
        SplatKind.WARNING,
        "BUG: NEWSAN: ",
        r"BUG: NEWSAN: (?P<subtype>[a-z-]+)",
        "BUG: NEWSAN: uninit",
    )
    settings = (Setting("NEWSAN", "y", "the detector"), Setting("NEWSAN_CHECK", "n", "too slow"))
    entry = Sanitizer("newsan", "NEWSAN", "uninitialised values", settings, (head,), (), ("kasan",))
    monkeypatch.setitem(SANITIZERS, entry.name, entry)
    return entry.name


def test_new_sanitizer_needs_only_an_entry_of_the_table(
    tree: Callable[..., Path], tmp_path: Path, newsan: str
) -> None:
    assert "+newsan" in kernel_forms()
    for order in ("kasan+newsan", "newsan+kasan"):
        with pytest.raises(UsageError, match="both kasan and newsan"):
            parse_kernel(f"source:6.12+{order}")
    copy = "cp $(O)/.config $(O)/copy"
    assert build(tmp_path, f"tree:{tree(copy)}+newsan+lockdep") == RELEASE
    [copied] = tmp_path.glob("cache/build/*/copy")
    config = parse_config(copied.read_text())
    assert (config["NEWSAN"], config["NEWSAN_CHECK"]) == ("y", "n")
    assert config["PROVE_LOCKING"] == "y" and "KCSAN" not in config


@pytest.mark.parametrize("name", SANITIZERS)
def test_sanitizer_that_the_configuration_drops_is_an_error(
    tree: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    detector = SANITIZERS[name].detector
    path = tree(f"sed -i '/CONFIG_{detector}=/d' $(O)/.config")
    with pytest.raises(BuildError, match=f"{detector}: this tree has no such symbol"):
        build(tmp_path, f"tree:{path}+{name}")
    assert "bzImage" not in goals(tmp_path)


def test_build_does_not_change_the_tree(tree: Callable[..., Path], tmp_path: Path) -> None:
    path = tree()
    before = sorted(path.rglob("*"))
    assert build(tmp_path, f"tree:{path}") == RELEASE
    assert goals(tmp_path)[:2] == ["tinyconfig", "olddefconfig"]
    assert sorted(goals(tmp_path)[2:]) == ["bzImage", "modules"]  # make runs both at once
    assert sorted(path.rglob("*")) == before


def test_unchanged_tree_is_not_built_again(tree: Callable[..., Path], tmp_path: Path) -> None:
    path = tree()
    commit(path)
    spec = f"tree:{path}"
    for _ in range(2):
        build(tmp_path, spec)
    assert goals(tmp_path).count("bzImage") == 1
    (path / "Kconfig").write_text(KCONFIG + "# changed\n")  # not committed
    build(tmp_path, spec)
    assert goals(tmp_path).count("bzImage") == 2
    build(tmp_path, f"{spec}+ubsan")
    assert goals(tmp_path).count("bzImage") == 3
    config = tmp_path / "config"
    config.write_text("CONFIG_EFI=y\n")
    build(tmp_path, spec, config)
    assert sorted(goals(tmp_path)[-2:]) == ["bzImage", "modules"]
    build(tmp_path, spec)
    assert goals(tmp_path).count("bzImage") == 4


def test_make_runs_again_in_a_tree_without_git(tree: Callable[..., Path], tmp_path: Path) -> None:
    path = tree()
    assert tree_identity(path) is None
    for _ in range(2):
        build(tmp_path, f"tree:{path}")
    assert goals(tmp_path).count("bzImage") == 2


def test_error_of_a_lost_setting_names_its_dependency(
    tree: Callable[..., Path], tmp_path: Path
) -> None:
    drop = "sed -i '/CONFIG_EFI=/d; /CONFIG_SEV_GUEST=/d; /CONFIG_TSM_REPORTS=/d' $(O)/.config"
    with pytest.raises(BuildError) as caught:
        build(tmp_path, f"tree:{tree(drop)}")
    message = str(caught.value)
    assert "SEV_GUEST: depends on EFI" in message
    reason = "has no prompt, and no symbol that selects it is on: SEV_GUEST"
    assert f"TSM_REPORTS: {reason}" in message
    assert "bzImage" not in goals(tmp_path)


def test_lost_optional_setting_is_no_error(tree: Callable[..., Path], tmp_path: Path) -> None:
    assert build(tmp_path, f"tree:{tree('sed -i /DWARF/d $(O)/.config')}") == RELEASE


def test_error_of_a_failed_build_has_the_compilers_errors(
    tree: Callable[..., Path], tmp_path: Path
) -> None:
    path = tree(build="echo 'mm/slub.c:7:1: error: no semicolon' >&2; exit 1")
    commit(path)
    for _ in range(2):  # a failed build is repeated
        with pytest.raises(BuildError, match=r"mm/slub\.c:7:1: error: no semicolon"):
            build(tmp_path, f"tree:{path}")
    assert goals(tmp_path).count("bzImage") == 2


def test_tree_that_was_built_in_place_is_refused(tree: Callable[..., Path]) -> None:
    path = tree()
    (path / ".config").touch()
    with pytest.raises(UsageError, match="built in place") as caught:
        resolve_kernel(f"tree:{path}", Cache(path.parent / "cache"), NullProgress())
    assert "mrproper" in caught.value.hint


def test_error_of_missing_tools_names_their_packages(
    tree: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tree()
    monkeypatch.setattr("harness.kernels.kbuild._TOOLS", {"make": "make", "no-flex": "flex"})
    monkeypatch.setattr("harness.kernels.kbuild._HEADERS", {"/nowhere/gelf.h": "libelf-dev"})
    with pytest.raises(HostError, match="flex, libelf-dev") as caught:
        build(tmp_path, f"tree:{path}")
    assert caught.value.hint == "as root: apt-get install flex libelf-dev"


@pytest.mark.parametrize("setting", ["m", "y"])
def test_kernels_own_implementation_is_built_as_its_selector(tmp_path: Path, setting: str) -> None:
    """The fragment selects a module, which can be left out; y would build it in."""
    file, fragment = tmp_path / "Kconfig", read_fragment("base")
    file.write_text(KCONFIG.replace("\tmodules", "\toption modules").replace("\ttransitional", ""))
    assert "CONFIG_SEV_GUEST=m\nCONFIG_TSM_REPORTS=m\n" in fragment
    (tmp_path / "config").write_text(fragment.replace("SEV_GUEST=m", f"SEV_GUEST={setting}"))
    kconfig = kconfiglib.Kconfig(str(file), warn=False)
    kconfig.load_config(str(tmp_path / "config"))
    assert kconfig.syms["TSM_REPORTS"].str_value == setting


def test_symbols_that_a_configuration_lost_are_found() -> None:
    text = 'CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D="x"\nCONFIG_E=y\n'
    assert lost_symbols(text, text) == []
    assert lost_symbols(text, 'CONFIG_A=m\nCONFIG_C=y\nCONFIG_D="x"\n') == ["B", "C", "E"]


def test_lost_settings_are_named_without_a_readable_kconfig(tmp_path: Path) -> None:
    (tmp_path / "Kconfig").write_text("config A\n\tnonsense here\n")
    (tmp_path / ".config").touch()
    [line] = explain_lost(tmp_path, tmp_path / ".config", ["A"], "gcc")
    assert line.startswith("A: ")
