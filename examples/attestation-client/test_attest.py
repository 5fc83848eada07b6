# SPDX-License-Identifier: MIT
"""Tests an attestation client in a guest with a simulated TEE; run ``pytest`` in this directory.

These tests decide no claim about the kernel, but a splat in its log fails them.
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
    """Runs the client in the guest; returns its status, standard output and standard error."""
    ssh.push(Path(__file__).parent / "attest", CLIENT)

    def run(nonce: bytes) -> tuple[int, bytes, bytes]:
        done = ssh.capture([CLIENT, ENTRY], stdin=nonce)
        return done.returncode, done.stdout, done.stderr

    return run


def test_prints_a_report_of_its_nonce(
    client: Callable[..., tuple[int, bytes, bytes]], nonce: Callable[[], bytes]
) -> None:
    for sent in (nonce(), nonce()):
        status, report, _ = client(sent)
        assert status == 0
        assert report[REPORT_DATA] == sent


def test_retries_when_the_firmware_is_busy(
    client: Callable[..., tuple[int, bytes, bytes]],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    provider.fail_next(errno.EBUSY)
    sent = nonce()
    status, report, stderr = client(sent)
    assert (status, report[REPORT_DATA]) == (0, sent)
    assert b"busy" in stderr


def test_ignores_the_report_of_another_writer(
    client: Callable[..., tuple[int, bytes, bytes]],
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    own, other = nonce(), nonce()
    with ThreadPoolExecutor(1) as threads:
        with provider.hold() as gate:
            running = threads.submit(client, own)
            gate.wait_for_request()
            # The client waits for its report, and another program writes a nonce meanwhile.
            other_writer = actors[1].start_write_file(f"{ENTRY}/inblob", other)
            other_writer.wait_until_blocked()
        status, report, _ = running.result()
        other_writer.result()
    assert (status, report[REPORT_DATA]) == (0, own)
