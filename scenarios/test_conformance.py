# SPDX-License-Identifier: MIT
"""The interface as it is documented: C1 to C6.

Sources: Documentation/ABI/testing/configfs-tsm-report; fs/configfs of Linux 6.12 and 7.3, as far as
both agree; the documentation of the sysfs class in the review. They name few errnos: C1 demands
one only where the reader has to tell failures apart.
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
from harness.interface.apis import SERVICE_ATTRIBUTES, numbered_api
from harness.interface.descriptor import Descriptor
from harness.interface.find import CONFIGFS_REPORTS as _REPORTS
from harness.interface.find import Interface
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from harness.interface.report import Report
from harness.oracle.expect import demand
from harness.oracle.kernel_log import KernelLog
from providers_sim import ProviderLoop
from providers_sim.provider import Attr, BinAttr
from scenarios.common import (
    latest_request,
    registration_of,
    respawn_unprivileged,
    unregister,
)

_LARGEST = 32768  # bytes that every version of the interface accepts
_BLOBS = 3
_MAX_READ = 49152  # bytes: they fit into one frame of the agent
_REPEATED = 4
_ANY = -1  # errno of a call that must fail, whatever the errno is
_WRITE_ONLY = {"inblob", "privlevel", "service_provider", "service_guid",
               "service_manifest_version"}  # fmt: skip

Row = tuple[str, Callable[[], object], int]


@dataclass(frozen=True)
class Entry:
    """A report entry, and calls on it that raise the errno of the guest.

    Reading or writing an attribute that it lacks raises :class:`MissingAttributeError`.
    """

    actor: Actor
    path: str
    report: Report

    def has(self, name: str) -> bool:
        """Whether there is such an attribute."""
        return any(self.report.has(each) for each in ATTRIBUTE_NAMES if each == name)

    def file(self, name: str) -> str:
        """Return the path of an attribute."""
        return f"{self.path}/{name}"

    def write(self, name: str, value: bytes) -> None:
        """Open, write once, close."""
        self._require(name)
        with Descriptor(self.actor, self.file(name), os.O_WRONLY) as opened:
            opened.write(value)

    def read(self, name: str, count: int = _MAX_READ) -> bytes:
        """Open, read once, close."""
        self._require(name)
        with Descriptor(self.actor, self.file(name)) as opened:
            return opened.read(count)

    def _require(self, name: str) -> None:
        for each in ATTRIBUTE_NAMES:
            if each == name:
                self.report.attribute(each)

    def generation(self) -> int:
        """Read the generation; demand that it is a number."""
        text = self.read("generation").decode("ascii", "backslashreplace").strip()
        demand(text.isdecimal(), f"generation is not a number: {text!r}")
        return int(text)

    def call(self, name: str, flags: int, method: str, *values: bytes | int) -> None:
        """Open with ``flags`` and call one method of the descriptor."""
        with Descriptor(self.actor, self.file(name), flags) as opened:
            getattr(opened, method)(*values)


@pytest.fixture
def entry(report: Report) -> Entry:
    """The report entry of the first actor."""
    report.attribute("inblob")
    return Entry(report.actor, report.outblob.path.rpartition("/")[0], report)


def _check(rows: Iterable[Row]) -> None:
    """Demand that each call ends with its errno (0: success); list all that do not."""
    wrong = {}
    for what, call, expected in rows:
        got = _errno(call)
        if got != expected and not (expected == _ANY and got):
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
    if number == _ANY:
        return "an error"
    return errno.errorcode.get(number, str(number)) if number else "success"


@claim("C1", only="configfs", broken_by=("short-names",))
def test_errno_of_directories(entry: Entry, actors: tuple[Actor, ...]) -> None:
    own, other = entry.actor, actors[3]
    respawn_unprivileged(other)
    _check(
        [
            ("mkdir of an existing entry", lambda: own.mkdir(entry.path), errno.EEXIST),
            ("mkdir with 255 characters", lambda: own.mkdir(f"{_REPORTS}/{'n' * 255}"), 0),
            ("mkdir with 256 characters", lambda: own.mkdir(f"{_REPORTS}/{'n' * 256}"), _ANY),
            ("mkdir by an unprivileged user", lambda: other.mkdir(f"{_REPORTS}/x"), _ANY),
            ("mkdir below an entry", lambda: own.mkdir(f"{entry.path}/x"), _ANY),
            ("mkdir beside report", lambda: own.mkdir("/sys/kernel/config/tsm/x"), _ANY),
            ("rmdir of report", lambda: own.rmdir(_REPORTS), _ANY),
            ("rmdir of an entry", lambda: own.rmdir(entry.path), 0),
            ("rmdir of a removed entry", lambda: own.rmdir(entry.path), _ANY),
        ]
    )


@claim("C1", only="configfs", broken_by=("readable-nonce",))
def test_errno_of_opening(entry: Entry) -> None:
    def opening(name: str, flags: int) -> Callable[[], object]:
        return lambda: Descriptor(entry.actor, entry.file(name), flags).close()

    _check(
        [
            ("inblob for reading", opening("inblob", os.O_RDONLY), _ANY),
            ("inblob for reading and writing", opening("inblob", os.O_RDWR), _ANY),
            ("outblob for writing", opening("outblob", os.O_WRONLY), _ANY),
            ("outblob for reading and writing", opening("outblob", os.O_RDWR), _ANY),
            ("generation for writing", opening("generation", os.O_WRONLY), _ANY),
            ("creating a file", opening("new", os.O_WRONLY | os.O_CREAT), _ANY),
            ("a file that does not exist", opening("new", os.O_RDONLY), _ANY),
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
            ("writing 65 bytes", calling("write", bytes(65)), _ANY),
            ("writing at offset 63", calling("pwrite", b"x", 63), 0),
            ("writing at offset 64", calling("pwrite", b"x", 64), _ANY),
            ("writing at offset 2^40", calling("pwrite", b"x", 1 << 40), _ANY),
            ("a seek", calling("lseek", 0), _ANY),
        ]
    )


@claim(
    "C1",
    only="configfs",
    broken_by=("one-errno", "stripped-zeros", "max-refused", "aux-freed-twice"),
)
def test_errno_of_the_report(entry: Entry, provider: ProviderLoop) -> None:
    assert provider.driver is not None
    # The driver may send one byte more than the implementation's header allows for each blob.
    largest = provider.driver.max_total // _BLOBS - 1
    demand(largest >= _LARGEST, f"a report has at most {largest} bytes, not {_LARGEST}")

    def attesting(set_fault: Callable[[], object]) -> None:
        # The report may be made when the nonce is written, and again if that failed.
        set_fault()
        entry.write("inblob", bytes(64))
        try:
            entry.read("outblob")
        finally:
            provider.faults.clear()

    def failing(number: int) -> Callable[[], object]:
        return lambda: attesting(lambda: provider.fail_next(number, times=_REPEATED))

    def oversize(total: int) -> Callable[[], object]:
        return lambda: attesting(lambda: provider.fault("oversize", total=total, times=_REPEATED))

    def removed() -> None:
        entry.actor.mkdir(f"{_REPORTS}/short-lived")
        other = Entry(entry.actor, f"{_REPORTS}/short-lived", entry.report)
        opened = Descriptor(entry.actor, other.file("outblob"))
        entry.actor.rmdir(other.path)
        opened.read(1)

    own = (errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, errno.ENOTTY)
    _check(
        [
            ("reading without a nonce", lambda: entry.read("outblob"), _ANY),
            ("reading with a nonce", oversize(100), 0),
            ("a seek", lambda: entry.call("outblob", 0, "lseek", 0), _ANY),
            ("a report of the largest size", oversize(largest), 0),
            ("a report one byte larger", oversize(largest + 1), errno.EFBIG),
            *((f"the provider returns {_name(number)}", failing(number), number) for number in own),
            ("reading after rmdir", removed, _ANY),
        ]
    )


@claim("C1", only="configfs", needs="privlevel", broken_by=("loose-privlevel",))
def test_errno_of_the_privilege_level(entry: Entry, provider: ProviderLoop) -> None:
    floor = provider.provider.privlevel_floor
    # Whether a number may be hexadecimal, or have blanks around it, is not documented.
    values = dict.fromkeys([b"3", b"3\n", b"%d" % floor], 0)
    wrong = [4, -1, 256, 2**16 + 1, 2**32 - 1, 2**32, 2**32 + 3, 2**64 + 3]
    if floor:
        wrong.append(floor - 1)
    values |= dict.fromkeys([b"level", b"\n", *(b"%d" % number for number in wrong)], _ANY)

    def writing(value: bytes) -> Callable[[], object]:
        return lambda: entry.write("privlevel", value)

    _check((repr(value), writing(value), wanted) for value, wanted in values.items())


@claim("C1", only="configfs", needs="service_guid", broken_by=("loose-guid",))
def test_errno_of_the_service_attributes(entry: Entry) -> None:
    guid = b"c476f1eb-0123-45a5-9641-b4e7dde5bfe3"
    rows: list[tuple[str, bytes, int]] = [
        ("service_guid", guid, 0),
        ("service_guid", guid + b"\n", 0),
        ("service_guid", guid[:-1], _ANY),
        ("service_guid", guid.replace(b"-", b"_"), _ANY),
        ("service_guid", b"x" * 36, _ANY),
        ("service_manifest_version", b"7", 0),
        ("service_manifest_version", b"x", _ANY),
        ("service_manifest_version", b"4294967296", _ANY),
        ("service_provider", b"svsm", 0),
    ]

    def writing(name: str, value: bytes) -> Callable[[], object]:
        return lambda: entry.write(name, value)

    _check((f"{name} {value!r}", writing(name, value), wanted) for name, value, wanted in rows)


@claim("C1", only="configfs", broken_by=("unchecked-provider",))
def test_errno_without_a_provider(
    entry: Entry, provider: ProviderLoop, kernel_log: KernelLog
) -> None:
    unregister(entry.actor, provider)
    free: dict[str, Callable[[], object]] = {
        "provider": lambda: entry.read("provider"),
        "privlevel_floor": lambda: entry.read("privlevel_floor"),
        "privlevel": lambda: entry.write("privlevel", b"1"),
        "inblob": lambda: entry.write("inblob", bytes(64)),
    }
    _errno(lambda: entry.actor.mkdir(f"{_REPORTS}/x"))
    for name, call in free.items():
        if entry.has(name):
            _errno(call)  # success and every errno are allowed, an oops is not
    kernel_log.assert_clean()
    _check([("reading a new report", lambda: entry.read("outblob"), _ANY)])


@claim("C1", only="configfs", broken_by=("uncounted-entries",))
def test_an_entry_of_the_last_provider_is_not_served_by_the_next(
    entry: Entry, guest: Guest, provider: ProviderLoop
) -> None:
    entry.write("inblob", b"n" * 64)
    entry.read("outblob")
    second = guest.attach(provider.provider.clone())
    # An implementation may refuse it while entries exist.
    if registration_of(second, entry.actor) == 0:
        served = _errno(lambda: entry.read("outblob")) == 0 and second.requests == 0
        demand(not served, "an entry has the report of a provider that has left")
    entry.actor.rmdir(entry.path)
    third = guest.attach(provider.provider.clone())
    got = registration_of(third, entry.actor)
    demand(got == 0, f"without entries, registering gives {_name(got)}")


@claim("C2", only="configfs")
def test_attributes_and_their_modes(entry: Entry, provider: ProviderLoop) -> None:
    tsm = provider.provider
    documented = {attr.name.lower() for kind in (Attr, BinAttr) for attr in kind}
    wanted = {attr.name.lower() for attr in Attr if tsm.attrs >> attr & 1}
    wanted |= {attr.name.lower() for attr in BinAttr if tsm.bin_attrs >> attr & 1}
    wanted &= _defined(provider)
    names = set(entry.actor.list(entry.path)) & documented
    # C6 decides whether the other attributes exist.
    differences = [f"{name} is missing" for name in sorted((wanted - names) & SERVICE_ATTRIBUTES)]
    differences += [
        f"{name} is not an attribute of this provider" for name in sorted(names - wanted)
    ]
    details = "; ".join(differences)
    demand(not differences, details, subject=details)
    wrong = []
    for name in sorted(names):
        mode = stat.S_IMODE(entry.actor.stat(entry.file(name)).mode)
        # Which users may read or write is not documented, beyond the owner.
        owner, nobody = (0o200, 0o446) if name in _WRITE_ONLY else (0o400, 0o222)
        if not mode & owner or mode & nobody:
            wrong.append(f"{name} has mode {mode:o}")
    entry.actor.mkdir(f"{_REPORTS}/private", 0o700)
    mode = stat.S_IMODE(entry.actor.stat(f"{_REPORTS}/private").mode)
    if mode & 0o002:
        wrong.append(f"an entry has mode {mode:o}")
    details = "; ".join(wrong)
    demand(not wrong, details, subject=details)


@claim("C6", only="class")
def test_the_class_has_its_attributes(interface: Interface, provider: ProviderLoop) -> None:
    names: list[AttributeName] = ["inblob", "outblob", "generation"]
    if provider.provider.attrs >> Attr.PRIVLEVEL & 1:
        names += ["privlevel", "format"]  # the group for providers that support both
    _demand_attributes(interface, names)


@claim("C6", only="configfs")
def test_an_entry_has_its_attributes(interface: Interface, provider: ProviderLoop) -> None:
    tsm = provider.provider
    names: set[AttributeName] = {"inblob", "outblob", "generation", "provider"}
    if tsm.attrs >> Attr.PRIVLEVEL & 1:
        names |= {"privlevel", "privlevel_floor"}
    if tsm.bin_attrs >> BinAttr.AUXBLOB & 1:
        names.add("auxblob")
    _demand_attributes(interface, sorted(names & _defined(provider)))


def _defined(provider: ProviderLoop) -> frozenset[AttributeName]:
    """Return the attributes of the interface in the version with which the driver registers."""
    assert provider.driver is not None
    return numbered_api(provider.driver.api).attributes


def _demand_attributes(interface: Interface, names: Iterable[AttributeName]) -> None:
    report = interface.report()
    missing = ", ".join(name for name in names if not report.has(name))
    observed = f"{report.entry} lacks {missing}, which the interface has and the provider shows"
    demand(not missing, observed, subject=missing)


@claim("C3", only="configfs")
def test_a_nonce_is_stored_at_close(
    entry: Entry, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    first, second = nonce(), nonce()
    entry.write("inblob", first)
    before = entry.generation()
    opened = Descriptor(entry.actor, entry.file("inblob"), os.O_WRONLY)
    for half in (second[:32], second[32:]):
        opened.write(half)
        demand(entry.generation() == before, "the nonce is stored before the file is closed")
    entry.read("outblob")
    demand(
        latest_request(provider).inblob == first,
        "a report is over a nonce that is not stored yet",
    )
    opened.close()
    demand(
        entry.generation() == before + 1,
        "two writes and a close do not increment the generation by 1",
    )
    entry.read("outblob")
    demand(
        latest_request(provider).inblob == second, "a nonce written in two parts is not complete"
    )
    Descriptor(entry.actor, entry.file("inblob"), os.O_WRONLY).close()
    demand(entry.generation() == before + 1, "opening and closing increments the generation")


@claim("C4", only="configfs")
def test_an_open_file_keeps_its_report(
    entry: Entry, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    entry.write("inblob", nonce())
    with Descriptor(entry.actor, entry.file("outblob")) as opened:
        head = opened.pread(16, 0)
        latest_request(provider)
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
    provider.fail_next(errno.EIO)
    entry.write("inblob", own)
    _errno(lambda: entry.read("outblob"))  # EIO, unless the report was made at close
    entry.read("outblob")
    demand(provider.requests == 3, "a report that failed is not made again")
