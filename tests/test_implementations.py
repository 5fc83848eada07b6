# SPDX-License-Identifier: MIT
"""Implementations: names, and the modules that each kind builds and loads.

The build tree of the kernel is a makefile that compiles one C file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import BuildError, HostError, UsageError
from harness.implementations.defects import OwnKind, defects_of
from harness.implementations.mainline import mainline_module
from harness.implementations.model import Build, Implementation
from harness.implementations.spec import parse_implementation
from harness.kernels.model import Kernel
from harness.progress import NullProgress
from tests.test_kernels import RELEASE, build_tree, bzimage, compile_module, kernel

USER = Path(__file__).parent / "data" / "implementation"
REFERENCES = ("mainline", "configfs-fixed", "class-posted", "class-fixed")
RECIPE = (
    "echo 'const char *where = __FILE__;' > $(M)/f.c; "
    "echo register_tsm tsm_register tsm_report_register > $(M)/Module.symvers; "
    "gcc -g $(KCFLAGS) -c -o $(M)/$(notdir $(M)).ko $(M)/f.c"
)


def kernel_with_build_tree(path: Path, recipe: str = RECIPE, reports: str = "m") -> Kernel:
    """Make a kernel whose build tree runs ``recipe`` to build a module."""
    build_tree(path)
    (path / "Makefile").write_text(f".PHONY: modules\nmodules:\n\t{recipe}\n")
    (path / "image").write_bytes(bzimage())
    compile_module(path / "modules/tsm.ko", "configfs")
    compile_module(path / "modules/configfs.ko", "")
    config = {"CONFIGFS_FS": "m", "TSM_REPORTS": reports}
    return Kernel("test", RELEASE, path / "image", path, path / "modules", config)


def build(name: str, kernel: Kernel, cache: Path) -> Build:
    return parse_implementation(name).build(kernel, Cache(cache), NullProgress())


def loads(built: Build) -> list[tuple[str, str]]:
    return [(load.path, load.parameters) for load in built.loads]


@pytest.mark.parametrize("name", ["", "defect:", "defect:nope", "mainline:x", "patch:", "dir:"])
def test_invalid_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_implementation(name)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["class", "configfs"])
def test_defect_is_a_mutant_of_its_module(kind: OwnKind) -> None:
    assert defects_of(kind)
    for name in defects_of(kind):
        mutant = parse_implementation(f"defect:{name}")
        assert (mutant.interface, mutant.defects) == (kind, (name,))


def test_reference_implementations_have_all_reviewed_defects_or_none() -> None:
    posted = set(parse_implementation("class-posted").defects)
    explored = {name for name, defect in defects_of("class").items() if defect.explored}
    assert posted == set(defects_of("class")) - explored
    assert "double-free" in posted and "leak-replaced" in explored
    for name in ("class-fixed", "configfs-fixed", "mainline"):
        assert parse_implementation(name).defects == ()
    assert not set(defects_of("class")) & set(defects_of("configfs"))


@pytest.mark.parametrize("name", [*REFERENCES, "defect:stale-tail", f"dir:{USER}"])
def test_every_kind_implements_the_protocol(name: str) -> None:
    implementation: Implementation = parse_implementation(name)
    assert implementation.name == name
    is_of_user = name.startswith("dir:")
    assert implementation.verdicts_known is not is_of_user
    assert bool(implementation.files) is bool(implementation.digest) is is_of_user
    assert (implementation.source() is None) is (name == "mainline")


def test_source_has_its_defects_as_constants() -> None:
    kbuilds = {}
    for name in ("class-fixed", "defect:stale-tail"):
        source = parse_implementation(name).source()
        assert source is not None
        kbuilds[name] = dict(source.files)["tsm-class/Kbuild"]
    assert "TSM_DEFECTS=(0)" in kbuilds["class-fixed"]
    assert "TSM_DEFECTS=(BIT(DEFECT_STALE_TAIL))" in kbuilds["defect:stale-tail"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("CONFIG_CONFIGFS_FS=m\nCONFIG_TSM_REPORTS=y", "its own implementation built in"),
        ("# CONFIG_CONFIGFS_FS is not set\nCONFIG_A=y", "lacks CONFIG_CONFIGFS_FS"),
    ],
)
@pytest.mark.parametrize("name", ["configfs-fixed", f"dir:{USER}"])
def test_kernel_that_cannot_load_a_configfs_implementation_is_refused(
    tmp_path: Path, config: str, message: str, name: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build(name, kernel(config), tmp_path)
    assert caught.value.hint


def test_our_configfs_implementation_needs_callbacks_for_visibility(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs Linux 6\.11"):
        build("configfs-fixed", kernel("CONFIG_CONFIGFS_FS=y", release="6.10.3"), tmp_path)


def test_modules_are_loaded_before_their_driver(tmp_path: Path) -> None:
    tree, cache = kernel_with_build_tree(tmp_path / "tree"), tmp_path / "cache"
    driver = ("/run/tsm-sim.ko", "")
    assert loads(build("class-fixed", tree, cache)) == [("/run/tsm-class.ko", ""), driver]
    mutant = build("defect:stale-tail", tree, cache)
    assert loads(mutant) == [("/run/tsm-class.ko", "defects=stale-tail"), driver]
    assert loads(build("configfs-fixed", tree, cache))[0] == ("/run/tsm-configfs.ko", "")
    assert loads(build("mainline", tree, cache)) == [("/run/tsm.ko", ""), driver]
    assert set(mutant.debug_files) == {"tsm_class", "tsm_sim"}
    for built in (mutant.loads[0].content, mutant.debug_files["tsm_class"]):
        assert built.read_bytes().startswith(b"\x7fELF")
    stripped, debug = mutant.loads[0].content, mutant.debug_files["tsm_class"]
    assert (b".debug_info" in stripped.read_bytes(), b".debug_info" in debug.read_bytes()) == (
        False, True,
    )  # fmt: skip


def test_implementations_of_one_module_share_a_build(tmp_path: Path) -> None:
    tree, cache = kernel_with_build_tree(tmp_path / "tree"), tmp_path / "cache"
    fixed, posted = (build(name, tree, cache) for name in ("class-fixed", "class-posted"))
    assert fixed.loads[0].content == posted.loads[0].content
    assert len(Cache(cache).entries()) == 1


def test_implementation_that_is_built_in_is_not_loaded(tmp_path: Path) -> None:
    tree = kernel_with_build_tree(tmp_path / "tree", reports="y")
    assert loads(build("mainline", tree, tmp_path / "cache")) == [("/run/tsm-sim.ko", "")]
    with pytest.raises(UsageError, match="CONFIG_TSM_REPORTS"):
        build("mainline", kernel("# CONFIG_TSM_REPORTS is not set\nCONFIG_A=y"), tmp_path)


@pytest.mark.parametrize(
    ("release", "name"),
    [("6.12.1", "tsm"), ("6.15.9", "tsm"), ("6.16-rc1", "tsm_report"), ("7.3.4+x", "tsm_report")],
)
def test_name_of_the_kernels_module_depends_on_its_version(release: str, name: str) -> None:
    assert mainline_module(kernel(release=release)) == name


def test_builds_do_not_depend_on_their_directory(tmp_path: Path) -> None:
    tree = kernel_with_build_tree(tmp_path / "tree")
    contents = []
    for name in ("short", "a-much-longer-name"):
        built = build("class-fixed", tree, tmp_path / name)
        contents.append([load.content.read_bytes() for load in built.loads])
    assert contents[0] == contents[1]


def test_change_of_the_kernels_module_changes_the_build(tmp_path: Path) -> None:
    tree, cache = kernel_with_build_tree(tmp_path / "tree"), tmp_path / "cache"
    before = build("mainline", tree, cache).loads[0].digest
    compile_module(tmp_path / "tree/modules/tsm.ko", "")
    assert build("mainline", tree, cache).loads[0].digest != before


def test_error_of_a_failed_build_has_the_compilers_errors(tmp_path: Path) -> None:
    broken = kernel_with_build_tree(
        tmp_path / "tree", "echo 'core.c:7: error: no semicolon' >&2; false"
    )
    for name in ("class-fixed", "mainline"):
        with pytest.raises(BuildError, match="no semicolon"):
            build(name, broken, tmp_path / "cache")
    assert Cache(tmp_path / "cache").entries() == []


def test_hint_of_a_missing_compiler_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = kernel_with_build_tree(tmp_path / "tree", "true")
    (tree.build / ".kernelvariables").write_text("CC = $(CROSS_COMPILE)gcc-99\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        build("class-fixed", tree, tmp_path / "cache")
    assert "gcc-99" in caught.value.hint


def test_file_or_directory_without_its_kind_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "fix.patch").touch()
    for name, kind in (("fix.patch", "patch"), (".", "dir")):
        path = str(tmp_path / name)
        with pytest.raises(UsageError) as caught:
            parse_implementation(path)
        assert f"did you mean {kind}:{path}?" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        parse_implementation(str(tmp_path / "none"))
    assert "did you mean" not in caught.value.hint
