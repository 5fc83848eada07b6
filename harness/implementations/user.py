# SPDX-License-Identifier: MIT
"""TSM cores that a user brings: found out, built as a module against the kernel, and served.

What a core is, is not configured. A header that declares ``register_tsm()`` is the sysfs class's;
one that declares ``tsm_register()`` or ``tsm_report_register()`` a configfs core's.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

from harness.cache import Cache
from harness.errors import BuildError, UsageError
from harness.implementations.modules import compiler_flags, make_module, strip_modules
from harness.implementations.patch import Patch, read_patch
from harness.implementations.shims import build_with_shims
from harness.kernels.model import Kernel
from harness.kernels.toolchain import compiler_version
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = [
    "UserImplementation",
    "build_user_implementation",
    "read_user_implementation",
    "user_implementation_notes",
    "write_sources",
]

_HEADER = "include/linux/tsm.h"
_MAX_BYTES = 16 << 20
_POSTED = re.compile(r"(.+)#([1-9]\d{0,2})")
_LAYOUT = "4"
_ADAPTED = "adapted.json"


@dataclass(frozen=True)
class UserImplementation:
    """The sources of a core: C files and headers by path, its interface, and what was mended."""

    name: str
    interface: Literal["class", "configfs"]
    files: tuple[tuple[str, str], ...]
    mended: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Changes with every byte of the sources."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()

    @property
    def api(self) -> str:
        """Which configfs interface the header has, where the kernel's version cannot tell."""
        header = dict(self.files)[_HEADER]
        if self.interface == "class" or "TSM_REPORT_INBLOB_MAX" in header:
            return ""
        return "6_7" if re.search(r"tsm_register\([^)]*config_item_type", header, re.S) else "6_11"


def read_user_implementation(spec: str) -> UserImplementation:
    """Read ``patch:FILE`` or ``dir:PATH``; raises :class:`UsageError` with what it lacks.

    ``patch:FILE#2`` is the second posting in the file.
    """
    kind, _, name = spec.partition(":")
    posted = None
    try:
        if kind == "patch" and not Path(name).exists():
            posted = _POSTED.fullmatch(name)
        path = Path(posted[1] if posted else name)
        stamp = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        raise UsageError(f"{spec}: {getattr(error, 'strerror', error)}") from error
    if (kind == "dir") is not path.is_dir():
        raise UsageError(f"{name} is {'no' if kind == 'dir' else 'a'} directory")
    return _read(kind, path, stamp, int(posted[2]) if posted else 1)


@cache
def _read(kind: str, path: Path, stamp: int, number: int) -> UserImplementation:
    posting = _from_directory(path) if kind == "dir" else _from_patch(path, number)
    files = _arranged(posting)
    where = f"{path} has" if kind == "dir" else f"whole posting {number} in {path} has"
    header = files.get(_HEADER)
    sources = [name for name in files if name.endswith(".c")]
    if header is None or not sources:
        missing = "no linux/tsm.h" if header is None else "no C file beside its header"
        raise UsageError(
            f"{where} {missing}; new files: {', '.join(posting.files) or 'none'}",
            hint="a core is tsm.c and include/linux/tsm.h, as new files",
        )
    if re.search(r"\bregister_tsm\s*\(", header):
        interface: Literal["class", "configfs"] = "class"
    elif re.search(r"\btsm_(report_)?register\s*\(", header):
        interface = "configfs"
    else:
        raise UsageError(f"{where} a header without register_tsm() or tsm_register()")
    return UserImplementation(
        str(path), interface, tuple(sorted(files.items())), tuple(posting.mended)
    )


def _from_patch(path: Path, number: int) -> Patch:
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(f"{path} is larger than any patch: over {_MAX_BYTES >> 20} MiB")
    return read_patch(path.read_bytes(), number)


