# SPDX-License-Identifier: MIT
"""Checks a kernel image that exists as a file, and finds the build tree for its modules.

Layout of the header (Documentation/arch/x86/boot.rst): setup_sects at 0x1f1 (512-byte sectors, 0
means 4), syssize at 0x1f4 (16-byte units), "HdrS" at 0x202, pointer to the version string at 0x20e,
relative to 0x200.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from harness.errors import UsageError
from harness.kernels.model import Kernel, parse_config

__all__ = ["image_release", "kernel_from_image", "packaged_version"]

_HEADER_BYTES = 1 << 16
_RELEASE = re.compile(rb"(\d+\.\d+[\w.+~-]{0,100})(?:\s|$)")
_PACKAGED = re.compile(rb" Debian (\d[\w.+~:-]{0,100})")
_REQUIRED_SYMBOLS = {
    "VIRTIO_CONSOLE": "the harness talks to the guest over virtio-serial",
    "VIRTIO_PCI": "virtio-serial is a PCI device",
    "MODULES": "the provider driver is a module",
    "BLK_DEV_INITRD": "the guest's files are an initramfs",
    "DEVTMPFS": "the ports and the provider device appear in /dev",
}
_REQUIRED_FILES = ("Makefile", "Module.symvers", ".config")


def image_release(path: Path) -> str:
    """The release string in an x86 kernel image; raises :class:`UsageError` for other files."""
    release = _RELEASE.match(_version_text(path))
    if release is None:
        raise UsageError(
            f"the boot header of {path} has no release string",
            hint="the file may be damaged: copy it again",
        )
    return release[1].decode("ascii")


def packaged_version(path: Path) -> str:
    """The version of the package that an image is from, as the kernel prints it; may be empty.

    Raises :class:`UsageError` like :func:`image_release`.
    """
    found = _PACKAGED.search(_version_text(path))
    return found[1].decode("ascii") if found else ""


def _version_text(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"{path} is not a file", hint="name a bzImage")
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read the kernel {path}: {error.strerror}") from error
    if header[0x202:0x206] != b"HdrS" or len(header) < 0x210:
        raise UsageError(
            f"{path} is not an x86 kernel image: it has no boot header",
            hint="name a bzImage or vmlinuz, not vmlinux or a package",
        )
    (pointer,) = struct.unpack_from("<H", header, 0x20E)
    whole = ((header[0x1F1] or 4) + 1) * 512 + struct.unpack_from("<I", header, 0x1F4)[0] * 16
    if size < whole:
        raise UsageError(
            f"{path} is truncated: it has {size} of {whole} bytes", hint="copy it again"
        )
    return header[pointer + 0x200 :].partition(b"\0")[0] if pointer else b""


def kernel_from_image(path: Path, build: Path | None) -> Kernel:
    """Return the kernel at ``path``.

    Its build tree is ``build``, or else found beside the image or installed on this host. Raises
    :class:`UsageError` for an unusable image and for a build tree of another release.
    """
    release = image_release(path)
    tree = _build_tree(path, release, build)
    try:
        _check_release(tree, release)
        config = parse_config((tree / ".config").read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    kernel = Kernel(str(path), release, path, tree, _modules(path, tree, release), config)
    for symbol, reason in _REQUIRED_SYMBOLS.items():
        kernel.require(symbol, reason)
    return kernel


def _check_release(tree: Path, release: str) -> None:
    recorded = tree / "include" / "config" / "kernel.release"
    if recorded.exists() and (built := recorded.read_text(errors="replace").strip()) != release:
        raise UsageError(
            f"the build tree {tree} is of {built}, and the kernel, which would refuse its modules, "
            f"is {release}",
            hint="name the tree that the kernel was built in, with --kernel-build",
        )


def _build_tree(path: Path, release: str, named: Path | None) -> Path:
    if named is not None:
        missing = [name for name in _REQUIRED_FILES if not (named / name).exists()]
        if missing:
            raise UsageError(
                f"{named} is not a kernel build tree: it lacks {', '.join(missing)}",
                hint="name the tree the kernel was built in, or the directory of its headers",
            )
        return named.absolute()
    candidates = _candidate_trees(path.resolve(), release)
    for tree in candidates:
        if all((tree / name).exists() for name in _REQUIRED_FILES):
            return tree.resolve()
    raise UsageError(
        f"no build tree for {path} ({release}); searched {', '.join(map(str, candidates))}",
        hint="name the tree the kernel was built in, or its headers, with --kernel-build",
    )


def _candidate_trees(image: Path, release: str) -> list[Path]:
    headers = f"usr/src/linux-headers-{release}"
    if image.match("arch/*/boot/*"):  # in the tree it was built in
        near = [image.parents[3]]
    elif image.parent.name == "boot":  # in packages that are unpacked or installed together
        near = [image.parents[1] / headers]
    else:
        near = []
    installed = [Path(f"/lib/modules/{release}/build"), Path("/") / headers]
    return list(dict.fromkeys([*near, *installed]))


def _modules(path: Path, tree: Path, release: str) -> Path | None:
    if (tree / "modules.order").exists():
        return tree
    roots = [path.resolve().parent.parent, Path("/")]  # ROOT/boot/vmlinuz, and this host
    directories = [root / "lib" / "modules" / release / "kernel" for root in roots]
    return next((directory for directory in directories if directory.is_dir()), None)
