# SPDX-License-Identifier: MIT
"""One QEMU process, which ends when the harness does.

It may run below processes that confine it (:mod:`harness.qemu.privileges`): the first of these is
our child, and one of them is the leader, with which all others end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from harness.errors import GuestLostError, HostError
from harness.qemu.emulator import Emulator
from harness.qemu.limits import check_file_size
from harness.qemu.privileges import launch, sandbox_arguments
from harness.qemu.qmp import Monitor
from harness.qemu.rundir import escaped
from harness.qemu.sockets import connect, listen

__all__ = ["PORTS", "Boot", "Machine", "Memory"]

PORTS = ("agent", "provider", "ssh")
"""The virtio-serial ports, each a UNIX socket of that name in the machine's directory."""

_SIGNALLED = 128  # added by bwrap to the number of the signal that ended QEMU
_OUTPUT_SHOWN = 600  # bytes
_LOG_LIMIT = 64 << 20  # bytes of one file that a guest can make QEMU write: its console


@dataclass(frozen=True)
class Boot:
    """What a machine boots: kernel image, initramfs and kernel command line."""

    kernel: Path
    initramfs: Path
    append: str


@dataclass(frozen=True)
class Memory:
    """The file behind the guest's memory.

    With ``shared`` the guest's writes change the file (to make a template). Otherwise the machine
    maps it copy-on-write (a clone).
    """

    path: Path
    shared: bool