def _from_directory(path: Path) -> Patch:
    posting = Patch()
    for file in sorted([*path.rglob("*.c"), *path.rglob("*.h")]):
        if file.name.endswith(".mod.c") or file.stat().st_size > _MAX_BYTES:
            continue
        posting.files[str(file.relative_to(path))] = file.read_text("utf-8", "replace")
    return posting


def _arranged(posting: Patch) -> dict[str, str]:
    """Headers of the kernel's include tree stay where they are, the rest lies side by side."""
    files: dict[str, str] = {}
    for name, text in posting.files.items():
        path = PurePosixPath(name)
        if path.suffix not in (".c", ".h") or ".." in path.parts:
            continue
        if "include" in path.parts:
            inside = PurePosixPath(*path.parts[path.parts.index("include") :])
            files[str(inside)] = text
        elif path.name == "tsm.h":
            files[_HEADER] = text
        else:
            files[path.name] = text
    return files


def build_user_implementation(
    core: UserImplementation, kernel: Kernel, cache: Cache, progress: Progress
) -> Path:
    """Build the core and a provider driver for it; the directory with both module files.

    Raises :class:`BuildError` with the compiler's words.
    """
    sources = guest_images_directory()
    parts = (sources / "modules" / "tsm-sim", sources / "include")
    driver = b"".join(path.read_bytes() for part in parts for path in sorted(part.iterdir()))
    words = (_LAYOUT, core.digest, kernel.digest, compiler_version("make"))
    key = hashlib.sha256(repr(words).encode() + driver).hexdigest()

    def build(directory: Path) -> None:
        with progress.step(f"building {Path(core.name).name} for {kernel.release}"):
            _build(core, kernel, sources, directory)

    return cache.get_or_make("core", key, build)


def write_sources(core: UserImplementation, tree: Path) -> None:
    """Lay the sources out below ``tree``, to be built as the module ``tsm-user``."""
    for name, text in core.files:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    objects = " ".join(f"{Path(n).stem}.o" for n, _ in core.files if n.endswith(".c"))
    (tree / "Kbuild").write_text(
        "LINUXINCLUDE := -I$(src)/include $(LINUXINCLUDE)\n"
        f"obj-m := tsm-user.o\ntsm-user-y := {objects}\n",
        encoding="ascii",
    )


def user_implementation_notes(core: UserImplementation, built: Path) -> list[str]:
    """What had to be mended to read the core, and adapted to build it."""
    adapted = json.loads((built / _ADAPTED).read_bytes())
    return [*(f"mended: {words}" for words in core.mended), *(f"adapted: {w}" for w in adapted)]


def _make(kernel: Kernel, tree: Path, flags: str) -> None:
    make_module(kernel, tree, flags)


def _build(core: UserImplementation, kernel: Kernel, sources: Path, directory: Path) -> None:
    work = directory / "build"
    tree = work / "core"
    write_sources(core, tree)
    flags = compiler_flags(kernel, work)
    adapted = build_with_shims(tree, flags, lambda words: _make(kernel, tree, words))
    (directory / _ADAPTED).write_text(json.dumps(adapted), encoding="utf-8")
    shutil.copy(tree / "tsm-user.ko", directory)
    shutil.copytree(sources / "modules" / "tsm-sim", work / "tsm" / "tsm-sim")
    shutil.copytree(sources / "include", work / "include")
    options = [f"TSM_INCLUDE={tree}/include", f"KBUILD_EXTRA_SYMBOLS={tree}/Module.symvers"]
    options.append(f"TSM_CORE={'class' if core.interface == 'class' else 'mainline'}")
    options += [f"TSM_API={core.api}"] if core.api else []
    try:
        make_module(kernel, work / "tsm" / "tsm-sim", flags, *options)
    except BuildError as error:
        raise BuildError(
            f"the provider driver does not build against this core's header: {error}"
        ) from error
    shutil.copy(work / "tsm" / "tsm-sim" / "tsm-sim.ko", directory / "tsm-sim-user.ko")
    shutil.rmtree(work)
    strip_modules(directory)
