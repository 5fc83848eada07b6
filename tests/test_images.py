# SPDX-License-Identifier: MIT
"""The cache, the display of progress, and the parts of an image: keys, initramfs, agent."""

from __future__ import annotations

import base64
import errno
import fcntl
import io
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness import paths
from harness.cache import Cache
from harness.errors import BuildError, HostError, UsageError
from harness.images import agent, cpio
from harness.images.initramfs import tree
from harness.images.keys import ssh_keys
from harness.paths import cache_directory, guest_images_directory, shared_cache_directory
from harness.progress import NullProgress, terminal_progress

KEY = "k" * 64
SHOW_CURSOR = "\x1b[?25h"  # written when a live display ends
needs_guest_tools = pytest.mark.skipif(
    not (shutil.which("busybox") and shutil.which("dropbear")), reason="run `make setup`"
)


def filled(text: str) -> Callable[[Path], None]:
    """Return a function that makes an entry: a file with ``text``."""

    def make(directory: Path) -> None:
        (directory / "file").write_text(text)

    return make


def refuse(directory: Path) -> None:
    raise AssertionError("the cache must not make an entry that exists")


class OtherProcess:
    """Another process: it runs ``code`` with a cache in ``root``, then waits for input."""

    def __init__(self, root: Path, code: str) -> None:
        head = "import sys; from pathlib import Path; from harness.cache import Cache\n"
        head += f"cache = Cache(Path({str(root)!r}))\n"
        tail = "\nprint('ready', flush=True); sys.stdin.readline()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", head + code + tail],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_line(self) -> str:
        """Return the next line of its output; empty after its exit."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill the process, as a crash does."""
        self.process.kill()
        self.process.communicate()


# Paths


def test_option_and_variables_choose_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("TSM_HARNESS_CACHE", raising=False)
    assert cache_directory() == tmp_path / "xdg/tsm-harness"
    monkeypatch.setenv("TSM_HARNESS_CACHE", str(tmp_path / "named"))
    assert cache_directory() == tmp_path / "named"
    assert cache_directory(tmp_path / "chosen") == tmp_path / "chosen"
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot create"):
        cache_directory(tmp_path / "file")


@pytest.mark.parametrize("character", " :#$")
def test_home_that_kbuild_cannot_take_has_its_cache_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.delenv("TSM_HARNESS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"my{character}home"))
    monkeypatch.setattr(paths, "_WITHOUT_HOME", tmp_path)
    private = tmp_path / f"tsm-harness-{os.getuid()}"
    assert cache_directory() == private
    assert private.stat().st_mode & 0o777 == 0o700
    assert cache_directory() == private


@pytest.mark.parametrize("attack", ["a link", "others can write", "another user"])
def test_cache_outside_the_home_must_be_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.delenv("TSM_HARNESS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my home"))
    monkeypatch.setattr(paths, "_WITHOUT_HOME", tmp_path)
    private = tmp_path / f"tsm-harness-{os.getuid()}"
    if attack == "a link":
        (tmp_path / "elsewhere").mkdir(0o700)
        private.symlink_to(tmp_path / "elsewhere")
    else:
        private.mkdir()
        private.chmod(0o777 if attack == "others can write" else 0o700)
    if attack == "another user":
        owner = private.stat().st_uid
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        private.rename(tmp_path / f"tsm-harness-{owner + 1}")
    with pytest.raises(HostError, match="only this user can write"):
        cache_directory()


def test_chosen_cache_that_kbuild_cannot_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="has ' ' in its path"):
        cache_directory(tmp_path / "my cache")
    assert not (tmp_path / "my cache").exists()
    (tmp_path / "a:b").mkdir()
    monkeypatch.setenv("TSM_HARNESS_CACHE_SHARED", str(tmp_path / "a:b"))
    with pytest.raises(UsageError, match="has ':' in its path"):
        shared_cache_directory()
    assert cache_directory(tmp_path / "a-b,c+d~é") == tmp_path / "a-b,c+d~é"


# Cache


def test_entry_is_made_once(tmp_path: Path) -> None:
    first = Cache(tmp_path).get_or_make("kind", KEY, filled("a"))
    assert (first / "file").read_text() == "a"
    assert Cache(tmp_path).get_or_make("kind", KEY, refuse) == first
    assert [(entry.kind, entry.key) for entry in Cache(tmp_path).entries()] == [("kind", KEY)]
    assert Cache(tmp_path).has("kind", KEY)


def test_failed_attempt_leaves_no_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise BuildError("the build failed")

    with pytest.raises(BuildError, match="the build failed"):
        cache.get_or_make("kind", KEY, fail)
    assert list((tmp_path / "kind").iterdir()) == []
    assert (cache.get_or_make("kind", KEY, filled("b")) / "file").exists()


