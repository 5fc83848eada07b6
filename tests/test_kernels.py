# SPDX-License-Identifier: MIT
"""Kernel specs, images by path, module files, and packaged kernels from a fake apt."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import BuildError, HarnessError, HostError, UsageError
from harness.images.image import boot_modules
from harness.kernels import apt
from harness.kernels.bzimage import image_release, kernel_from_image
from harness.kernels.model import Kernel, parse_config
from harness.kernels.module_files import read_modules
from harness.kernels.resolve import resolve_kernel
from harness.kernels.spec import KernelImage, PackagedKernel, parse_kernel
from harness.progress import NullProgress

CONFIG = "".join(
    f"CONFIG_{name}=y\n"
    for name in ("VIRTIO_CONSOLE", "VIRTIO_PCI", "MODULES", "BLK_DEV_INITRD", "DEVTMPFS")
)
RELEASE = "6.12.9+test"


def bzimage(release: bytes = RELEASE.encode() + b" (builder) #1", *, body: int = 4096) -> bytes:
    """Return a header as in the Linux/x86 boot protocol, followed by zeros."""
    data = bytearray(0x400 + body)
    data[0x1F1] = 1
    struct.pack_into("<I", data, 0x1F4, body // 16)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x100)
    data[0x300 : 0x300 + len(release) + 1] = release + b"\0"
    return bytes(data)


def build_tree(path: Path, config: str = CONFIG, release: str = RELEASE) -> Path:
    (path / "include" / "config").mkdir(parents=True)
    (path / "include" / "config" / "kernel.release").write_text(f"{release}\n")
    (path / "Makefile").write_text("")
    (path / "Module.symvers").write_text("")
    (path / ".config").write_text(config)
    return path


def kernel(config: str = "", *, release: str = RELEASE, modules: Path | None = None) -> Kernel:
    nowhere = Path("/nonexistent")
    return Kernel("test", release, nowhere, nowhere, modules, parse_config(config))


# Specs


def test_path_may_look_like_a_spec(tmp_path: Path) -> None:
    image = tmp_path / "tree:6.12+kasan"
    image.touch()
    assert isinstance(parse_kernel("debian:6.12"), PackagedKernel)
    assert parse_kernel(str(image)) == KernelImage(image)


@pytest.mark.parametrize(
    "spec",
    ["", "debian:", "debian:9.99", "debian:6.12+kasan", "no/such", "x" * 5000, "a\0b"],
)
def test_hint_of_an_invalid_spec_lists_the_forms(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_kernel(spec)
    assert "debian:6.12" in caught.value.hint


# Images by path


def test_build_tree_of_an_image_is_found(tmp_path: Path) -> None:
    tree = build_tree(tmp_path / "tree")
    image = tree / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(bzimage())
    kernel = kernel_from_image(image, None)
    assert (kernel.release, kernel.build) == (RELEASE, tree)
    assert kernel.setting("DEVTMPFS") == "y"


def test_modules_are_found_beside_an_unpacked_image(tmp_path: Path) -> None:
    image = tmp_path / "boot/vmlinuz"
    image.parent.mkdir()
    image.write_bytes(bzimage())
    tree = build_tree(tmp_path / "headers")
    assert kernel_from_image(image, tree).modules is None
    modules = tmp_path / "lib/modules" / RELEASE / "kernel"
    modules.mkdir(parents=True)
    assert kernel_from_image(image, tree).modules == modules
    (tree / "modules.order").touch()
    assert kernel_from_image(image, tree).modules == tree


def test_headers_are_found_beside_an_unpacked_image(tmp_path: Path) -> None:
    image = tmp_path / "boot/vmlinuz"
    image.parent.mkdir()
    image.write_bytes(bzimage())
    tree = build_tree(tmp_path / f"usr/src/linux-headers-{RELEASE}")
    assert kernel_from_image(image, None).build == tree


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an x86 kernel"),
        (b"\x7fELF" + bytes(4096), "not an x86 kernel"),
        (bzimage()[:0x208], "not an x86 kernel"),
        (bzimage()[:-1], "is truncated"),
        (bzimage(b""), "has no release string"),
        (bzimage(b"../../etc"), "has no release string"),
        (bzimage(b"6.12/../../x"), "has no release string"),
    ],
)
def test_file_that_is_no_kernel_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        image_release(path)


def test_directories_and_fifos_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "missing"):
        with pytest.raises(UsageError):
            image_release(path)


def test_build_tree_must_be_complete_and_of_the_same_release(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(bzimage())
    with pytest.raises(UsageError, match="no build tree") as caught:
        kernel_from_image(image, None)
    assert "--kernel-build" in caught.value.hint
    with pytest.raises(UsageError, match=r"lacks Makefile, Module\.symvers"):
        kernel_from_image(image, tmp_path)
    with pytest.raises(UsageError, match=r"is of 6\.1\.0"):
        kernel_from_image(image, build_tree(tmp_path / "other", release="6.1.0"))
    bare = CONFIG.replace("CONFIG_VIRTIO_CONSOLE=y\n", "")
    with pytest.raises(UsageError, match="CONFIG_VIRTIO_CONSOLE"):
        kernel_from_image(image, build_tree(tmp_path / "bare", bare))


# Modules


def compile_module(path: Path, depends: str) -> None:
    source = f'const char info[] __attribute__((section(".modinfo"))) = "depends={depends}";'
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-x", "c", "-c", "-o", str(path), "-"]
    subprocess.run(command, input=source, text=True, check=True)


def test_boot_modules_include_their_dependencies(tmp_path: Path) -> None:
    compile_module(tmp_path / "fs/configfs.ko", "")
    compile_module(tmp_path / "char/virtio-console.ko", "virtio-ring")
    compile_module(tmp_path / "ring/virtio_ring.ko", "")
    packed = tmp_path / "ring/virtio_ring.ko"
    packed.with_suffix(".ko.xz").write_bytes(lzma.compress(packed.read_bytes()))
    packed.unlink()
    config = "CONFIG_VIRTIO_CONSOLE=m\nCONFIG_CONFIGFS_FS=m\n"
    modules = boot_modules(kernel(config, modules=tmp_path))
    assert list(modules) == ["virtio_ring", "virtio_console", "configfs"]
    assert all(data.startswith(b"\x7fELF") for data in modules.values())


def test_missing_and_damaged_modules_are_errors(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no file of its module configfs"):
        read_modules(kernel(modules=tmp_path / "empty"), ["configfs"])
    with pytest.raises(HostError, match="no file of its module configfs"):
        read_modules(kernel(), ["configfs"])
    (tmp_path / "configfs.ko.xz").write_bytes(b"not xz")
    with pytest.raises(BuildError, match="cannot read the module"):
        read_modules(kernel(modules=tmp_path), ["configfs"])


# Packaged kernels, from scripts in place of apt


APT_GET = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
*indextargets*)
    echo "Docker|main|bookworm|http://other.invalid/debian"
    echo "Debian|main|bookworm|http://main.invalid/debian"
    echo "Debian|main|bookworm-security|http://security.invalid/debian-security"
    exit ;;
esac
test -e {offline} && {{ cat {offline} >&2; echo "E: no network" >&2; exit 100; }}
case "$*" in
*--print-uris*) echo "'http://x/a.deb' a.deb 100 SHA256:0" ;;
*download*) cp {debs}/*.deb . ;;
esac
"""
APT_CACHE = """#!/bin/sh
case "$*" in
*pkgnames*)
    echo linux-image-6.12.9+deb12-cloud-amd64; echo linux-image-6.12.117+deb12-cloud-amd64
    echo linux-image-6.12.200+deb12-amd64 ;;
*)
    for word; do case "$word" in linux-*)
        echo "Package: $word"; echo "Version: 6.12.117-1"
        echo "Depends: linux-headers-6.12.117+deb12-common (= 6), linux-kbuild-6.12, gcc-12"
        echo ;; esac; done ;;
esac
"""
NEWEST = "6.12.117+deb12-cloud-amd64"


