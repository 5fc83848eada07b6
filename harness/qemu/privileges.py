# SPDX-License-Identifier: MIT
"""What a QEMU process may do: as little as this host lets us arrange.

A guest that breaks out of its emulator should be nobody, nowhere.

- Root starts QEMU with four capabilities. When it has opened its files, and before the guest runs,
  QEMU changes to an empty root directory and to the user nobody, which drops the capabilities.
- Where bubblewrap works (:mod:`harness.sandbox`), QEMU also has no network, sees no process, and
  no file but the system's programs and its own.
- Everywhere its seccomp filter refuses to start programs and to gain privileges.

Sockets are inherited descriptors, and the state of a guest arrives as one through a socket.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.qemu.rundir import escaped
from harness.sandbox import NOBODY, find_sandbox

__all__ = ["Launch", "Privileges", "launch", "read_privileges", "sandbox_arguments"]

_KVM = Path("/dev/kvm")
_CAPABILITIES = {"setgid": 6, "setuid": 7, "sys_chroot": 18, "dac_override": 1}
"""What root needs until QEMU has dropped it, by capabilities(7): the numbers are those of Linux."""
_FILTER = "on,obsolete=deny,spawn=deny,resourcecontrol=deny"


@dataclass(frozen=True)
class Launch:
    """How to start QEMU: its command line, and whether that starts other processes before it."""

    command: tuple[str, ...]
    nested: bool


@cache
def _can_become_nobody() -> bool:
    """Whether we may change the user and the root directory of a process."""
    if os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    ranges = zip(mapped[::3], mapped[2::3], strict=True)
    return (
        held is not None
        and all(int(held[1], 16) >> bit & 1 for bit in _CAPABILITIES.values())
        and any(int(first) <= NOBODY < int(first) + int(count) for first, count in ranges)
    )


def sandbox_arguments(binary: Path, version: tuple[int, int, int], root: Path) -> list[str]:
    """QEMU's arguments for a seccomp filter and, for root, the user nobody in an empty ``root``.

    The filter is active before QEMU changes its user, so it must allow that. Afterwards the calls
    are of no use: QEMU has no capability, and the filter came with the flag no_new_privs.
    """
    if not _can_become_nobody():
        return ["-sandbox", f"{_FILTER},elevateprivileges=deny"]
    arguments = ["-sandbox", _FILTER]
    # QEMU 8.1 and 9.1 moved the options chroot and user; later versions dropped the old names.
    helped = _help(binary) if version >= (8, 1, 0) else ""
    run_with = []
    if "chroot=" in helped:
        run_with.append(f"chroot={escaped(root)}")
    else:
        arguments += ["-chroot", str(root)]
    if re.search(r"\buser=", helped):
        run_with.append(f"user={NOBODY}:{NOBODY}")
    else:
        arguments += ["-runas", f"{NOBODY}:{NOBODY}"]
    return [*arguments, "-run-with", ",".join(run_with)] if run_with else arguments


@cache
def _help(binary: Path) -> str:
    done = subprocess.run([binary, "-help"], capture_output=True, text=True, check=False)
    return done.stdout.partition("-run-with")[2][:400]


def launch(
    command: Sequence[str], *, info: int, readable: Sequence[Path], writable: Sequence[Path]
) -> Launch:
    """Return how to start QEMU, which opens the ``readable`` and ``writable`` files.

    Where that nests processes, the descriptor ``info`` gets the id of the one that ends all.
    """
    if _can_become_nobody():
        kept = ",".join(f"+{name}" for name in _CAPABILITIES)
        command = ["setpriv", f"--bounding-set=-all,{kept}", "--", *command]
    sandbox = find_sandbox()
    if not sandbox.confines:
        return Launch(("setpriv", "--pdeathsig", "KILL", "--", *command), nested=False)
    binds = {str(path): "--ro-bind" for path in readable} | {str(p): "--bind" for p in writable}
    files = [part for path, option in binds.items() for part in (option, path, path)]
    devices = ["--dev-bind", "/dev/null", "/dev/null"]
    if os.access(_KVM, os.R_OK | os.W_OK):
        devices += ["--dev-bind", str(_KVM), str(_KVM)]
    start = ["bwrap", "--info-fd", str(info), *sandbox.namespaces, *sandbox.programs]
    return Launch((*start, *devices, *files, "--remount-ro", "/", "--", *command), nested=True)


@dataclass(frozen=True)
class Privileges:
    """What a process could do: its user, its capabilities, and what it sees of this host.

    ``root`` are the entries of its root directory, ``shared`` are the namespaces of ours that it
    is in.
    """

    user: int
    capabilities: int
    no_new: bool
    filtered: bool
    root: tuple[str, ...]
    shared: tuple[str, ...]

    @property
    def excess(self) -> list[str]:
        """What no emulator should have, on any host."""
        found = {
            "the user root": self.user == 0,
            f"the capabilities {self.capabilities:#x}": self.capabilities != 0,
            "a way to new privileges": not self.no_new,
            "no seccomp filter": not self.filtered,
        }
        return [name for name, has in found.items() if has]

    def __str__(self) -> str:
        root = (
            f"a root directory with {', '.join(self.root)}"
            if self.root
            else "an empty root directory"
        )
        shared = f"; namespaces shared with the host: {', '.join(self.shared) or 'none'}"
        return f"user {self.user}, no capabilities, no new privileges, seccomp, {root}{shared}"


def read_privileges(pid: int) -> Privileges:
    """Read the privileges of a process from /proc; raises :class:`OSError` when it has ended."""
    process = Path("/proc", str(pid))
    text = (process / "status").read_text(encoding="utf-8", errors="replace")
    status = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))
    names = ("net", "pid", "mnt", "ipc")
    own = Path("/proc/self")
    same = [name for name in names if _namespace(process, name) == _namespace(own, name)]
    # CapBnd only limits what a program could gain, which no_new_privs rules out.
    capabilities = 0
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        capabilities |= int(status[name], 16)
    return Privileges(
        user=min(int(each) for each in status["Uid"].split()),
        capabilities=capabilities,
        no_new=status["NoNewPrivs"] == "1",
        filtered=status["Seccomp"] == "2",
        root=tuple(sorted(path.name for path in (process / "root").iterdir())),
        shared=tuple(same),
    )


def _namespace(process: Path, name: str) -> str:
    return str((process / "ns" / name).readlink())
