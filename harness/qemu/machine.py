# SPDX-License-Identifier: MIT
"""One QEMU process: started so that it dies with the harness, watched, and ended by its id."""

from __future__ import annotations

import resource
import shlex
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import GuestLostError, HostError
from harness.qemu.emulator import Emulator
from harness.qemu.qmp import Monitor
from harness.qemu.rundir import escaped
from harness.qemu.sockets import connect, listen

__all__ = ["PORTS", "Boot", "Machine", "Memory"]

PORTS = ("agent", "provider", "ssh")
"""The virtio-serial ports, each a UNIX socket of that name in the machine's directory."""

_LOG_LIMIT = 64 << 20  # bytes a guest may make QEMU write (console), beyond its memory file


@dataclass(frozen=True)
class Boot:
    """What a machine boots: kernel image, initramfs and kernel command line."""

    kernel: Path
    initramfs: Path
    append: str


@dataclass(frozen=True)
class Memory:
    """The file behind the guest's memory.

    ``shared`` lets the guest's writes land in it (to make a template); otherwise they stay
    private to the machine (a clone), page by page.
    """

    path: Path
    shared: bool


@cache
def _spawner() -> ThreadPoolExecutor:
    # The kernel ends a guest when the *thread* that started it ends, so one thread that lives
    # as long as the process starts them all.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Machine:
    """A running QEMU. ``directory`` receives its sockets, console and messages.

    Without ``boot`` the machine waits for a frozen guest's state (:meth:`Monitor.restore`); it
    needs no kernel image then, the kernel being in the memory file already. Sockets are bound
    before QEMU starts, so a connection made at once is never refused.
    """

    def __init__(
        self, emulator: Emulator, memory: Memory, directory: Path, *, boot: Boot | None
    ) -> None:
        self.emulator = emulator
        self.memory = memory
        self.directory = directory
        self.console = directory / "console.log"
        self.messages = directory / "qemu.log"
        listeners = _listeners(directory)
        try:
            fds = {name: listener.fileno() for name, listener in listeners.items()}
            self.command = self._command(memory, boot, fds)
            # pass_fds keeps the numbers, and only these descriptors reach QEMU.
            self._process = _spawner().submit(self._start, list(fds.values())).result()
        finally:
            for listener in listeners.values():
                listener.close()
        self.limit_files(with_memory=memory.shared)

    def limit_files(self, *, with_memory: bool) -> None:
        """Bound what QEMU can write into one file: what it logs, or that and the guest's memory."""
        largest = _LOG_LIMIT + (self.emulator.memory_mib << 20)
        limit = largest if with_memory else _LOG_LIMIT
        try:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, largest))
        except ProcessLookupError:
            # It ended already; whoever waits for it will say so with its own words.
            return

    def _command(self, memory: Memory, boot: Boot | None, fds: dict[str, int]) -> list[str]:
        size = f"{self.emulator.memory_mib}M,share={'on' if memory.shared else 'off'}"
        console = f"server=on,wait=off,logfile={escaped(self.console)}"
        # fmt: off
        command = [
            str(self.emulator.binary), *self.emulator.machine_arguments(),
            "-object", f"memory-backend-file,id=ram,size={size},mem-path={escaped(memory.path)}",
            # Nobody listens as a rule: what the guest prints then goes to the file alone.
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

    def _start(self, fds: list[int]) -> subprocess.Popen[bytes]:
        try:
            with self.messages.open("wb") as messages:
                return subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=messages,
                    stderr=subprocess.STDOUT,
                    pass_fds=fds,
                    start_new_session=True,  # Ctrl-C is for the harness, not for its guests
                    restore_signals=False,  # SIGXFSZ stays ignored: a full log is cut
                )
        except OSError as error:
            raise HostError(f"cannot start QEMU: {error}") from error

    @property
    def pid(self) -> int:
        """The id of the QEMU process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether QEMU has not ended yet."""
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """QEMU's exit status, negative for a signal, None while it runs."""
        return self._process.poll()

    def monitor(self, *, seconds: float) -> Monitor:
        """Connect to the monitor; raises :class:`GuestLostError` with QEMU's own words."""
        try:
            return Monitor(self.directory / "qmp", seconds=seconds)
        except GuestLostError as error:
            raise GuestLostError(f"{error}{self.exit_text()}") from error

    def connect(self, port: str) -> socket.socket:
        """Connect to a virtio-serial port by its name in :data:`PORTS`, or to the ``console``.

        A console with a peer is no longer drained by QEMU: read it to the end, or the guest stalls.
        """
        try:
            return connect(self.directory / port)
        except OSError as error:
            raise GuestLostError(
                f"the guest's {port} port is gone: {error.strerror}{self.exit_text()}"
            ) from error

    def wait_for_exit(self, seconds: float) -> bool:
        """Give QEMU ``seconds`` to end by itself; whether it did."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def console_bytes(self, limit: int = 4 << 20) -> bytes:
        """The last ``limit`` bytes of the serial console, empty when there is none."""
        try:
            with self.console.open("rb") as stream:
                stream.seek(max(0, self.console.stat().st_size - limit))
                return stream.read(limit)
        except OSError:
            return b""

    def exit_text(self) -> str:
        """What QEMU printed and how it ended, as the tail of an error message."""
        status = self.exit_status
        ended = "" if status is None else f"; QEMU ended with status {status}"
        try:
            with self.messages.open("rb") as stream:
                stream.seek(max(0, self.messages.stat().st_size - 600))
                said = stream.read(600).decode("utf-8", "replace").strip()
        except OSError:
            said = ""
        return f"{ended}; QEMU said: {said}" if said else ended

    def command_line(self) -> str:
        """QEMU's command line as a shell would take it."""
        return shlex.join(self.command)

    def kill(self) -> None:
        """End QEMU now and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def private_bytes(self) -> int:
        """Memory that only this machine uses (``smaps_rollup``: private dirty and clean)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        lines = [line for line in text.splitlines() if line.startswith("Private_")]
        return sum(int(line.split()[1]) for line in lines) << 10


def _listeners(directory: Path) -> dict[str, socket.socket]:
    made: dict[str, socket.socket] = {}
    try:
        for name in (*PORTS, "qmp", "console"):
            made[name] = listen(directory / name)
    except OSError as error:
        for listener in made.values():
            listener.close()
        raise HostError(
            f"cannot make sockets in {directory}: {error.strerror}",
            hint="set TMPDIR to a directory with free space",
        ) from error
    return made
