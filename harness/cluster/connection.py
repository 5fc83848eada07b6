# SPDX-License-Identifier: MIT
"""Connects to a Dask cluster, or starts one on this machine; each process proves that it belongs.

The local cluster listens on 127.0.0.1, which every user of the machine can reach. It uses TLS with
a key that exists as long as the run, in a directory that only this user can open.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

from harness.cluster.address import ClusterAddress
from harness.cluster.credentials import CERTIFICATE_FILE, KEY_FILE, make_credentials
from harness.errors import HostError, UsageError
from harness.qemu.rundir import RunDirectory

try:
    import dask
    from distributed import Client, LocalCluster, Security
except ImportError:  # an optional dependency
    Client = None

__all__ = ["connected", "security_of"]

_CONNECT_SECONDS = 10
# A worker's HTTP server answers everybody; without routes there is nothing to ask it.
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextlib.contextmanager
def connected(cluster: ClusterAddress, workers: int) -> Iterator[Client]:
    """Yield a client of ``cluster``; a local one is started, with ``workers`` processes.

    Raises :class:`HostError` when there is no such cluster.
    """
    if Client is None:
        raise HostError(
            "the package distributed is not installed",
            hint="run: pip install 'tsm-harness[cluster]'",
        )
    # It logs every worker that joins or leaves, over the live progress.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if cluster.local:
            local = stack.enter_context(_local_cluster(workers))
            address, security = local.scheduler_address, local.security
        else:
            address, security = cluster.address, _security(cluster)
        try:
            client = stack.enter_context(
                Client(address, timeout=_CONNECT_SECONDS, security=security)
            )
            client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise HostError(
                f"no cluster with workers at {address}, or with other credentials: {error}",
                hint="docs/how-to.md shows how to start a scheduler and workers with credentials",
            ) from error
        except ValueError as error:
            raise UsageError(
                f"--cluster {address} is not the address of a cluster: {error}",
                hint="use `local`, or an address like tls://HOST:8786",
            ) from error
        yield client


def _security(cluster: ClusterAddress) -> Security:
    """Return what the client shows and demands; raises :class:`UsageError` if it has no key."""
    if cluster.unauthenticated:
        return Security(require_encryption=False)
    if cluster.credentials is not None:
        return security_of(cluster.credentials)
    configured = Security(require_encryption=True)
    if configured.get_connection_args("client")["ssl_context"] is None:
        raise UsageError(
            f"there are no credentials for {cluster.address}",
            hint="name their directory with --cluster-credentials, or set distributed.comm.tls in "
            "Dask's configuration",
        )
    return configured


def security_of(directory: Path) -> Security:
    """Return Dask's form of the credentials in ``directory``, for every role."""
    certificate, key = (str((directory / name).absolute()) for name in (CERTIFICATE_FILE, KEY_FILE))
    roles = ("scheduler", "worker", "client")
    files = {f"tls_{role}_cert": certificate for role in roles}
    files |= {f"tls_{role}_key": key for role in roles}
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        **files,
    )


@contextlib.contextmanager
def _local_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start a cluster whose processes ignore Ctrl-C: this process ends them.

    They inherit the signal mask; an interrupt meanwhile stays pending for this process. Key and
    scratch files are in a directory that is removed even if this process is killed.
    """
    with contextlib.closing(RunDirectory()) as directory, dask.config.set(_NO_PAGES):
        credentials = directory.subdirectory("credentials")
        make_credentials(credentials)
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                protocol="tls://",
                security=security_of(credentials),
                dashboard_address=None,
                local_directory=str(directory.subdirectory("workers")),
                silence_logs=logging.CRITICAL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        with cluster:
            yield cluster
