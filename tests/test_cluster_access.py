# SPDX-License-Identifier: MIT
"""A cluster refuses whoever has not its credentials, and its files end with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Security

from harness.cluster.connection import security_of
from harness.cluster.credentials import (
    CERTIFICATE_FILE,
    KEY_FILE,
    check_credentials,
    make_credentials,
)
from harness.errors import UsageError
from harness.session import Session
from tests.test_cli import Invoke, invoke
from tests.test_cluster import Scheduler, Worker, credentials, scheduler, until, worker

__all__ = ["credentials", "invoke", "scheduler", "worker"]  # the fixtures


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for temporary files, with a short name."""
    directory = Path(tempfile.mkdtemp(prefix="tsm-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def _ports(process: psutil.Process) -> set[int]:
    """Return the TCP ports that a process and its descendants listen on."""
    found = set()
    for each in (process, *process.children(recursive=True)):
        connections = each.net_connections(kind="tcp")
        found |= {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def _answers(port: int, security: Security | None) -> bool:
    """Whether a scheduler, nanny or worker accepts a client from another process.

    Each of them speaks first when it has accepted a connection, and then runs what it receives.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            if security is None:
                return bool(connection.recv(1))
            context = security.get_connection_args("client")["ssl_context"]
            with context.wrap_socket(connection) as authenticated:
                return bool(authenticated.recv(1))
    except OSError:
        return False


def _page(port: int) -> int:
    """Return the status of an HTTP server's page about the cluster; 0 without such a server."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/info/main/workers.html", timeout=2):
            return 200
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_local_cluster_refuses_clients_without_its_key(
    temporary: Path, tmp_path: Path, session: Session
) -> None:
    command = [sys.executable, "-m", "harness", "run", "R1", "--tsm=class-fixed", "--times=500"]
    command += ["--cluster=local", "-n1", f"--cache={session.cache.root}", "--history=db"]
    environment = os.environ | {"TMPDIR": str(temporary)}
    make_credentials(tmp_path / "other")
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as run:
        try:
            process = psutil.Process(run.pid)
            until(lambda: _runs_a_job(process), "a job on the cluster")
            [key] = temporary.glob(f"*/*/{KEY_FILE}")
            assert key.stat().st_mode & 0o777 == 0o600
            assert [key.parents[up].stat().st_mode & 0o777 for up in (0, 1)] == [0o700, 0o700]
            ports = _ports(process)
            assert [port for port in ports if _answers(port, None)] == []
            owner, stranger = security_of(key.parent), security_of(tmp_path / "other")
            # Scheduler, nanny and worker: the attack works for the owner of the key.
            assert sum(_answers(port, owner) for port in ports) == 3
            assert [port for port in ports if _answers(port, stranger)] == []
            assert {_page(port) for port in ports} <= {0, 404}
        finally:
            children = process.children(recursive=True)
            run.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=60)[1] == []
    until(lambda: not list(temporary.glob("tsm-harness-*")), "the end of the run's files")


def _runs_a_job(process: psutil.Process) -> bool:
    """Whether a worker of the cluster runs a job, whose report goes into a file."""
    children = process.children(recursive=True)
    return any("--json=" in " ".join(_arguments(each)) for each in children)


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_other_credentials_are_refused(
    scheduler: Scheduler, worker: Worker, invoke: Invoke, tmp_path: Path
) -> None:
    worker("w")
    address = scheduler.address(1)
    make_credentials(tmp_path / "other")
    done = invoke("run", "R1", f"--cluster={address}", f"--cluster-credentials={tmp_path}/other")
    assert done.returncode == 125
    assert "or with other credentials" in done.stderr
    assert "Traceback" not in done.stderr
    port = int(address.rpartition(":")[2])
    assert not _answers(port, None)
    assert _answers(port, security_of(scheduler.credentials))


def test_only_the_owner_may_read_credentials(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    mask = os.umask(0)
    try:
        make_credentials(directory)
    finally:
        os.umask(mask)
    check_credentials(directory)
    key = directory / KEY_FILE
    assert (key.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)
    before = key.read_bytes()
    with pytest.raises(UsageError, match=r"key\.pem exists"):
        make_credentials(directory)
    assert key.read_bytes() == before
    key.chmod(0o640)
    with pytest.raises(UsageError, match="other users may open"):
        check_credentials(directory)
    (directory / CERTIFICATE_FILE).unlink()
    with pytest.raises(UsageError, match=r"no cluster\.pem") as caught:
        check_credentials(directory)
    assert "tsm-harness cluster credentials" in caught.value.hint


def test_the_certificate_is_strictly_valid(tmp_path: Path) -> None:
    make_credentials(tmp_path)
    certificate, key = tmp_path / CERTIFICATE_FILE, tmp_path / KEY_FILE
    contexts = [
        ssl.create_default_context(purpose, cafile=str(certificate))
        for purpose in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH)
    ]
    inputs = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in contexts]
    for context in contexts:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key)
    (to_client, to_server) = inputs[0][0], inputs[1][0]
    client = contexts[0].wrap_bio(to_client, to_server)
    server = contexts[1].wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.getpeercert() == server.getpeercert()
    assert client.getpeercert()
