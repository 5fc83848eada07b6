# SPDX-License-Identifier: MIT
"""SSH to a guest: streams, exit statuses, copies of files, and a guest that ends."""

from __future__ import annotations

import io
import random
import signal
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import paramiko
import pytest

from harness.access.command import GuestCommand
from harness.access.files import bytes_of
from harness.access.ssh import SshSession
from harness.errors import GuestLostError, UsageError
from harness.guest.guest import Guest
from harness.session import Session
from harness.settings import DEFAULT_KERNEL


@pytest.fixture
def shell(guest: Guest, session: Session) -> Iterator[SshSession]:
    with SshSession(guest, session.image(DEFAULT_KERNEL).ssh_keys) as shell:
        yield shell


def _run(shell: SshSession, *command: str, stdin: int | None = None) -> tuple[int, bytes, bytes]:
    stdout, stderr = io.BytesIO(), io.BytesIO()
    return (
        shell.run(GuestCommand(command), stdin, stdout, stderr),
        stdout.getvalue(),
        stderr.getvalue(),
    )


def _feed(shell: SshSession, command: str, data: bytes, file: Path) -> tuple[int, bytes, bytes]:
    """Run ``command`` with ``data`` as its input, which ``file`` then contains."""
    file.write_bytes(data)
    with file.open("rb") as stream:
        return _run(shell, command, stdin=stream.fileno())