def test_directory_of_a_killed_process_is_not_used(tmp_path: Path) -> None:
    code = (
        "def make(d):\n"
        " (d / 'half').touch(); print(d, flush=True); sys.stdin.readline()\n"
        f"cache.get_or_make('kind', '{KEY}', make)"
    )
    maker = OtherProcess(tmp_path, code)
    left = Path(maker.wait_for_line())
    assert Cache(tmp_path).entries() == []
    maker.kill()
    assert (left / "half").exists()

    def make_without_the_left_directory(directory: Path) -> None:
        assert directory != left
        assert not left.exists()
        filled("whole")(directory)

    entry = Cache(tmp_path).get_or_make("kind", KEY, make_without_the_left_directory)
    assert [path.name for path in entry.iterdir()] == ["file"]
    assert [path.name for path in (tmp_path / "kind").iterdir()] == [KEY]


def test_concurrent_users_share_an_entry(tmp_path: Path) -> None:
    makers: list[int] = []

    def make(directory: Path) -> None:
        makers.append(threading.get_ident())
        (directory / "file").touch()

    users = [
        threading.Thread(target=Cache(tmp_path).get_or_make, args=("kind", KEY, make))
        for _ in range(8)
    ]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    assert len(makers) == 1


def test_prune_keeps_entries_that_another_process_uses(tmp_path: Path) -> None:
    code = f"cache.get_or_make('kind', '{KEY}', lambda d: (d / 'file').write_text('x' * 9000))"
    user = OtherProcess(tmp_path, code)
    assert user.wait_for_line() == "ready"
    assert Cache(tmp_path).prune(older_than_days=0) == 0
    user.kill()
    assert Cache(tmp_path).prune(older_than_days=1) == 0
    assert Cache(tmp_path).has("kind", KEY)
    assert Cache(tmp_path).prune(older_than_days=0) >= 9000
    assert not Cache(tmp_path).has("kind", KEY)


def test_new_user_waits_for_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = OtherProcess(tmp_path, f"cache.get_or_make('kind', '{KEY}', lambda d: None)")
    assert user.wait_for_line() == "ready"
    user.kill()
    attempts = []

    def remove(self: Cache, path: Path) -> None:
        with (self.root / "locks" / f"kind-{KEY}.use").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                attempts.append("waits")

    monkeypatch.setattr(Cache, "_remove", remove)
    Cache(tmp_path).prune(older_than_days=0)
    assert attempts == ["waits"]


def test_a_limit_removes_what_was_not_used_for_longest(tmp_path: Path) -> None:
    keys = [f"{number}" * 64 for number in range(4)]
    code = f"cache.get_or_make('kind', '{keys[0]}', lambda d: (d / 'file').write_text('x' * 8192))"
    user = OtherProcess(tmp_path, code)
    assert user.wait_for_line() == "ready"
    for age, (kind, key) in enumerate(
        [("other", keys[0]), *(("kind", key) for key in keys[:0:-1])]
    ):
        entry = tmp_path / kind / key
        entry.mkdir(parents=True)
        (entry / "file").write_text("x" * 8192)
        (tmp_path / "locks" / f"{kind}-{key}.use").touch()
        os.utime(entry, (1000 - age, 1000 - age))
    cache = Cache(tmp_path)
    size = cache.entries()[0].bytes
    cache.limit("kind", 4 * size)
    assert [cache.has("kind", key) for key in keys] == [True] * 4
    cache.limit("kind", 2 * size)
    assert [cache.has("kind", key) for key in keys] == [True, False, False, True]
    cache.limit("kind", 0)  # another process uses the first
    assert [cache.has("kind", key) for key in keys] == [True, False, False, False]
    assert cache.has("other", keys[0])
    user.kill()


def test_prune_keeps_other_directories(tmp_path: Path) -> None:
    (tmp_path / "pki/sev-snp").mkdir(parents=True)
    with Cache(tmp_path).lock("apt/debian-6.12") as state:
        (state / "newest.json").touch()
    (tmp_path / "kind/.partial-old.0a1b2c3d").mkdir(parents=True)
    cache = Cache(tmp_path)
    assert cache.entries() == []
    cache.prune(older_than_days=0)
    assert (tmp_path / "pki/sev-snp").is_dir()
    assert (state / "newest.json").exists()
    assert list((tmp_path / "kind").iterdir()) == []


def test_full_disk_is_a_host_error(tmp_path: Path) -> None:
    def fill(directory: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory / "file"))

    with pytest.raises(HostError, match="disk is full") as caught:
        Cache(tmp_path).get_or_make("kind", KEY, fill)
    assert "prune" in caught.value.hint
    assert list((tmp_path / "kind").iterdir()) == []


