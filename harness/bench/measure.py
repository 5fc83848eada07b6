# SPDX-License-Identifier: MIT
"""The measurements of ``bench``: seconds of wall clock, medians over ``rounds`` repetitions."""

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
    """Time one boot, from the start of QEMU to the result of the first system call."""
    start = time.perf_counter()
    with factory.boot() as guest:
        _first_call(guest)
        return time.perf_counter() - start


def clone(factory: GuestFactory, template: Template, rounds: int) -> float:
    """Time a clone, from the request to the result of the first system call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        with factory.clone(template) as guest:
            _first_call(guest)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def pool_clone(factory: GuestFactory, template: Template, rounds: int) -> float:
    """Time a clone from a pool that has it ready, to the result of the first system call."""
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
    """Time one ``pread`` of 64 bytes, and one raw echo of 64 bytes on the same port.

    The two alternate, so that the load of the machine affects both.
    """
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

    def echo() -> None:
        raw.sendall(bytes(_ECHO_BYTES))
        left = _ECHO_BYTES
        while left:
            received = len(raw.recv(left))
            if not received:
                raise GuestLostError("the guest closed the connection during an echo")
            left -= received

    return [_timed(echo) for _ in range(count)]


def reports(guest: Guest, provider: AnyProvider, rounds: int) -> float:
    """Time one attestation report: write a new nonce, and read the signed evidence."""
    guest.register(provider)
    report = find_interface(guest).report()

    def attest() -> None:
        report.write_inblob(os.urandom(64))
        report.read_outblob()

    attest()
    return statistics.median([_timed(attest) for _ in range(rounds)])


def signing(provider: AnyProvider) -> tuple[float, float]:
    """Time one report of the provider without a guest, and one P-384 signature, alternating."""
    key = ec.generate_private_key(ec.SECP384R1())
    algorithm = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
    body = os.urandom(672)
    level = provider.privlevel_floor
    reports: list[float] = []
    signatures: list[float] = []
    for number in range(_SMALL_ROUNDS):
        request = ReportRequest(id=number, inblob=os.urandom(64), privlevel=level)
        reports.append(_timed(lambda request=request: provider.report(request)))  # type: ignore[misc]
        signatures.append(_timed(lambda: key.sign(body, algorithm)))
    return statistics.median(reports), statistics.median(signatures)


def race(factory: GuestFactory, template: Template, provider: AnyProvider, rounds: int) -> float:
    """Time the reproduction of the double free of claim R1, each in a new clone."""
    return statistics.median(
        [_timed(lambda: _reproduce(factory, template, provider)) for _ in range(rounds)]
    )


def _reproduce(factory: GuestFactory, template: Template, provider: AnyProvider) -> None:
    with factory.clone(template) as guest:
        loop = guest.register(provider)
        report = find_interface(guest).report()
        # class-posted compares a new nonce with the stored one, and drops it if it is a prefix.
        report.write_inblob(b"\1" * 64)
        report.read_outblob()
        report.write_inblob(b"\2" * 64)
        loop.fail_next(errno.EIO)
        with contextlib.suppress(OSError):  # the injected failure
            report.read_outblob()
        report.read_outblob()
        if not guest.log.splats():
            raise HarnessError(
                "the double free was not reproduced, so its time cannot be measured",
                hint="run `tsm-harness reproduce R1` to see why",
            )


def private_mib(factory: GuestFactory, template: Template, guests: int = 3) -> float:
    """Measure the memory that one of ``guests`` clones shares with no other process, in MiB."""
    with ExitStack() as stack:
        running = [stack.enter_context(factory.clone(template)) for _ in range(guests)]
        for guest in running:
            _first_call(guest)
        return statistics.median(guest.machine.private_bytes() for guest in running) / 2**20


def _first_call(guest: Guest) -> None:
    guest.actors[0].read_file("/proc/uptime")