def test_run_forwards_streams_and_exit_status(shell: SshSession, tmp_path: Path) -> None:
    done = _run(shell, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert done == (7, b"out\n", b"err\n")
    # The shell of the guest interprets a single argument.
    assert _run(shell, "echo $((6 * 7))") == (0, b"42\n", b"")
    # Several arguments are a command and its arguments.
    done = _run(shell, "printf", "%s|", "a b", "$HOME", "'q'")
    assert done == (0, b"a b|$HOME|'q'|", b"")
    assert _run(shell, "no-such-command")[0] == 127
    data = random.Random(1).randbytes(300_000)
    assert _feed(shell, "cat", data, tmp_path / "input") == (0, data, b"")
    assert _feed(shell, "true", data, tmp_path / "input") == (0, b"", b"")
    assert _run(shell, "cat") == (0, b"", b"")


def test_push_and_pull_copy_files(shell: SshSession, guest: Guest, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    data = random.Random(2).randbytes(300_000) + b"\r\n\0\xff"
    source.write_bytes(data)
    source.chmod(0o751)
    shell.push(source, "/tmp/with a blank")
    status = guest.actors[0].stat("/tmp/with a blank")
    assert (status.mode & 0o777, status.size) == (0o751, len(data))
    shell.pull("/tmp/with a blank", target)
    assert target.read_bytes() == data
    target.write_bytes(b"stays")
    with pytest.raises(UsageError, match="No such file"):
        shell.pull("/tmp/none", target)
    with pytest.raises(UsageError, match="longer than 1000 bytes"):
        shell.pull("/dev/zero", target, limit=1000)
    assert target.read_bytes() == b"stays"
    source.write_bytes(b"")
    shell.push(source, "/tmp/empty")
    assert guest.actors[0].stat("/tmp/empty").size == 0
    with pytest.raises(UsageError, match="No such file"):
        shell.push(source, "/none/file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_push_and_pull_show_how_many_bytes_were_copied(shell: SshSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "a").write_bytes(bytes(200_000))
    (source / "b").write_bytes(bytes(10))
    assert bytes_of(source) == 200_010
    pushed: list[int] = []
    shell.push(source, "/tmp/counted", pushed.append)
    pulled: list[int] = []
    shell.pull("/tmp/counted", tmp_path / "target", advance=pulled.append)
    assert (sum(pushed), sum(pulled)) == (200_010, 200_010)
    assert len(pushed) > 3 < len(pulled)


def test_a_command_longer_than_the_server_takes_runs(shell: SshSession) -> None:
    words = ["word"] * 20_000
    assert _run(shell, "echo", *words) == (0, " ".join(words).encode() + b"\n", b"")
    assert _run(shell, "echo " + "x" * 50_000 + " | wc -c") == (0, b"50001\n", b"")


def test_environment_and_directory_of_a_command(shell: SshSession) -> None:
    out = io.BytesIO()
    command = GuestCommand(['pwd; echo "$QUOTED"'], {"QUOTED": "a 'b' $c\n"}, "/sys/kernel")
    assert shell.run(command, None, out, io.BytesIO()) == 0
    assert out.getvalue() == b"/sys/kernel\na 'b' $c\n\n"
    command = GuestCommand(["echo started"], {}, "/none")
    assert shell.run(command, None, out, io.BytesIO()) == 125
    assert b"started" not in out.getvalue()
    with pytest.raises(UsageError, match="not the name of an environment variable"):
        GuestCommand(["true"], {"A;reboot": ""}).script()


@pytest.mark.parametrize("arguments", [["sleep", "600"], ["sleep 600; true"]])
def test_a_signal_ends_the_processes_of_the_command(
    shell: SshSession, arguments: list[str]
) -> None:
    signals = deque([int(signal.SIGTERM)])
    command = GuestCommand(arguments)
    status = shell.run(command, None, io.BytesIO(), io.BytesIO(), signals=signals)
    assert status == 128 + signal.SIGTERM
    assert not signals
    assert _run(shell, "pidof sleep")[0] == 1


def test_a_command_can_handle_a_signal(shell: SshSession) -> None:
    signals: deque[int] = deque()

    class Out(io.BytesIO):
        def write(self, data: object) -> int:
            signals.extend([signal.SIGUSR1] if data == b"ready\n" else [])
            return super().write(cast(bytes, data))

    out = Out()
    text = "trap 'echo caught; exit 3' USR1; echo ready; while true; do sleep 1; done"
    assert shell.run(GuestCommand([text]), None, out, io.BytesIO(), signals=signals) == 3
    assert out.getvalue() == b"ready\ncaught\n"


def test_push_and_pull_copy_directories(shell: SshSession, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    files = {"a": b"1", "empty": b"", "b c/d/e": bytes(100_000), "b c/f": b"f"}
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (source / "b c" / "f").chmod(0o700)
    (source / "link").symlink_to("a")
    shell.push(source, "/tmp/pushed")
    shell.push(source, "/tmp/pushed")  # into the directory that exists
    assert _run(shell, "stat -c %a '/tmp/pushed/b c/f' /tmp/pushed/link")[1] == b"700\n644\n"
    shell.pull("/tmp/pushed", target)
    pulled = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert pulled == files | {"link": b"1"}
    with pytest.raises(UsageError, match="exists already"):
        shell.pull("/tmp/pushed", target)
    with pytest.raises(UsageError, match="longer than 1000 bytes"):
        shell.pull("/tmp/pushed", tmp_path / "other", limit=1000)
    (source / "loop").symlink_to(".")
    with pytest.raises(UsageError, match="symbolic link to a directory"):
        shell.push(source, "/tmp/pushed")


def test_pull_does_not_follow_a_link(shell: SshSession, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"stays")
    for name in ("target", "target.part", ".target.part"):
        (tmp_path / name).symlink_to(victim)
    shell.pull("/proc/version", tmp_path / "target")
    assert victim.read_bytes() == b"stays"
    assert (tmp_path / "target").read_bytes().startswith(b"Linux version")


def test_a_panic_is_shown_with_its_message(shell: SshSession) -> None:
    with pytest.raises(GuestLostError, match="sysrq triggered crash"):
        _run(shell, "echo c > /proc/sysrq-trigger; sleep 600")


def test_refused_push_of_a_large_file_raises_usage_error(shell: SshSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    with pytest.raises(UsageError, match="cannot write /none/file"):
        shell.push(source, "/none/file")


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_exit_status_of_a_command_killed_by_a_signal(shell: SshSession, name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    assert _run(shell, f"kill -{name} $$")[0] == 128 + number


def _transports() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, paramiko.Transport)}


class _KillAtOutput(io.BytesIO):
    """An output stream that kills the guest when the command prints something."""

    def __init__(self, guest: Guest) -> None:
        super().__init__()
        self._killer = threading.Thread(target=guest.machine.kill)

    def write(self, data: object) -> int:
        """Start the thread that kills the guest."""
        self._killer.start()
        return len(cast(bytes, data))


def test_end_of_the_guest_during_a_command_raises_guest_lost_error(
    shell: SshSession, guest: Guest
) -> None:
    with pytest.raises(GuestLostError):
        command = GuestCommand(["echo started; sleep 600"])
        shell.run(command, None, _KillAtOutput(guest), io.BytesIO())


def test_command_can_print_much_before_it_reads_its_input(
    shell: SshSession, guest: Guest, tmp_path: Path
) -> None:
    watchdog = threading.Timer(guest.timeouts.scaled(30), guest.machine.kill)
    watchdog.start()
    try:
        command = "head -c 5000000 /dev/zero; wc -c"
        status, stdout, _ = _feed(shell, command, bytes(1_000_000), tmp_path / "input")
    finally:
        watchdog.cancel()
    assert (status, len(stdout), stdout[-8:]) == (0, 5_000_008, b"1000000\n")


def test_consecutive_sessions(guest: Guest, session: Session) -> None:
    for number in range(3):
        with SshSession(guest, session.image(DEFAULT_KERNEL).ssh_keys) as shell:
            assert _run(shell, f"echo {number}") == (0, b"%d\n" % number, b"")


def test_wrong_host_key_is_refused(guest: Guest, session: Session) -> None:
    keys = session.image(DEFAULT_KERNEL).ssh_keys
    other = keys.host_public[:-1] + bytes([keys.host_public[-1] ^ 1])
    with pytest.raises(GuestLostError, match="another host key"):
        SshSession(guest, replace(keys, host_public=other))
    assert guest.actors[0].read_file("/proc/uptime")


def test_refused_host_key_leaves_no_thread(guest: Guest, session: Session) -> None:
    keys, before = session.image(DEFAULT_KERNEL).ssh_keys, _transports()
    with pytest.raises(GuestLostError, match="another host key"):
        SshSession(guest, replace(keys, host_public=b"another"))
    for transport in _transports() - before:
        transport.join(10)
    assert _transports() <= before
