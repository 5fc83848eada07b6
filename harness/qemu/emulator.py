# SPDX-License-Identifier: MIT
"""Which QEMU runs the guests, and with which flags.

:data:`KNOWN_ISSUES` lists the combinations of version and accelerator that corrupt guests, and
the flag that avoids each: without it the harness would report kernel bugs that do not exist. The
stress test of :mod:`harness.vm.soundness` tries the remaining combinations.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Literal

from harness.errors import HostError, UsageError
from harness.option import Use, option

__all__ = ["KNOWN_ISSUES", "Accelerator", "Emulator", "Hardware", "KnownIssue", "find_emulator"]

Accelerator = Literal["tcg", "kvm"]
Version = tuple[int, int, int]

_TRIES = 3


@dataclass(frozen=True)
class KnownIssue:
    """A defect of QEMU that corrupts guests, and the CPU flag that avoids it."""

    accelerator: Accelerator
    since: Version
    fixed: Version
    cpu_flag: str
    why: str


KNOWN_ISSUES = (
    KnownIssue(
        "tcg",
        (0, 0, 0),
        (10, 0, 0),
        "-cx16",
        "cmpxchg16b corrupts EFLAGS or memory: double faults in the slab allocator's fast path "
        "(seen with 7.2; 10.0 is sound; versions between were not tried, and get the flag too)",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The virtual hardware of a guest, as far as a user chooses it.

    An option declared here is an option of every command and of pytest, and is kept in bundles;
    :meth:`Emulator.machine_arguments` passes it to QEMU.
    """

    smp: int = option(
        1, "Virtual processors of a guest.", flag="smp", use=Use.GUEST, lowest=1, highest=16
    )
    memory_mib: int = option(
        256, "Memory of a guest in MiB.", flag="memory", use=Use.GUEST, lowest=128, highest=65536
    )


@dataclass(frozen=True)
class Emulator(Hardware):
    """A QEMU binary together with the virtual hardware it emulates."""

    binary: Path
    version: Version
    accelerator: Accelerator = "tcg"

    @property
    def issues(self) -> tuple[KnownIssue, ...]:
        """The known issues that apply to this version and accelerator."""
        return tuple(
            issue
            for issue in KNOWN_ISSUES
            if issue.accelerator == self.accelerator and issue.since <= self.version < issue.fixed
        )

    @property
    def cpu(self) -> str:
        """The ``-cpu`` argument, with the flags of the known issues."""
        base = "host" if self.accelerator == "kvm" else "max"
        return ",".join([base, *(issue.cpu_flag for issue in self.issues)])

    @property
    def version_text(self) -> str:
        """The version as QEMU prints it, e.g. ``7.2.22``."""
        return ".".join(str(part) for part in self.version)

    @property
    def files(self) -> tuple[Path, ...]:
        """The directories of a QEMU that is not installed with the system's programs."""
        prefix = self.binary.absolute().parent.parent
        return () if prefix == Path("/usr") else (prefix,)

    def with_accelerator(self, accelerator: Accelerator) -> Emulator:
        """The same machine on another accelerator."""
        return replace(self, accelerator=accelerator)

    def machine_arguments(self) -> list[str]:
        """The arguments that define the machine the guest sees; part of a template's key.

        The machine is q35. A microvm with two virtual processors hangs in TSC calibration under
        TCG (seen with 7.2), and debug kernels do not boot on it.
        """
        accel = "tcg,thread=multi,tb-size=64" if self.accelerator == "tcg" else "kvm"
        # fmt: off
        return [
            "-nodefaults", "-no-user-config", "-display", "none",
            "-M", "q35,memory-backend=ram,usb=off,vmport=off,smbus=off,sata=off",
            "-accel", accel,
            "-cpu", self.cpu,
            "-smp", str(self.smp),
            "-m", f"{self.memory_mib}M",
            "-no-reboot",
            # Leave the run state out of the saved state: a restored clone then starts by itself.
            "-global", "migration.store-global-state=off",
        ]
        # fmt: on

    def identity(self) -> str:
        """A digest of what a frozen guest depends on: binary, arguments and, with KVM, host CPU."""
        parts = [self.host_identity(), *self.machine_arguments()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def host_identity(self) -> str:
        """Names the binary and, with KVM, the host CPU: what decides which accelerator works."""
        status = self.binary.stat()
        parts = [str(self.binary), str(status.st_size), str(status.st_mtime_ns), self.version_text]
        if self.accelerator == "kvm":
            parts.append(_host_cpu())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def _host_cpu() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    wanted = ("model name", "flags", "microcode")
    return "\n".join(sorted({line for line in text.splitlines() if line.startswith(wanted)}))


def find_emulator(binary: str | None = None, hardware: Hardware | None = None) -> Emulator:
    """Find QEMU and its version, for guests with this ``hardware``.

    ``binary`` is used in place of the first ``qemu-system-x86_64`` on the path. Raises
    :class:`HostError` when there is none, :class:`UsageError` when ``binary`` is not QEMU.
    """
    found = shutil.which(binary or "qemu-system-x86_64")
    if found is None:
        if binary is not None:
            raise UsageError(f"no such QEMU: {binary}", hint="pass the path of a QEMU binary")
        raise HostError(
            "qemu-system-x86_64 is not installed",
            hint="run `make setup`, or install the package qemu-system-x86",
        )
    printed = _printed_version(found)
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", printed)
    if match is None:
        raise UsageError(
            f"{found} is not QEMU: --version printed {printed[:80]!r}",
            hint="pass the path of a QEMU binary",
        )
    major, minor, micro = (int(part) for part in match.groups())
    chosen = hardware or Hardware()
    values = {item.name: getattr(chosen, item.name) for item in fields(Hardware)}
    return Emulator(Path(found), (major, minor, micro), **values)


def _printed_version(binary: str) -> str:
    """What ``binary --version`` prints; tried again when a signal ended it, or time ran out.

    The host's out-of-memory killer, or its load, says nothing about QEMU.
    """
    problem = ""
    for _ in range(_TRIES):
        try:
            done = subprocess.run(
                [binary, "--version"], capture_output=True, text=True, timeout=20, check=False
            )
        except subprocess.TimeoutExpired:
            problem = "printed nothing in 20 seconds"
            continue
        except OSError as error:
            raise UsageError(
                f"{binary} cannot be run: {error}", hint="pass the path of a QEMU binary"
            ) from error
        if done.returncode >= 0:
            return done.stdout
        problem = f"was ended by {_signal_name(-done.returncode)}"
    raise HostError(
        f"`{binary} --version` {problem}, {_TRIES} times",
        hint="the host may lack memory (`dmesg` shows the out-of-memory killer), or is overloaded",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
