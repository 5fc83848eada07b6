# SPDX-License-Identifier: MIT
"""The guest agent, compiled from source by this host's compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError
from harness.kernels.toolchain import build_digest, compiler_version
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = ["COMPILE_FLAGS", "build_agent"]

COMPILE_FLAGS = (
    "-O2",
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-Iinclude",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wmissing-prototypes",
)
"""Flags of every compilation of the agent, run in the directory of the guest images."""

_LINK_FLAGS = ("-static", "-Wl,--build-id=none", "-s")


def build_agent(cache: Cache, progress: Progress) -> Path:
    """Build the agent and return the directory that holds the file ``agent``.

    Raises :class:`BuildError` with the compiler's output, and :class:`HostError` when there is no
    compiler.
    """
    root = guest_images_directory()
    files = [*sorted((root / "agent").glob("*.[ch]")), root / "include" / "tsmw.h"]
    flags = (*COMPILE_FLAGS, *_LINK_FLAGS)
    key = build_digest(root, files, *flags, compiler_version("gcc"))

    def build(directory: Path) -> None:
        # Relative paths, so that __FILE__ does not depend on where the sources are.
        sources = [str(path.relative_to(root)) for path in files if path.suffix == ".c"]
        command = ["gcc", *flags, "-o", str(directory / "agent"), *sources]
        with progress.step("building the agent"):
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"building the agent failed:\n{done.stderr.strip()[-2000:]}")

    return cache.get_or_make("agent", key, build)
