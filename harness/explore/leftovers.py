# SPDX-License-Identifier: MIT
"""What is left of an implementation when its entries are removed and its provider has gone.

The slab allocator's debugging (``slab_debug=U``, which every guest boots with) lists the call
sites of all live objects, with the stack of each allocation; ``/proc/vmallocinfo`` lists the
callers of vmalloc areas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.implementations.model import Build, ModuleLoad
from harness.interface.find import CONFIGFS_REPORTS
from harness.model.interface import InterfaceVersion
from tsmw.ops import Op

__all__ = ["Baseline", "Leftovers", "kept_in_log"]

_KMEMLEAK = "/sys/kernel/debug/kmemleak"
_SLABS = "/sys/kernel/debug/slab"
_CACHE = re.compile(r"kmalloc-(rnd-\d+-)?[0-9]+k?")
_HEAD = re.compile(r"\s*(\d+) (\S+?)\+0x\S+")
_FRAME = re.compile(r"(\S+?)\+0x\S+ \[(\w+)\]")
_VMALLOC = re.compile(r"0x\S+\s+\d+ (\S+?)\+0x\S+ \[(\w+)\]")
_READ, _READS = 4096, 10
_DRIVER = "tsm_sim"
_SECONDS = 1.5
_MODULE_SECONDS = 3.0
_MAX_PAGES = 150  # an implementation that keeps no large report differs by some tens
_MIN_SECRET = 8  # bytes; a shorter nonce may be in the log by chance

Sites = Counter[str]
"""How many objects live of each allocation site."""


@dataclass(frozen=True)
class Baseline:
    """What lives without a provider and an entry: objects by site, and pages of slab memory."""

    sites: Sites
    pages: int


@dataclass
class Leftovers:
    """Looks for what is kept in ``guest``. ``build`` has the modules under test.

    Without a ``baseline`` it finds one and reports nothing.
    """

    guest: Guest
    build: Build
    version: InterfaceVersion
    baseline: Baseline | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of the modules of the implementation, as the kernel shows them."""
        return tuple(_module_name(load) for load in self.build.modules)

    def find(self, actor: Actor) -> tuple[str, ...]:
        """What is kept: waits a moment, since the kernel frees some objects later."""
        deadline = self.guest.timeouts.deadline(_SECONDS, "the release of all memory")
        while True:
            # The kernel frees what kfree_rcu() was given seconds later, or when memory is short.
            actor.write_file("/proc/sys/vm/drop_caches", b"2\n")
            sites = self._sites(actor)
            if self.baseline is None:
                self.baseline = Baseline(sites, self._pages(actor))
                return ()
            kept = [f"{n} x {site}" for site, n in sorted((sites - self.baseline.sites).items())]
            grown = self._pages(actor) - self.baseline.pages
            kept += [f"{grown} pages of large objects"] if grown > _MAX_PAGES else []
            kept += self._objects(actor)
            kept += self._kmemleak(actor)
            if not kept or deadline.expired:
                return tuple(kept)

    def unpinned(self, actor: Actor) -> tuple[str, ...]:
        """Whether the module could be removed although entries exist."""
        if self.version.kind != "configfs" or not actor.list(CONFIGFS_REPORTS, in_timeline=False):
            return ()
        return tuple(
            f"entries exist, and the module {name} has no users but the driver"
            for name in self.modules
            if self._users(actor, name) <= 1
        )

    def _users(self, actor: Actor, name: str) -> int:
        return int(actor.read_file(f"/sys/module/{name}/refcnt", in_timeline=False))

    def reload(self, actor: Actor) -> tuple[str, ...]:
        """Remove the driver and the implementation, and load them again."""
        self.guest.detach()
        self.guest.relay(start=False)
        loads = [*self.build.modules, self.build.driver]
        ops = [Op.rmmod(_module_name(load)) for load in reversed(loads)]
        ops += [Op.insmod(load.path, load.parameters) for load in loads]
        call = actor.start(ops, tuple, "reload", in_timeline=False, stop_on_error=False)
        results = call.results(seconds=_MODULE_SECONDS)
        names = [f"rmmod {_module_name(load)}" for load in reversed(loads)]
        names += [f"insmod {_module_name(load)}" for load in loads]
        return tuple(
            f"{name} fails with errno {result.err}"
            for name, result in zip(names, results, strict=True)
            if result.err
        )

    def _pages(self, actor: Actor) -> int:
        """Pages of the slab allocator: it takes memory above two pages from the page allocator."""
        text = actor.read_file("/proc/vmstat", in_timeline=False).decode("ascii", "replace")
        found = re.search(r"^nr_slab_unreclaimable (\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def _kmemleak(self, actor: Actor) -> list[str]:
        """The heads of kmemleak's reports on the modules, where the kernel has it."""
        if not actor.exists(_KMEMLEAK):
            return []
        actor.write_file(_KMEMLEAK, b"scan\n")
        reports = _read_long(actor, _KMEMLEAK).split("unreferenced object ")
        marks = [f"[{module}]" for module in (*self.modules, _DRIVER)]
        return [
            f"kmemleak: unreferenced object {report.splitlines()[0]}"
            for report in reports
            if any(mark in report for mark in marks)
        ]

    def _objects(self, actor: Actor) -> Iterator[str]:
        for name in self.modules:
            if (used := self._users(actor, name)) != 1:  # the driver uses it
                yield f"the module {name} has {used} users; the driver is one"
        if self.version.kind == "class" and actor.exists("/sys/class/tsm"):
            yield from (
                f"the device {device} exists"
                for device in actor.list("/sys/class/tsm", in_timeline=False)
            )

    def _sites(self, actor: Actor) -> Sites:
        wanted = {*self.modules, _DRIVER}
        sites: Sites = Counter()
        for cache in actor.list(_SLABS, in_timeline=False):
            if _CACHE.fullmatch(cache):
                text = _read_long(actor, f"{_SLABS}/{cache}/alloc_traces")
                sites.update(_slab_sites(text, wanted))
        for line in _read_long(actor, "/proc/vmallocinfo").splitlines():
            found = _VMALLOC.match(line)
            if found and found[2] in wanted and "vmalloc" in line:
                sites[f"vmalloc area of {found[1]} [{found[2]}]"] += 1
        return sites


def _slab_sites(text: str, modules: set[str]) -> Iterator[str]:
    """The allocation sites whose stack has a function of the modules, once for each object."""
    marks = [f"[{module}]" for module in modules]
    for record in text.split("\n\n"):  # a blank line is behind the stack of each
        if not any(mark in record for mark in marks):
            continue
        head = _HEAD.match(record)
        frames = [found for found in _FRAME.finditer(record) if found[2] in modules]
        if head and frames:
            where = f"{head[2]} called by {frames[0][1]} [{frames[0][2]}]"
            if head[2] == frames[0][1]:
                where = f"{head[2]} [{frames[0][2]}]"
            yield from [f"object of {where}"] * int(head[1])


def _read_long(actor: Actor, path: str) -> str:
    data = b""
    first = actor.run(Op.open(path), f"open {path}").ret
    while True:
        reads = [Op.read(_READ, first) for _ in range(_READS)]
        call = actor.start(reads, tuple, f"read {path}", in_timeline=False, stop_on_error=False)
        parts = [result.data for result in call.results()]
        data += b"".join(parts)
        if not parts[-1]:
            break
    actor.run(Op.close(first), f"close {path}")
    return data.decode("ascii", "replace")


def _module_name(load: ModuleLoad) -> str:
    return load.path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def kept_in_log(lines: Sequence[str], secrets: Iterable[bytes]) -> tuple[str, ...]:
    """The lines of the kernel log that show one of the secrets, as digits or as text."""
    digits = [re.sub(r"[^0-9a-f]", "", line.lower()) for line in lines]
    found = []
    for secret in secrets:
        if len(secret) < _MIN_SECRET or len(set(secret)) < _MIN_SECRET // 2:
            continue
        text = secret.decode("latin-1")
        found += [
            f"the kernel log shows a nonce or a report: {line}"
            for line, hexadecimal in zip(lines, digits, strict=True)
            if secret[:_MIN_SECRET].hex() in hexadecimal or text in line
        ]
    return tuple(dict.fromkeys(found))
