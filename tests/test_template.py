# SPDX-License-Identifier: MIT
"""Templates and clones: independent copies, detection of damage, boots that fail."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import BuildError, HostError
from harness.guest.guest import Guest
from harness.images.cpio import directory, file, newc
from harness.implementations.model import ModuleLoad
from harness.interface.find import find_interface
from harness.progress import NullProgress, Step
from harness.qemu.emulator import Emulator
from harness.qemu.rundir import RunDirectory
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER
from harness.vm.factory import GuestFactory
from harness.vm.template import Template, copy_sparse, seal
from tests.conftest import Attach, Clone
from tests.processes import qemu_command_lines
from tsmw.constants import VERSION
from tsmw.ops import Op

_REPORTS = "/sys/kernel/config/tsm/report"
_PAGE = 4096


class _RecordedSteps:
    """Progress that records the first word of the text of every step."""

    def __init__(self) -> None:
        self.verbs: list[str] = []

    def step(self, text: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Record the step; show nothing."""
        self.verbs.append(text.partition(" ")[0])
        return NullProgress().step(text, total)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# Clones


def test_clones_are_independent_of_each_other_and_of_the_template(
    clone: Clone, attach: Attach, session: Session
) -> None:
    template = session.template(DEFAULT_KERNEL, "mainline")
    before = _sha256(template.memory), _sha256(template.state)
    first = clone("mainline")
    attach(first)
    actor = first.actors[0]
    timeout = actor.read_file("/proc/sys/kernel/hung_task_timeout_secs")
    assert timeout != b"77\n"
    actor.create_file("/tmp/own", b"first")
    actor.write_file("/proc/sys/kernel/hung_task_timeout_secs", b"77\n")
    actor.mkdir(f"{_REPORTS}/first")
    first.actors[1].kill()
    first.actors[1].wait_until_dead()

    second = clone("mainline")
    other = second.actors[0]
    assert not other.exists("/tmp/own")
    assert other.read_file("/proc/sys/kernel/hung_task_timeout_secs") == timeout
    assert other.list(_REPORTS) == ()
    assert [actor.state().phase.name for actor in second.actors[:4]] == ["IDLE"] * 4
    assert actor.read_file("/tmp/own") == b"first"
    assert actor.list(_REPORTS) == ("first",)
    assert (_sha256(template.memory), _sha256(template.state)) == before
    Template.load(template.directory, template.emulator, verify=True)


def test_clones_have_different_random_numbers(clone: Clone) -> None:
    drawn = []
    for _ in range(4):
        actor = clone("mainline").actors[0]
        ops = [Op.open("/dev/urandom"), Op.read(32), Op.close()]
        drawn.append(actor.start(ops, lambda results: results[1].data, "urandom").result())
        drawn.append(actor.read_file("/proc/sys/kernel/random/uuid"))
    assert {len(data) for data in drawn} == {32, 37}
    assert len(set(drawn)) == 8


def _guest_time(guest: Guest) -> float:
    """Return the guest's CLOCK_REALTIME, exact to a second: boot time plus uptime."""
    actor = guest.actors[0]
    boot = int(actor.read_file("/proc/stat").partition(b"btime ")[2].split()[0])
    return boot + float(actor.read_file("/proc/uptime").split()[0])


def test_clock_of_a_clone_shows_the_time_of_the_host(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.time()
    shown = _guest_time(clone("mainline"))
    assert start - 2 <= shown <= time.time() + 1
    # In a clone of a new template, a clock that was not set also passes the check above.
    year = 366 * 86400
    real = time.time_ns
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: real() + year * 10**9)
        later = clone("mainline")
    assert start + year - 2 <= _guest_time(later) <= time.time() + year + 1


def test_four_clones_run_at_the_same_time(clone: Clone, session: Session) -> None:
    guests = [clone("mainline") for _ in range(4)]
    loops = [
        guest.attach(session.provider(DEFAULT_PROVIDER, seed)) for seed, guest in enumerate(guests)
    ]
    assert [loop.wait_registered() for loop in loops] == [0] * 4
    nonces = [bytes([0x40 + number]) * 64 for number in range(4)]
    reports = [find_interface(guest).report() for guest in guests]
    for guest, report, nonce in zip(guests, reports, nonces, strict=True):
        report.write_inblob(nonce)
        guest.actors[0].create_file("/tmp/own", nonce)
    calls = [
        guest.actors[1].start_read(report.outblob)
        for guest, report in zip(guests, reports, strict=True)
    ]
    blobs = [call.result() for call in calls]
    assert [blob[0x50:0x90] for blob in blobs] == nonces
    assert len(set(blobs)) == 4
    assert [loop.requests for loop in loops] == [1] * 4
    guests[0].machine.kill()
    assert [guest.actors[0].read_file("/tmp/own") for guest in guests[1:]] == nonces[1:]