@cache
def _spawner() -> ThreadPoolExecutor:
    # PR_SET_PDEATHSIG kills QEMU when the *thread* that started it ends, so one thread that lives
    # as long as the process starts every QEMU.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Machine:
    """A running QEMU. ``directory`` receives its sockets, its console log and its output.

    Without ``boot`` the machine waits for the state of a saved guest (:meth:`Monitor.restore`).
    Sockets are bound before QEMU starts, so that a connection is never refused.
    """

    def __init__(
        self, emulator: Emulator, memory: Memory, directory: Path, *, boot: Boot | None
    ) -> None:
        self.emulator = emulator
        self.memory = memory
        self.directory = directory
        self.console = directory / "console.log"
        self.output = directory / "qemu.log"
        self._make_files()
        listeners = _listeners(directory)
        self._info, info = os.pipe()
        try:
            fds = {name: listener.fileno() for name, listener in listeners.items()}
            self.command = self._command(memory, boot, fds)
            limited = ["prlimit", f"--fsize={self._file_limit()}", *self.command]
            files = [boot.kernel, boot.initramfs] if boot is not None else []
            launched = launch(
                limited,
                info=info,
                readable=[self._root, *files, *emulator.files],
                writable=[memory.path, self.console],
            )
            self._nested = launched.nested
            # pass_fds keeps the numbers, and only these descriptors reach QEMU.
            inherited = [info, *fds.values()]
            self._process = _spawner().submit(self._start, launched.command, inherited).result()
        except BaseException:
            os.close(self._info)
            raise
        finally:
            os.close(info)
            for listener in listeners.values():
                listener.close()

    def _make_files(self) -> None:
        """Make the files that QEMU opens, and the empty directory that becomes its root."""
        check_file_size(self._file_limit())
        self._root = self.directory / "empty"
        try:
            self._root.mkdir(mode=0o555)
            self.console.touch()
            if not self.memory.path.exists():
                with self.memory.path.open("xb") as file:
                    file.truncate(self.emulator.memory_mib << 20)
        except OSError as error:
            raise HostError(
                f"cannot make a guest's files in {self.directory}: {error.strerror}",
                hint="set TMPDIR to a directory with free space",
            ) from error

    def _file_limit(self) -> int:
        """The largest file that QEMU may write, in bytes: its console log, or the memory.

        The memory of a clone is mapped copy-on-write, and not written.
        """
        shared = self.emulator.memory_mib << 20 if self.memory.shared else 0
        return _LOG_LIMIT + shared

    def _command(self, memory: Memory, boot: Boot | None, fds: dict[str, int]) -> list[str]:
        size = f"{self.emulator.memory_mib}M,share={'on' if memory.shared else 'off'}"
        console = f"server=on,wait=off,logfile={escaped(self.console)}"
        # fmt: off
        command = [
            str(self.emulator.binary), *self.emulator.machine_arguments(),
            *sandbox_arguments(self.emulator.binary, self.emulator.version, self._root),
            "-object", f"memory-backend-file,id=ram,size={size},mem-path={escaped(memory.path)}",
            # Usually nothing is connected: the guest's output then goes to the log file alone.
            "-chardev", f"socket,id=console,fd={fds['console']},{console}",
            "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=qmp,fd={fds['qmp']},server=on,wait=off",
            "-mon", "chardev=qmp,mode=control",
        ]
        for name in PORTS:
            command += [
                "-chardev", f"socket,id={name},fd={fds[name]},server=on,wait=off",
                "-device", f"virtserialport,chardev={name},name=org.tsm-harness.{name}",
            ]
        if boot is None:
            return [*command, "-incoming", "defer"]
        return [
            *command,
            "-kernel", str(boot.kernel), "-initrd", str(boot.initramfs), "-append", boot.append,
        ]
        # fmt: on

    def _start(self, command: Sequence[str], fds: list[int]) -> subprocess.Popen[bytes]:
        try:
            with self.output.open("wb") as output:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=fds,
                    start_new_session=True,  # Ctrl-C must reach the harness, not its guests
                    restore_signals=False,  # keep SIGXFSZ ignored: a full log is truncated
                )
        except OSError as error:
            raise HostError(f"cannot start QEMU: {error}") from error

    @cached_property
    def _leader(self) -> int:
        """The process with which QEMU ends; bwrap tells it as soon as it has started it."""
        if not self._nested:
            return self._process.pid
        with os.fdopen(os.dup(self._info), "rb") as pipe:
            told = pipe.read()
        try:
            return int(json.loads(told)["child-pid"])
        except (ValueError, KeyError, TypeError):
            return self._process.pid  # bwrap failed, and printed why

    @property
    def pid(self) -> int:
        """The process id of QEMU."""
        leader = self._leader
        if self._nested:
            with contextlib.suppress(OSError, ValueError, IndexError):
                children = Path(f"/proc/{leader}/task/{leader}/children").read_text("ascii")
                return int(children.split()[0])
        return leader

    @property
    def running(self) -> bool:
        """Whether QEMU is running."""
        return self._process.poll() is None

    def monitor(self, *, seconds: float) -> Monitor:
        """Connect to the monitor; raises :class:`GuestLostError` with QEMU's output."""
        try:
            return Monitor(self.directory / "qmp", seconds=seconds)
        except GuestLostError as error:
            raise GuestLostError(f"{error}{self.exit_text()}") from error

    def connect(self, port: str) -> socket.socket:
        """Connect to a virtio-serial port by its name in :data:`PORTS`, or to the ``console``.

        Read a console until it is closed: QEMU waits for its peer, and the guest for QEMU.
        """
        try:
            return connect(self.directory / port)
        except OSError as error:
            raise GuestLostError(
                f"the guest's {port} port is gone: {error.strerror}{self.exit_text()}"
            ) from error

    def wait_for_exit(self, seconds: float) -> bool:
        """Wait until QEMU has ended, ``seconds`` at most; returns whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def console_bytes(self, limit: int = 4 << 20) -> bytes:
        """The last ``limit`` bytes of the console log; empty when there is none."""
        return _tail(self.console, limit)

    def exit_text(self) -> str:
        """How QEMU ended and what it printed, to append to an error message."""
        status = self._process.poll()  # negative for a signal
        if self._nested and status is not None and status > _SIGNALLED:
            status = _SIGNALLED - status
        ended = "" if status is None else f"; QEMU ended with status {status}"
        printed = _tail(self.output, _OUTPUT_SHOWN).decode("utf-8", "replace").strip()
        return f"{ended}; QEMU printed: {printed}" if printed else ended

    def kill(self) -> None:
        """End QEMU now and wait until it is gone."""
        if self._process.poll() is None:
            # Our child ends when its leader has ended, with every process below it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        self._process.wait()
        if self._info >= 0:
            os.close(self._info)
            self._info = -1

    def private_bytes(self) -> int:
        """Memory that only this QEMU uses: the ``Private_`` lines of ``smaps_rollup``, proc(5)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        lines = [line for line in text.splitlines() if line.startswith("Private_")]
        return sum(int(line.split()[1]) for line in lines) << 10


def _tail(path: Path, size: int) -> bytes:
    """The last ``size`` bytes of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - size))
            return stream.read(size)
    except OSError:
        return b""


def _listeners(directory: Path) -> dict[str, socket.socket]:
    listeners: dict[str, socket.socket] = {}
    try:
        for name in (*PORTS, "qmp", "console"):
            listeners[name] = listen(directory / name)
    except OSError as error:
        for listener in listeners.values():
            listener.close()
        raise HostError(
            f"cannot make sockets in {directory}: {error.strerror}",
            hint="set TMPDIR to a directory with free space",
        ) from error
    return listeners
