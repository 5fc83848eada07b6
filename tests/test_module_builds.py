# SPDX-License-Identifier: MIT
"""The guest modules, compiled: an API file for each header, and layers of objects."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.paths import guest_images_directory
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

_DATA = Path(__file__).parent / "data"
_OWN = guest_images_directory() / "modules"
_OUTBLOB_MAX = 32768  # in every header below


@dataclass(frozen=True)
class ApiCase:
    """A header, the C file of tsm-sim for it, its number, and the kernel functions it calls."""

    file: str
    api: int
    functions: tuple[str, ...]
    include: Path | None = None
    blobs: int = 3


_TSM = ("tsm_register", "tsm_unregister")
APIS = {
    "class": ApiCase(
        "api_class",
        1,
        ("register_tsm", "unregister_tsm"),
        _OWN / "tsm-class" / "include",
        blobs=1,
    ),
    "6.7": ApiCase(
        "api_6_7",
        2,
        (*_TSM, "tsm_report_default_type", "tsm_report_extra_type"),
        _DATA / "tsm_api" / "6.7",
    ),
    "posted, version 3": ApiCase(
        "api_posted_v3",
        5,
        ("register_tsm", "unregister_tsm", "tsm_report_default_type", "tsm_report_ext_type"),
        _DATA / "implementations" / "configfs" / "posted-v3" / "include",
    ),
    "posted, version 4": ApiCase(
        "api_posted_v4",
        6,
        (*_TSM, "tsm_report_default_type", "tsm_report_ext_type"),
        _DATA / "implementations" / "configfs" / "posted-v4" / "include",
    ),
    "6.11, the kernel's own": ApiCase("api_6_11", 3, _TSM),
    "6.11, a user's": ApiCase("api_6_11", 3, _TSM, _DATA / "implementation" / "include"),
    "6.16": ApiCase(
        "api_6_16",
        4,
        ("tsm_report_register", "tsm_report_unregister"),
        _DATA / "tsm_api" / "6.16",
    ),
}

Completed = subprocess.CompletedProcess[str]
Compile = Callable[..., Completed]


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A copy of the sources of the modules and of the headers that they include."""
    for name in ("modules", "include"):
        shutil.copytree(guest_images_directory() / name, tmp_path / name)
    return tmp_path / "modules"