class Mirror:
    """Fakes of apt-get and apt-cache, and a package of a kernel.

    While the file ``offline`` exists, apt-get fails; each call appends to the file ``log``.
    """

    def __init__(self, root: Path) -> None:
        self.offline, self.log = root / "offline", root / "log"
        (root / "bin").mkdir(parents=True)
        self._pack(root)
        for name, text in {"apt-get": APT_GET, "apt-cache": APT_CACHE}.items():
            program = root / "bin" / name
            program.write_text(
                text.format(log=self.log, offline=self.offline, debs=root / "debs")
                if name == "apt-get"
                else text
            )
            program.chmod(0o755)

    def _pack(self, root: Path) -> None:
        files = {
            "DEBIAN/control": "Package: a\nVersion: 1\nArchitecture: all\n"
            "Maintainer: a <a@b.invalid>\nDescription: a\n",
            f"boot/vmlinuz-{NEWEST}": "image",
            f"boot/config-{NEWEST}": CONFIG,
            f"lib/modules/{NEWEST}/kernel/a.ko": "",
            f"usr/src/linux-headers-{NEWEST}/Makefile": "include /usr/src/linux-headers-x/Makefile",
        }
        for name, text in files.items():
            path = root / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (root / "debs").mkdir()
        command = ["dpkg-deb", "-Znone", "--build", str(root / "tree"), str(root / "debs/a.deb")]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb on this host")
    mirror = Mirror(tmp_path / "mirror")
    monkeypatch.setenv("PATH", f"{tmp_path / 'mirror' / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("TSM_HARNESS_MIRROR", raising=False)
    monkeypatch.delenv("TSM_HARNESS_SECURITY_MIRROR", raising=False)
    (tmp_path / "keys").touch()
    monkeypatch.setattr(apt, "_KEYRING", tmp_path / "keys")
    return mirror


def fetch(root: Path) -> Kernel:
    return resolve_kernel("debian:6.12", Cache(root), NullProgress())


def test_newest_packaged_kernel_is_fetched_once(tmp_path: Path, mirror: Mirror) -> None:
    first = fetch(tmp_path / "cache")
    assert first.release == NEWEST
    makefile = (first.build / "Makefile").read_text()
    assert makefile == "include $(dir $(lastword $(MAKEFILE_LIST)))../linux-headers-x/Makefile"
    assert f"linux-image-{NEWEST}=6.12.117-1" in mirror.log.read_text()
    sources = (tmp_path / "cache/apt/debian-6.12/etc/sources.list").read_text()
    assert "http://main.invalid/debian bookworm-backports main" in sources
    assert "http://security.invalid/debian-security bookworm-security main" in sources
    mirror.log.unlink()
    assert fetch(tmp_path / "cache") == first
    assert not mirror.log.exists()


def test_cached_kernel_needs_no_network(tmp_path: Path, mirror: Mirror) -> None:
    first = fetch(tmp_path / "cache")
    mirror.offline.touch()
    assert fetch(tmp_path / "cache") == first
    old = time.time() - 30 * 86400
    os.utime(tmp_path / "cache/apt/debian-6.12/newest.json", (old, old))
    assert fetch(tmp_path / "cache") == first
    shutil.rmtree(tmp_path / "cache/kernel")
    with pytest.raises(HostError) as caught:
        fetch(tmp_path / "cache")
    assert caught.value.hint


@pytest.mark.parametrize(
    "message",
    [
        "E: Failed to fetch http://x/a.deb  Error writing to file - write (28: No space left on "
        "device)",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
    ],
)
def test_full_disk_while_downloading_has_its_own_remedy(
    tmp_path: Path, mirror: Mirror, message: str
) -> None:
    mirror.offline.write_text(f"{message}\n")
    with pytest.raises(HostError, match="the disk is full") as caught:
        fetch(tmp_path / "cache")
    assert "free some space" in caught.value.hint
    mirror.offline.write_text("")
    with pytest.raises(HostError) as caught:
        fetch(tmp_path / "cache")
    assert "check the network" in caught.value.hint


def test_damaged_record_of_the_newest_kernel_is_replaced(tmp_path: Path, mirror: Mirror) -> None:
    first = fetch(tmp_path / "cache")
    for junk in (b"", b"[1, []]", b"{", b"\xff", b"null", b'["x", {"a": 1}]'):
        (tmp_path / "cache/apt/debian-6.12/newest.json").write_bytes(junk)
        assert fetch(tmp_path / "cache") == first


def test_failure_of_apt_is_a_host_error(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.offline.touch()
    monkeypatch.setenv("TSM_HARNESS_MIRROR", "http://x.invalid")
    monkeypatch.setenv("TSM_HARNESS_SECURITY_MIRROR", "http://x.invalid")
    with pytest.raises(HostError, match="no network"):
        fetch(tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="no apt-get"):
        fetch(tmp_path / "cache")
    monkeypatch.delenv("TSM_HARNESS_MIRROR")
    with pytest.raises(HarnessError, match="no mirror"):
        fetch(tmp_path / "cache")
    monkeypatch.setattr(apt, "_KEYRING", tmp_path / "none")
    with pytest.raises(HostError, match="archive keys"):
        fetch(tmp_path / "cache")
