# SPDX-License-Identifier: MIT
"""The measurements of ``bench``. Times are seconds of wall clock, medians over ``rounds``."""

from __future__ import annotations

import contextlib
import errno
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from harness.errors import GuestLostError, HarnessError
from harness.guest.guest import Guest
from harness.interface.find import find_interface
from harness.oracle.splats import Splat
from harness.vm.factory import GuestFactory
from harness.vm.pool import ClonePool
from harness.vm.template import Template
from providers_sim import AnyProvider, ReportRequest
from tsmw.constants import FrameType
from tsmw.ops import Op

__all__ = [
    "clone",
    "cold_boot",
    "file_operation_and_echo",
    "pool_clone",
    "private_mib",
    "race",
    "reports",
    "signing",
]

_ECHO_BYTES = 64
_ECHO_SECONDS = 20.0
_SMALL_ROUNDS = 400
_BATCH = 20


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def cold_boot(factory: GuestFactory) -> float:
    """One boot, from nothing to the first system call's answer."""
    start = time.perf_counter()
    with factory.boot() as guest:
        _first_call(guest)
        return time.perf_counter() - start


def clone(factory: GuestFactory, template: Template, rounds: int) -> float:
    """A clone, from the request to the first system call's answer."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        with factory.clone(template) as guest:
            _first_call(guest)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def pool_clone(factory: GuestFactory, template: Template, rounds: int) -> float:
    """The same from a pool that had time to prepare."""
    pool, times = ClonePool(factory), []
    try:
        for _ in range(rounds):
            pool.prepare(template).result()
            start = time.perf_counter()
            with pool.take(template) as guest:
                _first_call(guest)
                times.append(time.perf_counter() - start)
                pool.prepare(template).result()
    finally:
        pool.close()
    return statistics.median(times)


def file_operation_and_echo(guest: Guest) -> tuple[float, float]:
    """One ``pread`` of 64 bytes, and a raw 64-byte echo on the same port, taken in turns."""
    actor = guest.actors[0]
    fd = actor.run(Op.open("/proc/sys/kernel/osrelease", os.O_RDONLY), "open").ret

    def operation() -> None:
        actor.run(Op.pread(_ECHO_BYTES, 0, fd), "pread")

    operations: list[float] = []
    echoes: list[float] = []
    for _ in range(_SMALL_ROUNDS // _BATCH):
        operations += [_timed(operation) for _ in range(_BATCH)]
        echoes += _echoes(guest, _BATCH)
    return statistics.median(operations), statistics.median(echoes)


def _echoes(guest: Guest, count: int) -> list[float]:
    size = (count * _ECHO_BYTES).to_bytes(8, "little")
    guest.session.request(FrameType.ECHO, size, "the echo")
    raw = guest.session.client.raw()
    raw.settimeout(guest.timeouts.scaled(_ECHO_SECONDS))

    def once() -> None:
        raw.sendall(bytes(_ECHO_BYTES))
        left = _ECHO_BYTES
        while left:
            got = len(raw.recv(left))
            if not got:
                raise GuestLostError("the guest ended in the middle of an echo")
            left -= got

    return [_timed(once) for _ in range(count)]


def reports(guest: Guest, provider: AnyProvider, rounds: int) -> float:
    """One report: write a fresh nonce, read the evidence, signature included."""
    guest.register(provider)
    report = find_interface(guest).report()

    def attest() -> None:
        report.write_inblob(os.urandom(64))
        report.read_outblob()

    attest()
    return statistics.median([_timed(attest) for _ in range(rounds)])


def signing(provider: AnyProvider) -> tuple[float, float]:
    """One report of the provider without a guest, and a P-384 signature alone, in turns."""
    key = ec.generate_private_key(ec.SECP384R1())
    algorithm = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
    body = os.urandom(672)
    level = provider.privlevel_floor
    made: list[float] = []
    signed: list[float] = []
    for number in range(_SMALL_ROUNDS):
        request = ReportRequest(id=number, inblob=os.urandom(64), privlevel=level)
        made.append(_timed(lambda request=request: provider.report(request)))  # type: ignore[misc]
        signed.append(_timed(lambda: key.sign(body, algorithm)))
    return statistics.median(made), statistics.median(signed)


def race(factory: GuestFactory, template: Template, provider: AnyProvider, rounds: int) -> float:
    """The double free of a failed regeneration, reproduced in a fresh clone each time."""
    return statistics.median(
        [_timed(lambda: _reproduce(factory, template, provider)) for _ in range(rounds)]
    )


def _reproduce(factory: GuestFactory, template: Template, provider: AnyProvider) -> None:
    with factory.clone(template) as guest:
        loop = guest.register(provider)
        report = find_interface(guest).report()
        # Not zeroes: as posted, a nonce that begins like the last one is not stored.
        report.write_inblob(b"\1" * 64)
        report.read_outblob()
        report.write_inblob(b"\2" * 64)
        loop.fail_next(errno.EIO)
        with contextlib.suppress(OSError):  # the failure that was asked for
            report.read_outblob()
        report.read_outblob()
        seen: list[Splat] = guest.log.reports()
        if not seen:
            raise HarnessError("the double free was not reproduced: the benchmark is void")


def private_mib(factory: GuestFactory, template: Template, guests: int = 3) -> float:
    """Memory that one more guest costs, in MiB, while others of its kind run."""
    with ExitStack() as stack:
        running = [stack.enter_context(factory.clone(template)) for _ in range(guests)]
        for guest in running:
            _first_call(guest)
        return statistics.median(guest.machine.private_bytes() for guest in running) / 2**20


def _first_call(guest: Guest) -> None:
    guest.actors[0].read_file("/proc/uptime")