def test_only_a_denied_permission_in_the_cache_becomes_a_host_error(tmp_path: Path) -> None:
    def denied(path: Path) -> Callable[[Path], None]:
        def make(directory: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        return make

    with pytest.raises(HostError, match="is not writable"):
        Cache(tmp_path).get_or_make("kind", KEY, denied(tmp_path / "x"))
    with pytest.raises(PermissionError):
        Cache(tmp_path).get_or_make("kind", KEY, denied(Path("/elsewhere")))


# Progress


def test_plain_progress_prints_a_line_for_each_step() -> None:
    out = io.StringIO()
    progress = terminal_progress(Console(file=out, force_terminal=False))
    with progress.step("doing [this]", total=3) as step:
        step.advance(1)
    assert out.getvalue() == "doing [this] ...\n"


def test_steps_of_several_threads_may_overlap() -> None:
    out = io.StringIO()
    progress = terminal_progress(Console(file=out, force_terminal=True))
    both, errors = threading.Barrier(2, timeout=10), []

    def work(name: str) -> None:
        try:
            both.wait()
            with progress.step(name, total=2) as step:
                both.wait()
                step.advance(1)
            both.wait()
            with progress.step(name, total=2 << 30) as step:
                step.describe(f"{name} again")
        except BaseException as error:
            errors.append(error)
            both.abort()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert "first" in out.getvalue()


def test_display_ends_with_its_last_step() -> None:
    out = io.StringIO()
    progress = terminal_progress(Console(file=out, force_terminal=True))
    first, second = progress.step("first"), progress.step("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert SHOW_CURSOR not in out.getvalue()
    second.__exit__(None, None, None)
    assert SHOW_CURSOR in out.getvalue()


# Keys


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    keys = ssh_keys(Cache(tmp_path))
    assert keys == ssh_keys(Cache(tmp_path))
    assert keys != ssh_keys(Cache(tmp_path / "other"))
    assert stat.S_IMODE(keys.client_private.stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("dropbearkey") is None, reason="run `make setup`")
def test_dropbear_derives_the_same_public_key(tmp_path: Path) -> None:
    keys = ssh_keys(Cache(tmp_path))
    path = tmp_path / "host_key"
    path.write_bytes(keys.host_dropbear)
    command = ["dropbearkey", "-y", "-f", str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("ssh-ed25519"))
    assert base64.b64decode(line.split()[1]) == keys.host_public
    path.write_bytes(keys.host_dropbear[:-20])
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


# Archive


def members(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Parse an archive without the code under test: mode, data and device number by path."""
    parsed: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701" and at % 4 == 0
        field = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + field[11] - 1].decode()
        start = (at + 110 + field[11] + 3) // 4 * 4
        at = (start + field[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return parsed
        assert name not in parsed
        parsed[name] = (field[1], archive[start : start + field[6]], (field[9], field[10]))


def test_archive_has_its_nodes_in_a_fixed_order() -> None:
    nodes = [
        cpio.directory("d"),
        cpio.file("d/empty", b""),
        cpio.file("d/file", b"12345", 0o755),
        cpio.symlink("link", "d/file"),
        cpio.device("console", 5, 1),
    ]
    archive = cpio.newc(nodes)
    assert members(archive) == {
        "console": (0o020600, b"", (5, 1)),
        "d": (0o040755, b"", (0, 0)),
        "d/empty": (0o100644, b"", (0, 0)),
        "d/file": (0o100755, b"12345", (0, 0)),
        "link": (0o120777, b"d/file", (0, 0)),
    }
    assert cpio.newc(reversed(nodes)) == archive
    assert cpio.newc([cpio.file("d/file", b"12345", 0o700)]) != cpio.newc(nodes[2:3])


@needs_guest_tools
def test_initramfs_has_agent_modules_keys_and_programs(tmp_path: Path) -> None:
    keys = ssh_keys(Cache(tmp_path))
    modules = {"virtio_ring": b"first", "virtio": b"second"}
    nodes = tree(agent=b"agent", modules=modules, keys=keys)
    archive = cpio.newc(nodes)
    files = members(archive)
    assert files["init"] == (0o100755, b"agent", (0, 0))
    load = b"/lib/modules/virtio_ring.ko\n/lib/modules/virtio.ko\n"
    assert files["etc/modules-load"][1] == load
    assert files["lib/modules/virtio.ko"][1] == b"second"
    assert files["bin/sh"] == (0o120777, b"busybox", (0, 0))
    assert files["dev/console"][0::2] == (0o020600, (5, 1))
    assert files["root/.ssh/authorized_keys"][0] == 0o100600
    assert files["root/.ssh"][0] == 0o040700
    assert "usr/sbin/dropbear" in files and "lib64/ld-linux-x86-64.so.2" in files
    for name in files:
        parent = str(Path(name).parent)
        assert parent == "." or list(files).index(parent) < list(files).index(name)
    again = tree(agent=b"agent", modules=modules, keys=keys)
    assert cpio.newc(again) == archive
    assert len(archive) < 8 << 20


# Agent


def test_agent_does_not_depend_on_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    for name in ("short", "a-much-longer-name"):
        sources = tmp_path / name / "guest-images"
        (sources / "agent").mkdir(parents=True)
        (sources / "agent/main.c").write_text(
            '#include <stdio.h>\n#include "tsmw.h"\nint main(void) { puts(__FILE__); return 7; }\n'
        )
        shutil.copytree(guest_images_directory() / "include", sources / "include")
        monkeypatch.setattr(agent, "guest_images_directory", lambda path=sources: path)
        built = agent.build_agent(Cache(tmp_path / name / "cache"), NullProgress()) / "agent"
        assert subprocess.run([built], check=False, stdout=subprocess.DEVNULL).returncode == 7
        contents.append(built.read_bytes())
    assert contents[0] == contents[1]
    (sources / "agent/main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(BuildError, match="nothing"):
        agent.build_agent(Cache(tmp_path / "cache"), NullProgress())
