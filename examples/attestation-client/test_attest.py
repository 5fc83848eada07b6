# SPDX-License-Identifier: MIT
"""Tests a program of one's own in a guest with a simulated TEE: run ``pytest`` in this directory.

No test here decides a claim about a kernel; the kernel's log is watched all the same.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.access.ssh import SshSession
from harness.guest.actor import Actor
from harness.interface.find import Interface
from providers_sim import ProviderLoop

CLIENT = "/tmp/attest"
ENTRY = "/sys/kernel/config/tsm/report/attest"
REPORT_DATA = slice(0x50, 0x90)  # of an SEV-SNP report: SEV-SNP ABI, table 23


@pytest.fixture
def client(ssh: SshSession, interface: Interface) -> Callable[..., tuple[int, bytes, bytes]]:
    """Runs the client in the guest: its status, what it printed, what it complained of."""
    ssh.push(Path(__file__).parent / "attest", CLIENT)

    def run(nonce: bytes) -> tuple[int, bytes, bytes]:
        done = ssh.capture([CLIENT, ENTRY], stdin=nonce)
        return done.returncode, done.stdout, done.stderr

    return run


def test_prints_a_report_of_its_nonce(
    client: Callable[..., tuple[int, bytes, bytes]], nonce: Callable[[], bytes]
) -> None:
    for asked in (nonce(), nonce()):
        status, report, _ = client(asked)
        assert status == 0
        assert report[REPORT_DATA] == asked


def test_tries_again_when_the_firmware_was_busy(
    client: Callable[..., tuple[int, bytes, bytes]],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    provider.fail_next(errno.EBUSY)
    asked = nonce()
    status, report, complaint = client(asked)
    assert (status, report[REPORT_DATA]) == (0, asked)
    assert b"busy" in complaint


def test_is_not_fooled_by_another_writer(
    client: Callable[..., tuple[int, bytes, bytes]],
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    asked, other = nonce(), nonce()
    with ThreadPoolExecutor(1) as threads:
        with provider.hold() as gate:
            running = threads.submit(client, asked)
            gate.wait_for_request()
            # The client waits for its report; the next one writes a nonce of his own meanwhile.
            meddler = actors[1].start_write_file(f"{ENTRY}/inblob", other)
            meddler.wait_until_blocked()
        status, report, _ = running.result()
        meddler.result()
    assert (status, report[REPORT_DATA]) == (0, asked)