# Damage to synthetic templates


def _emulator(root: Path) -> Emulator:
    binary = root / "qemu"
    binary.write_bytes(b"a fake binary")
    return Emulator(binary, (7, 2, 22))


def _synthetic(entry: Path, emulator: Emulator) -> Path:
    """Make a template whose memory has two extents of data between holes."""
    entry.mkdir(parents=True)
    with (entry / "memory").open("xb") as memory:
        memory.truncate(1 << 20)
        memory.write(b"low" * _PAGE)
        memory.seek(1 << 19)
        memory.write(b"high" * _PAGE)
    (entry / "state").write_bytes(b"devices" * 100)
    seal(entry, emulator, 0.00125)
    return entry


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Emulator]:
    emulator = _emulator(tmp_path)
    return _synthetic(tmp_path / "template", emulator), emulator


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        (byte,) = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte ^ 0x10]))


def _change_manifest(entry: Path, **values: object) -> None:
    path = entry / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="ascii")


def _flip_memory(entry: Path, _: Emulator) -> None:
    memory = entry / "memory"
    with memory.open("rb") as stream:
        data = os.lseek(stream.fileno(), memory.stat().st_size // 4, os.SEEK_DATA)
    _flip(memory, data + 100)


def _other_emulator(entry: Path, emulator: Emulator) -> None:
    _change_manifest(entry, emulator=replace(emulator, smp=emulator.smp + 1).identity())


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


Damage = Callable[[Path, Emulator], object]

_DAMAGE: dict[str, Damage] = {
    "memory-truncated": lambda entry, _: _cut(entry / "memory"),
    "memory-grown": lambda entry, _: os.truncate(
        entry / "memory", (entry / "memory").stat().st_size + _PAGE
    ),
    "memory-missing": lambda entry, _: (entry / "memory").unlink(),
    "state-truncated": lambda entry, _: _cut(entry / "state"),
    "state-flipped": lambda entry, _: _flip(entry / "state", 100),
    "state-missing": lambda entry, _: (entry / "state").unlink(),
    "manifest-missing": lambda entry, _: (entry / "manifest.json").unlink(),
    "manifest-garbage": lambda entry, _: (entry / "manifest.json").write_bytes(b"\x00\xff{"),
    "manifest-empty": lambda entry, _: (entry / "manifest.json").write_bytes(b""),
    "manifest-cut": lambda entry, _: _cut(entry / "manifest.json"),
    "manifest-list": lambda entry, _: (entry / "manifest.json").write_bytes(b"[]"),
    "manifest-unknown-field": lambda entry, _: _change_manifest(entry, more=1),
    "other-schema": lambda entry, _: _change_manifest(entry, schema=0),
    "foreign-emulator": _other_emulator,
}

_MEMORY_DAMAGE: dict[str, Damage] = {
    "memory-flipped": _flip_memory,
    "memory-first-byte": lambda entry, _: _flip(entry / "memory", 0),
    "memory-last-byte": lambda entry, _: _flip(
        entry / "memory", (entry / "memory").stat().st_size - 1
    ),
}


@pytest.mark.parametrize("verify", [False, True])
def test_undamaged_template_is_loaded(sealed: tuple[Path, Emulator], verify: bool) -> None:
    entry, emulator = sealed
    template = Template.load(entry, emulator, verify=verify)
    assert (template.directory, template.ping_s) == (entry, 0.00125)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_outside_memory_pages_is_always_detected(
    sealed: tuple[Path, Emulator], name: str, verify: bool
) -> None:
    entry, emulator = sealed
    _DAMAGE[name](entry, emulator)
    with pytest.raises(BuildError, match="damaged"):
        Template.load(entry, emulator, verify=verify)


@pytest.mark.parametrize("name", _MEMORY_DAMAGE)
def test_damaged_memory_byte_is_detected_with_verify(
    sealed: tuple[Path, Emulator], name: str
) -> None:
    entry, emulator = sealed
    _MEMORY_DAMAGE[name](entry, emulator)
    Template.load(entry, emulator, verify=False)
    with pytest.raises(BuildError, match="damaged"):
        Template.load(entry, emulator, verify=True)


@pytest.mark.parametrize("ping", [None, "fast", [1]])
def test_ping_that_is_not_a_number_is_damage(sealed: tuple[Path, Emulator], ping: object) -> None:
    entry, emulator = sealed
    _change_manifest(entry, ping_s=ping)
    with pytest.raises(BuildError, match="damaged"):
        Template.load(entry, emulator, verify=True)


@pytest.mark.parametrize("mode", ["never", "always"])
def test_copy_with_other_holes_is_not_damaged(sealed: tuple[Path, Emulator], mode: str) -> None:
    entry, emulator = sealed
    with (entry / "memory").open("r+b") as memory:
        memory.seek(1 << 18)
        memory.write(bytes(1 << 16))
    seal(entry, emulator, 0.001)
    original = _sha256(entry / "memory")
    copy = entry / "copy"
    subprocess.run(["cp", f"--sparse={mode}", str(entry / "memory"), str(copy)], check=True)
    copy.rename(entry / "memory")
    assert _sha256(entry / "memory") == original
    Template.load(entry, emulator, verify=True)


def test_copy_sparse_keeps_content_and_holes(sealed: tuple[Path, Emulator]) -> None:
    source, target = sealed[0] / "memory", sealed[0] / "copy"
    copy_sparse(source, target)
    assert _sha256(target) == _sha256(source)
    assert target.stat().st_blocks * 512 < target.stat().st_size // 2
    with pytest.raises(HostError, match="File exists"):
        copy_sparse(source, target)


# Damage to real templates


@dataclass(frozen=True)
class PrivateCache:
    """A cache with copies of the real base template and of a template with modules loaded."""

    session: Session
    cache: Cache
    base: Path
    staged: Path
    loads: tuple[ModuleLoad, ...]

    def factory(self) -> tuple[GuestFactory, _RecordedSteps]:
        """A new factory with a new cache object, as in a new process; the record of its steps."""
        real, steps = self.session.factory(DEFAULT_KERNEL), _RecordedSteps()
        run, cache = self.session.run_directory, Cache(self.cache.root)
        return GuestFactory(real.image, real.emulator, cache, run, steps), steps


@pytest.fixture(scope="module")
def private(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCache]:
    loads = session.build(DEFAULT_KERNEL, "mainline").loads
    factory = session.factory(DEFAULT_KERNEL)
    root = tmp_path_factory.mktemp("private")
    for template in (factory.template(), factory.template(loads)):
        copy = root / "template" / template.directory.name
        copy.parent.mkdir(exist_ok=True)
        source = str(template.directory)
        subprocess.run(["cp", "-a", "--reflink=auto", source, str(copy)], check=True)
        seal(copy, template.emulator, template.ping_s)
    base, staged = (
        root / "template" / template.directory.name
        for template in (factory.template(), factory.template(loads))
    )
    yield PrivateCache(session, Cache(root), base, staged, loads)
    shutil.rmtree(root)  # otherwise pytest keeps these hundreds of megabytes for three runs


def _assert_clone_works(factory: GuestFactory, template: Template) -> None:
    with factory.clone(template) as guest:
        assert b"\ntsm " in b"\n" + guest.actors[0].read_file("/proc/modules")
        guest.log.assert_clean()


@pytest.mark.parametrize(
    "name",
    [
        "memory-flipped",
        "memory-truncated",
        "memory-missing",
        "state-truncated",
        "state-flipped",
        "manifest-missing",
        "manifest-garbage",
        "other-schema",
        "foreign-emulator",
    ],
)
def test_damaged_template_is_made_again(private: PrivateCache, name: str) -> None:
    factory, steps = private.factory()
    assert factory.template(private.loads).directory == private.staged
    assert steps.verbs == []  # the template is not damaged, so no step is needed
    (_DAMAGE | _MEMORY_DAMAGE)[name](private.staged, factory.emulator)

    factory, steps = private.factory()
    template = factory.template(private.loads)
    assert steps.verbs == ["loading"]
    assert template.directory == private.staged
    _assert_clone_works(factory, template)
    Template.load(private.staged, factory.emulator, verify=True)
    assert sorted(private.staged.parent.iterdir()) == sorted([private.base, private.staged])


def test_damaged_base_is_booted_again(private: PrivateCache) -> None:
    factory, _ = private.factory()
    staged = _sha256(private.staged / "memory")
    _flip_memory(private.base, factory.emulator)
    damaged = _sha256(private.base / "memory")

    factory, steps = private.factory()
    template = factory.template(private.loads)
    assert steps.verbs == ["booting"]  # the staged template is older than the damage
    assert _sha256(private.staged / "memory") == staged
    assert _sha256(private.base / "memory") != damaged
    Template.load(private.base, factory.emulator, verify=True)
    _assert_clone_works(factory, template)
    assert sorted(private.base.parent.iterdir()) == sorted([private.base, private.staged])


def test_module_that_does_not_load_leaves_no_template(private: PrivateCache) -> None:
    factory, _ = private.factory()
    _, driver = private.session.build(DEFAULT_KERNEL, "class-fixed").loads
    with pytest.raises(BuildError, match=r"the guest refused .*/tsm-sim\.ko") as caught:
        factory.template([driver])  # its import register_tsm() is in the other module
    assert "Unknown symbol register_tsm" in str(caught.value)
    assert sorted(private.base.parent.iterdir()) == sorted([private.base, private.staged])
    assert qemu_command_lines(private.session.run_directory.path) == []


# The key of a template

_CONTENT = Path(__file__)


class _FullCache(Cache):
    """A cache in which every entry exists, as a synthetic template for ``emulator``."""

    def __init__(self, root: Path, emulator: Emulator) -> None:
        super().__init__(root)
        self._emulator = emulator

    def get_or_make(
        self, kind: str, key: str, make: Callable[[Path], None], *, private: bool = False
    ) -> Path:
        """Return the entry; never call ``make``."""
        entry = self.root / kind / key
        return entry if entry.is_dir() else _synthetic(entry, self._emulator)


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a template's key, as far as the tests change them."""

    emulator: Emulator
    image: str = "image"
    loads: tuple[ModuleLoad, ...] = (
        ModuleLoad("/a.ko", _CONTENT, "x=1"),
        ModuleLoad("/b.ko", _CONTENT),
    )


def _key(session: Session, root: Path, inputs: _Inputs) -> str:
    image = replace(session.factory(DEFAULT_KERNEL).image, key=inputs.image)
    cache = _FullCache(root / f"cache{len(list(root.iterdir()))}", inputs.emulator)
    factory = GuestFactory(image, inputs.emulator, cache, session.run_directory, NullProgress())
    return factory.template(inputs.loads).directory.name


def test_same_inputs_have_the_same_key(session: Session, tmp_path: Path) -> None:
    inputs = _Inputs(_emulator(tmp_path))
    assert _key(session, tmp_path, inputs) == _key(session, tmp_path, inputs)


def test_every_input_changes_the_key(session: Session, tmp_path: Path) -> None:
    plain = _Inputs(_emulator(tmp_path))
    emulator, loads = plain.emulator, plain.loads
    other = tmp_path / "other-qemu"
    other.write_bytes(b"a fake binary")
    os.utime(other, ns=(0, emulator.binary.stat().st_mtime_ns))
    variants = {
        "plain": plain,
        "smp": replace(plain, emulator=replace(emulator, smp=2)),
        "memory": replace(plain, emulator=replace(emulator, memory_mib=512)),
        "version": replace(plain, emulator=replace(emulator, version=(7, 2, 23))),
        "accelerator": replace(plain, emulator=emulator.with_accelerator("kvm")),
        "binary": replace(plain, emulator=replace(emulator, binary=other)),
        "image": replace(plain, image="another"),
        "fewer loads": replace(plain, loads=loads[:1]),
        "no loads": replace(plain, loads=()),
        "order": replace(plain, loads=loads[::-1]),
        "path": replace(plain, loads=(ModuleLoad("/c.ko", _CONTENT, "x=1"), loads[1])),
        "content": replace(plain, loads=(ModuleLoad("/a.ko", other, "x=1"), loads[1])),
        "parameters": replace(plain, loads=(ModuleLoad("/a.ko", _CONTENT, "x=2"), loads[1])),
        "early boundary": replace(plain, loads=(ModuleLoad("/a.ko", _CONTENT, "x y"), loads[1])),
        "late boundary": replace(plain, loads=(ModuleLoad("/a.ko x", _CONTENT, "y"), loads[1])),
    }
    keys = {name: _key(session, tmp_path, inputs) for name, inputs in variants.items()}
    assert len(set(keys.values())) == len(variants), keys


@pytest.mark.parametrize(
    ("name", "value"), [("VERSION", VERSION + 1), ("KERNEL_ARGUMENTS", ("console=ttyS0",))]
)
def test_protocol_and_kernel_arguments_change_the_key(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
) -> None:
    inputs = _Inputs(_emulator(tmp_path))
    before = _key(session, tmp_path, inputs)
    monkeypatch.setattr(f"harness.vm.factory.{name}", value)
    assert _key(session, tmp_path, inputs) != before


def test_upgraded_emulator_changes_the_key(session: Session, tmp_path: Path) -> None:
    inputs = _Inputs(_emulator(tmp_path))
    before = _key(session, tmp_path, inputs)
    inputs.emulator.binary.write_bytes(b"another binary")
    os.utime(inputs.emulator.binary, ns=(1, 1))
    assert _key(session, tmp_path, inputs) != before


# Boots that fail


@dataclass(frozen=True)
class Attempt:
    """A factory with an image that does not boot, and the directories that the factory uses."""

    factory: GuestFactory
    steps: _RecordedSteps
    cache: Cache
    run: RunDirectory

    def error(self) -> BuildError:
        """Boot; return the error, after a check that only the console log is left."""
        with pytest.raises(BuildError) as caught:
            self.factory.template()
        assert self.steps.verbs == ["booting"]
        assert qemu_command_lines(self.run.path) == []
        assert list((self.cache.root / "template").iterdir()) == []
        return caught.value

    def console(self) -> str:
        """The console log of the failed boot."""
        return (self.cache.root / "last-failed-boot.log").read_text(errors="replace")


@pytest.fixture
def attempt(session: Session, tmp_path: Path) -> Iterator[Callable[[bytes], Attempt]]:
    runs: list[RunDirectory] = []

    def make(initramfs: bytes) -> Attempt:
        path = tmp_path / "initramfs"
        path.write_bytes(initramfs)
        real, steps, cache = (
            session.factory(DEFAULT_KERNEL),
            _RecordedSteps(),
            Cache(tmp_path / "cache"),
        )
        runs.append(RunDirectory())
        image = replace(real.image, initramfs=path, key="broken")
        factory = GuestFactory(image, real.emulator, cache, runs[-1], steps)
        return Attempt(factory, steps, cache, runs[-1])

    yield make
    for run in runs:
        run.close()
        assert not run.path.exists()


def test_error_of_a_boot_that_panics_has_the_console(attempt: Callable[[bytes], Attempt]) -> None:
    broken = attempt(b"not an archive" * 1000)
    error = broken.error()
    console = broken.console()
    assert "Unable to mount root fs" in console
    assert str(broken.cache.root / "last-failed-boot.log") in error.hint
    assert f"{DEFAULT_KERNEL} did not come up" in str(error)
    tail = str(error).partition("last lines of its console:\n")[2].splitlines()
    printed = [line.rstrip() for line in console.splitlines() if line.strip()]
    assert [line.removeprefix("  ") for line in tail] == printed[-len(tail) :]
    assert len(tail) == 12
    with pytest.raises(BuildError) as again:
        broken.factory.template(())
    assert again.value is error
    assert broken.steps.verbs == ["booting"]  # no second boot


def test_error_of_a_boot_that_powers_off_has_the_console(
    attempt: Callable[[bytes], Attempt],
) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None
    script = b"#!/busybox sh\n/busybox poweroff -f\n"
    nodes = [file("busybox", Path(busybox).read_bytes(), 0o755), file("init", script, 0o755)]
    broken = attempt(newc([directory("dev"), *nodes]))
    error = broken.error()
    assert "Power down" in str(error).splitlines()[-1]
    assert "Kernel panic" not in broken.console()


def test_boot_that_hangs_ends_at_its_deadline(
    attempt: Callable[[bytes], Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No emulated kernel is ready within 0.8 s, so the harness takes the guest for one that hangs.
    monkeypatch.setattr("harness.guest.guest._BOOT_SECONDS", 0.8)
    broken = attempt(b"")
    start = time.monotonic()
    error = broken.error()
    assert time.monotonic() - start >= 0.8
    assert "did not happen within 0.8 s" in str(error)
    assert (broken.cache.root / "last-failed-boot.log").is_file()
