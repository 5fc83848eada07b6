# SPDX-License-Identifier: MIT
"""What is in the initramfs, as a tree of nodes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from harness.errors import HostError
from harness.images.cpio import Node, device, directory, file, symlink
from harness.images.keys import SshKeys
from harness.implementations.spec import GUEST_MODULES

__all__ = ["tree"]

_PASSWD = b"root::0:0:root:/root:/bin/sh\nnobody::65534:65534:nobody:/:/bin/sh\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_PROFILE = b"export PATH=/bin PS1='guest# '\n"


def tree(
    *, agent: bytes, modules: Mapping[str, bytes], boot_modules: Sequence[str], keys: SshKeys
) -> list[Node]:
    """Every node of the initramfs.

    ``modules`` are module files by name, kept in :data:`GUEST_MODULES`; ``boot_modules`` those
    that init loads, in order. Raises :class:`HostError` when a tool for the guest is missing.
    """
    loads = "".join(f"{GUEST_MODULES}/{name}.ko\n" for name in boot_modules).encode()
    nodes = [
        file("init", agent, 0o755),
        device("dev/console", 5, 1),
        device("dev/null", 1, 3, 0o666),
        file("etc/passwd", _PASSWD),
        file("etc/group", _GROUP),
        file("etc/profile", _PROFILE),
        file("etc/shells", b"/bin/sh\n"),
        file("etc/modules-load", loads),
        file("root/.ssh/authorized_keys", keys.authorized, 0o600),
        file("etc/dropbear/dropbear_ed25519_host_key", keys.host_dropbear, 0o600),
        *(file(f"{GUEST_MODULES[1:]}/{name}", data) for name, data in modules.items()),
        *_busybox(),
        *_program("dropbear", "usr/sbin/dropbear", "dropbear-bin"),
    ]
    return [*_parents(nodes), *nodes]


@cache
def _busybox() -> tuple[Node, ...]:
    path = _found("busybox", "busybox-static")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=False).stdout
    applets = [name for name in listed.split() if name != "busybox"]
    links = [symlink(f"bin/{name}", "busybox") for name in applets]
    return (*_program("busybox", "bin/busybox", "busybox-static"), *links)


@cache
def _program(name: str, target: str, package: str) -> tuple[Node, ...]:
    """A program of the host with the shared libraries it needs, at the paths it needs them."""
    path = _found(name, package)
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    libraries = sorted(set(re.findall(r"(/\S+) \(0x", listed)))
    nodes = [file(library[1:], Path(library).read_bytes(), 0o755) for library in libraries]
    return (file(target, Path(path).read_bytes(), 0o755), *nodes)


def _found(name: str, package: str) -> str:
    path = shutil.which(name, path="/bin:/usr/bin:/sbin:/usr/sbin")
    if path is None:
        raise HostError(
            f"{name} is not installed; the guest needs it",
            hint=f"run `make setup`, or install the package {package}",
        )
    return path


def _parents(nodes: Iterable[Node]) -> list[Node]:
    paths = {str(parent) for node in nodes for parent in Path(node.path).parents}
    fixed = {"root": 0o700, "root/.ssh": 0o700}
    wanted = paths | {"proc", "sys", "tmp", "run", "dev", "mnt"}
    return [directory(path, fixed.get(path, 0o755)) for path in wanted - {"."}]
