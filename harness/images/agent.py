# SPDX-License-Identifier: MIT
"""The guest agent, built from source for this host's compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError
from harness.kernels.toolchain import build_digest, compiler_version
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = ["build_agent"]

_FLAGS = (
    "-static",
    "-O2",
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Wl,--build-id=none",
    "-s",
)


def build_agent(cache: Cache, progress: Progress) -> Path:
    """Build the agent; the directory that holds the file ``agent``.

    Raises :class:`BuildError` with the compiler's words, :class:`HostError` without one.
    """
    sources = guest_images_directory()
    files = [*sorted((sources / "agent").glob("*.[ch]")), sources / "include" / "tsmw.h"]
    key = build_digest(sources, files, *_FLAGS, compiler_version("gcc"))

    def build(directory: Path) -> None:
        with progress.step("building the agent"):
            _compile(sources, [path for path in files if path.suffix == ".c"], directory)

    return cache.get_or_make("agent", key, build)


def _compile(sources: Path, files: list[Path], directory: Path) -> None:
    # Paths relative to the sources: what the compiler writes must not name this machine.
    names = [str(path.relative_to(sources)) for path in files]
    command = ["gcc", *_FLAGS, "-Iinclude", "-o", str(directory / "agent"), *names]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"building the agent failed:\n{done.stderr.strip()[-2000:]}")
