# SPDX-License-Identifier: MIT
"""The content of the initramfs, as a tree of nodes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from harness.errors import HostError
from harness.images.cpio import Node, device, directory, file, symlink
from harness.images.keys import SshKeys

__all__ = ["tree"]

_MODULES = "lib/modules"
_PASSWD = b"root::0:0:root:/root:/bin/sh\nnobody::65534:65534:nobody:/:/bin/sh\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_PROFILE = b"export PATH=/bin PS1='guest# '\n"


def tree(*, agent: bytes, modules: Mapping[str, bytes], keys: SshKeys) -> list[Node]:
    """Every node of the initramfs.

    ``modules`` are module files by name, in the order in which init loads them. Raises
    :class:`HostError` when a program for the guest is missing.
    """
    paths = {name: f"{_MODULES}/{name}.ko" for name in modules}
    nodes = [
        file("init", agent, 0o755),
        device("dev/console", 5, 1),
        device("dev/null", 1, 3, 0o666),
        file("etc/passwd", _PASSWD),
        file("etc/group", _GROUP),
        file("etc/profile", _PROFILE),
        file("etc/shells", b"/bin/sh\n"),
        file("etc/modules-load", "".join(f"/{path}\n" for path in paths.values()).encode()),
        file("root/.ssh/authorized_keys", keys.authorized, 0o600),
        file("etc/dropbear/dropbear_ed25519_host_key", keys.host_dropbear, 0o600),
        *(file(paths[name], content) for name, content in modules.items()),
        *_busybox(),
        *_program("dropbear", "usr/sbin/dropbear", "dropbear-bin"),
    ]
    return [*_parents(nodes), *nodes]


@cache
def _busybox() -> tuple[Node, ...]:
    path = _find_program("busybox", "busybox-static")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=False).stdout
    applets = [name for name in listed.split() if name != "busybox"]
    links = [symlink(f"bin/{name}", "busybox") for name in applets]
    return (*_program("busybox", "bin/busybox", "busybox-static"), *links)


@cache
def _program(name: str, target: str, package: str) -> tuple[Node, ...]:
    """A program of this host, and the shared libraries that ldd lists, at the same paths."""
    path = _find_program(name, package)
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    libraries = sorted(set(re.findall(r"(/\S+) \(0x", listed)))
    nodes = [file(library[1:], Path(library).read_bytes(), 0o755) for library in libraries]
    return (file(target, Path(path).read_bytes(), 0o755), *nodes)


def _find_program(name: str, package: str) -> str:
    path = shutil.which(name, path="/bin:/usr/bin:/sbin:/usr/sbin")
    if path is None:
        raise HostError(
            f"this host has no {name}, which the guest needs",
            hint=f"run `make setup`, or install the package {package}",
        )
    return path


def _parents(nodes: Iterable[Node]) -> list[Node]:
    """The directories of all nodes, and the empty ones that the agent uses."""
    paths = {str(parent) for node in nodes for parent in Path(node.path).parents}
    modes = {"root": 0o700, "root/.ssh": 0o700}
    wanted = paths | {"proc", "sys", "tmp", "run", "dev", "mnt"}
    return [directory(path, modes.get(path, 0o755)) for path in wanted - {"."}]
