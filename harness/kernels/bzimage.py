# SPDX-License-Identifier: MIT
"""A kernel image by its path, with the build tree its modules need.

Source of the layout: Documentation/arch/x86/boot.rst: setup_sects at 0x1f1 (512-byte sectors, 0
means 4), syssize at 0x1f4 (16-byte units), "HdrS" at 0x202, pointer to the version string at 0x20e,
relative to 0x200.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from harness.errors import UsageError
from harness.kernels.model import Kernel, parse_config

__all__ = ["image_release", "kernel_from_image"]

_HEADER_BYTES = 1 << 16
_RELEASE = re.compile(rb"(\d+\.\d+[\w.+~-]{0,100})(?:\s|$)")
_REQUIRED = {
    "VIRTIO_CONSOLE": "the harness talks to the guest over virtio-serial",
    "VIRTIO_PCI": "virtio-serial is a PCI device",
    "MODULES": "the provider driver is a module",
    "BLK_DEV_INITRD": "the guest's files are an initramfs",
    "DEVTMPFS": "the ports and the provider device appear in /dev",
}
_NEEDED = ("Makefile", "Module.symvers", ".config")


def image_release(path: Path) -> str:
    """The release string in an x86 kernel image; raises :class:`UsageError` when it is none."""
    try:
        if not path.is_file():
            raise UsageError(f"{path} is not a file", hint="give the path of a bzImage")
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read the kernel {path}: {error.strerror}") from error
    if header[0x202:0x206] != b"HdrS" or len(header) < 0x210:
        raise UsageError(
            f"{path} is not an x86 kernel image (no boot header)",
            hint="give the bzImage or vmlinuz, not vmlinux or a package",
        )
    (pointer,) = struct.unpack_from("<H", header, 0x20E)
    whole = ((header[0x1F1] or 4) + 1) * 512 + struct.unpack_from("<I", header, 0x1F4)[0] * 16
    if size < whole:
        raise UsageError(f"{path} is cut off: {size} bytes of {whole}", hint="copy it again")
    text = header[pointer + 0x200 :].partition(b"\0")[0] if pointer else b""
    named = _RELEASE.match(text)
    if named is None:
        raise UsageError(f"{path} does not say which release it is", hint="is it damaged?")
    return named[1].decode("ascii")


def kernel_from_image(path: Path, build: Path | None) -> Kernel:
    """The kernel at ``path``; its build tree is ``build``, or found beside or installed."""
    release = image_release(path)
    tree = _build_tree(path, release, build)
    try:
        _check_release(tree, release)
        config = parse_config((tree / ".config").read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    kernel = Kernel(str(path), release, path, tree, _modules(path, tree, release), config)
    for symbol, why in _REQUIRED.items():
        kernel.require(symbol, why)
    return kernel


def _check_release(tree: Path, release: str) -> None:
    recorded = tree / "include" / "config" / "kernel.release"
    if recorded.exists() and (built := recorded.read_text(errors="replace").strip()) != release:
        raise UsageError(
            f"the build tree {tree} is of {built}, not of {release}: modules would be refused",
            hint="name the tree this kernel was built in, with --kernel-build",
        )


def _build_tree(path: Path, release: str, named: Path | None) -> Path:
    if named is not None:
        missing = [name for name in _NEEDED if not (named / name).exists()]
        if missing:
            raise UsageError(
                f"{named} is no kernel build tree: it lacks {', '.join(missing)}",
                hint="name the tree the kernel was built in, or its headers package's directory",
            )
        return named.absolute()
    places = _likely_trees(path.resolve(), release)
    for place in places:
        if all((place / name).exists() for name in _NEEDED):
            return place.resolve()
    raise UsageError(
        f"no build tree for {path} ({release}): looked at {', '.join(map(str, places))}",
        hint="name the tree it was built in, or its headers, with --kernel-build",
    )


def _likely_trees(image: Path, release: str) -> list[Path]:
    headers = f"usr/src/linux-headers-{release}"
    if image.match("arch/*/boot/*"):  # of the tree it was built in
        near = [image.parents[3]]
    elif image.parent.name == "boot":  # of packages unpacked or installed together
        near = [image.parents[1] / headers]
    else:
        near = []
    installed = [Path(f"/lib/modules/{release}/build"), Path("/") / headers]
    return list(dict.fromkeys([*near, *installed]))


def _modules(path: Path, tree: Path, release: str) -> Path | None:
    if (tree / "modules.order").exists():
        return tree
    roots = [path.resolve().parent.parent, Path("/")]  # ROOT/boot/vmlinuz, and this host's own
    places = [root / "lib" / "modules" / release / "kernel" for root in roots]
    return next((place for place in places if place.is_dir()), None)
