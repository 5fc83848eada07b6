# SPDX-License-Identifier: MIT
"""Runs ``tsm-harness run`` in a process of its own: if that crashes, only its verdicts are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

__all__ = ["run_in_child"]


def run_in_child(
    arguments: Sequence[str],
    directory: Path,
    *,
    stderr: IO[bytes] | None = None,
    held: Sequence[int] = (),
) -> int:
    """Run ``tsm-harness run`` in ``directory``, and return its exit status.

    Its standard output is dropped, and its standard error goes to ``stderr``, or to ours. It
    inherits the file descriptors ``held``. It gets SIGTERM when this process dies. An interrupt of
    this process is passed on to it, and raised again after it has cleaned up.
    """
    command = [
        "setpriv", "--pdeathsig", "TERM", "--",
        # -P: do not import a directory of the tree that happens to be called harness.
        sys.executable, "-P", "-m", "harness", "run", *arguments,
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        pass_fds=held,
        # Ctrl-C on the terminal would reach it a second time, in the middle of its clean-up.
        start_new_session=True,
    ) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGINT)
            child.wait()
            raise
