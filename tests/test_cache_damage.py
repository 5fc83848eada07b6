# SPDX-License-Identifier: MIT
"""A damaged cache: each entry is compared with its digest, and made again when it differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.cache.seal import Seal
from harness.errors import HostError
from harness.kernels.build_output import discard_damaged, output_digests
from harness.kernels.kbuild import build_tree
from harness.kernels.spec import KernelTree
from harness.paths import shared_cache_directory
from harness.progress import NullProgress

KEY = "0" * 64
ROOT = Path(__file__).parents[1]


def make(directory: Path) -> None:
    """Fill an entry with the types of files that entries have."""
    (directory / "sub" / "empty").mkdir(parents=True)
    (directory / "image").write_bytes(bytes(range(256)) * 20)
    (directory / "sub" / "secret").touch(mode=0o600)
    (directory / "sub" / "secret").write_text("key")
    (directory / "link").symlink_to("sub/secret")
    with (directory / "memory").open("wb") as memory:  # sparse, as the memory of a template
        memory.truncate(8 << 20)
        memory.seek(5 << 20)
        memory.write(b"\1" * 70000)


def flip(file: Path) -> None:
    """Flip one bit, and set the times back, as a copy by a careless tool would."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    with file.open("r+b") as stream:
        stream.write(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_directory(file: Path) -> None:
    """Remove the file, and make a directory of its name."""
    file.unlink()
    file.mkdir()


def in_entry(change: Callable[[Path], object], name: str = "image") -> Callable[[Path], None]:
    """A change of one file of an entry."""

    def apply(entry: Path) -> None:
        change(entry / name)

    return apply


def change_link(link: Path) -> None:
    """Let a link point elsewhere."""
    link.unlink()
    link.symlink_to("/")


def empty(entry: Path) -> None:
    """Remove everything in an entry."""
    shutil.rmtree(entry)
    entry.mkdir()


def replace_by_file(entry: Path) -> None:
    """Replace the whole entry by a file."""
    shutil.rmtree(entry)
    entry.touch()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": in_entry(lambda file: os.truncate(file, 100)),
    "emptied": in_entry(lambda file: os.truncate(file, 0)),
    "bit flipped": in_entry(flip),
    "bit of a sparse file flipped": in_entry(flip, "memory"),
    "missing": in_entry(Path.unlink),
    "directory instead of a file": in_entry(replace_by_directory),
    "unreadable": in_entry(lambda file: file.chmod(0)),
    "too readable": in_entry(lambda file: file.chmod(0o644), "sub/secret"),
    "directory unreadable": in_entry(lambda file: file.chmod(0), "sub"),
    "link changed": in_entry(change_link, "link"),
    "file added": lambda entry: (entry / "more").touch(),
    "empty directory missing": lambda entry: (entry / "sub" / "empty").rmdir(),
    "everything missing": empty,
    "file instead of the entry": replace_by_file,
}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry that another process has made."""
    return Cache(tmp_path).get_or_make("kind", KEY, make)


def damaged(root: Path, *, repair: bool = False) -> list[str]:
    """What a verification of the whole cache finds."""
    return [problem for _, problem in Cache(root).verify(repair=repair) if problem]


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_entry_is_made_again_and_the_run_says_so(
    tmp_path: Path, entry: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    DAMAGE[kind](entry)
    again = Cache(tmp_path).get_or_make("kind", KEY, make)
    assert again == entry
    assert (entry / "image").read_bytes() == bytes(range(256)) * 20
    assert (entry / "sub" / "secret").stat().st_mode & 0o777 == 0o600
    [line] = [record.getMessage() for record in caplog.records]
    assert "the cached kind 000000000000 is damaged (" in line
    assert line.endswith("it is made again")
    assert damaged(tmp_path) == []
    assert [path.name for path in entry.parent.iterdir()] == [KEY]


@pytest.mark.parametrize("kind", DAMAGE)
def test_verification_lists_damage_and_repair_removes_it(
    tmp_path: Path, entry: Path, kind: str
) -> None:
    DAMAGE[kind](entry)
    if entry.is_dir():  # a file is no entry
        assert len(damaged(tmp_path)) == 1
        assert len(damaged(tmp_path, repair=True)) == 1
        assert not entry.exists()
    assert damaged(tmp_path) == []
    Cache(tmp_path).get_or_make("kind", KEY, make)
    assert damaged(tmp_path) == []


def test_entry_that_is_read_for_its_verdict_is_removed_when_damaged(
    tmp_path: Path, entry: Path
) -> None:
    assert Cache(tmp_path).get("kind", KEY) == entry
    assert Cache(tmp_path).get("kind", "1" * 64) is None
    flip(entry / "image")
    assert Cache(tmp_path).get("kind", KEY) is None
    assert not entry.exists()


@pytest.mark.parametrize("kind", ["truncated", "emptied", "bit flipped", "missing", "a directory"])
def test_damaged_manifest_does_not_keep_an_entry_from_use(
    tmp_path: Path, entry: Path, kind: str
) -> None:
    manifest = tmp_path / "seals" / f"kind-{KEY}.manifest"
    changes: dict[str, Callable[[Path], None]] = {
        "truncated": lambda file: os.truncate(file, 100),
        "emptied": lambda file: os.truncate(file, 0),
        "bit flipped": flip,
        "missing": Path.unlink,
        "a directory": replace_by_directory,
    }
    changes[kind](manifest)
    assert Cache(tmp_path).get_or_make("kind", KEY, make) == entry
    assert damaged(tmp_path) == []


def test_entry_of_an_earlier_version_gets_a_manifest(tmp_path: Path, entry: Path) -> None:
    shutil.rmtree(tmp_path / "seals")
    calls: list[Path] = []
    Cache(tmp_path).get_or_make("kind", KEY, calls.append)
    assert calls == []
    flip(entry / "image")
    Cache(tmp_path).get_or_make("kind", KEY, make)
    assert damaged(tmp_path) == []
    assert (entry / "image").read_bytes() == bytes(range(256)) * 20


def test_untouched_entry_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time_ns() + 60_000_000_000
    monkeypatch.setattr("harness.cache.seal.time.time_ns", lambda: 0)
    entry = Cache(tmp_path).get_or_make("kind", KEY, make)
    reads: list[Path] = []

    def compare(directory: Path, _: object) -> str:
        reads.append(directory)
        return ""

    monkeypatch.setattr("harness.cache.seal.damage", compare)
    Cache(tmp_path).get_or_make("kind", KEY, make)
    assert reads == [entry], "a change could have kept the ctime"
    monkeypatch.setattr("harness.cache.seal.time.time_ns", lambda: later)
    for _ in range(3):
        Cache(tmp_path).get_or_make("kind", KEY, make)
    assert reads == [entry] * 2
    os.utime(entry / "image")  # content and mtime may be the same as before; ctime is not
    Cache(tmp_path).get_or_make("kind", KEY, make)
    assert reads == [entry] * 3


def test_entry_is_read_again_after_a_reboot(
    tmp_path: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "seals" / f"kind-{KEY}"
    later = time.time_ns() + 5_000_000_000
    monkeypatch.setattr("harness.cache.seal.time.time_ns", lambda: later)
    Cache(tmp_path).get_or_make("kind", KEY, make)
    stamp = base.with_name(f"{base.name}.stamp")
    stamp.write_text(stamp.read_text().replace('"boot": "', '"boot": "0'))
    reads: list[Path] = []
    monkeypatch.setattr("harness.cache.seal.damage", lambda directory, _: reads.append(directory))
    Seal(entry, base.with_name(f"{base.name}.manifest"), base, trusted=False).problem()
    assert reads == [entry]


def test_pruning_removes_manifest_and_stamp(
    tmp_path: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list((tmp_path / "seals").iterdir())) == 2
    os.utime(entry, (0, 0))
    # This process holds the lock of the entry until it ends.
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    assert Cache(tmp_path).prune(older_than_days=1) > 0
    assert list((tmp_path / "seals").iterdir()) == []


# A shared cache

_NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can reach; the one of pytest is private."""
    with tempfile.TemporaryDirectory(prefix="tsm-harness-test-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "own").mkdir()
        if os.geteuid() == 0:
            os.chown(root / "own", _NOBODY, _NOBODY)
        yield root


@pytest.fixture
def shared(place: Path) -> Iterator[Path]:
    """A cache with one entry that another user has made, and that this one cannot write."""
    root = place / "shared"
    code = (
        "from tests.test_cache_damage import Cache, KEY, Path, fill;"
        f"Cache(Path({str(root)!r})).get_or_make('kind', KEY, fill)"
    )
    # In another process: a process locks the entries that it has used until it ends.
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    _chmod(root, 0o555)
    yield root
    _chmod(root, 0o755)


def fill(directory: Path) -> None:
    """Make an entry that every user can read."""
    (directory / "image").write_bytes(b"theirs")


def _chmod(root: Path, mode: int) -> None:
    for directory, _, _ in os.walk(root):
        Path(directory).chmod(mode)


def _command(own: Path, shared: Path, call: str) -> list[str]:
    """A command that uses both caches as a user who may only read the shared one."""
    code = f"""
from pathlib import Path
from harness.cache import Cache
def fill(directory): (directory / "image").write_bytes(b"mine")
cache = Cache(Path({str(own)!r}), shared=Path({str(shared)!r}))
{call}
"""
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        user = ["--reuid", str(_NOBODY), "--regid", str(_NOBODY), "--clear-groups"]
        command = ["setpriv", *user, "--", *command]
    return command


def as_another_user(own: Path, shared: Path, call: str) -> tuple[str, str]:
    """Run :func:`_command`; return its output and its errors."""
    command = _command(own, shared, call)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


_READ = f"print((cache.get_or_make('kind', '{KEY}', fill) / 'image').read_bytes().decode())"


def test_another_user_reads_an_entry_of_a_shared_cache(place: Path, shared: Path) -> None:
    for _ in range(2):
        assert as_another_user(place / "own", shared, _READ) == ("theirs", "")
    assert not (place / "own" / "kind").exists()


def test_damaged_entry_of_a_shared_cache_is_made_in_the_own_one(place: Path, shared: Path) -> None:
    flip(shared / "kind" / KEY / "image")
    shown, errors = as_another_user(place / "own", shared, _READ + ";" + _READ)
    assert shown == "mine\nmine"
    assert errors.count("is damaged (image has other content") == 1
    assert "it is made in your own cache" in errors
    assert (shared / "kind" / KEY / "image").exists()


def test_unreadable_or_private_entry_is_made_in_the_own_cache(place: Path, shared: Path) -> None:
    private = _READ.replace("fill)", "fill, private=True)")
    assert as_another_user(place / "own", shared, private) == ("mine", "")
    if os.geteuid() == 0:
        (shared / "kind" / KEY / "image").chmod(0o600)
        (place / "other").mkdir()
        os.chown(place / "other", _NOBODY, _NOBODY)
        shown, errors = as_another_user(place / "other", shared, _READ)
        assert shown == "mine"
        assert "is damaged (image cannot be compared: Permission denied" in errors


def test_owner_does_not_prune_what_another_user_reads(place: Path, shared: Path) -> None:
    reading = f"cache.get_or_make('kind', '{KEY}', fill)"
    prune = (
        "from pathlib import Path; from harness.cache import Cache;"
        f"Cache(Path({str(shared)!r})).prune(older_than_days=0)"
    )
    _chmod(shared, 0o755)
    # The reader waits for its input to end, so that it still reads while the owner prunes.
    call = f"{reading}\nprint('reads', flush=True)\nimport sys\nsys.stdin.read()"
    reader = subprocess.Popen(
        _command(place / "own", shared, call),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reads\n"
    command = [sys.executable, "-c", prune]
    for expected in (True, False):
        subprocess.run(command, check=True, cwd=ROOT)
        assert (shared / "kind" / KEY).exists() == expected
        if expected:
            reader.communicate()


def test_shared_cache_that_does_not_exist_is_a_host_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSM_HARNESS_CACHE_SHARED", str(tmp_path / "nowhere"))
    with pytest.raises(HostError, match="there is no shared cache"):
        shared_cache_directory()
    assert shared_cache_directory(tmp_path) == tmp_path
    monkeypatch.delenv("TSM_HARNESS_CACHE_SHARED")
    assert shared_cache_directory() is None


# The build of a kernel tree


@pytest.fixture
def build(tmp_path: Path) -> tuple[Path, Path]:
    """The output of a kernel build, and its stamp."""
    for name in ("arch/x86/boot/bzImage", ".config", "Module.symvers", "fs/configfs.ko"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 20)
    (tmp_path / "modules.order").write_text("fs/configfs.o\n")
    stamp = tmp_path / "stamp"
    stamp.write_text(json.dumps({"identity": "abc", "files": output_digests(tmp_path)}))
    return tmp_path, stamp


@pytest.mark.parametrize("name", ["arch/x86/boot/bzImage", ".config", "fs/configfs.ko"])
@pytest.mark.parametrize(
    "change", [flip, Path.unlink, replace_by_directory, lambda file: os.truncate(file, 0)]
)
def test_damaged_file_of_a_kernel_build_is_removed_for_make(
    build: tuple[Path, Path],
    name: str,
    change: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, stamp = build
    change(out / name)
    assert discard_damaged(out, stamp)
    assert not (out / name).exists()
    assert not stamp.exists()
    assert f"is damaged ({name})" in caplog.text
    assert (out / "Module.symvers").exists()


def test_undamaged_kernel_build_is_kept(build: tuple[Path, Path]) -> None:
    out, stamp = build
    assert not discard_damaged(out, stamp)
    assert stamp.exists()
    stamp.write_text("{}")  # of an earlier version
    assert not discard_damaged(out, stamp)
    replace_by_directory(stamp)
    assert not discard_damaged(out, stamp)
    assert not stamp.exists()


def test_damaged_kernel_build_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds: list[Path] = []

    def build_files(_: Path, out: Path, *__: object) -> None:
        builds.append(out)
        contents = {"arch/x86/boot/bzImage": "image", "include/config/kernel.release": "6.12.1"}
        for name, text in (contents | {".config": "CONFIG_TSM=y\n"}).items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)

    monkeypatch.setattr("harness.kernels.kbuild._make", build_files)
    monkeypatch.setattr("harness.kernels.kbuild._configure", lambda *_: None)
    monkeypatch.setattr("harness.kernels.kbuild._require_tools", lambda: None)
    monkeypatch.setattr("harness.kernels.kbuild._identity", lambda *_: "the same tree")
    tree = KernelTree("tree:/linux", tmp_path, ())
    for _ in range(2):
        image = build_tree(tree, Cache(tmp_path / "cache"), NullProgress()).image
    assert len(builds) == 1
    flip(image)
    build_tree(tree, Cache(tmp_path / "cache"), NullProgress())
    assert len(builds) == 2
    assert image.read_text() == "image"
