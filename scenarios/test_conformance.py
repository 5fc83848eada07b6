# SPDX-License-Identifier: MIT
"""The merged interface as it is documented: C1 to C5.

Sources: Documentation/ABI/testing/configfs-tsm-report; fs/configfs and drivers/virt/coco of Linux
6.12 and 7.3, as far as both agree.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from harness.claims import claim
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.interface.descriptor import Descriptor
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop
from providers_sim.provider import Attr, BinAttr
from scenarios.common import respawn_unprivileged

_REPORTS = "/sys/kernel/config/tsm/report"
_TEXT_SIZE = 4096
_LARGEST, _LARGEST_SINCE_7_0 = 32768, 16 << 20
_MAX_READ = 49152  # bytes: they fit into one frame of the agent
_WRITE_ONLY = {"inblob", "privlevel", "service_provider", "service_guid",
               "service_manifest_version"}  # fmt: skip

Row = tuple[str, Callable[[], object], int]


@dataclass(frozen=True)
class Entry:
    """A report entry, and calls on it that raise the errno of the guest."""

    actor: Actor
    path: str

    def file(self, name: str) -> str:
        """Return the path of an attribute."""
        return f"{self.path}/{name}"

    def write(self, name: str, value: bytes) -> None:
        """Open, write once, close."""
        with Descriptor(self.actor, self.file(name), os.O_WRONLY) as opened:
            opened.write(value)

    def read(self, name: str, count: int = _MAX_READ) -> bytes:
        """Open, read once, close."""
        with Descriptor(self.actor, self.file(name)) as opened:
            return opened.read(count)

    def call(self, name: str, flags: int, method: str, *values: bytes | int) -> None:
        """Open with ``flags`` and call one method of the descriptor."""
        with Descriptor(self.actor, self.file(name), flags) as opened:
            getattr(opened, method)(*values)


@pytest.fixture
def entry(report: Report) -> Entry:
    """The report entry of the first actor."""
    return Entry(report.actor, report.outblob.path.rpartition("/")[0])


def _check(rows: Iterable[Row]) -> None:
    """Demand that each call ends with its errno (0: success); list all that do not."""
    wrong = {}
    for what, call, expected in rows:
        got = _errno(call)
        if got != expected:
            wrong[what] = f"{_name(got)} instead of {_name(expected)}"
    details = "; ".join(f"{what}: {errnos}" for what, errnos in wrong.items())
    demand(not wrong, details, subject=details)


def _errno(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0


def _name(number: int) -> str:
    return errno.errorcode.get(number, str(number)) if number else "success"


@claim("C1", only="configfs", broken_by=("short-names",))
def test_errno_of_directories(entry: Entry, actors: tuple[Actor, ...]) -> None:
    own, other = entry.actor, actors[3]
    respawn_unprivileged(other)
    _check(
        [
            ("mkdir of an existing entry", lambda: own.mkdir(entry.path), errno.EEXIST),
            ("mkdir with 255 characters", lambda: own.mkdir(f"{_REPORTS}/{'n' * 255}"), 0),
            (
                "mkdir with 256 characters",
                lambda: own.mkdir(f"{_REPORTS}/{'n' * 256}"),
                errno.ENAMETOOLONG,
            ),
            ("mkdir by an unprivileged user", lambda: other.mkdir(f"{_REPORTS}/x"), errno.EACCES),
            ("mkdir below an entry", lambda: own.mkdir(f"{entry.path}/x"), errno.EPERM),
            ("mkdir beside report", lambda: own.mkdir("/sys/kernel/config/tsm/x"), errno.EPERM),
            ("rmdir of report", lambda: own.rmdir(_REPORTS), errno.EPERM),
            ("rmdir of an entry", lambda: own.rmdir(entry.path), 0),
            ("rmdir of a removed entry", lambda: own.rmdir(entry.path), errno.ENOENT),
        ]
    )


@claim("C1", only="configfs", broken_by=("readable-nonce",))
def test_errno_of_opening(entry: Entry) -> None:
    def opening(name: str, flags: int) -> Callable[[], object]:
        return lambda: Descriptor(entry.actor, entry.file(name), flags).close()

    _check(
        [
            ("inblob for reading", opening("inblob", os.O_RDONLY), errno.EACCES),
            ("inblob for reading and writing", opening("inblob", os.O_RDWR), errno.EACCES),
            ("outblob for writing", opening("outblob", os.O_WRONLY), errno.EACCES),
            ("outblob for reading and writing", opening("outblob", os.O_RDWR), errno.EACCES),
            ("generation for writing", opening("generation", os.O_WRONLY), errno.EACCES),
            ("creating a file", opening("new", os.O_WRONLY | os.O_CREAT), errno.EACCES),
            ("a file that does not exist", opening("new", os.O_RDONLY), errno.ENOENT),
            ("inblob with O_TRUNC", opening("inblob", os.O_WRONLY | os.O_TRUNC), 0),
            ("inblob with O_APPEND", opening("inblob", os.O_WRONLY | os.O_APPEND), 0),
        ]
    )


@claim("C1", only="configfs", broken_by=("truncated-nonce",))
def test_errno_of_the_nonce(entry: Entry) -> None:
    def calling(method: str, *values: bytes | int) -> Callable[[], object]:
        return lambda: entry.call("inblob", os.O_WRONLY, method, *values)

    _check(
        [
            ("writing 64 bytes", calling("write", bytes(64)), 0),
            ("writing 65 bytes", calling("write", bytes(65)), errno.EFBIG),
            ("writing at offset 63", calling("pwrite", b"x", 63), 0),
            ("writing at offset 64", calling("pwrite", b"x", 64), errno.EFBIG),
            ("writing at offset 2^40", calling("pwrite", b"x", 1 << 40), errno.EFBIG),
            ("writing 0 bytes", calling("write", b""), errno.EFAULT),
            ("a seek", calling("lseek", 0), errno.ESPIPE),
        ]
    )


@claim(
    "C1",
    only="configfs",
    broken_by=("one-errno", "stripped-zeros", "max-refused", "aux-freed-twice"),
)
def test_errno_of_the_report(entry: Entry, guest: Guest, provider: ProviderLoop) -> None:
    major = int(guest.kernel_release.partition(".")[0])
    largest = _LARGEST_SINCE_7_0 if major >= 7 else _LARGEST

    def failing(number: int) -> Callable[[], object]:
        def call() -> None:
            provider.fail_next(number)
            entry.read("outblob")

        return call

    def oversize(total: int) -> Callable[[], object]:
        def call() -> None:
            entry.write("inblob", bytes(64))
            provider.fault("oversize", total=total)
            entry.read("outblob")

        return call

    def removed() -> None:
        entry.actor.mkdir(f"{_REPORTS}/short-lived")
        other = Entry(entry.actor, f"{_REPORTS}/short-lived")
        opened = Descriptor(entry.actor, other.file("outblob"))
        entry.actor.rmdir(other.path)
        opened.read(1)

    own = (errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, errno.ENOTTY)
    _check(
        [
            ("reading without a nonce", lambda: entry.read("outblob"), errno.EINVAL),
            ("reading with a nonce", oversize(100), 0),
            ("reading 0 bytes", lambda: entry.call("outblob", 0, "read", 0), errno.EFAULT),
            ("a seek", lambda: entry.call("outblob", 0, "lseek", 0), errno.ESPIPE),
            ("a report of the largest size", oversize(largest), 0),
            ("a report one byte larger", oversize(largest + 1), errno.EFBIG),
            ("writing a new nonce", lambda: entry.write("inblob", bytes(64)), 0),
            *((f"the provider returns {_name(number)}", failing(number), number) for number in own),
            ("reading after rmdir", removed, errno.ENOENT),
        ]
    )


@claim("C1", only="configfs", needs="privlevel", broken_by=("loose-privlevel",))
def test_errno_of_the_privilege_level(entry: Entry, provider: ProviderLoop) -> None:
    floor = provider.provider.privlevel_floor
    values: dict[bytes, int] = {
        b"3": 0,
        b"3\n": 0,
        b"0x3": 0,
        b"%d" % floor: 0,
        b"4": errno.EINVAL,
        b"-1": errno.EINVAL,
        b"level": errno.EINVAL,
        b" 3": errno.EINVAL,
        b"3 ": errno.EINVAL,
        b"\n": errno.EINVAL,
        b"3\n\n": errno.EINVAL,
        b"4294967295": errno.EINVAL,
        b"4294967296": errno.ERANGE,
        b"": errno.EFAULT,
    }
    if floor:
        values[b"%d" % (floor - 1)] = errno.EINVAL

    def writing(value: bytes) -> Callable[[], object]:
        return lambda: entry.write("privlevel", value)

    _check((repr(value), writing(value), wanted) for value, wanted in values.items())


@claim("C1", only="configfs", needs="service_guid", broken_by=("loose-guid",))
def test_errno_of_the_service_attributes(entry: Entry) -> None:
    guid = b"c476f1eb-0123-45a5-9641-b4e7dde5bfe3"
    rows: list[tuple[str, bytes, int]] = [
        ("service_guid", guid, 0),
        ("service_guid", guid + b"\n", 0),
        ("service_guid", guid[:-1], errno.EINVAL),
        ("service_guid", guid.replace(b"-", b"_"), errno.EINVAL),
        ("service_guid", b"x" * 36, errno.EINVAL),
        ("service_manifest_version", b"7", 0),
        ("service_manifest_version", b"x", errno.EINVAL),
        ("service_manifest_version", b"4294967296", errno.ERANGE),
        ("service_provider", b"svsm", 0),
    ]

    def writing(name: str, value: bytes) -> Callable[[], object]:
        return lambda: entry.write(name, value)

    _check((f"{name} {value!r}", writing(name, value), wanted) for name, value, wanted in rows)


@claim("C1", only="configfs", broken_by=("old-errno", "unchecked-provider"))
def test_errno_without_a_provider(entry: Entry, provider: ProviderLoop) -> None:
    provider.going_away()
    provider.wait_registered()
    rows: list[Row] = [
        ("mkdir", lambda: entry.actor.mkdir(f"{_REPORTS}/x"), errno.ENXIO),
        ("reading provider", lambda: entry.read("provider"), errno.ENXIO),
        ("writing a nonce", lambda: entry.write("inblob", bytes(64)), 0),
        ("reading a new report", lambda: entry.read("outblob"), errno.ENXIO),
    ]
    if entry.actor.exists(entry.file("privlevel")):
        rows += [
            ("writing privlevel", lambda: entry.write("privlevel", b"1"), errno.ENXIO),
            ("reading privlevel_floor", lambda: entry.read("privlevel_floor"), errno.ENXIO),
        ]
    _check(rows)


@claim("C1", only="configfs", broken_by=("uncounted-entries",))
def test_registering_fails_while_entries_exist(
    entry: Entry, guest: Guest, provider: ProviderLoop
) -> None:
    second = guest.attach(provider.provider.clone())
    got = second.wait_registered()
    demand(got == errno.EBUSY, f"registering gives {_name(got)} instead of EBUSY")
    entry.actor.rmdir(entry.path)
    third = guest.attach(provider.provider.clone())
    got = third.wait_registered()
    demand(got == 0, f"without entries, registering gives {_name(got)}")


@claim("C2", only="configfs")
def test_attributes_and_their_modes(entry: Entry, provider: ProviderLoop) -> None:
    tsm = provider.provider
    wanted = {attr.name.lower() for attr in Attr if tsm.attrs >> attr & 1}
    blobs = {attr.name.lower() for attr in BinAttr if tsm.bin_attrs >> attr & 1}
    names = set(entry.actor.list(entry.path))
    differences = [f"{name} is missing" for name in sorted((wanted | blobs) - names)]
    differences += [
        f"{name} is not an attribute of this provider" for name in sorted(names - wanted - blobs)
    ]
    details = "; ".join(differences)
    demand(not differences, details, subject=details)
    wrong = []
    for name in sorted(names):
        found = entry.actor.stat(entry.file(name))
        mode = 0o200 if name in _WRITE_ONLY else 0o444
        size = 0 if name in blobs else _TEXT_SIZE
        if (stat.S_IMODE(found.mode), found.size) != (mode, size):
            wrong.append(f"{name} has mode {found.mode:o} and size {found.size}")
    entry.actor.mkdir(f"{_REPORTS}/private", 0o700)
    mode = stat.S_IMODE(entry.actor.stat(f"{_REPORTS}/private").mode)
    if mode != 0o755:
        wrong.append(f"an entry has mode {mode:o}")
    details = "; ".join(wrong)
    demand(not wrong, details, subject=details)


@claim("C3", only="configfs")
def test_a_nonce_is_stored_at_close(
    entry: Entry, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    first, second = nonce(), nonce()
    entry.write("inblob", first)
    before = int(entry.read("generation"))
    opened = Descriptor(entry.actor, entry.file("inblob"), os.O_WRONLY)
    for half in (second[:32], second[32:]):
        opened.write(half)
        demand(
            int(entry.read("generation")) == before, "the nonce is stored before the file is closed"
        )
    entry.read("outblob")
    demand(
        provider.issued[-1].request.inblob == first,
        "a report is over a nonce that is not stored yet",
    )
    opened.close()
    demand(
        int(entry.read("generation")) == before + 1,
        "two writes and a close do not increment the generation by 1",
    )
    entry.read("outblob")
    demand(
        provider.issued[-1].request.inblob == second, "a nonce written in two parts is not complete"
    )
    Descriptor(entry.actor, entry.file("inblob"), os.O_WRONLY).close()
    demand(
        int(entry.read("generation")) == before + 1, "opening and closing increments the generation"
    )


@claim("C4", only="configfs")
def test_an_open_file_keeps_its_report(
    entry: Entry, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    entry.write("inblob", nonce())
    with Descriptor(entry.actor, entry.file("outblob")) as opened:
        head = opened.pread(16, 0)
        first = provider.issued[-1].evidence.outblob
        entry.write("inblob", nonce())
        again = entry.read("outblob")
        whole = opened.pread(_MAX_READ, 0)
    demand(head == first[:16] and whole == first, "an open file continues with another report")
    demand(
        again == provider.issued[-1].evidence.outblob != first,
        "a newly opened file has the old report",
    )


@claim("C5", only="configfs")
def test_a_report_is_made_once(
    entry: Entry, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    own = nonce()
    entry.write("inblob", own)
    blobs = [name for name in ("outblob", "auxblob", "manifestblob")
             if entry.actor.exists(entry.file(name))]  # fmt: skip
    for name in [*blobs, *blobs]:
        entry.read(name)
    demand(provider.requests == 1, f"the provider made {provider.requests} reports for one nonce")
    entry.write("inblob", own)
    provider.fail_next(errno.EIO)
    demand(
        _errno(lambda: entry.read("outblob")) == errno.EIO,
        "the read does not return the provider's EIO",
    )
    entry.read("outblob")
    demand(provider.requests == 3, "a report that failed is not made again")
