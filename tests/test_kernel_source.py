# SPDX-License-Identifier: MIT
"""The sources of a kernel under test: from its tree, or from the package of its version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import UsageError
from harness.kernels.bzimage import packaged_version
from harness.kernels.kernel_source import kernel_source, read_source
from harness.kernels.model import Kernel
from harness.progress import NullProgress
from tests.test_kernels import Mirror, bzimage, mirror

__all__ = ["mirror"]  # the fixture

FILES = {
    "drivers/virt/coco/Makefile": "obj-$(CONFIG_TSM_REPORTS) += tsm.o\n",
    "drivers/virt/coco/guest/report.c": "int report;\n",
    "include/linux/tsm.h": "int tsm;\n",
}
OTHERS = {
    "drivers/virt/coco/guest/report.o": "object",
    "drivers/virt/coco/guest/report.mod.c": "generated",
    "drivers/net/tsm.c": "other",
    "include/linux/slab.h": "other",
}


def tree(root: Path) -> Path:
    for name, text in {**FILES, **OTHERS}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def kernel(image: Path, build: Path, spec: str = "debian:6.12") -> Kernel:
    return Kernel(spec, "6.12.9+test", image, build, None)


def test_only_the_sources_of_the_interface_are_read(tmp_path: Path) -> None:
    assert dict(read_source(tree(tmp_path)).files) == FILES


def test_directory_that_is_no_kernel_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no drivers/virt/coco"):
        read_source(tmp_path)


@pytest.mark.parametrize("separate", [False, True], ids=["in place", "separate"])
def test_kernel_built_from_a_tree_has_that_tree(tmp_path: Path, separate: bool) -> None:
    build = tree(tmp_path / "linux")
    if separate:
        build = tmp_path / "build"
        build.mkdir()
        (build / "source").symlink_to(tmp_path / "linux")
    image = tmp_path / "image"
    image.write_bytes(bzimage())
    found = kernel_source(kernel(image, build), Cache(tmp_path / "cache"), NullProgress())
    assert (dict(found.files), found.origin) == (FILES, str(tmp_path / "linux"))


def test_packaged_kernel_has_the_package_of_its_version(tmp_path: Path, mirror: Mirror) -> None:
    image = tmp_path / "image"
    image.write_bytes(bzimage(b"6.12.9+test (d@b) #1 SMP Debian 6.12.9-2~deb12u1 (2026-01-01)"))
    assert packaged_version(image) == "6.12.9-2~deb12u1"
    root = tmp_path / "mirror" / "tree"
    tree(tmp_path / "linux-source-6.12")
    archive = root / "usr/src/linux-source-6.12.tar.xz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    command = ["tar", "-cJf", str(archive), "-C", str(tmp_path), "linux-source-6.12"]
    subprocess.run(command, check=True)
    package = ["dpkg-deb", "-Znone", "--build", str(root), str(tmp_path / "mirror/debs/a.deb")]
    subprocess.run(package, check=True, capture_output=True)
    cache = Cache(tmp_path / "cache")
    for _ in range(2):
        found = kernel_source(kernel(image, tmp_path / "none"), cache, NullProgress())
        assert dict(found.files) == FILES
        assert found.origin == "linux-source-6.12 6.12.9-2~deb12u1"
        mirror.offline.touch()  # the second time nothing is fetched
    assert "linux-source-6.12=6.12.9-2~deb12u1" in mirror.log.read_text()
    [kept] = (tmp_path / "cache" / "source").glob("*/linux-source-6.12")
    assert not (kept / "drivers/net").exists()


@pytest.mark.parametrize("version", [b"", b" (a@b) #1 SMP Debian 6.12.9-2"])
def test_sources_of_another_kernel_are_asked_for(tmp_path: Path, version: bytes) -> None:
    image = tmp_path / "image"
    image.write_bytes(bzimage(b"6.12.9+test" + version))
    unknown = Kernel("/boot/vmlinuz", "5.5.9", image, tmp_path / "none", None)
    with pytest.raises(UsageError, match="are not known") as caught:
        kernel_source(unknown, Cache(tmp_path / "cache"), NullProgress())
    assert "--base tree:PATH" in caught.value.hint


def test_link_in_a_tree_is_no_source(tmp_path: Path) -> None:
    secret = tmp_path / "secret.c"
    secret.write_text("secret")
    root = tree(tmp_path / "linux")
    (root / "drivers/virt/coco/stolen.c").symlink_to(secret)
    (root / "drivers/virt/coco/alias.c").symlink_to("guest/report.c")
    names = {name for name, _ in read_source(root).files}
    assert "drivers/virt/coco/stolen.c" not in names
    assert "drivers/virt/coco/alias.c" in names