@pytest.fixture
def compiling(session: Session, modules: Path) -> Compile:
    """Compiles targets of a module against the packaged kernel; warnings are errors."""
    build = session.kernel(DEFAULT_KERNEL).build

    def compile_targets(*arguments: str, module: str = "tsm-sim") -> Completed:
        directory = modules / module
        command = ["make", "-C", str(build), f"M={directory}", "-j2", "W=1"]
        return subprocess.run(
            [*command, "KCFLAGS=-g0 -Werror", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return compile_targets


def _objects(module: Path) -> list[Path]:
    """Return the objects of a compiled module, in the order of its Kbuild file."""
    listed = (module / f"{module.name}.mod").read_text().split()
    return [module / Path(name).name for name in listed]


def _symbols(elf: ELFFile) -> SymbolTableSection:
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return table


def _imports(path: Path) -> set[str]:
    """Return the symbols that an object imports."""
    with path.open("rb") as file:
        symbols = _symbols(ELFFile(file)).iter_symbols()
        return {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"}


def _exports(path: Path) -> set[str]:
    """Return the symbols of an object that other objects can import."""
    with path.open("rb") as file:
        return {
            symbol.name
            for symbol in _symbols(ELFFile(file)).iter_symbols()
            if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] == "STB_GLOBAL"
        }


def _first_two_integers(path: Path, name: str) -> tuple[int, int]:
    """Return the first two 32-bit integers of an initialised variable in an object."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        symbols = _symbols(elf).get_symbol_by_name(name)
        assert symbols is not None
        (symbol,) = symbols
        data: bytes = elf.get_section(symbol["st_shndx"]).data()
        first, second = struct.unpack_from("<II", data, symbol["st_value"])
    return first, second


def test_only_the_api_files_include_the_header(modules: Path) -> None:
    sources = modules / "tsm-sim"
    texts = {path.name: path.read_text() for path in sources.glob("*.[ch]")}
    including = {name for name, text in texts.items() if "<linux/tsm.h>" in text}
    api_files = {path.name for path in sources.glob("api_*.c")}
    assert including == {*api_files, "api_configfs.h"}
    assert api_files == {f"{case.file}.c" for case in APIS.values()}
    listed = re.findall(r"(\w+):\w+", (sources / "Kbuild").read_text().partition("apis := ")[2])
    assert api_files == {f"api_{name}.c" for name in listed}
    numbers = {case.file: case.api for case in APIS.values()}
    assert len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize("name", APIS)
def test_each_header_is_built_with_its_api_file(
    compiling: Compile, modules: Path, name: str
) -> None:
    case = APIS[name]
    variables = [f"TSM_INCLUDE={case.include}"] if case.include else []
    done = compiling(*variables, "tsm-sim.mod", f"{case.file}.o")
    assert done.returncode == 0, done.stderr
    used = [path for path in _objects(modules / "tsm-sim") if path.name.startswith("api_")]
    assert [path.name for path in used] == [f"{case.file}.o"]
    functions = {function for other in APIS.values() for function in other.functions}
    assert _imports(used[0]) & functions == set(case.functions)
    expected = (case.api, case.blobs * (_OUTBLOB_MAX + 1))
    assert _first_two_integers(used[0], "tsm_sim_api") == expected


def test_unknown_header_is_an_error(compiling: Compile, tmp_path: Path) -> None:
    (tmp_path / "api" / "linux").mkdir(parents=True)
    (tmp_path / "api" / "linux" / "tsm.h").write_text("int tsm_enroll(void);\n")
    done = compiling(f"TSM_INCLUDE={tmp_path / 'api'}", "tsm-sim.mod")
    assert done.returncode != 0
    assert "tsm.h has none of the identifiers in" in done.stderr


def test_changed_interface_does_not_compile(compiling: Compile, tmp_path: Path) -> None:
    text = (_DATA / "tsm_api" / "6.16" / "linux" / "tsm.h").read_text()
    lacking = text.replace("\tu8 *manifestblob;\n", "").replace(
        "\n#endif", "\nstatic int idle;\n\n#endif"
    )
    assert lacking.count("\n") == text.count("\n") + 1
    header = tmp_path / "api" / "linux" / "tsm.h"
    header.parent.mkdir(parents=True)
    header.write_text(lacking)
    done = compiling(f"TSM_INCLUDE={tmp_path / 'api'}", "api_6_16.o")
    assert done.returncode != 0
    assert "no member named 'manifestblob'" in done.stderr
    assert "[-Werror=unused-variable]" in done.stderr  # warnings are errors here


@pytest.mark.parametrize(
    ("module", "interface"),
    [
        ("tsm-sim", set()),
        (
            "tsm-class",
            {
                "register_tsm",
                "unregister_tsm",
                "tsm_default_attribute_group",
                "tsm_extra_attribute_group",
            },
        ),
        ("tsm-configfs", {"tsm_report_register", "tsm_report_unregister"}),
    ],
)
def test_objects_form_layers_and_their_symbols_have_a_prefix(
    compiling: Compile, modules: Path, module: str, interface: set[str]
) -> None:
    done = compiling(f"{module}.o", module=module)
    assert done.returncode == 0, done.stderr
    objects = _objects(modules / module)
    everything = set[str]().union(*map(_exports, objects))
    before: set[str] = set()
    for path in objects:
        before |= _exports(path)
        assert _imports(path) & everything <= before, f"{path.name} uses a later object"
    prefixes = (f"{module.replace('-', '_')}_", "tsm_defects_", "init_module", "cleanup_module")
    assert {name for name in everything if not name.startswith(prefixes)} == interface
