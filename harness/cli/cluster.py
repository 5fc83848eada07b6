# SPDX-License-Identifier: MIT
"""``cluster``: prepares several machines for ``run --cluster``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from harness.cli import options
from harness.cli.groups import Group
from harness.cluster.credentials import CERTIFICATE_FILE, KEY_FILE, make_credentials

__all__ = ["cluster"]


@click.group(cls=Group)
def cluster() -> None:
    """Make the credentials of a cluster of machines."""


@cluster.command("credentials")
@click.argument("directory", type=options.INPUT_PATH)
def credentials(directory: Path) -> None:
    """Write a new key and its certificate into DIRECTORY.

    Scheduler, workers and clients of one cluster need the same two files. Whoever has the key can
    run code on every worker. The certificate is valid for a year.
    """
    make_credentials(directory)
    certificate, key = (shlex.quote(str(directory / name)) for name in (CERTIFICATE_FILE, KEY_FILE))
    files = f"--tls-ca-file {certificate} --tls-cert {certificate} --tls-key {key}"
    click.echo(f"dask scheduler --protocol tls --no-dashboard {files}")
    click.echo(f"dask worker tls://HOST:8786 --nthreads 1 --no-dashboard {files}")
    click.echo(
        "tsm-harness run --cluster tls://HOST:8786 --cluster-credentials "
        f"{shlex.quote(str(directory))}"
    )
